//! HTTP servers on loopback for the tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that ends with the test.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Web {
    pub(crate) async fn serve(router: Router) -> Self {
        Self::serve_at("127.0.0.1:0".parse().unwrap(), router).await
    }

    pub(crate) async fn serve_at(address: SocketAddr, router: Router) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, task: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How the raw server answers `tools/call`.
pub(crate) type Answer = dyn Fn(&Value) -> Response + Send + Sync;

/// A Streamable HTTP server written by hand, with sessions of 2025-11-25.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    pub(crate) session: Arc<Mutex<String>>,
    answer: Arc<Answer>,
}

impl Raw {
    pub(crate) fn new(answer: impl Fn(&Value) -> Response + Send + Sync + 'static) -> Self {
        let session = Arc::new(Mutex::new("Session-A".to_owned()));
        Self { seen: Arc::default(), session, answer: Arc::new(answer) }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().route("/mcp", any(handle)).with_state(self.clone())
    }

    pub(crate) fn calls(&self) -> Vec<(HeaderMap, Value)> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(_, message)| message["method"] == "tools/call").cloned().collect()
    }
}

async fn handle(State(raw): State<Raw>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    if method != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let message: Value = serde_json::from_slice(&body).unwrap();
    raw.seen.lock().unwrap().push((headers.clone(), message.clone()));
    let session = raw.session.lock().unwrap().clone();
    let is_in_session = headers.get("mcp-session-id").is_some_and(|id| id == session.as_str());
    match message["method"].as_str().unwrap_or_default() {
        "server/discover" => (StatusCode::BAD_REQUEST, "what?").into_response(),
        "initialize" => {
            let result = json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"},
            });
            let mut response = result_of(&message, &result);
            response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
            response
        }
        _ if !is_in_session => StatusCode::NOT_FOUND.into_response(),
        "tools/list" => result_of(&message, &json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})),
        "tools/call" => (raw.answer)(&message),
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

pub(crate) fn result_of(message: &Value, result: &Value) -> Response {
    json_body(StatusCode::OK, json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
}

pub(crate) fn json_body(status: StatusCode, body: impl Into<Body>) -> Response {
    body_of(status, "application/json", body)
}

pub(crate) fn body_of(status: StatusCode, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body.into()).unwrap()
}
