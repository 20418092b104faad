//! Every command with wrong input: the exit status and the text are part of the interface.

use crate::program::Program;

/// Arguments, exit status, the first line on standard error.
type Case = (&'static [&'static str], i32, &'static str);

const KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

const CASES: &[Case] = &[
    (&["frobnicate"], 2, "error: unrecognized subcommand 'frobnicate'"),
    (&["--frobnicate"], 2, "error: unexpected argument '--frobnicate' found"),
    (&["gateway"], 2, "error: the following required arguments were not provided:"),
    (
        &["gateway", "--config", "a.yaml", "--root", "."],
        2,
        "error: the argument '--config <FILE>' cannot be used with '--root <DIR>'",
    ),
    (&["gateway", "--config", "none.yaml"], 2, "error: cannot read `none.yaml`: no such file or folder"),
    (
        &["gateway", "--config", "broken.yaml"],
        1,
        "error: broken.yaml:1:1: unknown field `lissen`; did you mean `listen`?",
    ),
    (
        &["gateway", "--config", "broken.txt"],
        1,
        "error: `broken.txt`: the name must end with `.yaml`, `.yml`, `.json` or `.toml`",
    ),
    (&["gateway", "--root", "none"], 2, "error: `none` is not a folder"),
    (
        &["gateway", "--root", ".", "--state", "state"],
        2,
        "error: `@FOLDER@/state`: the gateway's keys would lie below `--root`, where agents may read",
    ),
    (&["gateway", "--root", "."], 2, "error: there is no home folder for keys and the audit log; give `--state DIR`"),
    (
        &["gateway", "--root", "folder", "--state", "s", "--listen", "8787"],
        2,
        "error: invalid value '8787' for '--listen <ADDRESS>': invalid socket address syntax",
    ),
    (
        &["gateway", "--root", "folder", "--state", "s", "--listen", "0.0.0.0:0"],
        2,
        "error: `--listen`: `0.0.0.0:0` is not loopback: configure `tls`, or `behind_tls_proxy: true` when a proxy ends TLS",
    ),
    (
        &["gateway", "--root", "folder", "--state", "s", "--operator-listen", "0.0.0.0:0"],
        2,
        "error: `--operator-listen`: `0.0.0.0:0` is not loopback",
    ),
    (
        &["gateway", "--root", "folder", "--state", "s", "--ready-pipe", "none/pipe"],
        2,
        "error: cannot write to `none/pipe`: no such file or folder",
    ),
    (
        &["gateway", "--root", "folder", "--state", "s", "--ready-fd", "0"],
        2,
        "error: invalid value '0' for '--ready-fd <NUMBER>': 0 is not in 1..=65535",
    ),
    (
        &["gateway", "--root", "folder", "--log-level", "loud"],
        2,
        "error: invalid value 'loud' for '--log-level <LEVEL>'",
    ),
    (&["demo", "--upstream", ""], 2, "error: invalid value '' for '--upstream <COMMAND>': there is no command in it"),
    (&["demo", "--upstream", "'a"], 2, "error: invalid value ''a' for '--upstream <COMMAND>': a quote is not closed"),
    (&["demo", "--keep", "folder"], 2, "error: `folder` is not empty"),
    (&["keygen", "--kind", "ssh"], 2, "error: invalid value 'ssh' for '--kind <KIND>'"),
    (&["keygen", "--kind", "operator-token", "--public", "pem"], 2, "error: an operator token has no public half"),
    (&["keygen", "--from", "none.key"], 2, "error: cannot read `none.key`: no such file or folder"),
    (
        &["keygen", "--from", "broken.yaml"],
        1,
        "error: key file `broken.yaml`: the file does not begin with a PEM block",
    ),
    (
        &["keygen", "--out", "none/a.key"],
        1,
        "error: file `none/a.key` cannot be created: No such file or directory (os error 2)",
    ),
    (&["keygen", "--out", "broken.yaml"], 1, "error: file `broken.yaml` exists already and is not overwritten"),
    (&["attest"], 2, "error: the following required arguments were not provided:"),
    (
        &["attest", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s"],
        69,
        "error: CONNECTION_FAILED: *",
    ),
    (
        &["attest", "--gateway", "http://example.org", "--workload", "w", "--scope", "s"],
        1,
        "error: the gateway URL `http://example.org` is plain http beyond loopback; *",
    ),
    (
        &["attest", "--gateway", "ftp://x", "--workload", "w", "--scope", "s"],
        1,
        "error: the gateway URL `ftp://x` is neither https nor http",
    ),
    (
        &["attest", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s", "--timeout", "0"],
        2,
        "error: invalid value '0' for '--timeout <SECONDS>': expected a number of seconds above 0 and up to 86400",
    ),
    (
        &["attest", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s", "--credential-file", "none"],
        2,
        "error: cannot read `none`: no such file or folder",
    ),
    (
        &["attest", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s", "--key", "none"],
        2,
        "error: cannot read `none`: no such file or folder",
    ),
    (&["call"], 2, "error: the following required arguments were not provided:"),
    (
        &["call", "t", "--arg", "x"],
        2,
        "error: invalid value 'x' for '--arg <NAME=VALUE>': expected `NAME=TEXT` or `NAME:=JSON`",
    ),
    (&["call", "t", "--arg", "x:={"], 2, "error: invalid value 'x:={' for '--arg <NAME=VALUE>': `x` is not JSON: *"),
    (
        &["call", "t", "--arg", "x=1", "--args", "{}"],
        2,
        "error: the argument '--arg <NAME=VALUE>' cannot be used with '--args <JSON>'",
    ),
    (
        &[
            "call",
            "t",
            "--arg",
            "x=1",
            "--arg",
            "x=2",
            "--gateway",
            "http://127.0.0.1:1",
            "--workload",
            "w",
            "--scope",
            "s",
        ],
        2,
        "error: the argument `x` is given twice",
    ),
    (
        &["call", "t", "--args", "[]", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s"],
        2,
        "error: the arguments: expected a JSON object such as `{\"path\": \"a.txt\"}`",
    ),
    (
        &[
            "call",
            "t",
            "--args",
            "{\"a\":1,\"a\":2}",
            "--gateway",
            "http://127.0.0.1:1",
            "--workload",
            "w",
            "--scope",
            "s",
        ],
        2,
        "error: the arguments: not JSON: *",
    ),
    (
        &["call", "t", "--args", "@none.json", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s"],
        2,
        "error: cannot read `none.json`: no such file or folder",
    ),
    (
        &["call", "t", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s"],
        69,
        "error: CONNECTION_FAILED: *",
    ),
    (
        &["tools", "--gateway", "http://127.0.0.1:1", "--workload", "w", "--scope", "s"],
        69,
        "error: CONNECTION_FAILED: *",
    ),
    (&["verify"], 2, "error: the following required arguments were not provided:"),
    (&["verify", "broken.json"], 2, "error: the following required arguments were not provided:"),
    (
        &["verify", "broken.json", "--key", KEY, "--jwks", "x"],
        2,
        "error: the argument '--key <BASE64>' cannot be used with '--jwks <FILE>'",
    ),
    (&["verify", "broken.json", "--key", "AAAA"], 1, "error: MALFORMED_ENVELOPE: *"),
    (&["verify", "none.json", "--key", KEY], 2, "error: cannot read `none.json`: no such file or folder"),
    (&["verify", "broken.json", "--key", KEY], 1, "error: MALFORMED_ENVELOPE: the body is not strict JSON: *"),
    (
        &["verify", "broken.json", "--key", KEY, "--at", "yesterday"],
        2,
        "error: invalid value 'yesterday' for '--at <TIME>': expected a time with a zone such as `2026-02-17T14:32:01Z`",
    ),
    (&["verify", "broken.json", "--key", KEY, "--max-age", "-1"], 2, "error: unexpected argument '-1' found"),
    (
        &["verify", "broken.json", "--key", KEY, "--issuer", "x"],
        2,
        "error: `--issuer` and `--audience` need `--token-jwks`: without it no token is verified",
    ),
    (&["policy"], 2, "Check security contexts, or explain a decision"),
    (&["policy", "check"], 2, "error: the following required arguments were not provided:"),
    (&["policy", "check", "none.yaml"], 2, "error: cannot read `none.yaml`: no such file or folder"),
    (
        &["policy", "check", "broken.txt"],
        2,
        "error: `broken.txt`: the name must end with `.yaml`, `.yml`, `.json` or `.toml`",
    ),
    (&["policy", "check", "folder"], 2, "error: `folder`: there is no context file in this folder"),
    (
        &["policy", "explain", "--context", "broken.yaml", "--tool", "t"],
        1,
        "error: broken.yaml:1:1: unknown field `lissen`*",
    ),
    (
        &["policy", "explain", "--context", "good.yaml", "--tool", "t", "--args", "1"],
        2,
        "error: the arguments: expected a JSON object such as `{\"path\": \"a.txt\"}`",
    ),
    (&["policy", "explain", "--context", "good.yaml"], 2, "error: the following required arguments were not provided:"),
    (&["session"], 2, "See and revoke sessions of a running gateway"),
    (
        &["session", "list"],
        2,
        "error: no operator token: give `--operator-token-file FILE`, `--config FILE`, or set `SMCP_OPERATOR_TOKEN_FILE`",
    ),
    (&["session", "list", "--operator-token-file", "none"], 2, "error: cannot read `none`: no such file or folder"),
    (
        &["session", "list", "--operator-token-file", "good.yaml"],
        1,
        "error: file `good.yaml` is open to group or others *",
    ),
    (
        &["session", "list", "--operator-token-file", "token", "--operator-url", "http://example.org"],
        2,
        "error: the operator URL `http://example.org` is not `http` to a loopback address",
    ),
    (
        &["session", "list", "--operator-token-file", "token", "--operator-url", "http://127.0.0.1:1"],
        69,
        "error: CONNECTION_FAILED: the operator API at `http://127.0.0.1:1` cannot be reached: *",
    ),
    (&["session", "list", "--config", "none.yaml"], 2, "error: cannot read `none.yaml`: no such file or folder"),
    (&["session", "revoke"], 2, "error: the following required arguments were not provided:"),
    (
        &["session", "revoke", "s", "--for", "1 day"],
        2,
        "error: invalid value '1 day' for '--for <TIME>': expected a length of time such as `90s`, `30m`, `24h` or `7d`",
    ),
    (
        &["session", "revoke", "s", "--for", "24h", "--session-only"],
        2,
        "error: the argument '--for <TIME>' cannot be used with '--session-only'",
    ),
    (&["session", "allow"], 2, "error: the following required arguments were not provided:"),
    (
        &["session", "allow", "w", "--operator-token-file", "token", "--operator-url", "http://127.0.0.1:1"],
        69,
        "error: CONNECTION_FAILED: the operator API at `http://127.0.0.1:1` cannot be reached: *",
    ),
    (&["audit"], 2, "Prove what an audit log says"),
    (&["audit", "verify"], 2, "error: the following required arguments were not provided:"),
    (&["audit", "verify", "none.jsonl"], 2, "error: cannot read `none.jsonl`: no such file or folder"),
    (
        &["audit", "verify", "broken.json", "--key", "nonsense"],
        2,
        "error: `--key` is neither the base64 of an Ed25519 key nor a file that exists",
    ),
    (
        &["audit", "verify", "broken.json", "--key", KEY, "--jwks", "x"],
        2,
        "error: the argument '--key <KEY>' cannot be used with '--jwks <FILE>'",
    ),
    (&["audit", "verify", "broken.json", "--jwks", "broken.json"], 1, "error: `broken.json`: JWKS: *"),
    (
        &["audit", "verify", "broken.json", "--expect-head", "12"],
        2,
        "error: invalid value '12' for '--expect-head <SEQ:HASH>': a head is written `SEQ:HASH` with 64 hex digits in the hash",
    ),
    (&["audit", "verify", "broken.json", "--evidence", "none"], 2, "error: cannot read `none`: no such file or folder"),
    (&["init", "good.yaml"], 1, "error: `@FOLDER@/good.yaml`: cannot be made: *"),
    (&["init", "a*b"], 2, "error: `@FOLDER@/a*b/files`: `*` and `?` in a path would be read as a pattern"),
    (&["init", "a", "b"], 2, "error: unexpected argument 'b' found"),
];

#[test]
fn wrong_input_is_answered_in_one_voice() {
    let program = Program::new();
    program.write("broken.yaml", "lissen: 127.0.0.1:1\n");
    program.write("broken.txt", "");
    program.write("broken.json", "{");
    program.write("good.yaml", "name: good\ncapabilities: []\n");
    std::fs::create_dir(program.path("folder")).unwrap();
    program.write("folder/readme", "");
    program.run(&["keygen", "--kind", "operator-token", "--out", "token"]).done();
    let folder = std::fs::canonicalize(program.path(".")).unwrap();
    let mut failed = Vec::new();
    for (arguments, status, line) in CASES {
        let ran = program.run(arguments);
        let expected = line.replace("@FOLDER@", folder.to_str().unwrap());
        let found = ran.err.lines().next().unwrap_or_default();
        let fits = match expected.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == expected,
        };
        if ran.status != *status || !fits || !ran.out.is_empty() {
            failed.push(format!(
                "{arguments:?}\n  expected {status} {expected}\n  found    {} {found}\n  out {}",
                ran.status, ran.out
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
