//! A whole gateway in this process, spoken to by the real client over loopback.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::Path;

use serde_json::{Value, json};
use smcp_client::{Client, ClientError, ClientOptions};
use smcp_core::ErrorKind;
use smcp_gateway::config::Config;
use smcp_gateway::gateway::{Gateway, RunningGateway, StartOptions};
use tempfile::TempDir;

struct World {
    folder: TempDir,
    gateway: RunningGateway,
}

impl World {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("files");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a.txt"), "alpha").unwrap();
        let mut config = Config::embedded(&root, &folder.path().join("state")).unwrap();
        change(&mut config);
        let gateway = Gateway::start(config, StartOptions::default()).await.unwrap();
        Self { folder, gateway }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join("files").join(name).display().to_string()
    }

    fn client(&self) -> Client {
        Client::new(ClientOptions::new(self.gateway.url(), "test", "read-only-files"))
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.gateway.url());
        let mut request = plain_http().post(url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }
}

fn plain_http() -> reqwest::Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap()
}

async fn read(client: &Client, path: &str) -> Result<Value, ClientError> {
    let result = client.call_tool("fs.read", json!({"path": path}).to_string().as_bytes()).await?;
    Ok(serde_json::from_slice(&result).unwrap())
}

fn audit_lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_attests_lists_reads_and_is_refused() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    client.attest().await.unwrap();
    let tools: Value = serde_json::from_slice(&client.list_tools().await.unwrap()).unwrap();
    assert!(tools.to_string().contains("fs.read"));
    assert!(!tools.to_string().contains("fs.write"));
    let result = read(&client, &world.path("a.txt")).await.unwrap();
    assert_eq!(result["content"][0]["text"], "alpha");
    let kinds = [
        (read(&client, "/etc/passwd").await, ErrorKind::PolicyViolationPathNotAllowed),
        (read(&client, &world.path("../../etc/passwd")).await, ErrorKind::PolicyViolationPathTraversal),
        (client.call_tool("fs.write", b"{}").await.map(|_| Value::Null), ErrorKind::PolicyViolationToolDenied),
        (client.call_tool("shell.run", b"{}").await.map(|_| Value::Null), ErrorKind::PolicyViolationToolNotAllowed),
    ];
    for (result, kind) in kinds {
        assert_eq!(result.unwrap_err().kind(), kind);
    }
    let audit = world.gateway.audit_file().to_owned();
    let report = world.gateway.shutdown().await;
    assert_eq!(report.cut_off, 0);
    let lines = audit_lines(&audit);
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!(count("AttestationSucceeded"), 1);
    assert_eq!(count("ToolCallAuthorized"), 2);
    assert_eq!(count("ToolCallCompleted"), 2);
    assert_eq!(count("PolicyViolationBlocked"), 4);
    assert!(report.audit_head.starts_with(&format!("{}:", lines.len() - 1)), "{}", report.audit_head);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_kept_for_allowed_and_refused_calls_alike() {
    let evidence = tempfile::tempdir().unwrap().keep().join("evidence.jsonl");
    let world = World::start(|config| config.audit.evidence = Some(evidence.clone())).await;
    let client = world.client();
    client.attest().await.unwrap();
    read(&client, &world.path("a.txt")).await.unwrap();
    read(&client, "/etc/passwd").await.unwrap_err();
    let audit = world.gateway.audit_file().to_owned();
    let keys = std::fs::read(world.folder.path().join("state/audit.key")).unwrap();
    assert!(keys.starts_with(b"-----BEGIN PRIVATE KEY-----"));
    world.gateway.shutdown().await;
    for line in audit_lines(&audit) {
        let signed = ["ToolCallAuthorized", "PolicyViolationBlocked"].contains(&line["event"].as_str().unwrap());
        assert_eq!(line["evidence"].is_u64(), signed, "{line}");
    }
    assert_eq!(audit_lines(&evidence).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_cannot_call_or_attest_again() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    client.attest().await.unwrap();
    let session = client.record().unwrap().session_id.clone().unwrap();
    let operator = world.gateway.operator_url().unwrap().to_owned();
    let token = std::fs::read_to_string(world.gateway.operator_token_file().unwrap()).unwrap();
    let revoke = |token: String| {
        let request = plain_http().post(format!("{operator}/v1/sessions/revoke"));
        request
            .header("content-type", "application/json")
            .bearer_auth(token)
            .body(json!({"session_id": session}).to_string())
            .send()
    };
    assert_eq!(revoke("wrong".to_owned()).await.unwrap().status().as_u16(), 401);
    read(&client, &world.path("a.txt")).await.unwrap();
    assert_eq!(revoke(token.trim().to_owned()).await.unwrap().status().as_u16(), 200);
    assert_eq!(read(&client, &world.path("a.txt")).await.unwrap_err().kind(), ErrorKind::SessionInactive);
    assert_eq!(client.attest().await.unwrap_err().kind(), ErrorKind::WorkloadVerificationFailed);
    world.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_the_right_kind_and_status() {
    let world = World::start(|config| config.limits.body_size = 4096).await;
    let json_type = ("content-type", "application/json");
    let large = "x".repeat(5000);
    for (body, status, code) in [
        ("", 401, "MALFORMED_ENVELOPE"),
        ("[]", 401, "MALFORMED_ENVELOPE"),
        ("{", 401, "MALFORMED_ENVELOPE"),
        ("{}", 401, "UNSUPPORTED_PROTOCOL"),
        (r#"{"protocol":"seal/v1"}"#, 401, "UNSUPPORTED_PROTOCOL"),
        (r#"{"protocol":"smcp/v1"}"#, 401, "MALFORMED_ENVELOPE"),
        (large.as_str(), 413, "MALFORMED_ENVELOPE"),
    ] {
        let (answered, answer) = world.post("/v1/smcp/invoke", &[json_type], body).await;
        assert_eq!((answered, answer["error"]["code"].as_str()), (status, Some(code)), "{body:.40} {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 8);
    }
    for (body, status) in [("", 401), ("{}", 401), (r#"{"public_key":"AA=="}"#, 401)] {
        let (answered, answer) = world.post("/v1/smcp/attest", &[json_type], body).await;
        assert_eq!((answered, answer["error_code"].as_str()), (status, Some("ATTESTATION_FAILED")), "{body}");
    }
    assert_eq!(world.post("/v1/smcp/invoke", &[("content-type", "text/plain")], "{}").await.0, 415);
    assert_eq!(world.post("/v1/smcp/invoke", &[json_type, ("origin", "https://evil.example")], "{}").await.0, 403);
    assert_eq!(world.post("/v1/smcp/invoke", &[json_type, ("host", "evil.example")], "{}").await.0, 403);
    assert_eq!(world.post("/nowhere", &[json_type], "{}").await.0, 404);
    assert_eq!(world.post("/healthz", &[json_type], "{}").await.0, 405);
    // The plain door is closed by default.
    assert_eq!(world.post("/mcp", &[json_type], "{}").await.0, 404);
    world.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_blocks_survive_a_restart_and_the_client_attests_anew() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("files");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.txt"), "alpha").unwrap();
    let config = || Config::embedded(&root, &folder.path().join("state")).unwrap();
    let first = Gateway::start(config(), StartOptions::default()).await.unwrap();
    let address = first.url().to_owned();
    let client = Client::new(ClientOptions::new(&address, "test", "read-only-files"));
    client.attest().await.unwrap();
    let before = client.record().unwrap().session_id.clone();
    first.shutdown().await;
    let mut again = config();
    again.listen.address = address.trim_start_matches("http://").parse().unwrap();
    let second = Gateway::start(again, StartOptions::default()).await.unwrap();
    let path = root.join("a.txt").display().to_string();
    // SESSION_NOT_FOUND proves that no tool ran, so the client attests once and resends.
    assert_eq!(read(&client, &path).await.unwrap()["content"][0]["text"], "alpha");
    assert_ne!(client.record().unwrap().session_id, before);
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plain_door_keeps_to_its_context() {
    let world = World::start(|config| {
        let text = "legacy: {required: false, scope: read-only-files}";
        assert!(config.legacy.is_none(), "{text}");
        config.legacy = Some(smcp_gateway::config::LegacyConfig { scope: "read-only-files".to_owned() });
    })
    .await;
    let json_type = ("content-type", "application/json");
    let call = |tool: &str, path: &str| {
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {"path": path}}})
            .to_string()
    };
    let (status, answer) = world.post("/mcp", &[json_type], &call("fs.read", &world.path("a.txt"))).await;
    assert_eq!((status, &answer["id"]), (200, &json!(7)));
    assert_eq!(answer["result"]["content"][0]["text"], "alpha");
    let (_, answer) = world.post("/mcp", &[json_type], &call("fs.read", "/etc/passwd")).await;
    assert_eq!(answer["error"]["data"]["code"], "POLICY_VIOLATION_PATH_NOT_ALLOWED");
    let (_, answer) = world.post("/mcp", &[json_type], &call("fs.write", "/etc/passwd")).await;
    assert_eq!(answer["error"]["data"]["code"], "POLICY_VIOLATION_TOOL_DENIED");
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}});
    let (_, answer) = world.post("/mcp", &[json_type], &hello.to_string()).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(world.post("/mcp", &[json_type], "{").await.0, 400);
    assert_eq!(world.post("/mcp", &[json_type], &"x".repeat(5 << 20)).await.0, 413);
    let audit = world.gateway.audit_file().to_owned();
    world.gateway.shutdown().await;
    let lines = audit_lines(&audit);
    let refused = |line: &&Value| line.to_string().contains("MALFORMED_ENVELOPE") && line["refused"].is_null();
    assert_eq!(lines.iter().filter(refused).count(), 2, "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_it_is_read_is_audited() {
    let world = World::start(|config| config.limits.concurrency = 1).await;
    let json_type = ("content-type", "application/json");
    let (status, _) = world.post("/v1/smcp/attest", &[json_type], &"x".repeat(100_000)).await;
    assert_eq!(status, 413);
    let busy = std::sync::Arc::clone(&world.gateway.gateway().permits).acquire_owned().await.unwrap();
    let (status, answer) = world.post("/v1/smcp/invoke", &[json_type], "{}").await;
    assert_eq!((status, answer["error"]["code"].as_str()), (503, Some("OVERLOADED")));
    drop(busy);
    let audit = world.gateway.audit_file().to_owned();
    world.gateway.shutdown().await;
    let lines = audit_lines(&audit);
    for code in ["ATTESTATION_FAILED", "OVERLOADED"] {
        assert!(lines.iter().any(|line| line.to_string().contains(code) && line["seq"] != 0), "{code} {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_audited_does_not_stay_open() {
    let world = World::start(|_| {}).await;
    let operator = world.gateway.operator_url().unwrap().to_owned();
    let token = std::fs::read_to_string(world.gateway.operator_token_file().unwrap()).unwrap();
    let open = || {
        let body = json!({
            "execution_id": "e1",
            "sub": "agent",
            "security_context_name": "read-only-files",
            "public_key_b64": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        });
        let request = plain_http().post(format!("{operator}/v1/seal/sessions")).bearer_auth(token.trim());
        request.header("content-type", "application/json").body(body.to_string()).send()
    };
    std::fs::remove_file(world.gateway.audit_file()).unwrap();
    assert_eq!(open().await.unwrap().status().as_u16(), 503);
    let now = smcp_core::time::UnixTime::from_seconds(0);
    let sessions = world.gateway.gateway().sessions.list(now).unwrap();
    assert!(sessions.iter().all(|session| !session.is_live(now)), "{sessions:?}");
    world.gateway.shutdown().await;
}
