//! Command allowlists (section 7, "Commands").

use crate::error::Result;

/// An allowed base command or command prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEntry {
    text: String,
}

impl CommandEntry {
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
