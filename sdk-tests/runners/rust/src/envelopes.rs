//! `smcp-keys`, `smcp-envelopes-*`, `smcp-divergence`, `smcp-native-values`, `smcp-rfc-examples`,
//! `smcp-envelope-checks` and `smcp-ed25519-edge`.

use serde_json::Value;
use sha2::Digest as _;
use smcp_core::Error;
use smcp_core::json::{self, KeyOrder};
use smcp_core::keys::{AgentKey, PublicKey, decode_base64};
use smcp_core::smcp::{CanonicalMessage, VerifyRules, verify_envelope};
use smcp_core::time::UnixTime;

use crate::{VectorFile, bytes, compare, text};

/// Seeds of `smcp-keys.json`, which the envelope files name by id.
const SEEDS: &str = include_str!("../../../vectors/smcp-keys.json");

/// The key a vector names.
pub fn agent_key(id: &str) -> AgentKey {
    let keys: Value = serde_json::from_str(SEEDS).expect("key table");
    let entry = keys["vectors"].as_array().expect("keys").iter().find(|key| key["id"] == id);
    AgentKey::derive_from_slice(&unhex(text(entry.unwrap_or_else(|| panic!("key {id}")), "seed_hex"))).expect("a seed")
}

/// Decodes hexadecimal text of the vectors.
pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn clock(vector: &Value) -> UnixTime {
    UnixTime::from_millis(vector["verify_at_ms"].as_i64().expect("a clock"))
}

fn same(what: &str, ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(300).collect::<String>();
    Err(format!("{what} differs\n  ours   {}\n  theirs {}", show(ours), show(theirs)))
}

/// Seed to public key in its three spellings.
pub fn check_key(_: &VectorFile, vector: &Value) -> Result<(), String> {
    let key = AgentKey::derive_from_slice(&unhex(text(vector, "seed_hex"))).map_err(|error| error.to_string())?;
    same("public key", key.public().as_bytes(), &unhex(text(vector, "public_hex")))?;
    same("base64", key.public().to_base64().as_bytes(), text(vector, "public_b64").as_bytes())?;
    same("base64url", key.public().to_base64url().as_bytes(), text(vector, "public_b64url").as_bytes())
}

/// A genuine envelope: it verifies, its message is byte-equal, and our signature over the message is theirs.
pub fn check_genuine(_: &VectorFile, vector: &Value) -> Result<(), String> {
    let key = agent_key(text(vector, "key"));
    let wire = bytes(vector, "wire");
    let message = compare(vector, verify_envelope(&wire, key.public(), &VerifyRules::default(), clock(vector)))?;
    let Some(message) = message else { return Ok(()) };
    same("canonical message", message.as_bytes(), &bytes(vector, "canonical"))?;
    let digest: String = message.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    same("digest", digest.as_bytes(), text(vector, "canonical_sha256").as_bytes())?;
    let signature = decode_base64(text(vector, "signature")).expect("base64");
    same("signature", &key.sign_message(message.as_bytes()), &signature)?;
    refused_under_other_protocol(&wire, key.public(), clock(vector))
}

/// Every accepted envelope is refused when it is sent with the other protocol string.
fn refused_under_other_protocol(wire: &[u8], key: &PublicKey, now: UnixTime) -> Result<(), String> {
    let text = String::from_utf8_lossy(wire);
    let other = text.replacen("\"smcp/v1\"", "\"seal/v1\"", 1);
    if other == text {
        return Err("the wire text has no protocol to exchange".to_owned());
    }
    match verify_envelope(other.as_bytes(), key, &VerifyRules::default(), now) {
        Err(error) if error.kind() == smcp_core::ErrorKind::UnsupportedProtocol => Ok(()),
        Err(error) => Err(format!("with the other protocol: {error}")),
        Ok(_) => Err("accepted with the other protocol".to_owned()),
    }
}

/// Where the clients differ, a canonical text scanned and written again in its own order is a fixed point.
pub fn check_divergence(_: &VectorFile, vector: &Value) -> Result<(), String> {
    if !vector["cannot_sign_or_send"].is_null() {
        return json::scan(text(vector, "payload_source").as_bytes()).map(drop).or(Ok(()));
    }
    for (name, order) in [("canonical_py", KeyOrder::CodePoint), ("canonical_ts", KeyOrder::Utf16)] {
        let canonical = bytes(vector, name);
        let document = json::scan(&canonical).map_err(|error| format!("{name}: {error}"))?;
        same(name, &json::write_canonical(document.root(), order), &canonical)?;
    }
    Ok(())
}

/// Host values outside JSON, as they arrived on the wire.
pub fn check_native(_: &VectorFile, vector: &Value) -> Result<(), String> {
    match text(vector, "expect") {
        "not-sent" if vector["sent"] == false => Ok(()),
        "not-sent" => Err("a vector that was sent".to_owned()),
        _ => {
            let key = agent_key(text(vector, "key"));
            let result = verify_envelope(&bytes(vector, "wire"), key.public(), &VerifyRules::default(), clock(vector));
            compare(vector, result).map(drop)
        }
    }
}

/// The worked examples: message, digest and signature.
pub fn check_example(_: &VectorFile, vector: &Value) -> Result<(), String> {
    let key = agent_key(text(vector, "key"));
    let source = text(vector, "payload_source").as_bytes();
    let document = json::scan(source).map_err(|error| error.to_string())?;
    let timestamp = vector["timestamp_unix"].as_i64().expect("a time");
    let token = text(vector, "security_token");
    let message = CanonicalMessage::compose(document.root(), token, timestamp, KeyOrder::CodePoint);
    same("canonical message", message.as_bytes(), &bytes(vector, "canonical"))?;
    let digest: String = sha2::Sha256::digest(message.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    same("digest", digest.as_bytes(), text(vector, "canonical_sha256").as_bytes())?;
    let signature = decode_base64(text(vector, "signature")).expect("base64");
    same("signature", &key.sign_message(message.as_bytes()), &signature)
}

/// One envelope against one key: accept or refuse at the named stage.
pub fn check_envelope(_: &VectorFile, vector: &Value) -> Result<(), String> {
    let wire = bytes(vector, "wire");
    let result = PublicKey::parse_base64(text(vector, "public_key_b64"))
        .map_err(|error| Error::new(smcp_core::ErrorKind::InvalidSignature, error.message().to_owned()))
        .and_then(|key| verify_envelope(&wire, &key, &VerifyRules::default(), clock(vector)).map(|_| key));
    match compare(vector, result)? {
        Some(key) if text(vector, "expect") == "accept" => refused_under_other_protocol(&wire, &key, clock(vector)),
        _ => Ok(()),
    }
}
