//! The canonical message, which is what a signature covers (section 2), and the shape of payloads.

use std::borrow::Cow;

use sha2::Digest as _;

use super::call::MAXIMUM_ID_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, ExactNumber, KeyOrder, Kind, Value};
use crate::keys::{PublicKey, Signature};

/// The bytes of `{"payload":…,"security_token":"…","timestamp":<unix seconds>}`.
#[derive(Clone, PartialEq, Eq)]
pub struct CanonicalMessage {
    bytes: Vec<u8>,
    payload: std::ops::Range<usize>,
}

impl CanonicalMessage {
    /// Writes the message for a parsed payload, its numbers as they stand.
    #[must_use]
    pub fn compose(payload: Value<'_>, security_token: &str, timestamp: i64, order: KeyOrder) -> Self {
        const HEAD: &[u8] = br#"{"payload":"#;
        let capacity = payload.raw().len().saturating_add(security_token.len()).saturating_add(80);
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(HEAD);
        json::write_canonical_into(payload, order, &mut bytes);
        let end = bytes.len();
        bytes.extend_from_slice(br#","security_token":"#);
        json::write_string(security_token, &mut bytes);
        bytes.extend_from_slice(br#","timestamp":"#);
        bytes.extend_from_slice(timestamp.to_string().as_bytes());
        bytes.push(b'}');
        Self { bytes, payload: HEAD.len()..end }
    }

    /// Verifies `signature`, first over code point order and, where that makes a difference, over UTF-16 order; the
    /// message that fits is returned.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE`.
    pub fn verify(
        payload: Value<'_>,
        security_token: &str,
        timestamp: i64,
        key: &PublicKey,
        signature: &Signature,
    ) -> Result<Self> {
        let message = Self::compose(payload, security_token, timestamp, KeyOrder::CodePoint);
        let refusal = match key.verify(&message.bytes, signature) {
            Ok(()) => return Ok(message),
            Err(refusal) => refusal,
        };
        if !payload.orders_differ() {
            return Err(refusal);
        }
        let message = Self::compose(payload, security_token, timestamp, KeyOrder::Utf16);
        key.verify(&message.bytes, signature)?;
        Ok(message)
    }

    /// The signed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The canonical payload within the message.
    #[must_use]
    pub fn payload_bytes(&self) -> &[u8] {
        self.bytes.get(self.payload.clone()).unwrap_or_default()
    }

    /// SHA-256 of the signed bytes, the key of replay protection.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha2::Sha256::digest(&self.bytes).into()
    }
}

/// The message holds the token, which is a secret.
impl std::fmt::Debug for CanonicalMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "CanonicalMessage({} bytes)", self.bytes.len())
    }
}

/// What a payload must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadRule {
    /// Any object with members: the verify functions of the SDKs.
    AnyObject,
    /// A JSON-RPC 2.0 request or notification of MCP: services that embed the verifier.
    JsonRpc,
    /// JSON-RPC that survives being forwarded as values: a gateway.
    Forwardable,
}

/// Members of `params` that a `tools/call` may have at a gateway.
const CALL_MEMBERS: [&str; 5] = ["name", "arguments", "_meta", "inputResponses", "requestState"];

/// Checks the shape of a payload.
pub(super) fn check_payload(payload: Value<'_>, rule: PayloadRule) -> Result<()> {
    match rule {
        PayloadRule::AnyObject => return Ok(()),
        PayloadRule::JsonRpc | PayloadRule::Forwardable => check_json_rpc(payload)?,
    }
    if rule == PayloadRule::Forwardable {
        check_numbers(payload)?;
        check_call_members(payload)?;
    }
    Ok(())
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::MalformedEnvelope, message)
}

fn check_json_rpc(payload: Value<'_>) -> Result<()> {
    if payload.get("jsonrpc").and_then(Value::as_str).as_deref() != Some("2.0") {
        return Err(malformed("payload member `jsonrpc` is not `2.0`"));
    }
    let method = payload.get("method").and_then(Value::as_str);
    let method = method.ok_or_else(|| malformed("payload member `method` is missing or no string"))?;
    let notification = method.starts_with("notifications/");
    match payload.get("id").map(Value::kind) {
        None if notification => {}
        None => return Err(malformed("payload member `id` is missing")),
        Some(_) if notification => return Err(malformed("a notification has no member `id`")),
        Some(Kind::String | Kind::Number) => {
            if payload.get("id").is_some_and(|id| id.raw().len() > MAXIMUM_ID_BYTES) {
                return Err(malformed("payload member `id` is longer than 256 bytes"));
            }
        }
        Some(Kind::Null | Kind::Boolean | Kind::Array | Kind::Object) => {
            return Err(malformed("payload member `id` is no string or number"));
        }
    }
    let params = payload.get("params");
    if params.is_some_and(|params| params.kind() != Kind::Object) {
        return Err(malformed("payload member `params` is no object"));
    }
    if method == "tools/call" {
        let name = params.and_then(|params| params.get("name")).and_then(Value::as_str);
        if name.is_none() {
            return Err(malformed("`params.name` is missing or no string"));
        }
        let arguments = params.and_then(|params| params.get("arguments"));
        if arguments.is_some_and(|arguments| arguments.kind() != Kind::Object) {
            return Err(malformed("`params.arguments` is no object"));
        }
    }
    Ok(())
}

/// Refuses numbers whose decimal value a machine number cannot hold, since the tool would get another one.
fn check_numbers(value: Value<'_>) -> Result<()> {
    match value.kind() {
        Kind::Null | Kind::Boolean | Kind::String => Ok(()),
        Kind::Number => match value.as_number().and_then(ExactNumber::from_lexeme) {
            Some(_) => Ok(()),
            None => {
                let lexeme: String = value.raw().chars().take(40).collect();
                Err(malformed(format!("number `{lexeme}` would change its value on the way to the tool server")))
            }
        },
        Kind::Array => value.elements().try_for_each(check_numbers),
        Kind::Object => value.members().try_for_each(|(_, member)| check_numbers(member)),
    }
}

fn check_call_members(payload: Value<'_>) -> Result<()> {
    if payload.get("method").and_then(Value::as_str).as_deref() != Some("tools/call") {
        return Ok(());
    }
    let Some(params) = payload.get("params") else { return Ok(()) };
    match params.members().find(|(name, _)| !CALL_MEMBERS.contains(&name.as_ref())) {
        None => Ok(()),
        Some((name, _)) => {
            let name: String = name.escape_debug().take(64).collect();
            Err(malformed(format!("`params.{name}` is not a member that is forwarded")))
        }
    }
}
