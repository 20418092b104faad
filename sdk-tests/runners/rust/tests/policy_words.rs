//! Commands and hosts of the policy: the shared vectors whose arguments are simple, and properties.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use smcp_core::json::{Kind, Value, scan};
use smcp_core::policy::{
    CommandArgs, CommandArgument, CommandEntry, CommandLine, DenyWords, DomainPattern, Host, SubcommandAllowlist,
};

const CLASSES: &[&str] = &["command", "shell", "argv", "subcommand", "domain", "url-parse", "idn", "ip", "deny"];

fn strings(value: Value<'_>) -> Vec<Cow<'_, str>> {
    value.elements().filter_map(Value::as_str).collect()
}

/// The list constraint `name` of a capability, which stands on it or under `constraints`.
fn constraint<'d>(capability: Value<'d>, name: &str) -> Option<Value<'d>> {
    capability.get(name).or_else(|| capability.get("constraints")?.get(name))
}

fn subcommands(capability: Value<'_>) -> Option<SubcommandAllowlist> {
    let value = constraint(capability, "subcommand_allowlist")?;
    let list = |value: Value<'_>| strings(value).into_iter().map(Cow::into_owned).collect();
    Some(match value.kind() {
        Kind::Array => SubcommandAllowlist::Every(list(value)),
        Kind::Null | Kind::Boolean | Kind::Number | Kind::String | Kind::Object => {
            let lists: BTreeMap<_, _> = value.members().map(|(key, value)| (key.into_owned(), list(value))).collect();
            SubcommandAllowlist::PerCommand(lists)
        }
    })
}

/// Every command of flat arguments, with `args` beside it.
fn commands(arguments: Value<'_>) -> Vec<CommandArgument<'_>> {
    let args = || {
        let value = arguments.get("args")?;
        Some(value.as_str().map_or_else(|| CommandArgs::Words(strings(value)), CommandArgs::Text))
    };
    let named = ["command", "cmd", "argv"].iter().filter_map(|name| arguments.get(name));
    let read = |value: Value<'_>| match value.as_str() {
        Some(text) => CommandArgument::Text { text: Cow::Owned(text.into_owned()), args: None },
        None => CommandArgument::Words {
            words: strings(value).into_iter().map(|word| Cow::Owned(word.into_owned())).collect(),
            args: None,
        },
    };
    named
        .filter(|value| !value.is_empty_container())
        .map(|value| match read(value) {
            CommandArgument::Text { text, .. } => CommandArgument::Text { text, args: args() },
            CommandArgument::Words { words, .. } => CommandArgument::Words { words, args: args() },
        })
        .collect()
}

/// Every host of flat arguments.
fn hosts(arguments: Value<'_>) -> Vec<Result<Host, String>> {
    const NAMES: &[&str] = &["url", "urls", "host", "domains"];
    arguments
        .members()
        .flat_map(|(name, value)| {
            let texts = value.as_str().map_or_else(|| strings(value), |text| vec![text]);
            texts.into_iter().filter_map(move |text| {
                if NAMES.contains(&&*name) {
                    Some(Host::read_named(&text))
                } else {
                    Host::is_absolute_url(&text).then(|| Host::read_url(&text))
                }
            })
        })
        .collect()
}

/// Whether the command and domain constraints of a capability pass.
fn passes(capability: Value<'_>, arguments: Value<'_>) -> bool {
    let commands_pass = constraint(capability, "command_allowlist").is_none_or(|list| {
        let entries: Vec<CommandEntry> =
            strings(list).iter().map(|entry| CommandEntry::parse(entry).unwrap()).collect();
        let subcommands = subcommands(capability);
        let commands = commands(arguments);
        !commands.is_empty()
            && commands.iter().all(|command| {
                CommandLine::read(command).is_ok_and(|line| line.check(&entries, subcommands.as_ref()).is_ok())
            })
    });
    let domains_pass = constraint(capability, "domain_allowlist").is_none_or(|list| {
        let patterns: Vec<DomainPattern> =
            strings(list).iter().map(|entry| DomainPattern::parse(entry).unwrap()).collect();
        hosts(arguments)
            .iter()
            .all(|host| host.as_ref().is_ok_and(|host| patterns.iter().any(|pattern| pattern.matches(host))))
    });
    commands_pass && domains_pass
}

/// Whether a tool pattern of the vectors used here (exact, or a final `*`) matches.
fn tool_matches(pattern: &str, tool: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == tool, |prefix| tool.starts_with(prefix))
}

fn is_denied(context: Value<'_>, tool: &str, arguments: Value<'_>) -> bool {
    let entries = context.get("deny_list").map(Value::elements).into_iter().flatten();
    entries.filter_map(|entry| entry.as_str().or_else(|| entry.get("tool_pattern")?.as_str())).any(|entry| match entry
        .split_once(':')
    {
        None => tool_matches(&entry, tool),
        Some((pattern, argument)) => {
            let words = DenyWords::parse(argument).unwrap();
            !argument.starts_with('/')
                && tool_matches(pattern, tool)
                && commands(arguments)
                    .iter()
                    .any(|command| CommandLine::read(command).map_or(true, |line| line.matches_deny(&words)))
        }
    })
}

#[test]
fn vectors_of_commands_and_hosts() {
    let source = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/policy.json")).unwrap();
    let document = scan(&source).unwrap();
    let mut run = 0;
    for vector in document.root().get("vectors").unwrap().elements() {
        let class = vector.get("class").unwrap().as_str().unwrap();
        if !CLASSES.contains(&&*class) {
            continue;
        }
        let arguments = vector.get("arguments").unwrap();
        // Paths are another constraint's business.
        if ["path", "paths", "uri"].iter().any(|name| arguments.get(name).is_some()) {
            continue;
        }
        let context =
            document.root().get("contexts").unwrap().get(&vector.get("context").unwrap().as_str().unwrap()).unwrap();
        let tool = vector.get("tool").unwrap().as_str().unwrap();
        let mut capabilities = context.get("capabilities").unwrap().elements();
        let allowing = capabilities.position(|capability| {
            tool_matches(&capability.get("tool_pattern").unwrap().as_str().unwrap(), &tool)
                && passes(capability, arguments)
        });
        let answer = if is_denied(context, &tool, arguments) { None } else { allowing };
        let expected = (vector.get("expect").unwrap().as_str().unwrap() == "allow")
            .then(|| usize::try_from(vector.get("capability").unwrap().as_i64().unwrap()).unwrap());
        assert_eq!(answer, expected, "{vector:?}");
        run += 1;
    }
    assert!(run >= 140, "ran only {run} vectors");
}

fn text(text: &str) -> CommandArgument<'_> {
    CommandArgument::Text { text: text.into(), args: None }
}

/// Texts in which everything the reader knows comes up often.
fn shell_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[gitrmx]{1,3}",
        4 => Just(" ".to_owned()),
        2 => Just("git ".to_owned()),
        6 => r#"['"\\]"#,
        3 => r"[;&|<>$(){}`\n]",
        1 => r"[\t\r\x00\x1b\x85*?\[\]#~=]",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// What is left of a text when every quoted stretch is taken out, by regular grammar and not by the reader's way.
fn outside_quotes(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['\'', '"', '\\']) {
        let (before, after) = rest.split_at(start);
        left.push_str(before);
        let quote = &after[..1];
        let inside = &after[1..];
        let end = match quote {
            "'" => inside.find('\'').unwrap() + 1,
            "\"" => {
                let mut end = 0;
                while inside.as_bytes()[end] != b'"' {
                    end += if inside.as_bytes()[end] == b'\\' { 2 } else { 1 };
                }
                assert!(!inside[..end].contains(['$', '`']), "{text:?}");
                end + 1
            }
            _ => {
                let escaped = inside.chars().next().unwrap();
                left.push(if matches!(escaped, '\'' | '"' | '\\') { '_' } else { escaped });
                escaped.len_utf8()
            }
        };
        rest = &inside[end..];
    }
    left + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Reading and checking never panic, whatever comes.
    #[test]
    fn commands_are_total(text in shell_text(), args in prop::collection::vec(shell_text(), 0..3), pattern in shell_text()) {
        let entries: Vec<CommandEntry> = CommandEntry::parse(&text).into_iter().collect();
        let list = SubcommandAllowlist::Every(vec!["rm".to_owned()]);
        let map = SubcommandAllowlist::PerCommand(BTreeMap::from([(text.clone(), vec!["rm".to_owned()])]));
        let words: Vec<Cow<'_, str>> = args.iter().map(|word| Cow::Borrowed(word.as_str())).collect();
        let joined = words.join(" ");
        for args in [None, Some(CommandArgs::Words(words.clone())), Some(CommandArgs::Text(joined.into()))] {
            for argument in [
                CommandArgument::Text { text: Cow::Borrowed(&text), args: args.clone() },
                CommandArgument::Words { words: words.clone(), args: args.clone() },
            ] {
                let Ok(line) = CommandLine::read(&argument) else { continue };
                for subcommands in [None, Some(&list), Some(&map)] {
                    let _answer = line.check(&entries, subcommands);
                }
                if let Ok(pattern) = DenyWords::parse(&pattern) {
                    let _matches = line.matches_deny(&pattern);
                }
            }
        }
    }

    /// A list of words in single quotes reads back as that list.
    #[test]
    fn quoted_words_read_back(words in prop::collection::vec("[^\\pC]{1,8}|[a-z;$` '\"\\\\\n\t]{1,8}", 1..5)) {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r#"'"'"'"#))).collect();
        let from_text = CommandLine::read(&text(&quoted.join(" ")));
        let literal = words.iter().map(|word| Cow::Borrowed(word.as_str())).collect();
        let from_words = CommandLine::read(&CommandArgument::Words { words: literal, args: None });
        prop_assert!(from_text.is_ok());
        prop_assert_eq!(from_text, from_words);
    }

    /// No allowed command holds an unquoted metacharacter, an expansion or a control character.
    #[test]
    fn allowed_commands_are_inert(tail in shell_text(), args in shell_text()) {
        let entries = [CommandEntry::parse("git").unwrap()];
        let command = format!("git {tail}");
        if CommandLine::read(&text(&command)).is_ok_and(|line| line.check(&entries, None).is_ok()) {
            let left = outside_quotes(&command);
            prop_assert!(!left.contains([';', '&', '|', '<', '>', '$', '(', ')', '{', '}', '`', '\n']), "{:?}", command);
            prop_assert!(!command.contains(|found: char| found.is_control() && !matches!(found, '\t' | '\n')));
        }
        for beside in [CommandArgs::Text(Cow::Borrowed(&args)), CommandArgs::Words(vec![Cow::Borrowed(&args)])] {
            let argument = CommandArgument::Text { text: "git".into(), args: Some(beside) };
            if CommandLine::read(&argument).is_ok() {
                prop_assert!(!args.contains([';', '&', '|', '<', '>', '$', '(', ')', '{', '}', '`', '\n', '\r', '\0']), "{:?}", args);
            }
        }
    }

    /// Reading a host never panics, and its canonical spelling reads back as the same host.
    #[test]
    fn hosts_are_total_and_stable(text in r#"(https?://|ws:|ftp:/)?[a-zA-Z0-9.:@/\\\[\]%_?#\t \u{3002}\u{ff41}\u{e9}\u{df}-]{0,24}|\PC{0,16}"#) {
        for read in [Host::read_named, Host::read_url] {
            if let Ok(host) = read(&text) {
                prop_assert_eq!(Host::read_named(host.text()), Ok(host.clone()));
                prop_assert_eq!(Host::read_url(&format!("ftp://{}/", host.text())), Ok(host.clone()));
                let pattern = DomainPattern::parse(host.text()).unwrap();
                prop_assert!(pattern.matches(&host));
                prop_assert!(host.is_address() != DomainPattern::parse("*").unwrap().matches(&host));
            }
        }
        let _pattern = DomainPattern::parse(&text);
        let _shown = Host::show(&text);
    }

    /// A wildcard covers exactly the names that end in a dot and its parent.
    #[test]
    fn wildcards_cover_proper_subdomains(name in "([a-c]{1,2}\\.){0,3}[a-c]{1,2}", parent in "([a-c]{1,2}\\.){0,1}[a-c]{1,2}") {
        let pattern = DomainPattern::parse(&format!("*.{parent}")).unwrap();
        let expected = name.ends_with(&format!(".{parent}"));
        prop_assert_eq!(pattern.matches(&Host::read_named(&name).unwrap()), expected);
    }
}
