//! `smcp demo` shows eight acts and checks them itself.

use crate::program::{Program, text};

#[test]
fn all_acts_hold() {
    let program = Program::new();
    let temporary = program.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let ran = program.command().arg("demo").env("TMPDIR", &temporary).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(0), &b""[..]), "{out}");
    for (number, title) in (1..).zip([
        "A gateway starts",
        "An agent makes a key",
        "tools/list shows only",
        "A file is read",
        "Refused",
        "The operator revokes",
        "The gateway stops",
        "The ten steps",
    ]) {
        assert!(
            out.contains(&format!("\n{number}  {title}")) || out.starts_with(&format!("{number}  {title}")),
            "{out}"
        );
    }
    for code in [
        "403 POLICY_VIOLATION_TOOL_DENIED",
        "403 POLICY_VIOLATION_PATH_NOT_ALLOWED",
        "403 POLICY_VIOLATION_PATH_TRAVERSAL",
        "401 INVALID_SIGNATURE",
        "401 REPLAY_DETECTED",
        "401 STALE_TIMESTAMP",
        "429 POLICY_VIOLATION_RATE_LIMIT_EXCEEDED",
        "401 SESSION_INACTIVE",
        "401 WORKLOAD_VERIFICATION_FAILED",
    ] {
        assert!(out.contains(code), "{code}: {out}");
    }
    assert!(!out.contains('\u{1b}') && !out.contains("eyJ"), "colours, or a token: {out}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "something was left behind");
}

#[test]
fn as_json_and_kept() {
    let program = Program::new();
    let ran = program.run(&["demo", "--json", "--keep", "kept"]);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    let document = ran.json();
    assert_eq!(text(&document, &["status"]), "ok");
    let acts: Vec<_> = document.root().get("acts").unwrap().elements().collect();
    assert_eq!(acts.len(), 8);
    assert_eq!(acts[4].get("checks").unwrap().elements().count(), 8);
    let verify = ["audit", "verify", "kept/state/audit.jsonl", "--key", "kept/state/audit.key"];
    assert_eq!(program.run(&verify).status, 0);
    assert_eq!(
        program.run(&["audit", "verify", "kept/changed-audit.jsonl", "--key", "kept/state/audit.key"]).status,
        1
    );
    assert_eq!(program.run(&["demo", "--keep", "kept"]).err, "error: `kept` is not empty\n");
}

#[test]
fn a_tool_server_of_another_kind_is_named() {
    let program = Program::new();
    let ran = program.run(&["demo", "--upstream", "/nonexistent/server DIR"]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("/nonexistent/server"), "{}", ran.err);
}
