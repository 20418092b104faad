//! JSON-RPC messages between the gateway and a tool server, as bytes.

use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, CustomResult, JsonRpcMessage, NumberOrString, ServerJsonRpcMessage,
    ServerResult,
};
use serde_json::{Map, Value, json};
use smcp_core::error::{Error, ErrorKind, Executed};

use super::message_id::MessageId;
use super::pending::{Pending, Reply};
use super::request::UpstreamAnswer;

/// Longest part of a server's text that is put into a message or a log line, in characters.
const EXCERPT: usize = 200;

/// Notifications somebody in the gateway listens to; the others end here.
const HEARD: &[&str] = &[
    "notifications/cancelled",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tools/list_changed",
];

/// Writes a message as compact JSON.
///
/// rmcp puts a progress token into every request. Nobody here listens to progress, and the token
/// would stand in `params` beside what the agent signed, so it is taken out again.
///
/// # Errors
///
/// Whatever serde_json reports.
pub(crate) fn encode(message: &ClientJsonRpcMessage) -> serde_json::Result<Vec<u8>> {
    let mut value = serde_json::to_value(message)?;
    if let Some(params) = value.get_mut("params").and_then(Value::as_object_mut) {
        remove_progress_token(params, has_own_meta(message));
    }
    serde_json::to_vec(&value)
}

fn remove_progress_token(params: &mut Map<String, Value>, keep_empty: bool) {
    let Some(meta) = params.get_mut("_meta").and_then(Value::as_object_mut) else { return };
    meta.remove("progressToken");
    if meta.is_empty() && !keep_empty {
        params.remove("_meta");
    }
}

fn has_own_meta(message: &ClientJsonRpcMessage) -> bool {
    let JsonRpcMessage::Request(request) = message else { return false };
    let ClientRequest::CustomRequest(custom) = &request.request else { return false };
    custom.params.as_ref().is_some_and(|params| params.get("_meta").is_some())
}

/// What a message of the server is, after answers to our own requests were handed on.
#[derive(Debug)]
pub(crate) enum Received {
    /// An answer of ours, already in its slot; rmcp gets a stub for this id.
    Answered(i64),
    /// A message for rmcp.
    Message(Value),
    /// A request of the server to the gateway.
    Request {
        /// Its id.
        id: Value,
        /// Its method.
        method: String,
    },
    /// Nothing anybody waits for.
    Nothing,
}

/// Reads one message of the server and hands on what answers a request in `pending`.
pub(crate) fn read(text: &[u8], pending: &Pending) -> Received {
    match serde_json::from_slice::<Value>(text) {
        Ok(Value::Object(message)) => sort(message, pending),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Received::Nothing,
        Err(error) => unreadable(text, &error, pending),
    }
}

fn unreadable(text: &[u8], error: &serde_json::Error, pending: &Pending) -> Received {
    tracing::debug!(%error, "the tool server sent a message that is not JSON");
    let Some(id) = MessageId::of(text) else { return Received::Nothing };
    fail(id, protocol_error("the tool server answered with invalid JSON"), pending)
}

/// Ends the request with this id by `error` and tells rmcp that it is over.
pub(crate) fn fail(id: i64, error: Error, pending: &Pending) -> Received {
    match pending.take(id) {
        Some(slot) => {
            slot.fill(Err(error));
            Received::Answered(id)
        }
        // A request of rmcp's own, such as `initialize`, must not wait for its time limit either.
        None => {
            let refused = json!({"code": -32700, "message": error.message()});
            Received::Message(json!({"jsonrpc": "2.0", "id": id, "error": refused}))
        }
    }
}

fn sort(mut message: Map<String, Value>, pending: &Pending) -> Received {
    if let Some(method) = message.get("method") {
        let method = method.as_str().unwrap_or_default().to_owned();
        return match message.remove("id") {
            Some(id) => Received::Request { id, method },
            None if HEARD.contains(&method.as_str()) => Received::Message(Value::Object(message)),
            None => Received::Nothing,
        };
    }
    let Some((id, slot)) = message.get("id").and_then(number).and_then(|id| Some((id, pending.take(id)?))) else {
        return Received::Message(Value::Object(message));
    };
    if slot.is_shown_to_rmcp() {
        slot.fill(answer(message.clone()));
        return Received::Message(Value::Object(message));
    }
    slot.fill(answer(message));
    Received::Answered(id)
}

/// The id of an answer, which some servers write as text.
pub(crate) fn number(id: &Value) -> Option<i64> {
    id.as_i64().or_else(|| id.as_str()?.parse().ok())
}

fn answer(mut message: Map<String, Value>) -> Reply {
    match (message.remove("result"), message.remove("error")) {
        (Some(result), None) => Ok(UpstreamAnswer::Result(result)),
        (None, Some(error)) => error_answer(error),
        (Some(_), Some(_)) | (None, None) => {
            Err(protocol_error("the tool server's answer must have either `result` or `error`"))
        }
    }
}

fn error_answer(mut error: Value) -> Reply {
    let code = error.get("code").and_then(Value::as_i64);
    let message = error.get("message").and_then(Value::as_str).map(str::to_owned);
    let data = error.as_object_mut().and_then(|error| error.remove("data"));
    match (code, message) {
        (Some(code), Some(message)) => Ok(UpstreamAnswer::Error { code, message, data }),
        (Some(_) | None, None) | (None, Some(_)) => {
            Err(protocol_error("the `error` of the tool server's answer lacks `code` or `message`"))
        }
    }
}

/// What rmcp is told about an answer that was handed on around it.
pub(crate) fn stub(id: i64) -> ServerJsonRpcMessage {
    let result = ServerResult::CustomResult(CustomResult::new(Value::Object(Map::new())));
    ServerJsonRpcMessage::response(result, NumberOrString::Number(id))
}

/// The answer to a request of the server: `ping` is answered, everything else refused, because the
/// gateway declares no client capabilities.
pub(crate) fn refusal(id: &Value, method: &str) -> Value {
    if method == "ping" {
        return json!({"jsonrpc": "2.0", "id": id, "result": {}});
    }
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "the gateway serves no requests of tool servers"}})
}

/// An `UPSTREAM_PROTOCOL_ERROR` of an answer that arrived but cannot be used.
pub(crate) fn protocol_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::UpstreamProtocolError, message.into()).with_executed(Executed::Unknown)
}

/// The start of a text from a server, on one line and without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let mut start = String::new();
    for character in text.chars().take(EXCERPT) {
        if matches!(character, '"' | '\'') {
            start.push(character);
        } else {
            start.extend(character.escape_debug());
        }
    }
    if text.chars().nth(EXCERPT).is_some() {
        start.push('…');
    }
    start
}
