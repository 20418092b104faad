//! The argument part of a deny entry, as words of a command.

use super::allow::is_assignment;
use super::lexer::{self, Word};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::fold::fold;
use crate::policy::pattern::glob_matches;
use crate::policy::quote::Quoted;

/// Words a command must not begin with, compared after NFC and case folding; `*` and `?` as in tool patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyWords {
    folded: Vec<String>,
}

impl DenyWords {
    /// Parses the argument part of a deny entry that does not begin with `/`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when there is no word in it or it cannot be split: such an entry would deny nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let words = lexer::split(text).map_err(|reason| {
            Error::new(ErrorKind::ConfigInvalid, format!("{reason} in the deny pattern {}", Quoted(text)))
        })?;
        if words.first().is_none_or(|first| first.text.is_empty()) {
            return Err(Error::new(ErrorKind::ConfigInvalid, format!("no word in the deny pattern {}", Quoted(text))));
        }
        Ok(Self { folded: words.iter().map(|word| fold(&word.text).into_owned()).collect() })
    }

    /// Whether a command begins with these words, also behind assignments and with a path before its base command.
    pub(super) fn fits(&self, words: &[Word]) -> bool {
        let assignments = words.iter().take_while(|word| is_assignment(&word.text)).count();
        let behind = words.get(assignments..).unwrap_or_default();
        self.begins(words) || self.begins(behind)
    }

    fn begins(&self, words: &[Word]) -> bool {
        self.folded.len() <= words.len()
            && self.folded.iter().zip(words).enumerate().all(|(index, (pattern, word))| {
                // A shell may put anything in the place of a glob, so it fits.
                word.expands
                    || glob_matches(pattern, &fold(&word.text))
                    || (index == 0 && glob_matches(pattern, &fold(last_component(&word.text))))
            })
    }
}

/// What stands behind the last separator, of either kind.
fn last_component(command: &str) -> &str {
    command.rsplit(['/', '\\']).next().unwrap_or(command)
}
