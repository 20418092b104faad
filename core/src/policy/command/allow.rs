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
        let next = next_plain(command, rest)?;
        if let Some(option) = next.taker {
            return Err(refuse_option(option, command));
        }
        if next.word != Some(wanted.as_str()) {
            return Ok(());
        }
        rest = next.rest;
    }
    check_subcommand(command, rest, list)
}

/// Requires the first non-option word of `rest` to be in the list.
///
/// If the option right before it could take it as a value (`--namespace log push`), what would be the subcommand then is
/// required to be in the list too.
fn check_subcommand(command: &str, rest: &[Word], list: &[String]) -> std::result::Result<(), String> {
    let list_text = || allowed(list.iter().map(String::as_str));
    let mut rest = rest;
    let mut is_first = true;
    loop {
        let next = next_plain(command, rest)?;
        match next.word {
            Some(word) if list.iter().any(|entry| entry == word) => {}
            Some(word) => {
                return Err(format!(
                    "subcommand {} of {} is not allowed; {}",
                    Quoted(word),
                    Quoted(command),
                    list_text()
                ));
            }
            None if is_first => {
                return Err(format!("{} without a subcommand is not allowed; {}", Quoted(command), list_text()));
            }
            None => return Ok(()),
        }
        if next.taker.is_none() {
            return Ok(());
        }
        is_first = false;
        rest = next.rest;
    }
}

/// The first non-option word of a command line, and what surrounds it.
struct Plain<'w> {
    word: Option<&'w str>,
    /// The option right before the word, if it could take the word as its value; `--no-…` never does.
    taker: Option<&'w str>,
    rest: &'w [Word],
}

/// Finds the first non-option word; only `--name` may stand before it.
fn next_plain<'w>(command: &str, words: &'w [Word]) -> std::result::Result<Plain<'w>, String> {
    let mut rest = words;
    let mut taker = None;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        if !word.text.starts_with('-') {
            return Ok(Plain { word: Some(&word.text), taker, rest });
        }
        if !is_plain_option(&word.text) {
            return Err(refuse_option(&word.text, command));
        }
        taker = (!word.text.starts_with("--no-")).then_some(word.text.as_str());
    }
    Ok(Plain { word: None, taker: None, rest })
}

/// Whether an option is `--name` of letters and dashes.
fn is_plain_option(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|character| character.is_ascii_alphabetic() || character == '-')
    })
}

/// Names an option without its value, which may be secret.
fn refuse_option(option: &str, command: &str) -> String {
    let name = option.split('=').next().unwrap_or_default();
    format!("option {} before the subcommand of {} is not allowed", Quoted(name), Quoted(command))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{CommandArgument, CommandLine};
    use super::*;

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn map(lists: &[(&str, &[&str])]) -> SubcommandAllowlist {
        let lists: BTreeMap<_, _> = lists.iter().map(|(key, list)| ((*key).to_owned(), owned(list))).collect();
        SubcommandAllowlist::PerCommand(lists)
    }

    fn check_text(
        command: &str,
        entries: &[&str],
        subcommands: Option<&SubcommandAllowlist>,
    ) -> std::result::Result<(), CommandRefusal> {
        let entries: Vec<CommandEntry> = entries.iter().map(|entry| CommandEntry::parse(entry).unwrap()).collect();
        CommandLine::read(&CommandArgument::Text { text: command.into(), args: None })
            .unwrap()
            .check(&entries, subcommands)
    }

    fn is_subcommand_refusal(answer: std::result::Result<(), CommandRefusal>) -> bool {
        matches!(answer, Err(CommandRefusal::Subcommand(_)))
    }

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
    fn requires_the_first_plain_word_to_be_listed() {
        let list = SubcommandAllowlist::Every(owned(&["status", "log"]));
        for refused in [
            "git",
            "git --no-pager",
            "git push",
            "git push status",
            "git -C /etc status",
            "git -c core.pager=id log",
            "git -p log",
            "git --git-dir=/x log",
            "git -- log",
            "git --exec-path=/x status",
            "git --x1 log",
            "git --no_pager log",
            "git '' log",
            "git - log",
            "git ---x log",
            "git --no-* log",
            "git --pager* log",
            "git 'status x'",
            "git STATUS",
            "git 'status '",
            "git --é log",
            "git --- log",
        ] {
            assert!(is_subcommand_refusal(check_text(refused, &["git"], Some(&list))), "{refused}");
        }
        for allowed in ["git status", "git --no-pager log -n 5", "git 'log' --x=y", "git --bare --no-pager log -- x"] {
            assert_eq!(check_text(allowed, &["git"], Some(&list)), Ok(()), "{allowed}");
        }
        assert!(matches!(check_text("npm status", &["git"], Some(&list)), Err(CommandRefusal::Command(_))));
        assert!(is_subcommand_refusal(check_text(
            "git status",
            &["git"],
            Some(&SubcommandAllowlist::Every(Vec::new()))
        )));
    }

    #[test]
    fn lets_no_option_take_a_listed_word_as_its_value() {
        let list = SubcommandAllowlist::Every(owned(&["status", "log"]));
        for refused in [
            "git --namespace log push",
            "git --namespace log -c alias.x=!id x",
            "git --namespace log --git-dir status push",
            "git --no-pager --namespace log push",
            "git --namespace log --git-dir=x",
        ] {
            assert!(is_subcommand_refusal(check_text(refused, &["git"], Some(&list))), "{refused}");
        }
        for allowed in ["git --bare log", "git --no-pager log push", "git --bare log status x", "git --bare log --no-x"]
        {
            assert_eq!(check_text(allowed, &["git"], Some(&list)), Ok(()), "{allowed}");
        }
        let lists = map(&[("git remote", &["show"])]);
        assert!(is_subcommand_refusal(check_text("git --namespace x remote add", &["git"], Some(&lists))));
    }

    #[test]
    fn counts_a_list_from_the_end_of_the_entry() {
        let list = SubcommandAllowlist::Every(owned(&["show"]));
        assert_eq!(check_text("git remote show", &["git", "git remote"], Some(&list)), Ok(()));
        assert!(is_subcommand_refusal(check_text("git remote show", &["git"], Some(&list))));
        assert!(is_subcommand_refusal(check_text("git remote add", &["git", "git remote"], Some(&list))));
    }

    #[test]
    fn applies_a_map_to_its_commands_only() {
        let lists = map(&[("git", &["status"]), ("npm", &["test"])]);
        let entries = &["git", "npm", "pytest", "/usr/bin/git"];
        for allowed in ["git status", "npm test x", "pytest -q", "pytest status", "/usr/bin/git push"] {
            assert_eq!(check_text(allowed, entries, Some(&lists)), Ok(()), "{allowed}");
        }
        for refused in ["git test", "npm status", "npm install test", "git", "git -x status"] {
            assert!(is_subcommand_refusal(check_text(refused, entries, Some(&lists))), "{refused}");
        }
    }

    #[test]
    fn applies_keys_of_several_words_behind_options_too() {
        let lists = map(&[("git remote", &["show"])]);
        for allowed in ["git remote show", "git status", "git --no-pager remote show x", "git"] {
            assert_eq!(check_text(allowed, &["git"], Some(&lists)), Ok(()), "{allowed}");
        }
        for refused in
            ["git remote", "git remote add x", "git --no-pager remote add", "git -C x remote add", "git -- remote add"]
        {
            assert!(is_subcommand_refusal(check_text(refused, &["git"], Some(&lists))), "{refused}");
        }
        assert!(is_subcommand_refusal(check_text("git status", &["git"], Some(&map(&[("'", &["status"])])))));
    }

    #[test]
    fn names_the_value_and_what_is_allowed() {
        let entries = &["git", "npm test"];
        let message = |answer: std::result::Result<(), CommandRefusal>| answer.unwrap_err().message().to_owned();
        assert_eq!(
            message(check_text("rm --token=secret", entries, None)),
            "command `rm` is not allowed; allowed are `git`, `npm test`"
        );
        assert_eq!(
            message(check_text("npm run x", entries, None)),
            "command `npm run` is not allowed; allowed are `git`, `npm test`"
        );
        assert_eq!(message(check_text("A=secret git", entries, None)), "an assignment of `A` before a command");
        let list = SubcommandAllowlist::Every(owned(&["log"]));
        assert_eq!(
            message(check_text("git push x", entries, Some(&list))),
            "subcommand `push` of `git` is not allowed; allowed are `log`"
        );
        assert_eq!(
            message(check_text("git --token=secret log", entries, Some(&list))),
            "option `--token` before the subcommand of `git` is not allowed"
        );
        assert_eq!(
            message(check_text("git", entries, Some(&list))),
            "`git` without a subcommand is not allowed; allowed are `log`"
        );
    }
}
