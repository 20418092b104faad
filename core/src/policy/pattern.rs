//! Tool names and patterns (section 7, "Tool names", "tool_pattern").

use crate::error::Result;

/// An exact tool name or a glob over tool names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolPattern {
    text: String,
}

impl ToolPattern {
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
