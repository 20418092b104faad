//! Subcommands: the first word after a command that is no option (section 7, "Commands").

use super::allow::CommandEntry;
use super::lexer::Word;
use crate::policy::quote::{Quoted, allowed};

/// Applies the list of one command of a map, if the command line is one of that command.
///
/// The words of a longer key (`git remote`) are looked for behind options too, so that an option cannot lift its rule.
pub(super) fn check_command_list(command: &str, list: &[String], words: &[Word]) -> Result<(), String> {
    let Ok(key) = CommandEntry::parse(command) else {
        return Err(format!("subcommand list of {}, which is no command", Quoted(command)));
    };
    let Some(((wanted, more_wanted), (base, mut rest))) = key.words().split_first().zip(words.split_first()) else {
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
pub(super) fn check_subcommand(command: &str, rest: &[Word], list: &[String]) -> Result<(), String> {
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
fn next_plain<'w>(command: &str, words: &'w [Word]) -> Result<Plain<'w>, String> {
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

    use super::super::{CommandArgument, CommandLine, CommandRefusal};
    use super::*;
    use crate::policy::SubcommandAllowlist;

    fn every(list: &[&str]) -> SubcommandAllowlist {
        SubcommandAllowlist::Every(owned(list))
    }

    fn map(lists: &[(&str, &[&str])]) -> SubcommandAllowlist {
        let lists: BTreeMap<_, _> = lists.iter().map(|(key, list)| ((*key).to_owned(), owned(list))).collect();
        SubcommandAllowlist::PerCommand(lists)
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn refusal(command: &str, entries: &[&str], subcommands: Option<&SubcommandAllowlist>) -> Option<CommandRefusal> {
        let entries: Vec<CommandEntry> = entries.iter().map(|entry| CommandEntry::parse(entry).unwrap()).collect();
        let argument = CommandArgument::Text { text: command.into(), args: None };
        CommandLine::read(&argument).unwrap().check(&entries, subcommands).err()
    }

    fn is_subcommand_refusal(answer: Option<CommandRefusal>) -> bool {
        matches!(answer, Some(CommandRefusal::Subcommand(_)))
    }

    #[test]
    fn requires_the_first_plain_word_to_be_listed() {
        let list = every(&["status", "log"]);
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
            assert!(is_subcommand_refusal(refusal(refused, &["git"], Some(&list))), "{refused}");
        }
        for allowed in ["git status", "git --no-pager log -n 5", "git 'log' --x=y", "git --bare --no-pager log -- x"] {
            assert_eq!(refusal(allowed, &["git"], Some(&list)), None, "{allowed}");
        }
        assert!(matches!(refusal("npm status", &["git"], Some(&list)), Some(CommandRefusal::Command(_))));
        assert!(is_subcommand_refusal(refusal("git status", &["git"], Some(&every(&[])))));
    }

    #[test]
    fn lets_no_option_take_a_listed_word_as_its_value() {
        let list = every(&["status", "log"]);
        for refused in [
            "git --namespace log push",
            "git --namespace log -c alias.x=!id x",
            "git --namespace log --git-dir status push",
            "git --no-pager --namespace log push",
            "git --namespace log --git-dir=x",
        ] {
            assert!(is_subcommand_refusal(refusal(refused, &["git"], Some(&list))), "{refused}");
        }
        for allowed in ["git --bare log", "git --no-pager log push", "git --bare log status x", "git --bare log --no-x"]
        {
            assert_eq!(refusal(allowed, &["git"], Some(&list)), None, "{allowed}");
        }
        let lists = map(&[("git remote", &["show"])]);
        assert!(is_subcommand_refusal(refusal("git --namespace x remote add", &["git"], Some(&lists))));
    }

    #[test]
    fn counts_a_list_from_the_end_of_the_entry() {
        let list = every(&["show"]);
        assert_eq!(refusal("git remote show", &["git", "git remote"], Some(&list)), None);
        assert!(is_subcommand_refusal(refusal("git remote show", &["git"], Some(&list))));
        assert!(is_subcommand_refusal(refusal("git remote add", &["git", "git remote"], Some(&list))));
    }

    #[test]
    fn applies_a_map_to_its_commands_only() {
        let lists = map(&[("git", &["status"]), ("npm", &["test"])]);
        let entries = &["git", "npm", "pytest", "/usr/bin/git"];
        for allowed in ["git status", "npm test x", "pytest -q", "pytest status", "/usr/bin/git push"] {
            assert_eq!(refusal(allowed, entries, Some(&lists)), None, "{allowed}");
        }
        for refused in ["git test", "npm status", "npm install test", "git", "git -x status"] {
            assert!(is_subcommand_refusal(refusal(refused, entries, Some(&lists))), "{refused}");
        }
    }

    #[test]
    fn applies_keys_of_several_words_behind_options_too() {
        let lists = map(&[("git remote", &["show"])]);
        for allowed in ["git remote show", "git status", "git --no-pager remote show x", "git"] {
            assert_eq!(refusal(allowed, &["git"], Some(&lists)), None, "{allowed}");
        }
        for refused in
            ["git remote", "git remote add x", "git --no-pager remote add", "git -C x remote add", "git -- remote add"]
        {
            assert!(is_subcommand_refusal(refusal(refused, &["git"], Some(&lists))), "{refused}");
        }
        assert!(is_subcommand_refusal(refusal("git status", &["git"], Some(&map(&[("'", &["status"])])))));
    }

    #[test]
    fn names_the_value_and_what_is_allowed() {
        let list = every(&["log"]);
        for (command, message) in [
            ("git push x", "subcommand `push` of `git` is not allowed; allowed are `log`"),
            ("git", "`git` without a subcommand is not allowed; allowed are `log`"),
            ("git --token=secret log", "option `--token` before the subcommand of `git` is not allowed"),
        ] {
            let refusal = refusal(command, &["git"], Some(&list));
            assert_eq!(refusal, Some(CommandRefusal::Subcommand(message.to_owned())));
        }
    }
}
