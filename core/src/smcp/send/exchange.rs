//! Request and answer bodies of a client, without HTTP (sections 4, 5, 8 and 12).

use zeroize::Zeroizing;

use crate::error::{Details, Error, ErrorKind, Executed, Result};
use crate::json::{self, Document, Kind, Limits, ObjectWriter, Value};
use crate::keys::{Signer, encode_base64};
use crate::smcp::Dialect;
use crate::smcp::attest::proof_message;
use crate::time::UnixTime;

/// The body of an attestation request, with proof of possession.
///
/// # Errors
/// The signer's error.
pub fn attest_body(
    dialect: Dialect,
    workload_id: &str,
    scope: &str,
    gateway_url: &str,
    signer: &dyn Signer,
    now: UnixTime,
) -> Result<Vec<u8>> {
    let key = signer.public_key()?;
    let signature = signer.sign(&proof_message(&key, workload_id, scope, gateway_url, now.seconds()))?;
    let proof = ObjectWriter::new()
        .text("gateway", gateway_url)
        .text("signature", &encode_base64(&signature))
        .integer("timestamp", now.seconds());
    Ok(ObjectWriter::new()
        .raw("proof", &proof.finish())
        .text("public_key", &key.to_base64())
        .text(dialect.scope_member(), scope)
        .text("workload_id", workload_id)
        .finish())
}

/// What a gateway answered to an attestation.
pub struct AttestAnswer {
    /// The token.
    pub token: Zeroizing<String>,
    /// `expires_at`, when the gateway said so.
    pub expires_at: Option<UnixTime>,
    /// `session_id`, when the gateway said so.
    pub session_id: Option<String>,
}

impl std::fmt::Debug for AttestAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AttestAnswer")
            .field("expires_at", &self.expires_at)
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

/// An error answer with the gateway's own message, as far as it had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayError {
    /// The error.
    pub error: Error,
    /// The number in the body, when it had one.
    pub number: Option<u16>,
    /// Whether the body was one the protocol knows.
    pub spoken: bool,
}

impl AttestAnswer {
    /// Reads the body of an answer with HTTP status `status`. Any 2xx body whose `status` is not `error` and that has
    /// a token is taken.
    ///
    /// # Errors
    /// The gateway's error, or `BAD_RESPONSE`.
    pub fn parse(
        status: u16,
        body: &[u8],
        dialect: Dialect,
        limits: Limits,
    ) -> std::result::Result<Self, GatewayError> {
        let document = json::scan_with(body, limits).ok();
        let root = document.as_ref().map(Document::root).filter(|root| root.kind() == Kind::Object);
        let success = (200..300).contains(&status);
        let Some(root) = root else { return Err(unspoken(status, success)) };
        if !success || text(root, "status").as_deref() == Some("error") {
            return Err(
                read_error(root, dialect, ErrorKind::AttestationFailed).unwrap_or_else(|| unspoken(status, success))
            );
        }
        let Some(token) = text(root, "security_token").filter(|token| !token.is_empty()) else {
            return Err(bad_response("the answer has no `security_token`"));
        };
        Ok(Self {
            token: Zeroizing::new(token),
            expires_at: text(root, "expires_at").and_then(|text| UnixTime::parse_rfc3339(&text).ok()),
            session_id: text(root, "session_id"),
        })
    }
}

/// The JSON-RPC response in the body of an answer with HTTP status `status` to an invocation; `None` when a notification
/// was accepted.
///
/// # Errors
/// The gateway's error, or `BAD_RESPONSE`.
pub fn read_response(
    status: u16,
    body: &[u8],
    dialect: Dialect,
    notification: bool,
    limits: Limits,
) -> std::result::Result<Option<Vec<u8>>, GatewayError> {
    let document = json::scan_with(body, limits).ok();
    let root = document.as_ref().map(Document::root).filter(|root| root.kind() == Kind::Object);
    let success = (200..300).contains(&status);
    let Some(root) = root else { return Err(unspoken(status, success)) };
    if !success || text(root, "status").as_deref() == Some("error") {
        return Err(read_error(root, dialect, ErrorKind::BadResponse).unwrap_or_else(|| unspoken(status, success)));
    }
    if text(root, "protocol").is_some_and(|protocol| protocol != dialect.protocol()) {
        return Err(bad_response("the answer is of another protocol"));
    }
    match root.get("payload") {
        None if notification => Ok(None),
        None => Err(bad_response("the answer has no `payload`")),
        Some(payload) if payload.kind() == Kind::Object => Ok(Some(payload.raw().as_bytes().to_vec())),
        Some(_) => Err(bad_response("member `payload` of the answer is no object")),
    }
}

/// What a JSON-RPC response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallAnswer {
    /// JSON text of the JSON-RPC `result`; `{}` when the payload has neither `result` nor `error`.
    Result(Vec<u8>),
    /// A JSON-RPC error of the tool server.
    ToolError {
        /// JSON-RPC code.
        code: Option<i64>,
        /// Message.
        message: String,
        /// JSON text of `data`.
        data: Option<Vec<u8>>,
    },
}

impl CallAnswer {
    /// Reads a JSON-RPC response, as [`read_response`] gives it.
    ///
    /// # Errors
    /// `BAD_RESPONSE` when `response` is no JSON object.
    pub fn parse(response: &[u8], limits: Limits) -> std::result::Result<Self, GatewayError> {
        let document = json::scan_with(response, limits).ok();
        let root = document.as_ref().map(Document::root).filter(|root| root.kind() == Kind::Object);
        let Some(root) = root else { return Err(bad_response("the JSON-RPC response is no object")) };
        if let Some(error) = root.get("error").filter(|error| !error.is_null()) {
            let message = text(error, "message").or_else(|| error.as_str().map(std::borrow::Cow::into_owned));
            return Ok(Self::ToolError {
                code: error.get("code").and_then(Value::as_i64),
                message: message.map_or_else(|| "the tool server gave no message".to_owned(), |text| printable(&text)),
                data: error.get("data").map(|data| data.raw().as_bytes().to_vec()),
            });
        }
        Ok(Self::Result(root.get("result").map_or_else(|| b"{}".to_vec(), |result| result.raw().as_bytes().to_vec())))
    }
}

/// The longest message of another party that is repeated, in characters.
const MAXIMUM_MESSAGE: usize = 1000;

/// Another party's text as it may stand in a log line: bounded, and without control characters.
fn printable(text: &str) -> String {
    let mut output = String::new();
    for character in text.chars().take(MAXIMUM_MESSAGE) {
        if character.is_control() { output.extend(character.escape_default()) } else { output.push(character) }
    }
    output
}

fn text(object: Value<'_>, name: &str) -> Option<String> {
    object.get(name)?.as_str().map(std::borrow::Cow::into_owned)
}

fn bad_response(reason: &'static str) -> GatewayError {
    GatewayError { error: Error::new(ErrorKind::BadResponse, reason), number: None, spoken: true }
}

/// An answer whose body is not of the protocol: a proxy's page, or no gateway at all.
fn unspoken(status: u16, success: bool) -> GatewayError {
    let message = if success { "the answer is not one of the protocol".to_owned() } else { format!("HTTP {status}") };
    GatewayError { error: Error::new(ErrorKind::BadResponse, message), number: None, spoken: false }
}

/// Reads the `error` object of section 8, the flat members of section 4, or any mixture published gateways send.
fn read_error(root: Value<'_>, dialect: Dialect, otherwise: ErrorKind) -> Option<GatewayError> {
    let nested = root.get("error").filter(|error| error.kind() == Kind::Object);
    let object = nested.unwrap_or(root);
    let message = text(object, "message").or_else(|| text(root, "message")).or_else(|| text(root, "error"));
    let code = object.get("code").or_else(|| root.get("error_code"));
    if message.is_none() && code.is_none() {
        return None;
    }
    let name = object.get("name").or(code).and_then(Value::as_str);
    let number = object.get("number").or(code).and_then(Value::as_i64).and_then(|number| u16::try_from(number).ok());
    let kind = name
        .and_then(|name| ErrorKind::from_name(&name))
        .or_else(|| number.and_then(|number| ErrorKind::from_number(number, dialect)))
        // The kinds of the client side are not a gateway's to claim: they steer what a client does next.
        .filter(|kind| kind.http_status().is_some())
        .unwrap_or(otherwise);
    let known = kind != otherwise || kind == ErrorKind::AttestationFailed;
    let number = number.or_else(|| known.then(|| kind.number(dialect)));
    let message = message.map_or_else(|| kind.summary().to_owned(), |message| printable(&message));
    let error = read_details(object.get("details"), Error::new(kind, message));
    Some(GatewayError { error, number, spoken: true })
}

fn read_details(details: Option<Value<'_>>, error: Error) -> Error {
    let Some(details) = details else { return error };
    let executed =
        details.get("executed").and_then(|executed| match (executed.as_bool(), executed.as_str().as_deref()) {
            (Some(true), _) => Some(Executed::Yes),
            (Some(false), _) => Some(Executed::No),
            (None, Some("unknown")) => Some(Executed::Unknown),
            (None, _) => None,
        });
    let retry_after =
        details.get("retry_after").and_then(Value::as_i64).and_then(|seconds| u64::try_from(seconds).ok());
    let server_time = text(details, "server_time").and_then(|time| UnixTime::parse_rfc3339(&time).ok());
    error.with_details(Details { executed, retry_after, server_time, too_large: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let body = br#"{"status":"success","security_token":"top-secret","session_id":"s"}"#;
        let answer = AttestAnswer::parse(200, body, Dialect::Smcp, Limits::default()).unwrap();
        assert_eq!(answer.token.as_str(), "top-secret");
        assert!(!format!("{answer:?}").contains("secret"));
    }
}
