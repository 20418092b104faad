//! The attestation request and its proof of possession (section 4).

use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Kind, Limits, ObjectWriter, Value};
use crate::keys::{PublicKey, Signature, decode_base64};
use crate::smcp::Dialect;
use crate::time::UnixTime;

/// How far the proof's timestamp may lie from now, in seconds.
const PROOF_WINDOW_SECONDS: u64 = 30;
/// The largest request in bytes.
const MAXIMUM_BYTES: usize = 64 << 10;
/// The longest workload id or scope in bytes.
const MAXIMUM_NAME_BYTES: usize = 1024;

/// A request that parsed, with a usable key; nothing else in it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRequest {
    /// The dialect of the route.
    pub dialect: Dialect,
    /// The key the session is to be bound to.
    pub key: PublicKey,
    /// Who the client says it is.
    pub workload_id: String,
    /// The context it asks for.
    pub scope: String,
    /// Proof that it holds the private key.
    pub proof: Option<Proof>,
}

/// The optional member `proof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// When it was signed, Unix seconds.
    pub timestamp: i64,
    /// The URL the client called.
    pub gateway: String,
    /// Over [`proof_message`].
    pub signature: Signature,
}

fn failed(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::AttestationFailed, message)
}

impl AttestationRequest {
    /// Parses the body of a request on the route of `dialect`.
    ///
    /// # Errors
    /// `ATTESTATION_FAILED` with the member that is wrong.
    pub fn parse(body: &[u8], dialect: Dialect) -> Result<Self> {
        let limits = Limits { bytes: MAXIMUM_BYTES, depth: 8 };
        let document = json::scan_with(body, limits).map_err(|error| {
            let refusal = failed(format!("the body is not strict JSON: {error}"));
            if error.is_too_large() { refusal.with_too_large() } else { refusal }
        })?;
        let root = document.root();
        if root.kind() != Kind::Object {
            return Err(failed("the attestation request is no JSON object"));
        }
        let key = PublicKey::parse_base64(&required_text(root, "public_key")?)
            .map_err(|error| failed(error.message().to_owned()))?;
        let workload_id = required_name(root, "workload_id")?;
        let scope = required_name(root, dialect.scope_member())?;
        let proof = root.get("proof").map(parse_proof).transpose()?;
        Ok(Self { dialect, key, workload_id, scope, proof })
    }

    /// Verifies the proof, if there is one or if one is required; `public_url` is compared when configured.
    ///
    /// # Errors
    /// `ATTESTATION_FAILED`.
    pub fn check_proof(&self, required: bool, public_url: Option<&str>, now: UnixTime) -> Result<()> {
        let Some(proof) = &self.proof else {
            return if required { Err(failed("member `proof` is required here")) } else { Ok(()) };
        };
        if now.seconds().abs_diff(proof.timestamp) > PROOF_WINDOW_SECONDS {
            return Err(
                failed("the proof of possession is outside the allowed window of `30` seconds").with_server_time(now)
            );
        }
        if public_url.is_some_and(|url| url.trim_end_matches('/') != proof.gateway.trim_end_matches('/')) {
            return Err(failed("the proof of possession was made for another gateway"));
        }
        let message = proof_message(&self.key, &self.workload_id, &self.scope, &proof.gateway, proof.timestamp);
        self.key.verify(&message, &proof.signature).map_err(|_| failed("the proof of possession does not verify"))
    }
}

/// The bytes a proof signs: canonical JSON of `{gateway, public_key, requested_scope, timestamp, workload_id}`.
#[must_use]
pub fn proof_message(key: &PublicKey, workload_id: &str, scope: &str, gateway: &str, timestamp: i64) -> Vec<u8> {
    ObjectWriter::new()
        .text("gateway", gateway)
        .text("public_key", &key.to_base64())
        .text("requested_scope", scope)
        .integer("timestamp", timestamp)
        .text("workload_id", workload_id)
        .finish()
}

fn required_text(object: Value<'_>, name: &str) -> Result<String> {
    let value = object.get(name).ok_or_else(|| failed(format!("member `{name}` is missing")))?;
    value.as_str().map(std::borrow::Cow::into_owned).ok_or_else(|| failed(format!("member `{name}` is no string")))
}

fn required_name(object: Value<'_>, name: &str) -> Result<String> {
    let text = required_text(object, name)?;
    if text.trim().is_empty() || text.len() > MAXIMUM_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(failed(format!("member `{name}` is empty, too long or has control characters")));
    }
    Ok(text)
}

fn parse_proof(proof: Value<'_>) -> Result<Proof> {
    if proof.kind() != Kind::Object {
        return Err(failed("member `proof` is no object"));
    }
    let timestamp = proof.get("timestamp").and_then(Value::as_i64);
    let signature =
        decode_base64(&required_text(proof, "signature")?).and_then(|bytes| Signature::try_from(bytes).ok());
    Ok(Proof {
        timestamp: timestamp.ok_or_else(|| failed("member `proof.timestamp` is no integer"))?,
        gateway: required_text(proof, "gateway")?,
        signature: signature.ok_or_else(|| failed("member `proof.signature` is not the base64 of 64 bytes"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AgentKey;

    fn request(gateway: &str, timestamp: i64, seed: u8) -> AttestationRequest {
        let key = AgentKey::derive_from_slice(&[3; 32]).unwrap();
        let signer = AgentKey::derive_from_slice(&[seed; 32]).unwrap();
        let signature = signer.sign_message(&proof_message(key.public(), "w", "s", gateway, timestamp));
        let proof = Proof { timestamp, gateway: gateway.to_owned(), signature };
        AttestationRequest {
            dialect: Dialect::Smcp,
            key: *key.public(),
            workload_id: "w".to_owned(),
            scope: "s".to_owned(),
            proof: Some(proof),
        }
    }

    #[test]
    fn a_present_proof_must_verify() {
        let now = UnixTime::from_seconds(1000);
        let check = |request: &AttestationRequest, url| request.check_proof(false, url, now);
        check(&request("https://gw", 1030, 3), Some("https://gw/")).unwrap();
        for (request, url) in [
            (request("https://gw", 1031, 3), None),
            (request("https://gw", 969, 3), None),
            (request("https://gw", 1000, 4), None),
            (request("https://evil", 1000, 3), Some("https://gw")),
            (AttestationRequest { scope: "t".to_owned(), ..request("https://gw", 1000, 3) }, None),
        ] {
            assert_eq!(check(&request, url).unwrap_err().kind(), ErrorKind::AttestationFailed);
        }
        let without = AttestationRequest { proof: None, ..request("https://gw", 1000, 3) };
        check(&without, None).unwrap();
        assert!(without.check_proof(true, None, now).is_err());
    }

    #[test]
    fn refuses_broken_requests() {
        let key = AgentKey::derive_from_slice(&[3; 32]).unwrap().public().to_base64();
        for body in [
            "[]".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"public_key":"{key}","workload_id":"w"}}"#),
            format!(r#"{{"public_key":"{key}","workload_id":" ","requested_scope":"s"}}"#),
            format!(r#"{{"public_key":"{key}","workload_id":"w\n","requested_scope":"s"}}"#),
            format!(r#"{{"public_key":"{key}","workload_id":"w","requested_scope":"s","proof":1}}"#),
            format!(r#"{{"public_key":"{key}","workload_id":"w","workload_id":"w","requested_scope":"s"}}"#),
            r#"{"public_key":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","workload_id":"w","requested_scope":"s"}"#
                .to_owned(),
        ] {
            assert_eq!(
                AttestationRequest::parse(body.as_bytes(), Dialect::Smcp).unwrap_err().kind(),
                ErrorKind::AttestationFailed
            );
        }
        let seal = format!(r#"{{"public_key":"{key}","workload_id":"w","security_context":"s"}}"#);
        assert_eq!(AttestationRequest::parse(seal.as_bytes(), Dialect::Seal).unwrap().scope, "s");
        assert!(AttestationRequest::parse(seal.as_bytes(), Dialect::Smcp).is_err());
    }
}
