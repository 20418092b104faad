//! `smcp init`, and what can be done with what it writes.

use crate::program::{Program, mode};

#[test]
fn what_it_writes_checks_out() {
    let program = Program::new();
    let out = program.run(&["init", "my gateway"]).done();
    assert!(out.contains("  smcp gateway --config 'my gateway/gateway.yaml'\n"), "{out}");
    for (file, expected) in
        [("smcp-state", 0o700), ("smcp-state/signing.key", 0o600), ("docs-bot.secret", 0o600), ("gateway.yaml", 0o644)]
    {
        assert_eq!(mode(&program.path("my gateway").join(file)), expected, "{file}");
    }
    let checked = program.run(&["gateway", "--config", "my gateway/gateway.yaml", "--check-config"]).done();
    assert_eq!(checked, "ok my gateway/gateway.yaml: contexts read-only-files\n");
    let policy = program.run(&["policy", "check", "--deny-warnings", "my gateway/contexts"]).done();
    assert!(policy.ends_with("1 file, 0 errors, 0 warnings\n"), "{policy}");
    let explain = |tool: &str, path: &str| {
        let arguments = format!(r#"{{"path": "{path}"}}"#);
        let context = "my gateway/contexts/read-only-files.yaml";
        program.run(&["policy", "explain", "--context", context, "--tool", tool, "--args", &arguments]).status
    };
    assert_eq!(explain("fs.read", "welcome.txt"), 1);
    assert_eq!(explain("fs.read", program.path("my gateway/files/welcome.txt").to_str().unwrap()), 0);
    assert_eq!(explain("fs.read", "../gateway.yaml"), 1);
    assert_eq!(explain("fs.read", program.path("my gateway/docs-bot.secret").to_str().unwrap()), 1);
    assert_eq!(explain("fs.write", program.path("my gateway/files/welcome.txt").to_str().unwrap()), 1);
}

#[test]
fn nothing_is_overwritten_and_nothing_half_done() {
    for existing in ["gateway.yaml", "contexts/read-only-files.yaml", "docs-bot.secret", "smcp-state", ".gitignore"] {
        let program = Program::new();
        let path = program.path("g").join(existing);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // A symlink to nowhere is something, too.
        std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
        let ran = program.run(&["init", "g"]);
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{existing}");
        assert!(ran.err.contains("exists already and is not overwritten"), "{}", ran.err);
        assert!(!program.path("g/files").exists(), "{existing}");
    }
    let program = Program::new();
    program.run(&["init"]).done();
    assert_eq!(program.run(&["init"]).status, 1);
}

#[test]
fn files_that_are_there_are_kept() {
    let program = Program::new();
    std::fs::create_dir_all(program.path("files")).unwrap();
    program.write("files/welcome.txt", "mine");
    program.run(&["init"]).done();
    assert_eq!(std::fs::read(program.path("files/welcome.txt")).unwrap(), b"mine");
}
