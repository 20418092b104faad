use super::*;
use crate::error::ErrorKind;
use crate::settings::Syntax;

fn refusal(text: &str) -> String {
    let error = load_context(text, Syntax::Yaml, "c.yaml").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text}");
    error.message().to_owned()
}

/// A context with one capability for `cmd.run` whose further fields stand on lines 4 and below.
fn capability(fields: &str) -> String {
    let mut text = String::from("name: x\ncapabilities:\n  - tool_pattern: cmd.run\n");
    for line in fields.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn refuses_a_wrong_outline() {
    for (text, message) in [
        ("", "c.yaml:1:1: expected a mapping, found nothing (null)"),
        ("- x\n", "c.yaml:1:1: expected a mapping, found a list"),
        ("capabilities: []\n", "c.yaml:1:1: missing field `name`"),
        ("name: x\n", "c.yaml:1:1: missing field `capabilities`"),
        ("name: ''\ncapabilities: []\n", "c.yaml:1:7: `name`: is empty"),
        ("name: 5\ncapabilities: []\n", "c.yaml:1:7: `name`: expected a string, found a number"),
        ("name:\ncapabilities: []\n", "c.yaml:1:1: `name`: expected a string, found nothing (null)"),
        (
            "name: Re\ncapabilities: []\n",
            "c.yaml:1:7: `name`: `Re` is not a context name: a lower-case letter, then lower-case letters, digits and `-`",
        ),
        (
            "name: x\ncapabilities: []\ndenylist: []\n",
            "c.yaml:3:1: unknown field `denylist`; did you mean `deny_list`?",
        ),
        (
            "name: x\ncapabilities: []\ndescription: 5\n",
            "c.yaml:3:14: `description`: expected a string, found a number",
        ),
        (
            "name: x\ncapabilities: []\ndescription:\n",
            "c.yaml:3:1: `description`: expected a string, found nothing (null)",
        ),
        ("name: x\ncapabilities:\n", "c.yaml:2:1: `capabilities`: expected a list, found nothing (null)"),
        ("name: x\ncapabilities: {fs.read: {}}\n", "c.yaml:2:15: `capabilities`: expected a list, found a mapping"),
        ("name: x\ncapabilities: [fs.read]\n", "c.yaml:2:16: `capabilities[0]`: expected a mapping, found a string"),
        (
            "name: x\ncapabilities:\n  - path_allowlist: [/a]\n",
            "c.yaml:3:5: `capabilities[0]`: missing field `tool_pattern`",
        ),
        ("name: x\ncapabilities:\n  - tool_pattern: ''\n", "c.yaml:3:19: `capabilities[0].tool_pattern`: is empty"),
        (
            "name: x\ncapabilities: []\ndeny_list: fs.write\n",
            "c.yaml:3:12: `deny_list`: expected a list, found a string",
        ),
        ("name: x\ncapabilities: []\ndeny_list:\n", "c.yaml:3:1: `deny_list`: expected a list, found nothing (null)"),
        ("name: x\ncapabilities: []\ndeny_list: ['']\n", "c.yaml:3:13: `deny_list[0]`: is empty"),
        (
            "name: x\ncapabilities: []\ndeny_list: [5]\n",
            "c.yaml:3:13: `deny_list[0]`: expected a string, found a number",
        ),
        (
            "name: x\ncapabilities: []\ndeny_list: [{tool: fs.write}]\n",
            "c.yaml:3:14: `deny_list[0]`: unknown field `tool`; known here: tool_pattern",
        ),
        (
            "name: x\ncapabilities: []\ndeny_list: [{tool_pattern: ''}]\n",
            "c.yaml:3:28: `deny_list[0].tool_pattern`: is empty",
        ),
        ("name: x\ncapabilities: []\ndeny_list: [{}]\n", "c.yaml:3:13: `deny_list[0]`: missing field `tool_pattern`"),
        ("name: x\nname: y\ncapabilities: []\n", "c.yaml:2:1: duplicate key `name`, first at line 1"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn refuses_wrong_constraints() {
    let known = "path_allowlist, command_allowlist, subcommand_allowlist, domain_allowlist, rate_limit, \
                 max_response_size, arguments, base_path, require_domain";
    let range = "expected a whole number from 1 to 4294967295";
    for (fields, message) in [
        ("pathAllowlist: [/]", "4:5: `capabilities[0]`: unknown field `pathAllowlist`; did you mean `path_allowlist`?"),
        (
            "constraints: {path_alowlist: [/]}",
            "4:19: `capabilities[0].constraints`: unknown field `path_alowlist`; did you mean `path_allowlist`?",
        ),
        (
            "constraints: {tool_pattern: x}",
            &format!("4:19: `capabilities[0].constraints`: unknown field `tool_pattern`; known here: {known}"),
        ),
        ("constraints:", "4:5: `capabilities[0].constraints`: expected a mapping, found nothing (null)"),
        ("constraints: []", "4:18: `capabilities[0].constraints`: expected a mapping, found a list"),
        (
            "path_allowlist: /workspace",
            "4:21: `capabilities[0].path_allowlist`: expected a list of strings, found a string",
        ),
        (
            "path_allowlist: [/workspace, 5]",
            "4:34: `capabilities[0].path_allowlist[1]`: expected a string, found a number",
        ),
        ("path_allowlist: ['']", "4:22: `capabilities[0].path_allowlist[0]`: is empty"),
        ("command_allowlist: ['']", "4:25: `capabilities[0].command_allowlist[0]`: is empty"),
        (
            "domain_allowlist: [null]",
            "4:24: `capabilities[0].domain_allowlist[0]`: expected a string, found nothing (null)",
        ),
        ("rate_limit: 10/m", "4:17: `capabilities[0].rate_limit`: expected a mapping, found a string"),
        ("rate_limit: {calls: 1}", "4:17: `capabilities[0].rate_limit`: missing field `per_seconds`"),
        (
            "rate_limit: {calls: 1, per_seconds: 1, burst: 2}",
            "4:44: `capabilities[0].rate_limit`: unknown field `burst`; known here: calls, per_seconds",
        ),
        (
            "rate_limit: {calls: -1, per_seconds: 60}",
            &format!("4:25: `capabilities[0].rate_limit.calls`: {range}, found `-1`"),
        ),
        (
            "rate_limit: {calls: 1, per_seconds: 0}",
            &format!("4:41: `capabilities[0].rate_limit.per_seconds`: {range}, found `0`"),
        ),
        (
            "rate_limit: {calls: 1.0, per_seconds: 60}",
            &format!("4:25: `capabilities[0].rate_limit.calls`: {range}, found `1.0`"),
        ),
        (
            "rate_limit: {calls: 4294967296, per_seconds: 60}",
            &format!("4:25: `capabilities[0].rate_limit.calls`: {range}, found `4294967296`"),
        ),
        (
            "max_response_size: 0",
            "4:24: `capabilities[0].max_response_size`: expected a whole number from 1, found `0`",
        ),
        (
            "max_response_size: 18446744073709551616",
            "4:24: `capabilities[0].max_response_size`: expected a whole number from 1, found `18446744073709551616`",
        ),
        (
            "subcommand_allowlist: [status]",
            "4:27: `capabilities[0].subcommand_allowlist`: needs a `command_allowlist` beside it",
        ),
        (
            "command_allowlist: [git]\nsubcommand_allowlist: status",
            "5:27: `capabilities[0].subcommand_allowlist`: expected a list of strings or a mapping from command to list, \
             found a string",
        ),
        (
            "command_allowlist: [git]\nsubcommand_allowlist: {git: status}",
            "5:33: `capabilities[0].subcommand_allowlist.git`: expected a list of strings, found a string",
        ),
        (
            "command_allowlist: [git]\nsubcommand_allowlist: {'': [status]}",
            "5:28: `capabilities[0].subcommand_allowlist`: has an empty key",
        ),
        (
            "command_allowlist: [git]\nsubcommand_allowlist: {git: ['']}",
            "5:34: `capabilities[0].subcommand_allowlist.git[0]`: is empty",
        ),
        ("arguments: {paths: [x]}", "4:17: `capabilities[0].arguments`: unknown field `paths`; did you mean `path`?"),
        ("arguments: {path: x}", "4:23: `capabilities[0].arguments.path`: expected a list of strings, found a string"),
        ("arguments: {path: ['']}", "4:24: `capabilities[0].arguments.path[0]`: is empty"),
        ("base_path: ''", "4:16: `capabilities[0].base_path`: is empty"),
        ("require_domain: yes", "4:21: `capabilities[0].require_domain`: expected `true` or `false`, found a string"),
        (
            "path_allowlist: [/a]\nconstraints: {path_allowlist: [/etc]}",
            "5:19: `capabilities[0].constraints`: `path_allowlist` stands on the capability already; write it once",
        ),
        (
            "require_domain: true\nconstraints: {require_domain: false}",
            "5:19: `capabilities[0].constraints`: `require_domain` stands on the capability already; write it once",
        ),
    ] {
        assert_eq!(refusal(&capability(fields)), format!("c.yaml:{message}"), "{fields}");
    }
}

#[test]
fn null_lifts_no_constraint() {
    for name in CONSTRAINTS {
        let message = "is null; leave the field out to lift it, or write `[]` to let nothing pass";
        assert_eq!(
            refusal(&capability(&format!("{name}:"))),
            format!("c.yaml:4:5: `capabilities[0].{name}`: {message}")
        );
        assert_eq!(
            refusal(&capability(&format!("constraints:\n  {name}: ~"))),
            format!("c.yaml:5:{}: `capabilities[0].constraints.{name}`: {message}", name.len() + 9)
        );
        let json = format!(r#"{{"name":"x","capabilities":[{{"tool_pattern":"fs.*","{name}":null}}]}}"#);
        assert!(load_context(&json, Syntax::Json, "c.json").unwrap_err().message().ends_with(message));
        load_seal_context(&json, "c.json").unwrap();
    }
}

#[test]
fn seal_imports_differ_only_in_nulls() {
    let text = |description: &str, capability: &str| {
        format!(r#"{{"name":"x","description":{description},"capabilities":[{{"tool_pattern":"fs.*"{capability}}}]}}"#)
    };
    let plain = load_context(&text(r#""y""#, ""), Syntax::Json, "c.json").unwrap();
    let import = load_seal_context(&text("null", r#","path_allowlist":null,"rate_limit":null"#), "c.json").unwrap();
    assert_eq!(plain.digest, import.digest);
    assert_eq!(import.description, None);
    for bad in [r#","constraints":null"#, r#","path_allowlist":[null]"#, r#","unknown":null"#] {
        assert!(load_seal_context(&text(r#""y""#, bad), "c.json").is_err(), "{bad}");
    }
    assert!(load_seal_context(r#"{"name":null,"capabilities":[]}"#, "c.json").is_err());
    assert!(load_seal_context(r#"{"name":"x","capabilities":null}"#, "c.json").is_err());
    assert!(load_seal_context("name: x\ncapabilities: []\n", "c.yaml").is_err());
}

#[test]
fn keeps_what_is_written() {
    let context = load_context(
        &capability(
            "path_allowlist: []\ncommand_allowlist: [git, npm test]\nsubcommand_allowlist: [status]\n\
             constraints: {rate_limit: {calls: 1, per_seconds: 4294967295}, arguments: {path: [p], domain: []}}",
        ),
        Syntax::Yaml,
        "c.yaml",
    )
    .unwrap();
    let capability = &context.capabilities[0];
    assert_eq!(capability.tool_pattern.text(), "cmd.run");
    assert_eq!(capability.path_allowlist.as_deref(), Some(&[][..]));
    assert!(capability.domain_allowlist.is_none() && capability.max_response_size.is_none());
    let commands: Vec<_> = capability.command_allowlist.iter().flatten().map(CommandEntry::text).collect();
    assert_eq!(commands, ["git", "npm test"]);
    assert_eq!(capability.subcommand_allowlist, Some(SubcommandAllowlist::Every(vec!["status".to_owned()])));
    assert_eq!(capability.rate_limit, Some(RateLimit { calls: 1, per_seconds: u32::MAX }));
    assert_eq!(
        capability.arguments,
        ArgumentNames { path: Some(vec!["p".to_owned()]), command: None, domain: Some(Vec::new()) }
    );
    assert!(!capability.require_domain && capability.base_path.is_none());

    let empty = load_context("name: x\ncapabilities: []\n", Syntax::Yaml, "c.yaml").unwrap();
    assert!(empty.capabilities.is_empty() && empty.deny_list.is_empty() && empty.description.is_none());
}

#[test]
fn names_place_and_field_of_what_the_grammars_refuse() {
    for (fields, place) in [
        ("path_allowlist: [/a, workspace]", "4:26: `capabilities[0].path_allowlist[1]`: "),
        ("path_allowlist: [/a/../b]", "4:22: `capabilities[0].path_allowlist[0]`: "),
        ("path_allowlist: ['/a/**b']", "4:22: `capabilities[0].path_allowlist[0]`: "),
        ("base_path: workspace", "4:16: `capabilities[0].base_path`: "),
        ("base_path: /a/..", "4:16: `capabilities[0].base_path`: "),
        ("domain_allowlist: ['https://example.org']", "4:24: `capabilities[0].domain_allowlist[0]`: "),
        ("domain_allowlist: [a.example, 'b.*.example']", "4:35: `capabilities[0].domain_allowlist[1]`: "),
        ("constraints:\n  path_allowlist:\n    - x", "6:11: `capabilities[0].constraints.path_allowlist[0]`: "),
    ] {
        let message = refusal(&capability(fields));
        assert!(message.starts_with(&format!("c.yaml:{place}")), "{message}");
    }
    for entry in ["':/etc'", "'fs.read:'", "':'", "{tool_pattern: ':/etc'}"] {
        let message = refusal(&format!("name: x\ncapabilities: []\ndeny_list:\n  - fs.write\n  - {entry}\n"));
        assert!(message.starts_with("c.yaml:5:") && message.contains("`deny_list[1]"), "{message}");
    }
}
