//! Domain allowlists (section 7, "Domains").

use crate::error::Result;

/// An allowed host, or a wildcard over its subdomains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPattern {
    text: String,
}

impl DomainPattern {
    /// Parses the text of an entry.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { text: text.to_owned() })
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}
