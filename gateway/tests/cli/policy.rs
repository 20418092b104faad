//! `smcp policy`.

use crate::program::{Program, text};

const CONTEXT: &str = "\
name: files
description: Read one folder.
capabilities:
  - tool_pattern: fs.read
    path_allowlist: [/srv]
deny_list: ['fs.*:/srv/secret']
";

#[test]
fn check_says_what_is_right_and_what_is_wrong() {
    let program = Program::new();
    program.write("good.yaml", CONTEXT);
    program.write("bad.yaml", "name: bad\ncapabilities:\n  - tool_patern: x\n");
    program.write("twice.json", r#"{"name": "files", "capabilities": []}"#);
    let good = program.run(&["policy", "check", "good.yaml"]).done();
    assert!(good.starts_with("ok good.yaml: context `files`, 1 capability, 1 deny entry, digest "), "{good}");
    assert!(good.ends_with("1 file, 0 errors, 0 warnings\n"), "{good}");
    let all = program.run(&["policy", "check", "good.yaml", "bad.yaml", "twice.json"]);
    assert_eq!((all.status, all.err.as_str()), (1, ""));
    assert!(all.out.contains("error bad.yaml:3:5: "), "{}", all.out);
    assert!(all.out.contains("error twice.json:1:10: "), "{}", all.out);
    assert!(all.out.ends_with("3 files, 2 errors, 0 warnings\n"), "{}", all.out);
    let folder = program.run(&["policy", "check", ".", "--json"]);
    assert_eq!(folder.status, 1);
    assert_eq!(text(&folder.json(), &["errors"]), "2");
    assert_eq!(folder.json().root().get("files").unwrap().elements().count(), 3);
}

#[test]
fn warnings_fail_when_told_so() {
    let program = Program::new();
    program.write("open.yaml", "name: open\ndescription: d\ncapabilities:\n  - tool_pattern: '*'\n");
    let ran = program.run(&["policy", "check", "open.yaml"]);
    assert!(ran.out.contains("warning open.yaml: capabilities[0] (`*`): allows every tool with any arguments\n"));
    assert_eq!(ran.status, 0);
    assert_eq!(program.run(&["policy", "check", "--deny-warnings", "open.yaml"]).status, 1);
}

#[test]
fn explain_shows_the_rule_that_decides() {
    let program = Program::new();
    program.write("files.yaml", CONTEXT);
    let explain = |arguments: &str| {
        program.run(&["policy", "explain", "--context", "files.yaml", "--tool", "fs.read", "--args", arguments])
    };
    let allowed = explain(r#"{"path": "/srv/a"}"#);
    assert!(
        allowed.out.ends_with("allowed `fs.read` in context `files`, by capability 0 (`fs.read`)\n"),
        "{}",
        allowed.out
    );
    assert_eq!(allowed.status, 0);
    for (arguments, code, rule) in [
        (r#"{"path": "/etc/passwd"}"#, "POLICY_VIOLATION_PATH_NOT_ALLOWED", "fail capabilities[0] path"),
        (r#"{"path": "/srv/../etc"}"#, "POLICY_VIOLATION_TOOL_DENIED", "fail deny_list[0]"),
        (r#"{"path": "/srv/secret/a"}"#, "POLICY_VIOLATION_TOOL_DENIED", "fail deny_list[0]"),
        ("{}", "POLICY_VIOLATION_PATH_NOT_ALLOWED", "fail capabilities[0] path"),
    ] {
        let denied = explain(arguments);
        assert_eq!((denied.status, denied.err.as_str()), (1, ""), "{arguments}");
        assert!(denied.out.contains(&format!("denied {code}: ")), "{arguments}: {}", denied.out);
        assert!(denied.out.contains(rule), "{arguments}: {}", denied.out);
    }
    let json = program.run(&["policy", "explain", "--context", "files.yaml", "--tool", "fs.write", "--json"]);
    assert_eq!(json.status, 1);
    assert_eq!(text(&json.json(), &["decision"]), "deny");
    assert_eq!(text(&json.json(), &["violation", "number"]), "2000");
}

#[test]
fn arguments_come_from_everywhere() {
    let program = Program::new();
    program.write("files.yaml", CONTEXT);
    program.write("args.json", r#"{"path": "/srv/a"}"#);
    let base = ["policy", "explain", "--context", "files.yaml", "--tool", "fs.read", "--args"];
    assert_eq!(program.run(&[&base[..], &["@args.json"]].concat()).status, 0);
    assert_eq!(program.run_with_input(&[&base[..], &["-"]].concat(), br#"{"path": "/etc"}"#).status, 1);
}
