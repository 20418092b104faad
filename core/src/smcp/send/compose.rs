//! Payload to envelope bytes (sections 1 and 2).

use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, KeyOrder, Kind, Limits, ObjectWriter};
use crate::keys::{Signer, encode_base64};
use crate::smcp::{CanonicalMessage, Dialect};
use crate::time::UnixTime;

/// The largest payload a client composes, so that a mistake is an error and not a memory exhaustion.
const MAXIMUM_BYTES: usize = 64 << 20;

/// Signs a payload and writes the envelope, the same characters signed and sent.
///
/// `payload` is JSON text as a host language writes it; numbers are spelled anew (see [`json::respell`]).
///
/// # Errors
/// `MALFORMED_ENVELOPE` when the payload is no JSON object with members or the token is empty; the signer's error.
pub fn compose_envelope(
    payload: &[u8],
    security_token: &str,
    dialect: Dialect,
    signer: &dyn Signer,
    now: UnixTime,
) -> Result<Vec<u8>> {
    let malformed = |message: String| Error::new(ErrorKind::MalformedEnvelope, message);
    if security_token.is_empty() {
        return Err(malformed("the security token is empty".to_owned()));
    }
    // The envelope is one level around the payload, and a verifier counts that level too.
    let limits = Limits { bytes: MAXIMUM_BYTES, depth: Limits::default().depth.saturating_sub(1) };
    let document = json::scan_with(payload, limits)
        .map_err(|error| malformed(format!("the payload is not strict JSON: {error}")))?;
    let root = document.root();
    if root.kind() != Kind::Object || root.is_empty_container() {
        return Err(malformed("the payload is no object with members".to_owned()));
    }
    let spelled = json::respell(root).map_err(|lexeme| malformed(format!("number `{lexeme}` is no finite number")))?;
    let document = json::scan_with(&spelled, limits)
        .map_err(|error| malformed(format!("the payload is not strict JSON: {error}")))?;
    let message = CanonicalMessage::compose(document.root(), security_token, now.seconds(), KeyOrder::CodePoint);
    let signature = signer.sign(message.as_bytes())?;
    Ok(ObjectWriter::new()
        .raw("payload", message.payload_bytes())
        .text("protocol", dialect.protocol())
        .text("security_token", security_token)
        .text("signature", &encode_base64(&signature))
        .text("timestamp", &now.to_rfc3339())
        .finish())
}

/// Writes a JSON-RPC request; `params` is JSON text.
///
/// # Errors
/// `INVALID_ARGUMENT` when `params` is no JSON object.
pub fn compose_request(id: &str, method: &str, params: Option<&[u8]>) -> Result<Vec<u8>> {
    let request = ObjectWriter::new().text("id", id).text("jsonrpc", "2.0").text("method", method);
    let Some(params) = params else { return Ok(request.finish()) };
    let limits = Limits { bytes: MAXIMUM_BYTES, ..Limits::default() };
    let document = json::scan_with(params, limits).map_err(|error| {
        Error::new(ErrorKind::InvalidArgument, format!("the arguments are not strict JSON: {error}"))
    })?;
    if document.root().kind() != Kind::Object {
        return Err(Error::new(ErrorKind::InvalidArgument, "the arguments are no JSON object"));
    }
    Ok(request.raw("params", params).finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AgentKey;
    use crate::smcp::{VerifyRules, verify_envelope};

    /// What we sign must be what a verifier takes, also at the deepest payload.
    #[test]
    fn the_deepest_payload_that_composes_also_verifies() {
        let key = AgentKey::derive_from_slice(&[7; 32]).unwrap();
        let now = UnixTime::from_seconds(1_771_338_721);
        let compose = |arrays: usize| {
            let payload = format!(r#"{{"a":{}{}}}"#, "[".repeat(arrays), "]".repeat(arrays));
            compose_envelope(payload.as_bytes(), "token", Dialect::Smcp, &key, now)
        };
        let wire = compose(126).unwrap();
        verify_envelope(&wire, key.public(), &VerifyRules::default(), now).unwrap();
        assert_eq!(compose(127).unwrap_err().kind(), ErrorKind::MalformedEnvelope);
    }
}
