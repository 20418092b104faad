//! Deny entries (section 7, "Deny entries").

use crate::error::Result;

/// A tool pattern, or a tool pattern with an argument pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyEntry {
    text: String,
}

impl DenyEntry {
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
