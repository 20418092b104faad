//! The HTTP side of rmcp's Streamable HTTP transport, with our limits and answers left unchanged.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use smcp_core::error::{Error, ErrorKind, Executed};
use sse_stream::Sse;

use super::events::{Owner, events};
use crate::upstream::pending::{Pending, ReplySlot};
use crate::upstream::size;
use crate::upstream::stdio::oversized_error;
use crate::upstream::wire::{self, Received};

const SESSION_ID: &str = "mcp-session-id";
const LAST_EVENT_ID: &str = "last-event-id";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const JSON_OR_EVENTS: &str = "application/json, text/event-stream";

/// Largest body of an HTTP error that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// How much longer than its compact form an answer may be written: `\u0061` is six bytes for one.
const LONGEST_SPELLING: u64 = 6;
/// Room for the JSON-RPC members around a result.
const FRAME: u64 = 64 * 1024;

type Failure = StreamableHttpError<reqwest::Error>;

/// Sends messages of one connection.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: reqwest::Client,
    pending: Arc<Pending>,
    max_message_size: usize,
}

impl HttpClient {
    /// Makes the client of one connection.
    pub(crate) fn new(client: reqwest::Client, pending: Arc<Pending>, max_message_size: usize) -> Self {
        Self { client, pending, max_message_size }
    }

    async fn post(&self, request: RequestBuilder, message: &ClientJsonRpcMessage, in_session: bool) -> Posted {
        let slot = ReplySlot::of(message);
        let body = wire::encode(message)
            .map_err(|error| (Failure::from(error), unavailable("it cannot be written", Executed::No)))?;
        let request = request.header(ACCEPT, JSON_OR_EVENTS).header(CONTENT_TYPE, JSON).body(body);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            return self.succeeded(response, message, slot).await;
        }
        if status == StatusCode::NOT_FOUND && in_session {
            self.pending.lost().cancel();
            return Err((Failure::SessionExpired, unavailable("the tool server has ended the session", Executed::No)));
        }
        self.refused(response, message).await
    }

    async fn succeeded(
        &self,
        response: Response,
        message: &ClientJsonRpcMessage,
        slot: Option<(i64, ReplySlot)>,
    ) -> Posted {
        let is_request = matches!(message, JsonRpcMessage::Request(_));
        let session = header(&response, SESSION_ID);
        let limit = self.limit(slot.as_ref());
        let kind = content_type(&response).unwrap_or_default();
        if !is_request {
            // Nothing answers a notification; whatever the body is, it is not read.
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if kind.starts_with(EVENTS) {
            let owner = slot.map(|(id, _)| Owner { id, oversized: limit.error.clone() });
            let stream = events(response.bytes_stream(), limit.bytes, Arc::clone(&self.pending), owner);
            return Ok(StreamableHttpPostResponse::Sse(stream, session));
        }
        if !kind.starts_with(JSON) {
            let text = format!("the tool server answered with HTTP {} and no JSON", response.status().as_u16());
            return Err((Failure::UnexpectedContentType(Some(kind)), wire::protocol_error(text)));
        }
        let body = read_body(response.bytes_stream(), limit.bytes).await.map_err(|error| match error {
            Unread::TooLarge => (Failure::ResponseBodyTooLarge { max_size: limit.bytes }, limit.error),
            Unread::Lost(error) => lost(error),
        })?;
        self.answered(&body, slot.map(|(id, _)| id)).map(|message| StreamableHttpPostResponse::Json(message, session))
    }

    /// Reads the body that answers one request.
    fn answered(&self, body: &[u8], id: Option<i64>) -> Result<ServerJsonRpcMessage, (Failure, Error)> {
        let bad = |text: &'static str| (Failure::UnexpectedServerResponse(text.into()), wire::protocol_error(text));
        let message = match wire::read(body, &self.pending) {
            Received::Answered(answered) if id == Some(answered) => return Ok(wire::stub(answered)),
            Received::Message(message) => message,
            Received::Answered(_) | Received::Request { .. } | Received::Nothing => {
                return Err(bad("the tool server's body does not answer the request"));
            }
        };
        if id.is_some() && message.get("id").and_then(wire::number) != id {
            return Err(bad("the tool server answered another request"));
        }
        serde_json::from_value(message).map_err(|_error| bad("the tool server's answer is not MCP"))
    }

    /// Reads an answer with an HTTP error, which may still carry a JSON-RPC error.
    async fn refused(&self, response: Response, message: &ClientJsonRpcMessage) -> Posted {
        let status = response.status();
        let is_json = content_type(&response).is_some_and(|kind| kind.starts_with(JSON));
        let text = format!("the tool server answered with HTTP {}", status.as_u16());
        let failure = || Failure::UnexpectedServerResponse(text.clone().into());
        if status.is_redirection() {
            return Err((
                failure(),
                wire::protocol_error("the tool server answered with a redirect, which is not followed"),
            ));
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err((
                failure(),
                unavailable("the tool server does not accept the gateway's credentials", Executed::No),
            ));
        }
        let body = match is_json {
            true => read_body(response.bytes_stream(), MAX_ERROR_BODY).await.unwrap_or_default(),
            false => Vec::new(),
        };
        if let Some(answer) = discovery_refusal(message, status, &body) {
            return Ok(StreamableHttpPostResponse::Json(answer, None));
        }
        let id = ReplySlot::of(message).map(|(id, _)| id);
        if id.is_some() && is_json_rpc_error(&body) {
            return self.answered(&body, id).map(|message| StreamableHttpPostResponse::Json(message, None));
        }
        let unable = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        Err((
            failure(),
            if unable { unavailable(&text, Executed::Unknown) } else { wire::protocol_error(text.clone()) },
        ))
    }

    fn limit(&self, slot: Option<&(i64, ReplySlot)>) -> Limit {
        let transport = Limit { bytes: self.max_message_size, error: oversized_error(self.max_message_size) };
        let Some(allowed) = slot.and_then(|(_, slot)| slot.max_response_size()) else { return transport };
        let bytes =
            usize::try_from(allowed.saturating_mul(LONGEST_SPELLING).saturating_add(FRAME)).unwrap_or(usize::MAX);
        if bytes < transport.bytes { Limit { bytes, error: size::too_large(allowed) } } else { transport }
    }

    async fn open(&self, request: RequestBuilder) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let response =
            request.header(ACCEPT, EVENTS).send().await.map_err(|error| Failure::Client(error.without_url()))?;
        let status = response.status();
        if matches!(
            status,
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(Failure::ServerDoesNotSupportSse);
        }
        let kind = content_type(&response);
        if !status.is_success() || !kind.as_deref().is_some_and(|kind| kind.starts_with(EVENTS)) {
            return Err(Failure::UnexpectedContentType(kind));
        }
        Ok(events(response.bytes_stream(), self.max_message_size, Arc::clone(&self.pending), None))
    }
}

/// What posting a message gave: for rmcp, and on failure also for the caller of the request.
type Posted = Result<StreamableHttpPostResponse, (Failure, Error)>;

/// How much of an answer is read, and the failure beyond it.
struct Limit {
    bytes: usize,
    error: Error,
}

enum Unread {
    TooLarge,
    Lost(reqwest::Error),
}

async fn read_body(stream: impl Stream<Item = Result<Bytes, reqwest::Error>>, limit: usize) -> Result<Vec<u8>, Unread> {
    let mut stream = std::pin::pin!(stream);
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(Unread::Lost)?;
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A request that never left proves that no tool ran.
fn lost(error: reqwest::Error) -> (Failure, Error) {
    let refused = if error.is_connect() {
        unavailable("the tool server cannot be reached", Executed::No)
    } else {
        unavailable("the connection to the tool server broke", Executed::Unknown)
    };
    let error = error.without_url();
    tracing::debug!(error = %chain(&error), "request to the tool server failed");
    (Failure::Client(error), refused)
}

/// An error with all its causes, since the outermost text alone often says nothing.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    wire::excerpt(&text)
}

fn unavailable(message: &str, executed: Executed) -> Error {
    Error::new(ErrorKind::UpstreamUnavailable, message.to_owned()).with_executed(executed)
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

fn content_type(response: &Response) -> Option<String> {
    header(response, CONTENT_TYPE.as_str()).map(|kind| kind.to_ascii_lowercase())
}

fn is_json_rpc_error(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body.get("error").is_some_and(serde_json::Value::is_object))
}

/// The refusal of `server/discover` by a server of an older protocol, with the id it should have had.
///
/// Such servers (and proxies before them) refuse the unknown request with all sorts of bodies; only
/// a JSON-RPC error with our id lets rmcp go on with `initialize`.
fn discovery_refusal(message: &ClientJsonRpcMessage, status: StatusCode, body: &[u8]) -> Option<ServerJsonRpcMessage> {
    let JsonRpcMessage::Request(request) = message else { return None };
    if !status.is_client_error() || !matches!(request.request, ClientRequest::DiscoverRequest(_)) {
        return None;
    }
    let error = match serde_json::from_slice(body) {
        Ok(ServerJsonRpcMessage::Error(error)) => error.error,
        Ok(_) | Err(_) => ErrorData::invalid_request(format!("HTTP {}", status.as_u16()), None),
    };
    Some(ServerJsonRpcMessage::error(error, Some(request.id.clone())))
}

fn with_headers(
    mut request: RequestBuilder,
    session: Option<&str>,
    headers: HashMap<HeaderName, HeaderValue>,
) -> RequestBuilder {
    if let Some(session) = session {
        request = request.header(SESSION_ID, session);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

impl StreamableHttpClient for HttpClient {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let slot = ReplySlot::of(&message);
        if let Some((id, slot)) = &slot {
            self.pending.register(*id, slot.clone());
        }
        let request = with_headers(self.client.post(uri.as_ref()), session_id.as_deref(), headers);
        self.post(request, &message, session_id.is_some()).await.map_err(|(failure, error)| {
            if let Some((id, slot)) = slot {
                drop(self.pending.take(id));
                slot.fill(Err(error));
            }
            failure
        })
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let request = with_headers(self.client.delete(uri.as_ref()), Some(&session_id), headers);
        let response = request.send().await.map_err(|error| Failure::Client(error.without_url()))?;
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(Failure::ServerDoesNotSupportDeleteSession),
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(Failure::UnexpectedServerResponse(format!("HTTP {}", status.as_u16()).into())),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _authorization: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let mut request = with_headers(self.client.get(uri.as_ref()), session_id.as_deref(), headers);
        if let Some(id) = last_event_id {
            request = request.header(LAST_EVENT_ID, id);
        }
        self.open(request).await
    }
}
