//! Envelopes: nothing panics, nothing is accepted that the key's owner never signed, and what our own client composes
//! is accepted.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use smcp_core::ErrorKind;
use smcp_core::json;
use smcp_core::keys::{AgentKey, PublicKey, Signer as _, decode_base64};
use smcp_core::smcp::send::compose_envelope;
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, VerifyRules, WireEnvelope, verify_envelope};
use smcp_core::time::UnixTime;

const NOW: UnixTime = UnixTime::EPOCH;
/// No freshness rule here: a forged time must fail by its signature.
const RULES: VerifyRules = VerifyRules {
    dialect: Dialect::Smcp,
    max_age_seconds: i64::MAX,
    limits: json::Limits { bytes: 1 << 20, depth: 128 },
};

/// The key of every genuine envelope of the vectors, and the SHA-256 of every message it signed there.
static SIGNED: LazyLock<(PublicKey, HashSet<[u8; 32]>)> = LazyLock::new(|| {
    let key = PublicKey::parse_base64("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").expect("a key");
    let files = [
        include_str!("../../sdk-tests/vectors/smcp-envelopes-py.json"),
        include_str!("../../sdk-tests/vectors/smcp-envelopes-ts.json"),
        include_str!("../../sdk-tests/vectors/smcp-envelope-checks.json"),
        include_str!("../../sdk-tests/vectors/smcp-ed25519-edge.json"),
        include_str!("../../sdk-tests/vectors/smcp-native-values.json"),
        include_str!("../../sdk-tests/vectors/smcp-rfc-examples.json"),
        include_str!("../../sdk-tests/vectors/smcp-gateway.json"),
    ];
    let mut signed = HashSet::new();
    for file in files {
        let file: serde_json::Value = serde_json::from_str(file).expect("vectors");
        for vector in file["vectors"].as_array().expect("vectors") {
            let wire = vector["wire_b64"].as_str().and_then(decode_base64);
            let wire = wire.or_else(|| vector["wire"].as_str().map(|text| text.as_bytes().to_vec()));
            if let Some(message) = wire.and_then(|wire| verify_envelope(&wire, &key, &RULES, NOW).ok()) {
                signed.insert(message.sha256());
            }
        }
    }
    assert!(signed.len() > 200, "the vectors hold hundreds of signed messages, found {}", signed.len());
    (key, signed)
});

fuzz_target!(|input: &[u8]| {
    check_foreign(input);
    check_own(input);
});

/// The input is what an attacker sends.
fn check_foreign(wire: &[u8]) {
    let (key, signed) = &*SIGNED;
    for payload in [PayloadRule::AnyObject, PayloadRule::JsonRpc, PayloadRule::Forwardable] {
        for dialect in [None, Some(Dialect::Smcp), Some(Dialect::Seal)] {
            let rules = EnvelopeRules { limits: RULES.limits, dialect, payload };
            match WireEnvelope::parse(wire, &rules) {
                Ok(envelope) => assert!(dialect.is_none_or(|dialect| envelope.dialect() == dialect)),
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::MalformedEnvelope | ErrorKind::UnsupportedProtocol),
                    "step 1 answers {error}"
                ),
            }
        }
    }
    if let Ok(message) = verify_envelope(wire, key, &RULES, NOW) {
        assert!(signed.contains(&message.sha256()), "accepted a message that nobody signed");
    }
}

/// The input is a payload that our own client is given.
fn check_own(payload: &[u8]) {
    let seed = [7; 32];
    let key = AgentKey::derive_from_slice(&seed).expect("a key");
    let Ok(wire) = compose_envelope(payload, "token", Dialect::Smcp, &key, NOW) else { return };
    let public = key.public_key().expect("a public key");
    let message = verify_envelope(&wire, &public, &RULES, NOW).expect("our own envelope verifies");
    let sent = json::scan(message.payload_bytes()).expect("the payload is strict JSON");
    assert!(
        wire.windows(message.payload_bytes().len()).any(|window| window == sent.source()),
        "sent and signed differ"
    );
}
