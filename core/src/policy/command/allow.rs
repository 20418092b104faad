//! Entries of a command allowlist, and the subcommands allowed after them.

use std::fmt;

use super::lexer::{self, Word};
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

/// Applies the list of one command of a map, if the command line is one of that command.
///
/// The words of a longer key (`git remote`) are looked for behind options too, so that an option cannot lift its rule.
fn check_command_list(command: &str, list: &[String], words: &[Word]) -> std::result::Result<(), String> {
    let Ok(key) = CommandEntry::parse(command) else {
        return Err(format!("subcommand list of {}, which is no command", Quoted(command)));
    };
    let Some(((wanted, more_wanted), (base, mut rest))) = key.words.split_first().zip(words.split_first()) else {
        return Ok(());
    };
    if base.text != *wanted {
        return Ok(());
    }
    for wanted in more_wanted {
        let (word, after) = next_plain(command, rest)?;
        if word != Some(wanted.as_str()) {
            return Ok(());
        }
        rest = after;
    }
    check_subcommand(command, rest, list)
}

/// Requires the first non-option word of `rest` to be in the list.
fn check_subcommand(command: &str, rest: &[Word], list: &[String]) -> std::result::Result<(), String> {
    let list_text = || allowed(list.iter().map(String::as_str));
    match next_plain(command, rest)? {
        (Some(word), _) if list.iter().any(|entry| entry == word) => Ok(()),
        (Some(word), _) => {
            Err(format!("subcommand {} of {} is not allowed; {}", Quoted(word), Quoted(command), list_text()))
        }
        (None, _) => Err(format!("{} without a subcommand is not allowed; {}", Quoted(command), list_text())),
    }
}

/// The first non-option word and what follows it.
///
/// Only `--name` may stand before it. Any other option could take the next word as its value, or is one itself.
fn next_plain<'w>(command: &str, words: &'w [Word]) -> std::result::Result<(Option<&'w str>, &'w [Word]), String> {
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        if !word.text.starts_with('-') {
            return Ok((Some(&word.text), rest));
        }
        if !is_plain_option(&word.text) {
            let option = word.text.split('=').next().unwrap_or_default();
            return Err(format!(
                "option {} before the subcommand of {} is not allowed",
                Quoted(option),
                Quoted(command)
            ));
        }
    }
    Ok((None, rest))
}

/// Whether an option is `--name` of letters and dashes.
fn is_plain_option(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|character| character.is_ascii_alphabetic() || character == '-')
    })
}
