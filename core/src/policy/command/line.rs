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
    let beginning = text.split_whitespace().next().unwrap_or_default().split('=').next().unwrap_or_default();
    format!("{reason} in the {what} that begins with {}", Quoted(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> CommandArgument<'_> {
        CommandArgument::Text { text: text.into(), args: None }
    }

    fn words<'a>(words: &[&'a str]) -> CommandArgument<'a> {
        CommandArgument::Words { words: words.iter().copied().map(Cow::Borrowed).collect(), args: None }
    }

    fn with_args<'a>(argument: CommandArgument<'a>, added: CommandArgs<'a>) -> CommandArgument<'a> {
        match argument {
            CommandArgument::Text { text, .. } => CommandArgument::Text { text, args: Some(added) },
            CommandArgument::Words { words, .. } => CommandArgument::Words { words, args: Some(added) },
        }
    }

    fn elements<'a>(elements: &[&'a str]) -> CommandArgs<'a> {
        CommandArgs::Words(elements.iter().copied().map(Cow::Borrowed).collect())
    }

    fn is_allowed(argument: &CommandArgument<'_>, entries: &[&str]) -> bool {
        let entries: Vec<CommandEntry> = entries.iter().map(|entry| CommandEntry::parse(entry).unwrap()).collect();
        CommandLine::read(argument).is_ok_and(|line| line.check(&entries, None).is_ok())
    }

    #[test]
    fn refuses_a_command_without_a_word() {
        for argument in [
            text(""),
            text(" \t"),
            text("'' git"),
            text("\"\""),
            words(&[]),
            words(&[""]),
            words(&["", "git"]),
            with_args(text(""), CommandArgs::Text("git".into())),
            with_args(text(" "), elements(&["git"])),
            with_args(words(&[]), elements(&["git"])),
        ] {
            assert!(CommandLine::read(&argument).is_err(), "{argument:?}");
        }
    }

    #[test]
    fn refuses_control_characters_in_array_elements() {
        for control in ['\0', '\r', '\u{1b}', '\u{7f}', '\u{85}', '\u{b}'] {
            assert!(CommandLine::read(&words(&["git", &format!("a{control}b")])).is_err(), "{control:?}");
        }
        assert!(is_allowed(&words(&["git", "commit", "-m", "a\n\tb; $(c)"]), &["git"]));
    }

    #[test]
    fn checks_args_like_unquoted_text() {
        for metacharacter in ";&|<>$(){}`\n\r\0".chars() {
            for command in [text("git"), words(&["git"])] {
                for args in [
                    CommandArgs::Text(format!("log '{metacharacter}'").into()),
                    CommandArgs::Text(format!("log \"a{metacharacter}\"").into()),
                    elements(&["log", &format!("a{metacharacter}b")]),
                    elements(&["log", &format!("'{metacharacter}'")]),
                ] {
                    let argument = with_args(command.clone(), args);
                    assert!(CommandLine::read(&argument).is_err(), "{argument:?}");
                }
            }
        }
        for args in [elements(&["it's"]), elements(&["a\\"]), CommandArgs::Text("\"x".into())] {
            assert!(CommandLine::read(&with_args(text("git"), args.clone())).is_err(), "{args:?}");
        }
    }

    #[test]
    fn reads_args_with_and_without_joining() {
        let npm = &["npm test"];
        assert!(is_allowed(&with_args(text("npm"), elements(&["test"])), npm));
        assert!(is_allowed(&with_args(text("npm"), CommandArgs::Text("test --watch".into())), npm));
        assert!(is_allowed(&with_args(words(&["npm"]), elements(&["test", "a b"])), npm));
        assert!(is_allowed(&with_args(text("npm test"), elements(&[])), npm));
        for args in [elements(&["test --watch"]), elements(&["'test'"]), elements(&["", "test"]), elements(&[])] {
            assert!(!is_allowed(&with_args(text("npm"), args.clone()), npm), "{args:?}");
        }
        let push = DenyWords::parse("git push").unwrap();
        for args in [elements(&["push origin"]), elements(&["pu'sh'"]), elements(&[" push"]), elements(&["push"])] {
            for command in [text("git"), words(&["git"])] {
                let line = CommandLine::read(&with_args(command, args.clone())).unwrap();
                assert!(line.matches_deny(&push), "{args:?}");
            }
        }
    }

    #[test]
    fn compares_the_whole_given_base_command() {
        for refused in [
            "gitk",
            "git-shell",
            "./git",
            "/usr/bin/git",
            "/tmp/git",
            "~/git",
            "GIT",
            "Git",
            "git\u{a0}status",
            "git\u{200b}",
            "\u{ff47}it",
            "env git",
            "command git",
            "A=b git",
            "A= git",
            "_=1 git",
            "A+=b git",
            "A[0]=b git",
            "'A=b' git",
            "\"git status\"",
            "git\\ status",
            "-git",
            "git/",
            "!git",
            "g?t",
            "\\g\\i\\t.",
            "git.exe",
            "# git",
            "! git",
        ] {
            assert!(!is_allowed(&text(refused), &["git"]), "{refused}");
        }
        for refused in [
            &["git status"][..],
            &["/bin/git"],
            &["'git'"],
            &["g\\it"],
            &["git "],
            &["git\t"],
            &["git\n"],
            &["A=b", "git"],
        ] {
            assert!(!is_allowed(&words(refused), &["git"]), "{refused:?}");
        }
        for allowed in ["git", "  git\tstatus ", "'g'\"it\"", "g\\it log", "git *.py", "git log --format='%h; $x'"] {
            assert!(is_allowed(&text(allowed), &["git"]), "{allowed}");
        }
    }

    #[test]
    fn refuses_everything_under_an_empty_allowlist() {
        assert!(!is_allowed(&text("git"), &[]));
        assert!(!is_allowed(&words(&["git"]), &[]));
    }

    #[test]
    fn compares_prefixes_word_by_word() {
        let entries = &["npm test", "'my tool' run", "/usr/bin/python3 -V"];
        for refused in [
            "npm",
            "npm testing",
            "npm run test",
            "npm -s test",
            "npm 'test x'",
            "npm te st",
            "my tool run",
            "python3 -V",
            "npm # test",
        ] {
            assert!(!is_allowed(&text(refused), entries), "{refused}");
        }
        for allowed in ["npm test", "npm 'test' -- x", "my\\ tool run 1", "/usr/bin/python3 -V"] {
            assert!(is_allowed(&text(allowed), entries), "{allowed}");
        }
        assert!(!is_allowed(&words(&["npm", "test x"]), entries));
        assert!(is_allowed(&words(&["npm", "test", "x; y"]), entries));
    }

    #[test]
    fn names_reason_and_beginning_but_no_later_word() {
        let reason = CommandLine::read(&text("login --password=secret; id")).unwrap_err();
        assert_eq!(reason, "an unquoted `;` in the command that begins with `login`");
        let reason = CommandLine::read(&text("TOKEN=secret login; id")).unwrap_err();
        assert_eq!(reason, "an unquoted `;` in the command that begins with `TOKEN`");
        let reason = CommandLine::read(&with_args(text("git"), elements(&["a", "`"]))).unwrap_err();
        assert_eq!(reason, "an unquoted backtick in the `args` that begins with `a`");
    }
}
