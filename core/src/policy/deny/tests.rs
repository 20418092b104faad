//! Deny entries against calls.

use super::*;
use crate::json::scan;
use crate::policy::load_context;
use crate::settings::Syntax;

/// The index of the entry that denies a call of `tool`, with every tool granted and `/work/base` as base path of `based`.
fn denied_by(entries: &str, tool: &str, arguments: &str) -> Option<usize> {
    let text = format!(
        r#"{{"name":"x","capabilities":[{{"tool_pattern":"*"}},{{"tool_pattern":"based","base_path":"/work/base"}},
        {{"tool_pattern":"own","arguments":{{"path":["loc"],"command":["line"],"domain":["peer"]}}}}],"deny_list":{entries}}}"#
    );
    let context = load_context(&text, Syntax::Json, "x").unwrap();
    let document = scan(arguments.as_bytes()).unwrap();
    let (index, error) = first_denial(&context, &ToolCall { tool, arguments: Some(document.root()) })?;
    assert_eq!(error.kind(), ErrorKind::PolicyViolationToolDenied);
    Some(index)
}

#[test]
fn path_entries_see_every_reading() {
    let entries = r#"["t:/etc/*","t:/var/lib/caf\u00e9","t:/home/*/.ssh","based:/work/base/secret","own:/etc/*"]"#;
    for (tool, arguments, entry) in [
        ("t", r#"{"path":"/etc/hosts"}"#, 0),
        ("t", r#"{"path":"/ETC/HOSTS"}"#, 0),
        ("t", r#"{"path":"etc/hosts"}"#, 0),
        ("t", r#"{"path":"\\etc\\hosts"}"#, 0),
        ("t", r#"{"path":"/x/a\\..\\hosts"}"#, 0),
        ("t", r#"{"path":"/%65tc/hosts"}"#, 0),
        ("t", r#"{"path":"/%2565tc/hosts"}"#, 0),
        ("t", r#"{"path":"/etc%2fhosts"}"#, 0),
        ("t", r#"{"path":"//etc/hosts"}"#, 0),
        ("t", r#"{"path":"/./etc//hosts"}"#, 0),
        ("t", r#"{"path":" /etc/hosts"}"#, 0),
        ("t", r#"{"path":"/e\u200btc/hosts"}"#, 0),
        ("t", r#"{"path":"/etc./hosts"}"#, 0),
        ("t", r#"{"path":"/\uff45tc/hosts"}"#, 0),
        ("t", r#"{"uri":"FILE:///etc/hosts"}"#, 0),
        ("t", r#"{"x":{"output_path":["/a",["/etc/x"]]}}"#, 0),
        // Whatever cannot be read could be the denied path.
        ("t", r#"{"path":"/a/../b"}"#, 0),
        ("t", r#"{"path":"~/x"}"#, 0),
        ("t", r#"{"path":"C:\\x"}"#, 0),
        ("t", r#"{"path":"/a%00"}"#, 0),
        ("t", r#"{"path":"/%ff"}"#, 0),
        ("t", r#"{"path":""}"#, 0),
        ("t", r#"{"uri":"file://host/x"}"#, 0),
        ("t", r#"{"path":"/VAR/lib/cafe\u0301/x"}"#, 1),
        ("t", r#"{"path":"/home/me/.SSH/id"}"#, 2),
        ("t", r#"{"path":"/home/me/.ssh::$DATA"}"#, 2),
        ("based", r#"{"path":"secret/x"}"#, 3),
        ("based", r#"{"path":"./Secret"}"#, 3),
        ("based", r#"{"path":" secret. /x"}"#, 3),
        ("own", r#"{"loc":"/etc/x"}"#, 4),
        ("own", r#"{"path":"/etc/x"}"#, 4),
    ] {
        assert_eq!(denied_by(entries, tool, arguments), Some(entry), "{tool} {arguments}");
    }
    for (tool, arguments) in [
        ("t", r#"{"path":"/etc"}"#),
        ("t", r#"{"path":"/etcetera/x"}"#),
        ("t", r#"{"path":"/x/etc/hosts"}"#),
        ("t", r#"{"path":"/home/a/b/.ssh"}"#),
        ("t", r#"{"path":"/home/a/.sshd"}"#),
        ("t", r#"{"uri":"https://e.test/etc/x","note":"/etc/x","path":5}"#),
        ("t2", r#"{"path":"/etc/hosts"}"#),
        ("T", r#"{"path":"/etc/hosts"}"#),
        ("based", r#"{"path":"public"}"#),
        ("t", r#"{"loc":"/etc/x"}"#),
        ("t", "{}"),
    ] {
        assert_eq!(denied_by(entries, tool, arguments), None, "{tool} {arguments}");
    }
}

#[test]
fn other_entries_see_commands_and_hosts() {
    let entries = r#"["t:rm","t:git push","t:*.evil.test","t:169.254.*","own:rm"]"#;
    for (tool, arguments, entry) in [
        ("t", r#"{"command":"rm -rf /"}"#, 0),
        ("t", r#"{"command":"/bin/RM x"}"#, 0),
        ("t", r#"{"cmd":"r''m x"}"#, 0),
        ("t", r#"{"argv":["rm","x"]}"#, 0),
        ("t", r#"{"command":["ls"],"x":{"cmd":"rm"}}"#, 0),
        ("t", r#"{"command":"ls; rm x"}"#, 0),
        ("t", r#"{"command":"ls 'x"}"#, 0),
        ("t", r#"{"command":""}"#, 0),
        ("t", r#"{"command":"git","args":["push"]}"#, 1),
        ("t", r#"{"url":"https://A.EVIL.test./x"}"#, 2),
        ("t", r#"{"note":"wss://a.evil.test"}"#, 2),
        ("t", r#"{"uri":"gopher://u@a.evil.test:70/x"}"#, 2),
        ("t", r#"{"host":"0xa9.254.1"}"#, 3),
        ("t", r#"{"url":"https:\\\\x"}"#, 0),
        ("t", r#"{"host":"evil.test:8x"}"#, 0),
        ("own", r#"{"line":"rm x"}"#, 4),
    ] {
        assert_eq!(denied_by(entries, tool, arguments), Some(entry), "{tool} {arguments}");
    }
    for (tool, arguments) in [
        ("t", r#"{"command":"rmdir x"}"#),
        ("t", r#"{"command":"sudo rm x"}"#),
        ("t", r#"{"command":"git pull"}"#),
        ("t", r#"{"url":"https://evil.test/"}"#),
        ("t", r#"{"uri":"file:///x"}"#),
        ("t", r#"{"uri":"memo://insights"}"#),
        ("t", r#"{"script":"rm x","args":["rm"]}"#),
        ("t", r#"{"line":"rm x"}"#),
    ] {
        assert_eq!(denied_by(entries, tool, arguments), None, "{tool} {arguments}");
    }
}

#[test]
fn a_whole_text_denies_a_tool() {
    let entries = r#"["fs.delete","admin.*","a:b"]"#;
    assert_eq!(denied_by(entries, "fs.delete", "{}"), Some(0));
    assert_eq!(denied_by(entries, "admin.x", "{}"), Some(1));
    assert_eq!(denied_by(entries, "a:b", "{}"), Some(2));
    assert_eq!(denied_by(entries, "a", "{}"), None);
    assert_eq!(denied_by(entries, "fs.delete2", "{}"), None);
    assert_eq!(denied_by(entries, "administer", "{}"), None);
}

#[test]
fn a_bare_star_denies_every_host() {
    let entries = r#"["t:*"]"#;
    for host in ["a.test", "127.0.0.1", "[::1]"] {
        assert_eq!(denied_by(entries, "t", &format!(r#"{{"host":"{host}"}}"#)), Some(0), "{host}");
    }
}

#[test]
fn refuses_entries_that_deny_nothing() {
    for text in ["", ":", "t:", "t: ", ":/etc", "fs delete", "t:/a/../b", "t:/a**", "t:https://e.test", "t:'x", "t://a"]
    {
        let error = DenyEntry::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{text:?}");
    }
}

#[test]
fn messages_hold_no_secrets() {
    let text = r#"{"name":"x","capabilities":[],"deny_list":["t:rm","t:*.evil.test"]}"#;
    let context = load_context(text, Syntax::Json, "x").unwrap();
    for arguments in [r#"{"command":"rm --token=hunter2"}"#, r#"{"url":"https://u:hunter2@a.evil.test/?k=hunter2"}"#] {
        let document = scan(arguments.as_bytes()).unwrap();
        let call = ToolCall { tool: "t", arguments: Some(document.root()) };
        let (_, error) = first_denial(&context, &call).unwrap();
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}
