//! For ten genuine envelopes every bit of the wire is flipped. What is still accepted must be one of the known places
//! that the signature does not cover, and the list is exhaustive.

use smcp_core::keys::{PublicKey, decode_base64};
use smcp_core::smcp::{VerifyRules, verify_envelope};
use smcp_core::time::UnixTime;

/// Why an accepted flip is harmless.
#[derive(Debug, PartialEq)]
enum Harmless {
    Milliseconds,
    EscapeDigitCase,
    TimestampLetterCase,
}

fn classify(wire: &[u8], at: usize, bit: u8) -> Option<Harmless> {
    let text = String::from_utf8_lossy(wire);
    let stamp = text.rfind("\"timestamp\"").unwrap();
    let value = stamp + text[stamp + 11..].find('"').unwrap() + 12;
    let length = text[value..].find('"').unwrap();
    if (value..value + length).contains(&at) {
        return match (at - value, wire[at]) {
            (10, b'T') if bit == 5 => Some(Harmless::TimestampLetterCase),
            (_, b'Z') if bit == 5 => Some(Harmless::TimestampLetterCase),
            (offset, digit) if offset > 19 && digit.is_ascii_digit() => Some(Harmless::Milliseconds),
            _ => None,
        };
    }
    let escape = text[..at].rfind("\\u").is_some_and(|start| (2..6).contains(&(at - start)));
    (escape && bit == 5 && wire[at].is_ascii_alphabetic()).then_some(Harmless::EscapeDigitCase)
}

#[test]
fn only_the_listed_flips_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/");
    let keys: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{folder}smcp-keys.json")).unwrap()).unwrap();
    let mut envelopes = 0;
    let mut seen = Vec::new();
    for file in ["smcp-envelopes-py.json", "smcp-envelopes-ts.json"] {
        let document: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(format!("{folder}{file}")).unwrap()).unwrap();
        let small = document["vectors"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|vector| vector["expect"] == "accept" && vector["wire_b64"].as_str().unwrap().len() < 1400);
        // Spread over the file, so that escapes, numbers and non-ASCII text are all among them.
        for vector in small.step_by(17).take(6) {
            envelopes += 1;
            let id = vector["key"].as_str().unwrap();
            let key = keys["vectors"].as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
            let key = PublicKey::parse_base64(key["public_b64"].as_str().unwrap()).unwrap();
            let now = UnixTime::from_millis(vector["verify_at_ms"].as_i64().unwrap());
            let mut wire = decode_base64(vector["wire_b64"].as_str().unwrap()).unwrap();
            let genuine = verify_envelope(&wire, &key, &VerifyRules::default(), now).unwrap();
            for at in 0..wire.len() {
                for bit in 0..8 {
                    wire[at] ^= 1 << bit;
                    let result = verify_envelope(&wire, &key, &VerifyRules::default(), now);
                    wire[at] ^= 1 << bit;
                    if let Ok(message) = result {
                        assert_eq!(message.as_bytes(), genuine.as_bytes());
                        let harmless = classify(&wire, at, bit);
                        assert!(
                            harmless.is_some(),
                            "{}: bit {bit} of byte {at} ({:?})",
                            vector["id"],
                            char::from(wire[at])
                        );
                        seen.extend(harmless);
                    }
                }
            }
        }
    }
    assert!(envelopes >= 10, "{envelopes}");
    for kind in [Harmless::Milliseconds, Harmless::EscapeDigitCase, Harmless::TimestampLetterCase] {
        assert!(seen.contains(&kind), "no accepted flip of {kind:?}: the test does not reach it");
    }
}
