//! A command as a tool will see it, from the argument that carries it.

use std::borrow::Cow;

use super::allow::{self, CommandEntry, CommandRefusal};
use super::deny::DenyWords;
use super::lexer::{self, Unreadable, Word};
use crate::policy::SubcommandAllowlist;
use crate::policy::quote::Quoted;

/// A command argument of a call, with the `args` that stand beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandArgument<'a> {
    /// A string, which the tool splits as a shell does.
    Text {
        /// The string.
        text: Cow<'a, str>,
        /// The sibling member `args`, if there is one.
        args: Option<CommandArgs<'a>>,
    },
    /// An array in which every element is one literal word.
    Words {
        /// The elements.
        words: Vec<Cow<'a, str>>,
        /// The sibling member `args`, if there is one.
        args: Option<CommandArgs<'a>>,
    },
}

/// The member `args` beside a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandArgs<'a> {
    /// A string, split like a command string.
    Text(Cow<'a, str>),
    /// An array; a tool may pass on its elements or join them with the command, so both readings count.
    Words(Vec<Cow<'a, str>>),
}

/// A command whose words are known for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// With every element one word; never empty.
    words: Vec<Word>,
    /// With the elements of `args` joined and split again, if that differs.
    joined: Option<Vec<Word>>,
}

impl CommandLine {
    /// Reads the words of a command.
    ///
    /// # Errors
    /// Why it cannot be read, in lower case: no word, an empty first word, an unquoted metacharacter, an expansion, a
    /// control character, or a quote that is not closed. Such a command matches every command deny entry.
    pub fn read(argument: &CommandArgument<'_>) -> Result<Self, String> {
        let (words, args) = match argument {
            CommandArgument::Text { text, args } => {
                (lexer::split(text).map_err(|reason| describe("command", text, reason))?, args)
            }
            CommandArgument::Words { words, args } => (read_literal(words)?, args),
        };
        match words.first() {
            None => return Err("a command without a word".to_owned()),
            Some(first) if first.text.is_empty() => return Err("a command that begins with an empty word".to_owned()),
            Some(_) => {}
        }
        match args {
            None => Ok(Self { words, joined: None }),
            Some(CommandArgs::Text(text)) => {
                let more = read_unquoted(text)?;
                Ok(Self { words: [words, more].concat(), joined: None })
            }
            Some(CommandArgs::Words(elements)) => {
                let rejoined = read_unquoted(&elements.join(" "))?;
                let literal: Vec<Word> = elements.iter().map(|element| Word::literal(element)).collect();
                let joined = (rejoined != literal).then(|| [words.clone(), rejoined].concat());
                Ok(Self { words: [words, literal].concat(), joined })
            }
        }
    }

    /// Checks the command against the allowlists of one capability.
    ///
    /// # Errors
    /// Whether the command or its subcommand is not allowed, with a message that names it and what is allowed.
    pub fn check(
        &self,
        allowlist: &[CommandEntry],
        subcommands: Option<&SubcommandAllowlist>,
    ) -> Result<(), CommandRefusal> {
        self.readings().try_for_each(|words| allow::check(words, allowlist, subcommands))
    }

    /// Whether the argument part of a deny entry fits the command, in any reading.
    #[must_use]
    pub fn matches_deny(&self, pattern: &DenyWords) -> bool {
        self.readings().any(|words| pattern.fits(words))
    }

    fn readings(&self) -> impl Iterator<Item = &[Word]> {
        std::iter::once(self.words.as_slice()).chain(self.joined.as_deref())
    }
}

/// Takes every element as one word.
fn read_literal(elements: &[Cow<'_, str>]) -> Result<Vec<Word>, String> {
    for element in elements {
        element
            .chars()
            .try_for_each(lexer::check_quoted)
            .map_err(|reason| describe("command word", element, reason))?;
    }
    Ok(elements.iter().map(|element| Word::literal(element)).collect())
}

/// Splits `args`, in which quotes protect nothing: a tool that joins it to a command may quote it anew, or not at all.
fn read_unquoted(text: &str) -> Result<Vec<Word>, String> {
    text.chars()
        .try_for_each(lexer::check_unquoted)
        .and_then(|()| lexer::split(text))
        .map_err(|reason| describe("`args`", text, reason))
}

/// Says what is wrong with a text, naming only its beginning: later words may be secret.
fn describe(what: &str, text: &str, reason: Unreadable) -> String {
    let beginning = text.split_whitespace().next().unwrap_or_default();
    format!("{reason} in the {what} that begins with {}", Quoted(beginning))
}
