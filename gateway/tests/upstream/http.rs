//! Streamable HTTP servers as tool servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use futures::StreamExt;
use rmcp::model::ProtocolVersion;
use serde_json::{Value, json};
use smcp_core::error::{ErrorKind, Executed};
use smcp_gateway::config::{TransportConfig, UpstreamConfig};
use smcp_gateway::upstream::{HealthState, UpstreamAnswer, Upstreams};

use crate::gateway::{eventually, http, quick, request, result, tool, tool_names, upstream};
use crate::rmcp_server::service;
use crate::web::{Raw, Web, body_of, json_body, result_of};

fn config(url: &str) -> UpstreamConfig {
    upstream("web", TransportConfig::Http(http(url)))
}

async fn raw(answer: impl Fn(&Value) -> Response + Send + Sync + 'static) -> (Raw, Web, Upstreams) {
    let raw = Raw::new(answer);
    let web = Web::serve(raw.router()).await;
    let upstreams = Upstreams::start(&[config(&web.url())], quick()).await.unwrap();
    assert_eq!(tool_names(&upstreams), ["echo"]);
    (raw, web, upstreams)
}

#[tokio::test]
async fn every_protocol_version_works_and_calls_are_not_crossed() {
    for (newest, with_sessions) in [
        (ProtocolVersion::V_2025_06_18, true),
        (ProtocolVersion::V_2025_11_25, true),
        (ProtocolVersion::V_2025_11_25, false),
        (ProtocolVersion::V_2026_07_28, false),
        (ProtocolVersion::V_2026_07_28, true),
    ] {
        let web = Web::serve(Router::new().nest_service("/mcp", service(newest.clone(), with_sessions))).await;
        let upstreams = Upstreams::start(&[config(&web.url())], quick()).await.unwrap();
        let health = upstreams.health();
        assert_eq!(health[0].health.protocol_version.as_deref(), Some(newest.as_str()), "{health:?}");
        let calls = (0..64_u64).map(|nonce| {
            let arguments = json!({"nonce": nonce, "ms": nonce * 7919 % 100});
            let call = upstreams.call(tool("echo", arguments.clone()));
            async move { (arguments, call.await) }
        });
        for (arguments, answer) in futures::future::join_all(calls).await {
            let answer = result(answer.unwrap());
            assert_eq!(answer["structuredContent"], arguments, "{newest} {with_sessions}");
        }
        upstreams.shutdown().await;
    }
}

#[tokio::test]
async fn params_and_answers_pass_unchanged() {
    let (raw, _web, upstreams) =
        raw(|message| result_of(message, &json!({"seen": message["params"], "x": [1e300, null]}))).await;
    let params = json!({
        "name": "echo", "arguments": {"a": [1, 1.5, {"": null}]}, "inputResponses": {"q": {"u": 1}}, "requestState": "s",
        "unknown": [[]], "_meta": {"com.example/x": 1},
    });
    let answer = result(upstreams.call(request("tools/call", params.clone())).await.unwrap());
    assert_eq!(answer, json!({"seen": params, "x": [1e300, null]}));
    let (headers, message) = raw.calls().pop().unwrap();
    assert_eq!(message["params"], params);
    assert_eq!(headers["mcp-session-id"], "Session-A");
    assert_eq!(headers["mcp-protocol-version"], "2025-11-25");
}

#[tokio::test]
async fn configured_headers_are_sent() {
    let raw = Raw::new(|message| result_of(message, &json!({})));
    let web = Web::serve(raw.router()).await;
    let mut settings = http(&web.url());
    settings.headers.insert("Authorization".to_owned(), "Bearer key".to_owned());
    let upstreams = Upstreams::start(&[upstream("web", TransportConfig::Http(settings))], quick()).await.unwrap();
    upstreams.call(tool("echo", json!({}))).await.unwrap();
    let seen = raw.seen.lock().unwrap();
    assert!(seen.iter().all(|(headers, _)| headers["authorization"] == "Bearer key"));
}

#[tokio::test]
async fn event_streams_carry_answers_too() {
    let (_raw, _web, upstreams) = raw(|message| {
        let id = &message["id"];
        let events = format!(
            ": hello\n\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{{\"progressToken\":1,\"progress\":1}}}}\n\n\
             data: not json\n\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\ndata: \"result\":{{\"x\":{{\"unknown\":1}}}}}}\n\n"
        );
        body_of(StatusCode::OK, "text/event-stream; charset=utf-8", events)
    }).await;
    assert_eq!(result(upstreams.call(tool("echo", json!({}))).await.unwrap()), json!({"x": {"unknown": 1}}));
}

/// What an HTTP server answers to a call, and what the caller gets.
#[tokio::test]
async fn refusals_and_nonsense_have_their_kinds() {
    type Make = fn(&Value) -> Response;
    let cases: [(&str, Make, ErrorKind, Executed); 12] = [
        ("401", |_| StatusCode::UNAUTHORIZED.into_response(), ErrorKind::UpstreamUnavailable, Executed::No),
        ("403", |_| json_body(StatusCode::FORBIDDEN, "{}"), ErrorKind::UpstreamUnavailable, Executed::No),
        ("429", |_| StatusCode::TOO_MANY_REQUESTS.into_response(), ErrorKind::UpstreamUnavailable, Executed::Unknown),
        (
            "500",
            |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            ErrorKind::UpstreamUnavailable,
            Executed::Unknown,
        ),
        ("400", |_| StatusCode::BAD_REQUEST.into_response(), ErrorKind::UpstreamProtocolError, Executed::Unknown),
        (
            "307",
            |_| Redirect::temporary("/elsewhere").into_response(),
            ErrorKind::UpstreamProtocolError,
            Executed::Unknown,
        ),
        ("303", |_| Redirect::to("/elsewhere").into_response(), ErrorKind::UpstreamProtocolError, Executed::Unknown),
        ("202", |_| StatusCode::ACCEPTED.into_response(), ErrorKind::UpstreamProtocolError, Executed::Unknown),
        ("html", |_| body_of(StatusCode::OK, "text/html", "<p>"), ErrorKind::UpstreamProtocolError, Executed::Unknown),
        ("broken", |_| json_body(StatusCode::OK, "{\"jsonrpc\""), ErrorKind::UpstreamProtocolError, Executed::Unknown),
        (
            "other id",
            |_| json_body(StatusCode::OK, "{\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":{}}"),
            ErrorKind::UpstreamProtocolError,
            Executed::Unknown,
        ),
        (
            "closed stream",
            |_| body_of(StatusCode::OK, "text/event-stream", ": bye\n\n"),
            ErrorKind::UpstreamUnavailable,
            Executed::Unknown,
        ),
    ];
    for (what, make, kind, executed) in cases {
        let (raw, _web, upstreams) = raw(make).await;
        let begun = Instant::now();
        let error = upstreams.call(tool("echo", json!({}))).await.unwrap_err();
        assert_eq!((error.kind(), error.details().executed), (kind, Some(executed)), "{what}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}");
        assert_eq!(raw.calls().len(), 1, "{what}: sent again");
    }
}

#[tokio::test]
async fn a_json_rpc_error_with_an_http_error_is_an_answer() {
    let (_raw, _web, upstreams) = raw(|message| {
        let body =
            json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32602, "message": "bad", "data": 1}});
        json_body(StatusCode::BAD_REQUEST, body.to_string())
    })
    .await;
    let answer = upstreams.call(tool("echo", json!({}))).await.unwrap();
    assert_eq!(answer, UpstreamAnswer::Error { code: -32602, message: "bad".to_owned(), data: Some(json!(1)) });
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let reached = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reached);
    let target = Web::serve(Router::new().fallback(any(move |_headers: HeaderMap| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { StatusCode::OK }
    })))
    .await;
    let elsewhere = target.url();
    let front = Web::serve(Router::new().fallback(any(move || async move { Redirect::permanent(&elsewhere) }))).await;
    let mut settings = http(&front.url());
    settings.headers.insert("x-key".to_owned(), "secret".to_owned());
    let upstreams = Upstreams::start(&[upstream("web", TransportConfig::Http(settings))], quick()).await.unwrap();
    assert!(matches!(upstreams.health()[0].health.state, HealthState::Failed(_)));
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

/// A body without end, counting what was taken from it.
fn endless(head: String, taken: Arc<AtomicUsize>) -> Body {
    let chunks = futures::stream::repeat_with(move || {
        taken.fetch_add(64 * 1024, Ordering::Relaxed);
        Ok::<_, std::io::Error>("x".repeat(64 * 1024))
    });
    Body::from_stream(futures::stream::once(async { Ok(head) }).chain(chunks))
}

#[tokio::test]
async fn endless_answers_are_cut_off() {
    for kind in ["application/json", "text/event-stream"] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let (raw, _web, upstreams) = raw(move |message| {
            let prefix = if kind.starts_with("text") { "id: 7\ndata: " } else { "" };
            let head = format!("{prefix}{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":\"", message["id"]);
            body_of(StatusCode::OK, kind, endless(head, Arc::clone(&counter)))
        })
        .await;
        let error = upstreams.call(tool("echo", json!({}))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UpstreamProtocolError, "{kind}");
        assert_eq!(error.details().executed, Some(Executed::Yes));
        // The limit is 1 MiB; the rest is what sockets and HTTP hold in between.
        assert!(taken.swap(0, Ordering::Relaxed) < 8 * 1024 * 1024, "{kind}");
        let error = upstreams.call(tool("echo", json!({})).with_max_response_size(1000)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PolicyViolationResponseTooLarge, "{kind}");
        assert!(taken.load(Ordering::Relaxed) < 8 * 1024 * 1024, "{kind}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(raw.calls().len(), 2, "{kind}: sent again");
    }
}

#[tokio::test]
async fn an_answer_within_the_policy_may_be_spelled_longer() {
    let (_raw, _web, upstreams) = raw(|message| {
        let body = format!(
            "{{\"jsonrpc\": \"2.0\", \"id\": {}, \"result\": {{ \"t\" : \"{}\" }} }}",
            message["id"],
            "\\u0061".repeat(100_000)
        );
        json_body(StatusCode::OK, body)
    })
    .await;
    let call = |limit| upstreams.call(tool("echo", json!({})).with_max_response_size(limit));
    assert_eq!(result(call(100_008).await.unwrap())["t"].as_str().unwrap().len(), 100_000);
    assert_eq!(call(100_007).await.unwrap_err().kind(), ErrorKind::PolicyViolationResponseTooLarge);
}

#[tokio::test]
async fn a_slow_server_is_given_up() {
    let web = Web::serve(Router::new().nest_service("/mcp", service(ProtocolVersion::V_2026_07_28, false))).await;
    let upstreams = Upstreams::start(&[config(&web.url())], quick()).await.unwrap();
    let soon = tokio::time::Instant::now() + Duration::from_millis(200);
    let error = upstreams.call(tool("echo", json!({"ms": 60_000})).with_deadline(soon)).await.unwrap_err();
    assert_eq!((error.kind(), error.details().executed), (ErrorKind::UpstreamTimeout, Some(Executed::Unknown)));
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
}

#[tokio::test]
async fn a_lost_session_is_made_again_but_the_call_is_not() {
    let (raw, _web, upstreams) = raw(|message| result_of(message, &json!({}))).await;
    *raw.session.lock().unwrap() = "Session-B".to_owned();
    let error = upstreams.call(tool("echo", json!({}))).await.unwrap_err();
    assert_eq!((error.kind(), error.details().executed), (ErrorKind::UpstreamUnavailable, Some(Executed::No)));
    assert_eq!(raw.calls().len(), 1);
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
    assert_eq!(raw.calls().len(), 2);
}

#[tokio::test]
async fn a_server_that_goes_away_and_comes_back() {
    let served = Raw::new(|message| result_of(message, &json!({})));
    let web = Web::serve(served.router()).await;
    let address = web.address;
    let upstreams = Upstreams::start(&[config(&web.url())], quick()).await.unwrap();
    drop(web);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = upstreams.call(tool("echo", json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpstreamUnavailable);
    assert!(matches!(upstreams.health()[0].health.state, HealthState::Failed(_)));
    let _web = Web::serve_at(address, served.router()).await;
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
    assert_eq!(upstreams.health()[0].health.state, HealthState::Ready);
}

#[tokio::test]
async fn a_server_that_starts_late_joins() {
    let web = Web::serve(Router::new()).await;
    let (address, url) = (web.address, web.url());
    drop(web);
    let upstreams = Upstreams::start(&[config(&url)], quick()).await.unwrap();
    assert!(tool_names(&upstreams).is_empty());
    let served = Raw::new(|message| result_of(message, &json!({})));
    let _web = Web::serve_at(address, served.router()).await;
    eventually("its tools are listed", || tool_names(&upstreams) == ["echo"]).await;
    result(upstreams.call(tool("echo", json!({}))).await.unwrap());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    for url in ["http://example.org/mcp", "ftp://localhost/", "nonsense"] {
        let error = Upstreams::start(&[config(url)], quick()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
        assert!(error.message().contains("`web`"));
    }
}
