//! Entries of a command allowlist, and the check of a command against them.

use std::fmt;

use super::lexer::{self, Word};
use super::subcommand::{check_command_list, check_subcommand};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::SubcommandAllowlist;
use crate::policy::quote::{Quoted, allowed};

/// An allowed base command (`git`) or command prefix (`npm test`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEntry {
    text: String,
    /// After quote removal; never empty.
    words: Vec<String>,
}

impl CommandEntry {
    /// Parses the text of an entry: one or more words, quoted like those of a command if need be.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the entry could match no command: no word, an empty first word, an assignment in front,
    /// an unquoted metacharacter, a control character, or a quote that is not closed.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: &dyn fmt::Display| {
            Error::new(ErrorKind::ConfigInvalid, format!("{reason} in the command entry {}", Quoted(text)))
        };
        let words = lexer::split(text).map_err(|reason| invalid(&reason))?;
        match words.first() {
            None => return Err(invalid(&"no word")),
            Some(first) if first.text.is_empty() => return Err(invalid(&"an empty first word")),
            Some(first) if is_assignment(&first.text) => return Err(invalid(&"an assignment")),
            Some(_) => {}
        }
        Ok(Self { text: text.to_owned(), words: words.into_iter().map(|word| word.text).collect() })
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The words after quote removal; never empty.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The words of the command after those of the entry, if it begins with them.
    fn strip<'w>(&self, words: &'w [Word]) -> Option<&'w [Word]> {
        let (head, rest) = words.split_at_checked(self.words.len())?;
        head.iter().zip(&self.words).all(|(word, wanted)| word.text == *wanted).then_some(rest)
    }
}

/// Why a command is refused; a refusal by command is reported before one by subcommand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandRefusal {
    /// No entry of the command allowlist covers it.
    Command(String),
    /// Its subcommand, or what stands before it, is not allowed.
    Subcommand(String),
}

impl CommandRefusal {
    /// What is refused and what is allowed.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Command(message) | Self::Subcommand(message) => message,
        }
    }
}

impl fmt::Display for CommandRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message())
    }
}

/// Checks one reading of a command.
pub(super) fn check(
    words: &[Word],
    allowlist: &[CommandEntry],
    subcommands: Option<&SubcommandAllowlist>,
) -> std::result::Result<(), CommandRefusal> {
    let Some((base, _)) = words.split_first() else {
        return Err(CommandRefusal::Command("a command without a word".to_owned()));
    };
    if is_assignment(&base.text) {
        let name = base.text.split('=').next().unwrap_or_default();
        return Err(CommandRefusal::Command(format!("an assignment of {} before a command", Quoted(name))));
    }
    let mut covering = allowlist.iter().filter_map(|entry| Some((entry, entry.strip(words)?))).peekable();
    if covering.peek().is_none() {
        return Err(CommandRefusal::Command(refuse_command(words, &base.text, allowlist)));
    }
    match subcommands {
        None => Ok(()),
        Some(SubcommandAllowlist::Every(list)) => {
            let mut first_refusal = None;
            for (entry, rest) in covering {
                match check_subcommand(&entry.text, rest, list) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => first_refusal = first_refusal.or(Some(refusal)),
                }
            }
            first_refusal.map_or(Ok(()), |message| Err(CommandRefusal::Subcommand(message)))
        }
        Some(SubcommandAllowlist::PerCommand(lists)) => lists
            .iter()
            .try_for_each(|(command, list)| check_command_list(command, list, words))
            .map_err(CommandRefusal::Subcommand),
    }
}

/// Whether a word before a command would set a variable: `NAME=…`, and the forms `NAME+=…` and `NAME[…]=…` of some shells.
pub(super) fn is_assignment(word: &str) -> bool {
    let Some((target, _)) = word.split_once('=') else { return false };
    let target = target.strip_suffix('+').unwrap_or(target);
    let name = match target.split_once('[') {
        Some((name, index)) if index.ends_with(']') => name,
        Some(_) | None => target,
    };
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Names as much of the command as the entries for its base command look at.
fn refuse_command(words: &[Word], base: &str, allowlist: &[CommandEntry]) -> String {
    let looked_at = allowlist.iter().filter(|entry| entry.words.first().is_some_and(|first| first == base));
    let length = looked_at.map(|entry| entry.words.len()).max().unwrap_or(1);
    let shown: Vec<&str> = words.iter().take(length).map(|word| word.text.as_str()).collect();
    let list = allowed(allowlist.iter().map(CommandEntry::text));
    format!("command {} is not allowed; {list}", Quoted(&shown.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_entries_that_could_match_nothing() {
        for entry in [
            "",
            "  ",
            "''",
            "'' git",
            "A=b",
            "A=b git",
            "git;",
            "git|x",
            "$X",
            "git 'x",
            "git \"$x\"",
            "git\\",
            "git\u{0}",
            "a\nb",
        ] {
            assert_eq!(CommandEntry::parse(entry).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{entry:?}");
        }
        assert_eq!(CommandEntry::parse(" npm  test").unwrap().text(), " npm  test");
    }

    #[test]
    fn recognises_assignments() {
        for word in ["A=", "A=b", "_a1=b=c", "A+=b", "a[1]=b", "a[$x]+=b"] {
            assert!(is_assignment(word), "{word}");
        }
        for word in ["=", "=a", "1a=b", "a-b=c", "git", "--a=b", "a.b=c", "ä=b", "a[1=b", "a]=b"] {
            assert!(!is_assignment(word), "{word}");
        }
    }

    #[test]
    fn names_the_value_and_what_is_allowed() {
        let entries = ["git", "npm test"].map(|entry| CommandEntry::parse(entry).unwrap());
        for (command, message) in [
            ("rm --token=secret", "command `rm` is not allowed; allowed are `git`, `npm test`"),
            ("npm run x", "command `npm run` is not allowed; allowed are `git`, `npm test`"),
            ("A=secret git", "an assignment of `A` before a command"),
        ] {
            let refusal = check(&lexer::split(command).unwrap(), &entries, None).unwrap_err();
            assert_eq!(refusal, CommandRefusal::Command(message.to_owned()));
            assert_eq!(refusal.to_string(), message);
        }
    }
}
