//! Commands: whatever text passes an allowlist is, for a POSIX shell, one simple command that begins as the list says.
//! The words are split here anew, by the text of the specification.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use smcp_core::policy::SecurityContext;
use smcp_fuzz::{allows, load};

static COMMANDS: LazyLock<SecurityContext> =
    LazyLock::new(|| load("{name: a, capabilities: [{tool_pattern: run, command_allowlist: [git, npm test]}]}"));
static SUBCOMMANDS: LazyLock<SecurityContext> = LazyLock::new(|| {
    load("{name: b, capabilities: [{tool_pattern: run, command_allowlist: [git], subcommand_allowlist: [status]}]}")
});
static DENYING: LazyLock<SecurityContext> =
    LazyLock::new(|| load("{name: c, capabilities: [{tool_pattern: '*'}], deny_list: ['run:rm']}"));

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    check(&json!({ "command": text }), split(text));
    // The same as an array of words, when the text is one.
    if let Ok(words) = serde_json::from_str::<Vec<String>>(text) {
        check(&json!({ "argv": words }), Some(words));
    }
    // A command whose end comes in another argument, which a tool would append.
    let arguments = json!({ "command": "git", "args": text });
    if allows(&COMMANDS, "run", &arguments) {
        assert!(split(text).is_some(), "allowed after `git`: {text:?}");
    }
});

fn check(arguments: &Value, words: Option<Vec<String>>) {
    if allows(&COMMANDS, "run", arguments) {
        let words = words.as_deref().unwrap_or_else(|| panic!("allowed, but no simple command: {arguments}"));
        let first: Vec<&str> = words.iter().take(2).map(String::as_str).collect();
        assert!(first.first() == Some(&"git") || first == ["npm", "test"], "allowed: {arguments}");
    }
    if allows(&SUBCOMMANDS, "run", arguments) {
        let words = words.as_deref().unwrap_or_else(|| panic!("allowed, but no simple command: {arguments}"));
        let option = |word: &&String| {
            word.strip_prefix("--").is_some_and(|name| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
            })
        };
        let subcommand = words.iter().skip(1).find(|word| !option(word));
        assert!(words.first().is_some_and(|word| word == "git"), "allowed: {arguments}");
        assert_eq!(subcommand.map(String::as_str), Some("status"), "allowed: {arguments}");
    }
    if allows(&DENYING, "run", arguments) {
        let words = words.as_deref().unwrap_or_else(|| panic!("not denied, but no simple command: {arguments}"));
        let base = words.first().map_or("", |word| word.rsplit('/').next().unwrap_or_default());
        assert!(!base.eq_ignore_ascii_case("rm"), "not denied: {arguments}");
    }
}

/// The words of one simple command, `None` for anything that a shell would treat as more than that.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(word.take()),
            ';' | '&' | '|' | '<' | '>' | '$' | '(' | ')' | '{' | '}' | '`' | '\n' => return None,
            '\\' => match characters.next()? {
                '$' | '`' | '\n' => return None,
                escaped => word.get_or_insert_default().push(escaped),
            },
            '\'' => loop {
                let word = word.get_or_insert_default();
                match characters.next()? {
                    '\'' => break,
                    inner => word.push(inner),
                }
            },
            '"' => loop {
                let word = word.get_or_insert_default();
                match characters.next()? {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => match characters.next()? {
                        '$' | '`' => return None,
                        '\n' => {}
                        escaped @ ('"' | '\\') => word.push(escaped),
                        other => word.extend(['\\', other]),
                    },
                    inner => word.push(inner),
                }
            },
            control if control.is_ascii_control() => return None,
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Some(words)
}
