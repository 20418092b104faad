//! Tool names and patterns (section 7, "Tool names", "tool_pattern").

use super::quote::Quoted;
use crate::error::{Error, ErrorKind, Result};

/// Longest tool name.
const LONGEST_NAME: usize = 128;

/// Whether `text` may be a tool name at all: 1 to 128 printable ASCII characters without space.
pub(super) fn is_tool_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An exact tool name or a glob over tool names: `*` any run of characters, `?` exactly one, all else literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolPattern {
    text: String,
    shape: Shape,
}

/// What has to be compared, so that the usual patterns need no backtracking.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Every,
    Exact,
    /// A literal before the only wildcard, a final `*`.
    Prefix(String),
    Glob,
}

impl ToolPattern {
    /// Parses the text of an entry.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the text is empty or has a character no tool name has, so that it could never match.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "empty tool pattern"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "tool pattern {} can never match: tool names are printable ASCII characters without space",
                Quoted(text)
            );
            return Err(Error::new(ErrorKind::ConfigInvalid, message));
        }
        Ok(Self::of_any_text(text))
    }

    /// A pattern over a text that may hold what no tool name holds.
    pub(super) fn of_any_text(text: &str) -> Self {
        let shape = match text.strip_suffix('*') {
            Some("") => Shape::Every,
            Some(prefix) if !prefix.contains(['*', '?']) => Shape::Prefix(prefix.to_owned()),
            Some(_) => Shape::Glob,
            None if text.contains(['*', '?']) => Shape::Glob,
            None => Shape::Exact,
        };
        Self { text: text.to_owned(), shape }
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `tool` fits the pattern, in exactly this case.
    #[must_use]
    pub fn matches(&self, tool: &str) -> bool {
        match &self.shape {
            Shape::Every => true,
            Shape::Exact => self.text == tool,
            Shape::Prefix(prefix) => tool.starts_with(prefix.as_str()),
            Shape::Glob => glob_matches(&self.text, tool),
        }
    }
}

/// Compares a whole text with a glob: `*` any run of characters, `?` one, all else literal.
///
/// Only the last `*` seen is ever retried, so the time is at most the product of the two lengths.
pub(super) fn glob_matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry = None;
    loop {
        let (mut pattern_ahead, mut text_ahead) = (pattern.clone(), text.clone());
        match (pattern_ahead.next(), text_ahead.next()) {
            (Some('*'), _) => {
                retry = Some((pattern_ahead.clone(), text.clone()));
                pattern = pattern_ahead;
                continue;
            }
            (None, None) => return true,
            (Some(wanted), Some(character)) if wanted == '?' || wanted == character => {
                (pattern, text) = (pattern_ahead, text_ahead);
                continue;
            }
            (Some(_) | None, Some(_)) | (Some(_), None) => {}
        }
        let Some((after_star, from)) = &mut retry else { return false };
        if from.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), from.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, tool: &str) -> bool {
        ToolPattern::parse(pattern).unwrap().matches(tool)
    }

    #[test]
    fn refuses_neighbours() {
        for (pattern, tool) in [
            ("fs.*", "fsx.read"),
            ("fs.*", "fs"),
            ("fs.*", "FS.read"),
            ("fs.*", "fsXread"),
            ("fs.*", "xfs.read"),
            ("fs.read", "fs.read2"),
            ("fs.read", "fs.rea"),
            ("fs.rea?", "fs.rea"),
            ("fs.rea?", "fs.readx"),
            ("*.read", "fs.ready"),
            ("db.*.query", "db.query"),
            ("db.*.query", "db.a.query2"),
            ("a+b(c)", "aab(c)"),
            ("[a]", "a"),
            ("*a*b", "ba"),
        ] {
            assert!(!matches(pattern, tool), "{pattern} {tool}");
        }
    }

    #[test]
    fn matches_whole_names() {
        for (pattern, tool) in [
            ("*", "anything.at/all"),
            ("fs.*", "fs."),
            ("fs.*", "fs.read.meta"),
            ("fs.*", "fs.a/b"),
            ("f?.r*d", "fs.read"),
            ("db.*.query", "db.a.query.b.query"),
            ("**", "x"),
            ("*?", "x"),
            ("a*b*c", "aXbXbXc"),
            ("[a]{b}", "[a]{b}"),
        ] {
            assert!(matches(pattern, tool), "{pattern} {tool}");
        }
    }

    #[test]
    fn refuses_patterns_that_can_never_match() {
        for text in ["", "fs.delete ", "fs.d\u{e9}l", "a\tb"] {
            assert_eq!(ToolPattern::parse(text).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{text:?}");
        }
    }

    #[test]
    fn a_tool_name_is_short_visible_ascii() {
        for name in ["", "a b", "a\n", "a\u{7f}", "fs.r\u{435}ad", &"a".repeat(129)] {
            assert!(!is_tool_name(name), "{name:?}");
        }
        assert!(is_tool_name("resources/templates/list"));
        assert!(is_tool_name(&"a".repeat(128)));
    }

    #[test]
    fn a_glob_takes_no_exponential_time() {
        let pattern = "*a".repeat(60);
        assert!(!glob_matches(&pattern, &format!("{}b", "a".repeat(20_000))));
    }
}
