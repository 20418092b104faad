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

#[cfg(test)]
mod tests {
    use super::super::{CommandArgument, CommandLine};
    use super::*;

    fn denies(pattern: &str, command: &str) -> bool {
        let argument = CommandArgument::Text { text: command.into(), args: None };
        CommandLine::read(&argument).is_ok_and(|line| line.matches_deny(&DenyWords::parse(pattern).unwrap()))
    }

    #[test]
    fn refuses_patterns_that_would_deny_nothing() {
        for pattern in ["", " ", "''", "'rm", "rm;", "$(rm)", "rm\\", "rm\n"] {
            assert_eq!(DenyWords::parse(pattern).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{pattern:?}");
        }
    }

    #[test]
    fn matches_the_base_command_however_it_is_written() {
        for command in [
            "rm",
            "rm -rf x",
            "RM x",
            "r''m x",
            "\\rm x",
            "/bin/rm x",
            "../bin/rm",
            "~/rm",
            "'C:\\bin\\RM' x",
            "A=b rm x",
            "A=b C+=d E[0]=f /bin/rm",
            "r? x",
            "/bin/r* x",
            "[r]m x",
            "*",
        ] {
            assert!(denies("rm", command), "{command}");
        }
        for command in
            ["rmdir x", "git rm", "sudo rm x", "sh -c rm", "r'?' x", "-rm", "rm/", "A=b", "echo A=b rm", "[ x ]"]
        {
            assert!(!denies("rm", command), "{command}");
        }
    }

    #[test]
    fn folds_case_and_composition() {
        assert!(denies("Straße", "STRASSE x"));
        assert!(denies("caf\u{e9}", "/opt/CAFE\u{301}"));
        assert!(denies("ſudo", "sudo x"));
        assert!(!denies("rm", "ｒｍ x"));
        // U+037E composes to `;`: it is folded as part of a word and never becomes a metacharacter.
        assert!(denies("'a;'", "a\u{37e} x"));
    }

    #[test]
    fn matches_several_words() {
        for command in ["git push", "git 'PUSH' origin", "/usr/bin/git push -f", "git *", "A=b git push"] {
            assert!(denies("git push", command), "{command}");
        }
        for command in ["git", "git pull push", "git -C x push", "git pushy", "git x/push"] {
            assert!(!denies("git push", command), "{command}");
        }
        assert!(denies("A=b git", "A=b git x"));
    }

    #[test]
    fn knows_globs_in_patterns() {
        assert!(denies("*", "anything"));
        assert!(denies("mkfs*", "/sbin/mkfs.ext4 /dev/sda"));
        assert!(denies("git pu??", "git pull"));
        assert!(!denies("mkfs*", "xmkfs"));
    }
}
