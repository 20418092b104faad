//! Child processes as tool servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smcp_core::error::{ErrorKind, Executed};
use smcp_gateway::config::{FilesystemConfig, StdioConfig, TransportConfig};
use smcp_gateway::upstream::{
    HealthState, INVALID_PARAMS, ListKind, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, UpstreamAnswer, Upstreams,
};
use tokio_util::sync::CancellationToken;

use crate::gateway::{child, eventually, object, one, quick, received, request, result, tool, tool_names, upstream};

fn pids(directory: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(directory.join("pids")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn runs(directory: &Path, name: &str) -> usize {
    let text = std::fs::read_to_string(directory.join("runs")).unwrap_or_default();
    text.lines().filter(|line| *line == name).count()
}

/// Whether a process runs, zombies not counted.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn kill(pid: u32) {
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Parameters with everything a typed SDK might lose.
fn awkward_params() -> Value {
    json!({
        "name": "echo",
        "arguments": {"a": [1, 1.5, -0.0, 1e300, u64::MAX, i64::MIN, null, {"": "\u{0}\u{10ffff}"}], "name": "x", "_meta": {"progressToken": 1}},
        "inputResponses": {"q": {"action": "accept", "content": {"x": 1}, "unknown": true}},
        "requestState": "opaque",
        "task": {"ttl": 5},
        "unknown": {"deep": [[[]]]},
        "_meta": {"com.example/trace": {"y": [1.0]}, "traceparent": "00-a", "progressToken": "mine", "io.modelcontextprotocol/clientInfo": {"name": "liar"}},
    })
}

#[tokio::test]
async fn params_and_answers_pass_unchanged() {
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let directory = tempfile::tempdir().unwrap();
        let upstreams = one(directory.path(), &[("VERSION", version)]).await;
        assert_eq!(upstreams.health()[0].health.protocol_version.as_deref(), Some(version));
        let answer = result(upstreams.call(request("tools/call", awkward_params())).await.unwrap());

        let mut expected = awkward_params();
        expected["_meta"] = json!({"com.example/trace": {"y": [1.0]}, "traceparent": "00-a"});
        let mut seen = received(directory.path(), "tools/call").pop().unwrap()["params"].clone();
        if version == "2026-07-28" {
            let meta = seen["_meta"].as_object_mut().unwrap();
            assert_eq!(meta.remove("io.modelcontextprotocol/protocolVersion"), Some(json!(version)));
            assert_eq!(meta.remove("io.modelcontextprotocol/clientCapabilities"), Some(json!({})));
            assert_eq!(meta.remove("io.modelcontextprotocol/clientInfo").unwrap()["name"], "smcp-gateway");
        }
        assert_eq!(seen, expected, "{version}");

        assert_eq!(answer["content"], json!([{"type": "text", "text": "hi", "unknown": 1}]));
        assert_eq!(answer["more"], json!({"x": null}));

        for params in [
            json!({"name": "echo"}),
            json!({"name": "echo", "arguments": {}, "_meta": {}}),
            json!({"name": "echo", "arguments": null}),
        ] {
            upstreams.call(request("tools/call", params.clone())).await.unwrap();
            let mut seen = received(directory.path(), "tools/call").pop().unwrap()["params"].clone();
            if version == "2026-07-28" {
                seen["_meta"].as_object_mut().unwrap().retain(|key, _| !key.starts_with("io.modelcontextprotocol/"));
                if params.get("_meta").is_none() {
                    seen.as_object_mut().unwrap().remove("_meta");
                }
            }
            assert_eq!(seen, params, "{version}");
        }
        upstreams.shutdown().await;
    }
}

#[tokio::test]
async fn answers_of_every_kind_pass_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let call = async |name: &str| upstreams.call(tool(name, json!({}))).await.unwrap();
    let failed = UpstreamAnswer::Error { code: -32050, message: "no".to_owned(), data: Some(json!({"why": [1]})) };
    assert_eq!(call("fail").await, failed);
    let input = json!({
        "resultType": "input_required", "requestState": "s", "z": null,
        "inputRequests": {"a": {"method": "elicitation/create", "params": {"y": 1}}},
    });
    assert_eq!(result(call("input").await), input);
    assert_eq!(result(call("noise").await), json!(7));
    let numbers = "[0.1,1e+300,-0.0,18446744073709551615,2.220446049250313e-16,9007199254740993]";
    assert_eq!(result(call("numbers").await).to_string(), numbers);
    assert_eq!(result(call("garbage").await), json!({"after": "garbage"}));
}

#[tokio::test]
async fn unusable_answers_end_their_call_at_once_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let slow = upstreams.call(tool("slow", json!({"ms": 1500, "nonce": 9})));
    let others = async {
        for name in ["broken", "neither"] {
            let begun = Instant::now();
            let error = upstreams.call(tool(name, json!({}))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UpstreamProtocolError);
            assert_eq!(error.details().executed, Some(Executed::Unknown));
            assert!(begun.elapsed() < Duration::from_secs(1));
        }
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(result(slow.unwrap()), json!({"nonce": 9}));
}

#[tokio::test]
async fn huge_answers_are_refused_and_the_connection_lives() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let begun = Instant::now();
    let error = upstreams.call(tool("huge", json!({"size": 50_000_000}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamProtocolError);
    assert_eq!(error.details().executed, Some(Executed::Yes));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let error =
        upstreams.call(tool("huge", json!({"size": 50_000_000})).with_max_response_size(100)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PolicyViolationResponseTooLarge);
    let exact = |limit| tool("exact", json!({"size": 1000})).with_max_response_size(limit);
    result(upstreams.call(exact(1000)).await.unwrap());
    let error = upstreams.call(exact(999)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PolicyViolationResponseTooLarge);
    assert_eq!(error.details().executed, Some(Executed::Yes));
    assert_eq!(pids(directory.path()).len(), 1);
}

#[tokio::test]
async fn a_late_call_is_given_up_and_the_server_told() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let soon = tokio::time::Instant::now() + Duration::from_millis(200);
    let error = upstreams.call(tool("hang", json!({})).with_deadline(soon)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamTimeout);
    assert_eq!(error.details().executed, Some(Executed::Unknown));

    let cancel = CancellationToken::new();
    let call = upstreams.call(tool("hang", json!({})).with_cancel(cancel.clone()));
    let (error, ()) = tokio::join!(call, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::UpstreamTimeout);

    let dropped = tokio::time::timeout(Duration::from_millis(100), upstreams.call(tool("hang", json!({}))));
    dropped.await.unwrap_err();

    let cancelled = || received(directory.path(), "notifications/cancelled");
    eventually("three cancellations", || cancelled().len() == 3).await;
    let ids: Vec<Value> = received(directory.path(), "tools/call").iter().map(|call| call["id"].clone()).collect();
    let mut told: Vec<Value> = cancelled().iter().map(|message| message["params"]["requestId"].clone()).collect();
    told.sort_by_key(Value::as_i64);
    assert_eq!(told, ids);
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
}

#[tokio::test]
async fn a_killed_server_answers_at_once_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    for round in 1..=3 {
        let killed = async {
            eventually("the call runs", || runs(directory.path(), "hang") == round).await;
            kill(*pids(directory.path()).last().unwrap());
            Instant::now()
        };
        let (error, killed) = tokio::join!(upstreams.call(tool("hang", json!({}))), killed);
        assert!(killed.elapsed() < Duration::from_secs(1));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
        assert_eq!(error.details().executed, Some(Executed::Unknown));
        result(upstreams.call(tool("echo", json!({}))).await.unwrap());
        assert_eq!(runs(directory.path(), "hang"), round, "the call was sent again");
    }
    assert_eq!(pids(directory.path()).len(), 4);
    assert_eq!(upstreams.health()[0].health.restarts, 3);
}

#[tokio::test]
async fn a_server_that_always_dies_is_given_up_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let begun = Instant::now();
    let mut kinds = Vec::new();
    for _ in 0..12 {
        kinds.push(upstreams.call(tool("die", json!({}))).await.unwrap_err().details().executed);
    }
    assert!(kinds.contains(&Some(Executed::No)), "{kinds:?}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    let ran = kinds.iter().filter(|executed| **executed == Some(Executed::Unknown)).count();
    assert!(runs(directory.path(), "die") <= ran, "{kinds:?}");
}

#[tokio::test]
async fn the_whole_group_goes_with_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let StdioConfig { command, args, env, cwd } = child(directory.path(), &[("STUBBORN", "1")]);
    // The sleeping process keeps the pipe of standard output open.
    let script = "echo $$ >> $SMCP_TEST_DIRECTORY/groups; sleep 1000 & echo $! >> $SMCP_TEST_DIRECTORY/sleepers; exec \"$0\" \"$@\"";
    let args = [vec!["-c".to_owned(), script.to_owned(), command], args].concat();
    let config = upstream("raw", TransportConfig::Stdio(StdioConfig { command: "sh".to_owned(), args, env, cwd }));
    let upstreams = Upstreams::start(&[config], quick()).await.unwrap();
    let sleepers = || -> Vec<u32> {
        let text = std::fs::read_to_string(directory.path().join("sleepers")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    assert!(is_alive(sleepers()[0]));
    let killed = async {
        eventually("the call runs", || runs(directory.path(), "hang") == 1).await;
        kill(pids(directory.path())[0]);
        Instant::now()
    };
    let (error, killed) = tokio::join!(upstreams.call(tool("hang", json!({}))), killed);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::UpstreamUnavailable);
    assert!(killed.elapsed() < Duration::from_secs(1));
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
    assert!(!is_alive(sleepers()[0]));
    let begun = Instant::now();
    upstreams.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "a stubborn server is killed");
    for pid in [sleepers(), pids(directory.path())].concat() {
        assert!(!is_alive(pid), "{pid} survived");
    }
    assert_eq!(upstreams.health()[0].health.state, HealthState::Stopped);
    assert_eq!(upstreams.call(tool("echo", json!({}))).await.unwrap_err().kind(), ErrorKind::UpstreamUnavailable);
}

#[tokio::test]
async fn dropping_the_upstreams_ends_the_servers() {
    let directory = tempfile::tempdir().unwrap();
    drop(one(directory.path(), &[("STUBBORN", "1")]).await);
    let pid = pids(directory.path())[0];
    eventually("the server is gone", || !is_alive(pid)).await;
}

#[tokio::test]
async fn a_dead_server_does_not_hold_up_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let missing =
        StdioConfig { command: "/nonexistent/server".to_owned(), args: Vec::new(), env: BTreeMap::new(), cwd: None };
    let silent = StdioConfig { command: "false".to_owned(), ..missing.clone() };
    let files = FilesystemConfig { roots: vec![directory.path().to_owned()], writable: false, max_file_size: 100 };
    let mut configs = vec![
        upstream("missing", TransportConfig::Stdio(missing)),
        upstream("silent", TransportConfig::Stdio(silent)),
        upstream("raw", TransportConfig::Stdio(child(directory.path(), &[]))),
        upstream("files", TransportConfig::Filesystem(files)),
    ];
    let begun = Instant::now();
    let upstreams = Upstreams::start(&configs, quick()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8));
    let health = upstreams.health();
    let HealthState::Failed(reason) = &health[0].health.state else { panic!("{health:?}") };
    assert!(reason.contains("`/nonexistent/server`"), "{reason}");
    assert!(matches!(health[1].health.state, HealthState::Failed(_)), "{health:?}");
    assert_eq!((&health[2].health.state, health[2].tools), (&HealthState::Ready, 17));
    assert_eq!((&health[3].health.state, health[3].tools), (&HealthState::Ready, 4));
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
    let listed = result(upstreams.call(tool("fs.list", json!({"path": directory.path()}))).await.unwrap());
    assert_eq!(listed["isError"], false);
    configs[1].name = "missing".to_owned();
    assert_eq!(Upstreams::start(&configs, quick()).await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

#[tokio::test]
async fn two_servers_share_the_gateway_by_prefixes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut configs = vec![
        upstream("one", TransportConfig::Stdio(child(one.path(), &[]))),
        upstream("two", TransportConfig::Stdio(child(two.path(), &[("VERSION", "2026-07-28")]))),
    ];
    let error = Upstreams::start(&configs, quick()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("`one`") && error.message().contains("prefix"), "{error}");

    configs[1].prefix = Some("two.".to_owned());
    let upstreams = Upstreams::start(&configs, quick()).await.unwrap();
    let names = tool_names(&upstreams);
    assert_eq!(names.len(), 34);
    assert!(names.is_sorted());
    let index = upstreams.index();
    let entry = index.find(ListKind::Tools, "two.echo").unwrap();
    assert_eq!(&*entry.server, "two");
    let definition =
        json!({"name": "two.echo", "description": "x", "inputSchema": {"type": "object"}, "xUnknown": {"kept": [1.5]}});
    assert_eq!(entry.definition, definition);
    let params = object(json!({"name": "two.echo"}));
    assert_eq!(upstreams.server_of("tools/call", &params).as_deref(), Some("two"));

    let answer = result(upstreams.call(tool("two.echo", json!({"name": "two.echo"}))).await.unwrap());
    assert_eq!(answer["seen"]["name"], "echo");
    assert_eq!(answer["seen"]["arguments"], json!({"name": "two.echo"}));
    assert_eq!((runs(one.path(), "echo"), runs(two.path(), "echo")), (0, 1));
    upstreams.call(tool("echo", json!({}))).await.unwrap();
    assert_eq!((runs(one.path(), "echo"), runs(two.path(), "echo")), (1, 1));

    let prompt = result(upstreams.call(request("prompts/get", json!({"name": "two.greet"}))).await.unwrap());
    assert_eq!(prompt["seen"]["params"]["name"], "greet");
    let reference =
        json!({"ref": {"type": "ref/prompt", "name": "two.greet"}, "argument": {"name": "a", "value": "b"}});
    let completed = result(upstreams.call(request("completion/complete", reference)).await.unwrap());
    assert_eq!(completed["seen"]["params"]["ref"], json!({"type": "ref/prompt", "name": "greet"}));
    for uri in ["memo://one", "memo://x/page"] {
        let read = result(upstreams.call(request("resources/read", json!({"uri": uri}))).await.unwrap());
        assert_eq!(read["seen"]["params"]["uri"], uri);
    }
}

#[tokio::test]
async fn what_nobody_offers_is_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    for (method, params, expected) in [
        ("tools/call", json!({"name": "none"}), INVALID_PARAMS),
        ("tools/call", json!({}), INVALID_PARAMS),
        ("tools/call", json!({"name": "echo", "_meta": []}), INVALID_PARAMS),
        ("prompts/get", json!({"name": "echo"}), INVALID_PARAMS),
        ("resources/read", json!({"uri": "other://x"}), RESOURCE_NOT_FOUND),
        ("completion/complete", json!({"ref": {"type": "ref/tool", "name": "echo"}}), INVALID_PARAMS),
        ("tools/list", json!({}), METHOD_NOT_FOUND),
        ("logging/setLevel", json!({"level": "debug"}), METHOD_NOT_FOUND),
    ] {
        let answer = upstreams.call(request(method, params)).await.unwrap();
        let UpstreamAnswer::Error { code, .. } = answer else { panic!("{method} {answer:?}") };
        assert_eq!(code, expected, "{method}");
    }
    assert_eq!(received(directory.path(), "tools/call").len(), 0);
    assert_eq!(received(directory.path(), "logging/setLevel").len(), 0);
}

#[tokio::test]
async fn sixty_four_calls_at_once_are_not_crossed() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let calls = (0..64_u64).map(|nonce| {
        let arguments = json!({"nonce": nonce, "ms": nonce * 7919 % 150});
        let call = upstreams.call(tool("slow", arguments));
        async move { (nonce, call.await) }
    });
    for (nonce, answer) in futures::future::join_all(calls).await {
        assert_eq!(result(answer.unwrap()), json!({"nonce": nonce}));
    }
    assert_eq!(runs(directory.path(), "slow"), 64);
}

#[tokio::test]
async fn changed_lists_are_fetched_again() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    assert_eq!(tool_names(&upstreams).len(), 17);
    let before = upstreams.index();
    upstreams.call(tool("grow", json!({}))).await.unwrap();
    eventually("the new tool is listed", || tool_names(&upstreams).contains(&"grown".to_owned())).await;
    assert!(before.find(ListKind::Tools, "grown").is_none());
    result(upstreams.call(tool("grown", json!({}))).await.unwrap());
}

#[tokio::test]
async fn a_server_cannot_use_the_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    let declared = &received(directory.path(), "initialize")[0]["params"];
    assert_eq!(declared["capabilities"], json!({}));
    for method in ["sampling/createMessage", "roots/list", "elicitation/create", "anything/else"] {
        let answer = result(upstreams.call(tool("ask", json!({"method": method}))).await.unwrap());
        assert_eq!(answer["gateway"]["error"]["code"], -32601, "{method}");
    }
    let answer = result(upstreams.call(tool("ask", json!({"method": "ping"}))).await.unwrap());
    assert_eq!(answer["gateway"]["result"], json!({}));
}

#[tokio::test]
async fn a_flood_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[]).await;
    assert_eq!(result(upstreams.call(tool("flood", json!({}))).await.unwrap()), json!({"done": true}));
}

#[tokio::test]
async fn the_environment_is_only_what_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let upstreams = one(directory.path(), &[("EXTRA", "given")]).await;
    let answer = result(upstreams.call(tool("environment", json!({}))).await.unwrap());
    let seen = answer.as_object().unwrap();
    assert_eq!(seen["EXTRA"], "given");
    let expected = ["EXTRA", "HOME", "LANG", "PATH", "SMCP_TEST_DIRECTORY", "SMCP_TEST_SERVER", "TMPDIR"];
    let unexpected: Vec<_> = seen.keys().filter(|name| !expected.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(std::env::vars().any(|(name, _)| !expected.contains(&name.as_str())), "there was nothing to leave out");
}

#[tokio::test]
async fn a_server_that_cannot_bear_discovery_is_initialized() {
    let directory = tempfile::tempdir().unwrap();
    let config = upstream("raw", TransportConfig::Stdio(child(directory.path(), &[("ALLERGIC", "1")])));
    let upstreams = Upstreams::start(&[config], quick()).await.unwrap();
    assert_eq!(tool_names(&upstreams).len(), 17, "{upstreams:?}");
    assert_eq!(pids(directory.path()).len(), 2);
}

#[tokio::test]
async fn an_unknown_protocol_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = upstream("raw", TransportConfig::Stdio(child(directory.path(), &[("VERSION", "1999-01-01")])));
    let upstreams = Upstreams::start(&[config], quick()).await.unwrap();
    let HealthState::Failed(reason) = &upstreams.health()[0].health.state else { panic!("{upstreams:?}") };
    assert!(reason.contains("1999-01-01"), "{reason}");
}
