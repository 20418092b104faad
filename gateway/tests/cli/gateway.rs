//! `smcp gateway` as a process, with the commands that call it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use smcp_core::json::scan;

use crate::program::{Program, Ran, text};

/// A gateway over what `smcp init` wrote, on free ports.
struct Running {
    program: Program,
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    operator_url: String,
}

impl Running {
    fn start(more: &[&str]) -> Self {
        let program = Program::new();
        program.run(&["init", "g"]).done();
        let listen = ["--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"];
        let mut child = program
            .command()
            .args(["gateway", "--config", "g/gateway.yaml"])
            .args(listen)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let document = scan(line.trim_end().as_bytes()).unwrap();
        assert_eq!(text(&document, &["event"]), "ready");
        assert_eq!(text(&document, &["pid"]), child.id().to_string());
        let (url, operator_url) = (text(&document, &["url"]), text(&document, &["operator_url"]));
        Self { program, child, out, url, operator_url }
    }

    fn call(&self, command: &[&str], more: &[&str]) -> Ran {
        let connection = ["--gateway", &self.url, "--workload", "docs-bot", "--scope", "read-only-files"];
        let credential = ["--credential-file", "g/docs-bot.secret"];
        self.program.run(&[command, &connection[..], &credential, more].concat())
    }

    fn session(&self, command: &[&str]) -> Ran {
        let operator = ["--operator-url", &self.operator_url, "--operator-token-file", "g/smcp-state/operator.token"];
        self.program.run(&[&["session"], command, &operator[..]].concat())
    }

    fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end: exit status, last line of standard output, standard error.
    fn end(mut self) -> (Program, i32, String, String) {
        let started = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if started.elapsed() > Duration::from_secs(20) => {
                    self.child.kill().unwrap();
                    panic!("the gateway did not end");
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.program, status.code().expect("ended by itself"), out, err)
    }
}

#[test]
fn an_agents_day() {
    let running = Running::start(&[]);
    let file = running.program.path("g/files/welcome.txt");
    let path = format!("path={}", file.display());

    let attested = running.call(&["attest"], &["--json"]);
    assert_eq!(text(&attested.json(), &["claims", "wid"]), "docs-bot");
    assert!(!attested.out.contains("eyJ"), "the token was printed");
    assert!(running.call(&["attest", "--print-token"], &[]).done().contains("\ntoken       eyJ"));

    let tools = running.call(&["tools"], &[]).done();
    assert!(tools.contains("fs.read") && !tools.contains("fs.write"), "{tools}");
    let read = running.call(&["call", "fs.read", "--arg", &path], &[]).done();
    assert_eq!(read, "Hello from a file behind an SMCP gateway.\n");
    let whole = running.call(&["call", "fs.read", "--arg", &path, "--json"], &[]);
    assert!(whole.json().root().get("content").is_some());

    let refused = running.call(&["call", "fs.read", "--arg", "path=/etc/passwd"], &[]);
    assert_eq!((refused.status, refused.out.as_str()), (1, ""));
    assert!(refused.err.starts_with("error: POLICY_VIOLATION_PATH_NOT_ALLOWED: "), "{}", refused.err);
    let refused = running.call(&["call", "fs.write", "--arg", &path, "--json"], &[]);
    assert_eq!((refused.status, refused.err.as_str()), (1, ""));
    assert_eq!(text(&refused.json(), &["error", "code"]), "POLICY_VIOLATION_TOOL_DENIED");
    let missing = running.call(&["call", "fs.read", "--arg", &format!("{path}.none")], &[]);
    assert_eq!(missing.status, 1, "{missing:?}");

    let stranger = ["attest", "--gateway", &running.url, "--workload", "docs-bot", "--scope", "read-only-files"];
    let stranger = running.program.run(&stranger);
    assert_eq!(stranger.status, 1);
    assert!(stranger.err.starts_with("error: WORKLOAD_VERIFICATION_FAILED: "), "{}", stranger.err);
    assert!(stranger.err.contains("\nhint: "), "{}", stranger.err);

    running.signal("TERM");
    let (program, status, out, err) = running.end();
    assert_eq!(status, 0, "{err}");
    let document = scan(out.trim_end().as_bytes()).unwrap();
    assert_eq!(text(&document, &["event"]), "stopped");
    let head = text(&document, &["audit_head"]);
    let verify =
        ["audit", "verify", "g/smcp-state/audit.jsonl", "--key", "g/smcp-state/audit.key", "--expect-head", &head];
    let verified = program.run(&verify);
    assert_eq!(verified.status, 0, "{}", verified.out);
    assert!(!err.contains("eyJ"), "a token in the log: {err}");
}

#[test]
fn the_operator_sees_and_revokes() {
    let running = Running::start(&[]);
    assert_eq!(running.session(&["list"]).done(), "no sessions\n");
    let attested = running.call(&["attest"], &["--json"]);
    let id = text(&attested.json(), &["session_id"]);
    let list = running.session(&["list"]).done();
    assert!(list.starts_with("SESSION ") && list.contains(&id) && list.contains("docs-bot"), "{list}");
    assert!(list.contains("active"), "{list}");
    let list = running.session(&["list", "--json"]);
    assert_eq!(list.json().root().elements().count(), 1);

    let unknown = running.session(&["revoke", "nobody"]);
    assert_eq!((unknown.status, unknown.err.as_str()), (1, "error: there is no such session\n"));
    let unknown = running.session(&["allow", "docs-bot"]);
    assert_eq!((unknown.status, unknown.err.as_str()), (1, "error: the workload is not blocked\n"));

    let revoked = running.session(&["revoke", &id]).done();
    assert!(revoked.contains("`smcp session allow docs-bot` lifts it"), "{revoked}");
    assert_eq!(running.call(&["attest"], &[]).status, 1);
    running.session(&["allow", "docs-bot"]).done();
    let attested = running.call(&["attest"], &["--json"]);
    let id = text(&attested.json(), &["session_id"]);
    running.session(&["revoke", &id, "--session-only"]).done();
    assert_eq!(running.call(&["attest"], &[]).status, 0);

    let wrong = running.program.run(&["keygen", "--kind", "operator-token", "--out", "wrong"]).status;
    assert_eq!(wrong, 0);
    let wrong = ["session", "list", "--operator-url", &running.operator_url, "--operator-token-file", "wrong"];
    let wrong = running.program.run(&wrong);
    assert_eq!(wrong.status, 1);
    assert!(wrong.err.starts_with("error: the operator's token is missing or wrong\nhint: "), "{}", wrong.err);
    running.signal("INT");
    assert_eq!(running.end().1, 0);
}

#[test]
fn ends_with_its_parent() {
    let mut running = Running::start(&["--exit-with-parent", "--log-format", "json"]);
    assert!(running.child.try_wait().unwrap().is_none());
    drop(running.child.stdin.take());
    let (_, status, out, err) = running.end();
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("\"event\":\"stopped\""), "{out}");
    assert!(err.lines().all(|line| scan(line.as_bytes()).is_ok()), "log lines that are no JSON: {err}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    use std::io::Write as _;
    let mut running = Running::start(&[]);
    // Half a request keeps the gateway draining.
    let mut half = std::net::TcpStream::connect(running.url.strip_prefix("http://").unwrap()).unwrap();
    let head = "POST /v1/smcp/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    half.write_all(head.replace("localhost", running.url.strip_prefix("http://").unwrap()).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    running.signal("TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(running.child.try_wait().unwrap().is_none(), "it did not wait for the request under way");
    let asked = Instant::now();
    running.signal("TERM");
    let (_, status, out, err) = running.end();
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("ended at once") && asked.elapsed() < Duration::from_secs(5), "{err}");
}

#[test]
fn without_the_option_the_end_of_standard_input_means_nothing() {
    let mut running = Running::start(&[]);
    drop(running.child.stdin.take());
    std::thread::sleep(Duration::from_millis(200));
    assert!(running.child.try_wait().unwrap().is_none());
    running.signal("TERM");
    assert_eq!(running.end().1, 0);
}

#[test]
fn readiness_goes_where_it_is_told() {
    let program = Program::new();
    std::fs::create_dir(program.path("root")).unwrap();
    program.write("ready", "");
    let mut child = program
        .command()
        .args(["gateway", "--root", "root", "--state", "state", "--ready-pipe", "ready", "--exit-with-parent"])
        .args(["--log-format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(program.path("ready")).unwrap().contains("\"event\":\"ready\"") {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b""[..]));
    let log = String::from_utf8(ended.stderr).unwrap();
    assert!(log.contains("`allow_all` believes every workload id"), "{log}");
    assert!(log.lines().all(|line| scan(line.as_bytes()).is_ok()), "log lines that are no JSON: {log}");
    let said = std::fs::read_to_string(program.path("ready")).unwrap();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert_eq!(crate::program::mode(&program.path("state")), 0o700);
}

#[test]
fn a_port_in_use_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let program = Program::new();
    program.run(&["init"]).done();
    let ran =
        program.run(&["gateway", "--config", "gateway.yaml", "--listen", &address, "--operator-listen", "127.0.0.1:0"]);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains(&format!("cannot listen on `{address}`")), "{}", ran.err);
}
