//! What must hold for every call, whatever its arguments.

use proptest::prelude::*;
use smcp_core::policy::{
    RateAnswer, RateLimit, SecurityContext, ToolCall, ToolPattern, Verdict, decide, explain, lists_tool, load_context,
};
use smcp_core::settings::Syntax;
use smcp_core::{Result, json};

const CONTEXT: &str = r#"{"name":"x","capabilities":[
    {"tool_pattern":"fs.*","path_allowlist":["/workspace","/data/*/v?/**/x*"],"base_path":"/workspace"},
    {"tool_pattern":"cmd.*","command_allowlist":["git","npm test"],"subcommand_allowlist":{"git":["status"]}},
    {"tool_pattern":"web.*","domain_allowlist":["*.example.org","127.0.0.1"]},
    {"tool_pattern":"own.*","path_allowlist":["/o"],"arguments":{"path":["loc"]},"rate_limit":{"calls":1,"per_seconds":1}}],
    "deny_list":["fs.delete","fs.*:/workspace/secret","cmd.run:rm","web.*:evil.test"]}"#;

fn context(text: &str) -> SecurityContext {
    load_context(text, Syntax::Json, "x").unwrap()
}

fn free(_: usize, _: RateLimit) -> Result<RateAnswer> {
    Ok(RateAnswer::Charged)
}

fn quoted(text: &str) -> String {
    let mut output = Vec::new();
    json::write_string(text, &mut output);
    String::from_utf8(output).unwrap()
}

fn is_allowed(context: &SecurityContext, tool: &str, arguments: &str, narrowing: Option<&[ToolPattern]>) -> bool {
    let document = json::scan(arguments.as_bytes()).unwrap();
    let call = ToolCall { tool, arguments: Some(document.root()) };
    let decision = decide(context, &call, narrowing, &mut free).unwrap();
    let explained = explain(context, &call, narrowing, None).unwrap();
    assert_eq!(decision.verdict(), explained.verdict());
    assert_eq!(decision.violation(), explained.violation());
    assert_eq!(decision.allowed().is_ok(), decision.violation().is_none());
    if let Verdict::Allow { capability } = decision.verdict() {
        assert!(context.capabilities[capability].tool_pattern.matches(tool));
        assert!(lists_tool(context, narrowing, tool));
    }
    decision.allowed().is_ok()
}

/// Percent-decodes as laxly as any tool might, until nothing changes.
fn decoded(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    loop {
        let mut next = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) if !behind.starts_with(b"+") => {
                    next.push(byte);
                    rest = &behind[2..];
                }
                _ => {
                    next.push(*first);
                    rest = behind;
                }
            }
        }
        if next == bytes {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        bytes = next;
    }
}

/// Where a lax tool would end up, with `..` resolved; `None` above the root.
fn resolved(path: &str) -> Option<Vec<String>> {
    let mut stack = Vec::new();
    for component in path.split(['/', '\\']) {
        match component.trim() {
            "" | "." => {}
            ".." => {
                stack.pop()?;
            }
            name => stack.push(name.to_owned()),
        }
    }
    Some(stack)
}

/// Pieces of which nasty paths are made.
fn nasty_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "\\",
        "..",
        ".",
        "...",
        "%2e",
        "%2E%2e",
        "%2f",
        "%5c",
        "%25",
        "%252e",
        "%252f",
        "%00",
        "%c0%ae",
        "%u002e",
        "workspace",
        "workspace",
        "/workspace/",
        "/workspace/a",
        "data",
        "etc",
        "a",
        "v1",
        "x",
        " ",
        "\t",
        "~",
        "C:",
        "file:",
        "file://",
        "file:///workspace",
        "localhost",
        ";",
        "?",
        "#",
        "*",
        "\u{ff0e}",
        "\u{ff0f}",
        "\u{2025}",
        "\u{200b}",
        "\u{e9}",
        "e\u{301}",
        "secret",
        "SECRET",
        "%73ecret",
    ]);
    let beginning =
        prop::sample::select(vec!["", "", "/workspace/", "/workspace", "/data/a/v1/", "file:///workspace/"]);
    (beginning, prop::collection::vec(piece, 0..8))
        .prop_map(|(beginning, pieces)| beginning.to_owned() + &pieces.concat())
}

/// Any JSON text, rich in the names and values the policy looks at.
fn arguments() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "path",
        "PATHS",
        "output_path",
        "uri",
        "url",
        "host",
        "command",
        "cmd",
        "argv",
        "args",
        "content",
        "x",
        "",
        "loc",
        "/etc",
        "https://a.test",
        "..",
        "data",
    ]);
    let text = prop_oneof![
        nasty_path(),
        prop::sample::select(vec![
            "git status",
            "npm test",
            "rm -rf /",
            "git; id",
            "'",
            "https://a.example.org/",
            "http://evil.test",
            "https:\\\\x",
            "127.0.0.1",
            "[::1",
            "memo://x",
            "file:///workspace/a",
            "a.example.org:80",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        4 => text.prop_map(|text| quoted(&text)),
        1 => prop::sample::select(vec!["null", "true", "7", "-1.5e3"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_allowed_path_lies_below_an_allowed_one_in_every_reading(path in nasty_path(), under_uri in any::<bool>()) {
        let context = context(CONTEXT);
        let name = if under_uri { "uri" } else { "path" };
        let arguments = format!("{{\"{name}\":{}}}", quoted(&path));
        if !is_allowed(&context, "fs.read", &arguments, None) {
            return Ok(());
        }
        let plain = path.strip_prefix("file://localhost").or_else(|| path.strip_prefix("file://"));
        let plain = plain.or_else(|| path.strip_prefix("file:")).unwrap_or(&path);
        for reading in [plain.to_owned(), decoded(plain)] {
            let absolute = if reading.starts_with(['/', '\\']) { reading } else { format!("/workspace/{reading}") };
            let components = resolved(&absolute);
            prop_assert!(components.is_some(), "{path:?} leaves the root");
            let components = components.unwrap_or_default();
            prop_assert!(!absolute.split(['/', '\\']).any(|component| component.trim() == ".."), "{path:?}");
            let first = components.first().map(String::as_str);
            prop_assert!(matches!(first, Some("workspace" | "data")), "{path:?} leads to {components:?}");
            prop_assert!(!absolute.contains('\0'));
            let secret = components.get(1).is_some_and(|second| second.eq_ignore_ascii_case("secret"));
            prop_assert!(!(first == Some("workspace") && secret), "{path:?} is denied");
        }
    }

    #[test]
    fn every_argument_gets_an_answer(
        arguments in arguments(),
        tool in prop::sample::select(vec!["fs.read", "fs.delete", "cmd.run", "web.get", "own.x", "none", ""]),
    ) {
        let context = context(CONTEXT);
        let narrowing = [ToolPattern::parse("*.read").unwrap(), ToolPattern::parse("web.*").unwrap()];
        let allowed = is_allowed(&context, tool, &arguments, None);
        let narrowed = is_allowed(&context, tool, &arguments, Some(&narrowing));
        prop_assert!(allowed || !narrowed, "a session's patterns add nothing");
        prop_assert!(!(narrowed && tool == "cmd.run"));
    }

    #[test]
    fn a_deny_entry_only_takes_away(arguments in arguments(), tool in prop::sample::select(vec!["fs.read", "cmd.run", "web.get"])) {
        let with = context(CONTEXT);
        let mut without = context(CONTEXT);
        without.deny_list.clear();
        if is_allowed(&with, tool, &arguments, None) {
            prop_assert!(is_allowed(&without, tool, &arguments, None));
        }
    }

    #[test]
    fn a_good_path_hides_no_bad_one(
        path in nasty_path(),
        name in prop::sample::select(vec!["a_path", "outPath", "Files", "my-dir", "dest", "DIRECTORY", "x_FILE_PATHS"]),
    ) {
        let context = context(CONTEXT);
        let beside = format!("{{\"path\":\"/workspace/a\",\"x\":{{{}:[{}]}}}}", quoted(name), quoted(&path));
        let alone = format!("{{\"path\":{}}}", quoted(&path));
        prop_assert_eq!(is_allowed(&context, "fs.read", &beside, None), is_allowed(&context, "fs.read", &alone, None));
        // Under a name that says nothing, it must at least not climb or begin at a foreign root.
        let unknown = format!("{{\"path\":\"/workspace/a\",\"x\":{}}}", quoted(&path));
        if is_allowed(&context, "fs.read", &unknown, None) && path.starts_with(['/', '\\', '~']) {
            prop_assert!(is_allowed(&context, "fs.read", &alone, None), "{}", path);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), tool in any::<String>()) {
        let context = context(CONTEXT);
        for name in ["path", "uri", "command", "url", "x"] {
            is_allowed(&context, "fs.read", &format!("{{\"{name}\":{}}}", quoted(&text)), None);
        }
        is_allowed(&context, &tool, "{}", None);
        let _either = ToolPattern::parse(&text);
        let _either = smcp_core::policy::PathPattern::parse(&text);
        let _either = smcp_core::policy::DenyEntry::parse(&text);
    }
}
