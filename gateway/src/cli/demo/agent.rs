//! What a hostile agent, or somebody between agent and gateway, can send: bytes of any making.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::CONTENT_TYPE;
use smcp_client::ClientError;
use smcp_core::ErrorKind;
use smcp_core::json::{self, Limits, ObjectWriter, Value, write_string};
use smcp_core::smcp::Dialect;
use smcp_core::smcp::send::{SessionRecord, compose_request};
use smcp_core::time::UnixTime;

use super::super::failure::{Failure, Outcome};
use super::super::operator::http_client;
use super::narrator::Refusal;

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) server_timing: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Sends envelopes as they are.
pub(super) struct Wire {
    invoke: String,
    http: reqwest::Client,
    calls: AtomicU64,
}

impl Wire {
    pub(super) fn new(url: &str) -> Outcome<Self> {
        let invoke = format!("{url}{}", Dialect::Smcp.invoke_path());
        Ok(Self { invoke, http: http_client()?, calls: AtomicU64::new(0) })
    }

    /// A genuine envelope around a call of a tool with one path, signed at `now`.
    pub(super) fn envelope(&self, record: &SessionRecord, tool: &str, path: &Path, now: UnixTime) -> Outcome<Vec<u8>> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut name = Vec::new();
        write_string(tool, &mut name);
        let params = ObjectWriter::new().raw("arguments", &path_argument(path)).raw("name", &name).finish();
        let payload = compose_request(&format!("demo-{number}"), "tools/call", Some(&params))?;
        Ok(record.compose(&payload, Dialect::Smcp, now)?)
    }

    /// Sends bytes.
    pub(super) async fn send(&self, envelope: &[u8]) -> Outcome<Answer> {
        let lost = |error: reqwest::Error| Failure::unavailable(format!("the gateway did not answer: {error}"));
        let request = self.http.post(&self.invoke).header(CONTENT_TYPE, "application/json").body(envelope.to_vec());
        let response = request.send().await.map_err(lost)?;
        let timing = response.headers().get("server-timing").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        Ok(Answer { status, server_timing: timing, body: response.bytes().await.map_err(lost)?.to_vec() })
    }

    /// Sends bytes that should be refused.
    pub(super) async fn refused(&self, envelope: &[u8]) -> Outcome<Result<(), Refusal>> {
        let answer = self.send(envelope).await?;
        if answer.status < 400 {
            return Ok(Ok(()));
        }
        let document = json::scan_with(&answer.body, Limits::default()).ok();
        let error = document.as_ref().and_then(|document| document.root().get("error"));
        let text = |name: &str| Some(error?.get(name)?.as_str()?.into_owned());
        let kind = text("code").and_then(|code| ErrorKind::from_name(&code)).unwrap_or(ErrorKind::BadResponse);
        let message = text("message").unwrap_or_default();
        Ok(Err(Refusal { kind, http_status: Some(answer.status), message }))
    }
}

/// `{"path": …}`.
pub(super) fn path_argument(path: &Path) -> Vec<u8> {
    ObjectWriter::new().text("path", &path.display().to_string()).finish()
}

/// A client's error as a refusal.
pub(super) fn refusal_of<T>(result: Result<T, ClientError>) -> Result<(), Refusal> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal {
            kind: error.kind(),
            http_status: error.http_status(),
            message: error.error().message().to_owned(),
        }),
    }
}

/// The first text of a tool's result.
pub(super) fn text_of(result: &[u8]) -> Option<String> {
    let document = json::scan_with(result, Limits::default()).ok()?;
    let content = document.root().get("content")?;
    let text = content.elements().find_map(|part| part.get("text").and_then(Value::as_str));
    text.map(std::borrow::Cow::into_owned)
}
