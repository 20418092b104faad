//! A tool server written by hand against the wire, run in a child process of the tests.
//!
//! The child is this test program again, told by its environment to be a server; what the test
//! harness prints around it is noise a transport must skip.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

#[test]
fn tool_server_process() {
    if std::env::var("SMCP_TEST_SERVER").as_deref() == Ok("raw") {
        Server::new().run();
        std::process::exit(0);
    }
}

struct Server {
    directory: PathBuf,
    tools: Mutex<Vec<String>>,
    asked: Mutex<Option<Value>>,
    version: String,
}

const TOOLS: &[&str] = &[
    "ask",
    "broken",
    "die",
    "echo",
    "environment",
    "exact",
    "fail",
    "flood",
    "garbage",
    "grow",
    "hang",
    "huge",
    "input",
    "neither",
    "noise",
    "numbers",
    "slow",
];

impl Server {
    fn new() -> Self {
        Self {
            directory: std::env::var("SMCP_TEST_DIRECTORY").unwrap().into(),
            tools: Mutex::new(TOOLS.iter().map(|name| (*name).to_owned()).collect()),
            asked: Mutex::new(None),
            version: std::env::var("VERSION").unwrap_or_else(|_| "2025-11-25".to_owned()),
        }
    }

    fn run(self) {
        // The harness has begun a line of its own.
        write_line("");
        self.append("pids", &std::process::id().to_string());
        let server = Arc::new(self);
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            server.append("log", &line);
            let message: Value = serde_json::from_str(&line).unwrap();
            Arc::clone(&server).take(message);
        }
        if std::env::var("STUBBORN").is_ok() {
            std::thread::sleep(Duration::from_secs(600));
        }
    }

    fn append(&self, file: &str, line: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.directory.join(file)).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn take(self: Arc<Self>, message: Value) {
        let id = message["id"].clone();
        match message["method"].as_str() {
            Some("server/discover") if std::env::var("ALLERGIC").is_ok() => std::process::exit(1),
            Some("server/discover") if self.version == "2026-07-28" => answer(&id, &self.discovered()),
            Some("initialize") => answer(&id, &self.initialized()),
            Some("tools/list") => answer(&id, &self.page(&message["params"])),
            Some("resources/list") => {
                answer(&id, &json!({"resources": [{"uri": "memo://one", "name": "one", "x": 1}]}))
            }
            Some("resources/templates/list") => {
                answer(&id, &json!({"resourceTemplates": [{"uriTemplate": "memo://{name}/page", "name": "page"}]}));
            }
            Some("prompts/list") => answer(&id, &json!({"prompts": [{"name": "greet"}]})),
            Some("resources/read" | "prompts/get" | "completion/complete") => answer(&id, &json!({"seen": message})),
            Some("tools/call") => self.call(id, &message["params"]),
            Some("ping") => answer(&id, &json!({})),
            Some(method) if method.starts_with("notifications/") => {}
            Some(_) => {
                send(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}}))
            }
            None => {
                if id == "asked" {
                    let asked = self.asked.lock().unwrap().take().unwrap();
                    answer(&asked, &json!({"gateway": message}));
                }
            }
        }
    }

    fn discovered(&self) -> Value {
        json!({
            "resultType": "complete", "supportedVersions": [self.version], "ttlMs": 0, "cacheScope": "private",
            "capabilities": {"tools": {}, "resources": {}, "prompts": {}, "completions": {}},
        })
    }

    fn initialized(&self) -> Value {
        json!({
            "protocolVersion": self.version,
            "capabilities": {"tools": {"listChanged": true}, "resources": {}, "prompts": {}, "completions": {}},
            "serverInfo": {"name": "raw", "version": "1"},
        })
    }

    fn page(&self, params: &Value) -> Value {
        let from: usize = params["cursor"].as_str().map_or(0, |cursor| cursor.parse().unwrap());
        let tools = self.tools.lock().unwrap();
        let page: Vec<Value> = tools.iter().skip(from).take(5).map(|name| {
            json!({"name": name, "description": "x", "inputSchema": {"type": "object"}, "xUnknown": {"kept": [1.5]}})
        }).collect();
        let mut result = json!({"tools": page, "resultType": "complete"});
        let next = from.checked_add(5).unwrap();
        if next < tools.len() {
            result["nextCursor"] = json!(next.to_string());
        }
        result
    }

    fn call(self: Arc<Self>, id: Value, params: &Value) {
        let arguments = params["arguments"].clone();
        let name = params["name"].as_str().unwrap().to_owned();
        self.append("runs", &name);
        match name.as_str() {
            "ask" => {
                *self.asked.lock().unwrap() = Some(id);
                let method = arguments["method"].as_str().unwrap();
                send(&json!({"jsonrpc": "2.0", "id": "asked", "method": method, "params": {}}));
            }
            "broken" => write_line(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"a\":")),
            "die" => std::process::abort(),
            "environment" => answer(&id, &json!(std::env::vars().collect::<std::collections::BTreeMap<_, _>>())),
            "exact" => answer(&id, &json!({"text": "x".repeat(length(&arguments).checked_sub(11).unwrap())})),
            "fail" => send(
                &json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32050, "message": "no", "data": {"why": [1]}}}),
            ),
            "flood" => {
                for number in 0..20_000 {
                    eprintln!("line {number} \u{1b}[31m");
                    send(&json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": number}}));
                    send(&json!({"jsonrpc": "2.0", "id": format!("q{number}"), "method": "roots/list"}));
                }
                answer(&id, &json!({"done": true}));
            }
            "garbage" => {
                for line in [
                    "",
                    "not json",
                    "[1,2]",
                    "{\"jsonrpc\":\"2.0\",\"id\":4242,\"result\":{}}",
                    "{}",
                    "nul\0l",
                    "\"text\"",
                    "{\"id\":null}",
                ] {
                    write_line(line);
                }
                std::io::stdout().write_all(b"\xff\xfe\n").unwrap();
                answer(&id, &json!({"after": "garbage"}));
            }
            "grow" => {
                self.tools.lock().unwrap().push("grown".to_owned());
                send(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                answer(&id, &json!({}));
            }
            "hang" => {}
            "huge" => answer(&id, &json!({"text": "x".repeat(length(&arguments))})),
            "input" => answer(
                &id,
                &json!({"resultType": "input_required", "inputRequests": {"a": {"method": "elicitation/create", "params": {"y": 1}}}, "requestState": "s", "z": null}),
            ),
            "neither" => send(&json!({"jsonrpc": "2.0", "id": id})),
            "noise" => send(&json!({"jsonrpc": "2.0", "id": id, "result": 7})),
            "numbers" => write_line(&format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":\"{id}\",\"result\":[0.1,1e300,-0.0,18446744073709551615,2.220446049250313e-16,9007199254740993]}}"
            )),
            "slow" => {
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap()));
                    answer(&id, &json!({"nonce": arguments["nonce"]}));
                });
            }
            _ => answer(
                &id,
                &json!({"content": [{"type": "text", "text": "hi", "unknown": 1}], "seen": params, "more": {"x": null}}),
            ),
        }
    }
}

fn length(arguments: &Value) -> usize {
    usize::try_from(arguments["size"].as_u64().unwrap()).unwrap()
}

fn answer(id: &Value, result: &Value) {
    send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
}

fn send(message: &Value) {
    write_line(&message.to_string());
}

fn write_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes()).unwrap();
    stdout.flush().unwrap();
}
