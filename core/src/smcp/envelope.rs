//! Step 1: wire bytes to an envelope of known protocol and shape (section 1).

use std::borrow::Cow;

use super::Dialect;
use super::call::Call;
use super::message::{PayloadRule, check_payload};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Document, Kind, Limits, Value};
use crate::keys::{Signature, decode_base64};
use crate::time::UnixTime;

/// An envelope that parsed; nothing in it is trusted.
#[derive(Debug)]
pub struct WireEnvelope<'a> {
    document: Document<'a>,
    dialect: Dialect,
    signature: Signature,
    timestamp: UnixTime,
}

/// What an envelope must look like to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeRules {
    /// Size and depth of the JSON text.
    pub limits: Limits,
    /// The one dialect accepted, such as that of the route; `None` for any.
    pub dialect: Option<Dialect>,
    /// What the payload must look like.
    pub payload: PayloadRule,
}

impl<'a> WireEnvelope<'a> {
    /// Parses an envelope.
    ///
    /// # Errors
    /// `MALFORMED_ENVELOPE` or `UNSUPPORTED_PROTOCOL`; an envelope wrong in both is the latter.
    pub fn parse(wire: &'a [u8], rules: &EnvelopeRules) -> Result<Self> {
        let document = json::scan_with(wire, rules.limits).map_err(|error| {
            let refusal = malformed(format!("the body is not strict JSON: {error}"));
            if error.is_too_large() { refusal.with_too_large() } else { refusal }
        })?;
        let root = document.root();
        if root.kind() != Kind::Object {
            return Err(malformed("the envelope is no JSON object"));
        }
        let dialect = parse_protocol(root, rules.dialect)?;
        let token = required_text(root, "security_token")?;
        if token.is_empty() {
            return Err(malformed("member `security_token` is empty"));
        }
        let signature = parse_signature(&required_text(root, "signature")?)?;
        let payload = root.get("payload").ok_or_else(|| malformed("member `payload` is missing"))?;
        if payload.kind() != Kind::Object || payload.is_empty_container() {
            return Err(malformed("member `payload` is no object with members"));
        }
        let timestamp = UnixTime::parse_rfc3339(&required_text(root, "timestamp")?)?;
        check_payload(payload, rules.payload)?;
        Ok(Self { dialect, signature, timestamp, document })
    }

    /// The dialect the envelope claims.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The token, as the agent sent it.
    #[must_use]
    pub fn security_token(&self) -> Cow<'_, str> {
        self.document.root().get("security_token").and_then(Value::as_str).unwrap_or_default()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The claimed time of signing, with the unsigned fraction.
    #[must_use]
    pub fn timestamp(&self) -> UnixTime {
        self.timestamp
    }

    /// The payload. Only an authorised or admitted call shows it to the outside.
    pub(crate) fn payload(&self) -> Value<'_> {
        self.document.root().get("payload").unwrap_or_else(|| self.document.root())
    }

    /// The JSON-RPC message inside the payload.
    pub(crate) fn call(&self) -> Call<'_> {
        Call::new(self.payload())
    }

    /// Step 2: whole seconds between `now` and the timestamp, at most `window_seconds` either way.
    ///
    /// # Errors
    /// `STALE_TIMESTAMP` with the verifier's clock.
    pub fn check_freshness(&self, window_seconds: i64, now: UnixTime) -> Result<()> {
        if now.seconds().abs_diff(self.timestamp.seconds()) <= window_seconds.max(0).unsigned_abs() {
            return Ok(());
        }
        let message = format!("timestamp is outside the allowed window of `{window_seconds}` seconds");
        Err(Error::new(ErrorKind::StaleTimestamp, message).with_server_time(now))
    }
}

fn malformed(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::MalformedEnvelope, message)
}

fn required_text<'d>(root: Value<'d>, name: &str) -> Result<Cow<'d, str>> {
    let value = root.get(name).ok_or_else(|| malformed(format!("member `{name}` is missing")))?;
    value.as_str().ok_or_else(|| malformed(format!("member `{name}` is no string")))
}

fn parse_protocol(root: Value<'_>, only: Option<Dialect>) -> Result<Dialect> {
    let refuse = |message: String| Error::new(ErrorKind::UnsupportedProtocol, message);
    let Some(protocol) = root.get("protocol").and_then(Value::as_str) else {
        return Err(refuse("member `protocol` is missing or no string".to_owned()));
    };
    match (Dialect::from_protocol(&protocol), only) {
        (Some(dialect), None) => Ok(dialect),
        (Some(dialect), Some(only)) if dialect == only => Ok(dialect),
        (_, Some(only)) => Err(refuse(format!("member `protocol` is not `{only}`"))),
        (None, None) => Err(refuse("member `protocol` names an unknown protocol".to_owned())),
    }
}

fn parse_signature(text: &str) -> Result<Signature> {
    // 88 characters are 64 bytes with padding; anything else is not decoded at all.
    if text.len() != 88 {
        return Err(malformed("member `signature` is not the padded base64 of 64 bytes"));
    }
    decode_base64(text)
        .and_then(|bytes| Signature::try_from(bytes).ok())
        .ok_or_else(|| malformed("member `signature` is not the padded base64 of 64 bytes"))
}
