//! The gateway's side of the tests: configurations, calls and waiting.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};
use smcp_gateway::config::{HttpConfig, StdioConfig, TransportConfig, UpstreamConfig};
use smcp_gateway::upstream::{ListKind, UpstreamAnswer, UpstreamRequest, UpstreamSettings, Upstreams};

/// An upstream with limits that make tests short.
pub(crate) fn upstream(name: &str, transport: TransportConfig) -> UpstreamConfig {
    UpstreamConfig {
        name: name.to_owned(),
        prefix: None,
        transport,
        call_timeout: Duration::from_secs(10),
        max_message_size: 1024 * 1024,
    }
}

/// The raw server of `process.rs` as a child; its log is `log` in `directory`.
pub(crate) fn child(directory: &Path, settings: &[(&str, &str)]) -> StdioConfig {
    let mut env = BTreeMap::from([
        ("SMCP_TEST_SERVER".to_owned(), "raw".to_owned()),
        ("SMCP_TEST_DIRECTORY".to_owned(), directory.to_str().unwrap().to_owned()),
    ]);
    env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let program = std::env::current_exe().unwrap();
    let args = ["--exact", "process::tool_server_process", "--nocapture", "--test-threads=1"];
    StdioConfig {
        command: program.to_str().unwrap().to_owned(),
        args: args.map(str::to_owned).to_vec(),
        env,
        cwd: None,
    }
}

pub(crate) fn http(url: &str) -> HttpConfig {
    HttpConfig { url: url.to_owned(), headers: BTreeMap::new(), ca_file: None, client_cert: None }
}

pub(crate) fn quick() -> UpstreamSettings {
    UpstreamSettings { start_timeout: Duration::from_secs(20), refresh_interval: Duration::from_secs(3600) }
}

/// Starts one raw child server.
pub(crate) async fn one(directory: &Path, settings: &[(&str, &str)]) -> Upstreams {
    let config = upstream("raw", TransportConfig::Stdio(child(directory, settings)));
    Upstreams::start(&[config], quick()).await.unwrap()
}

pub(crate) fn tool(name: &str, arguments: Value) -> UpstreamRequest {
    request("tools/call", json!({"name": name, "arguments": arguments}))
}

pub(crate) fn request(method: &str, params: Value) -> UpstreamRequest {
    UpstreamRequest::new(method, object(params))
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("{value} is not an object") };
    object
}

pub(crate) fn result(answer: UpstreamAnswer) -> Value {
    match answer {
        UpstreamAnswer::Result(result) => result,
        UpstreamAnswer::Error { .. } => panic!("{answer:?}"),
    }
}

pub(crate) fn tool_names(upstreams: &Upstreams) -> Vec<String> {
    upstreams.index().entries(ListKind::Tools).iter().map(|entry| entry.key.clone()).collect()
}

/// Waits until something holds, at most 15 s.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// The messages the raw server has received.
pub(crate) fn log(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("log")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The received messages of one method.
pub(crate) fn received(directory: &Path, method: &str) -> Vec<Value> {
    log(directory).into_iter().filter(|message| message["method"] == method).collect()
}
