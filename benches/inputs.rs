//! Envelopes as our own client and as the published Python client write them, and contexts to judge them by.

use ed25519_dalek::{Signer as _, SigningKey};
use smcp_core::json::{self, Kind, Value};
use smcp_core::keys::{AgentKey, Signer as _};
use smcp_core::policy::{SecurityContext, load_context};
use smcp_core::settings::Syntax;
use smcp_core::smcp::send::compose_envelope;
use smcp_core::smcp::token::{Claims, issue_token};
use smcp_core::smcp::{Dialect, VerifyRules, verify_envelope};
use smcp_core::time::UnixTime;

/// The clock of every benchmark.
pub const NOW: UnixTime = UnixTime::EPOCH;

/// The payload sizes, with the number of records that leads to about that size.
pub const SIZES: [(&str, usize); 3] = [("200 B", 0), ("4 KB", 27), ("64 KB", 430)];

const SEED: [u8; 32] = [7; 32];

/// One payload in every form that is measured.
pub struct Input {
    /// Name of its size.
    pub name: &'static str,
    /// The payload as an agent's program writes it.
    pub payload: Vec<u8>,
    /// The token.
    pub token: String,
    /// The envelope as our own client sends it: canonical already.
    pub own_wire: Vec<u8>,
    /// The same envelope with spaces and `\u` escapes, as the published Python client sends it.
    pub spaced_wire: Vec<u8>,
    /// The bytes that are signed.
    pub message: Vec<u8>,
    /// Our key.
    pub key: AgentKey,
    /// The same key for raw signatures.
    pub raw_key: SigningKey,
    /// Raw signature of `message`.
    pub raw_signature: ed25519_dalek::Signature,
}

/// The inputs, by size.
#[must_use]
pub fn inputs() -> Vec<Input> {
    SIZES.iter().map(|(name, records)| make_input(name, *records)).collect()
}

fn make_input(name: &'static str, records: usize) -> Input {
    let key = AgentKey::derive_from_slice(&SEED).expect("a key");
    let raw_key = SigningKey::from_bytes(&SEED);
    let token = issue_token(&token_claims(&key), &token_signer(), false).expect("a token");
    let payload = payload(records).into_bytes();
    let own_wire = compose_envelope(&payload, &token, Dialect::Smcp, &key, NOW).expect("an envelope");
    let message = verify_envelope(&own_wire, key.public(), &VerifyRules::default(), NOW).expect("it verifies");
    let message = message.as_bytes().to_vec();
    let raw_signature = raw_key.sign(&message);
    assert_eq!(key.sign(&message).expect("a signature"), raw_signature.to_bytes());
    let spaced_wire = spaced(json::scan(&own_wire).expect("our own envelope").root());
    verify_envelope(&spaced_wire, key.public(), &VerifyRules::default(), NOW).expect("the spaced form verifies too");
    Input { name, payload, token, own_wire, spaced_wire, message, key, raw_key, raw_signature }
}

/// The claims of the benchmarks' session.
#[must_use]
pub fn token_claims(key: &AgentKey) -> Claims {
    Claims {
        agent_id: "agent-0123456789abcdef0123456789abcdef".to_owned(),
        scope: "bench".to_owned(),
        workload_id: "container-5e884898da28047151d0e56f8dc62927".to_owned(),
        issued_at: NOW.seconds() - 60,
        expires_at: NOW.seconds() + 3540,
        not_before: None,
        session_id: Some("7a1e868265168c96d2a1b0c4e5f60718".to_owned()),
        issuer: Some("smcp-gateway".to_owned()),
        audience: vec!["https://gateway.example.org".to_owned()],
        key: Some(*key.public()),
        dialect: Some(Dialect::Smcp),
        execution_id: None,
        tenant_id: None,
    }
}

/// The gateway's token key.
#[must_use]
pub fn token_signer() -> (String, AgentKey) {
    let key = AgentKey::derive_from_slice(&[9; 32]).expect("a key");
    (key.public().thumbprint(), key)
}

/// A call whose arguments hold records: nested objects, numbers, arrays, text with escapes and beyond ASCII.
fn payload(records: usize) -> String {
    let record = |number: usize| {
        format!(
            r#"{{"id":{number},"name":"record {number}","price":{}.25,"tags":["blue","größe","a\"b"],"position":{{"x":{},"y":-7.5}},"text":"line one\nline two, 日本語"}}"#,
            number * 3,
            number * 11,
        )
    };
    let records = (0..records).map(record).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"jsonrpc":"2.0","id":"request-1","method":"tools/call","params":{{"name":"tool-9","arguments":{{"path":"/workspace/reports/2026/summary.json","records":[{records}],"limit":100,"format":"full"}}}}}}"#
    )
}

/// JSON as Python's `json.dumps` writes it by default.
fn spaced(value: Value<'_>) -> Vec<u8> {
    fn write(value: Value<'_>, output: &mut String) {
        match value.kind() {
            Kind::Null | Kind::Boolean | Kind::Number => output.push_str(value.raw()),
            Kind::String => write_text(&value.as_str().expect("a string"), output),
            Kind::Array => {
                for (index, element) in value.elements().enumerate() {
                    output.push_str(if index == 0 { "[" } else { ", " });
                    write(element, output);
                }
                output.push_str(if value.is_empty_container() { "[]" } else { "]" });
            }
            Kind::Object => {
                for (index, (name, member)) in value.members().enumerate() {
                    output.push_str(if index == 0 { "{" } else { ", " });
                    write_text(&name, output);
                    output.push_str(": ");
                    write(member, output);
                }
                output.push_str(if value.is_empty_container() { "{}" } else { "}" });
            }
        }
    }
    fn write_text(text: &str, output: &mut String) {
        let mut bytes = Vec::new();
        json::write_string(text, &mut bytes);
        for character in String::from_utf8(bytes).expect("UTF-8").chars() {
            if character.is_ascii() {
                output.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                output.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    let mut output = String::new();
    write(value, &mut output);
    output.into_bytes()
}

/// Contexts with 10, 100 and 1 000 capabilities and a few deny entries; the last capability is the one that allows the
/// call of the inputs.
#[must_use]
pub fn contexts() -> Vec<(&'static str, SecurityContext)> {
    [("10", 10_usize), ("100", 100), ("1000", 1000)]
        .into_iter()
        .map(|(name, length)| {
            let others = (0..length - 1).map(|number| match number % 4 {
                0 => format!("  - {{tool_pattern: other-{number}.*, path_allowlist: [/data/{number}]}}\n"),
                1 => format!("  - {{tool_pattern: run-{number}, command_allowlist: [git, npm test]}}\n"),
                2 => format!("  - {{tool_pattern: web-{number}, domain_allowlist: ['*.example.org']}}\n"),
                // Matches the tool and fails, so that the search goes on.
                _ => format!("  - {{tool_pattern: tool-9, path_allowlist: [/elsewhere/{number}]}}\n"),
            });
            let text = format!(
                "name: bench\ncapabilities:\n{}  - {{tool_pattern: tool-*, path_allowlist: [/workspace], max_response_size: 1048576}}\ndeny_list: [fs.delete, 'tool-*:/etc', 'shell.*']\n",
                others.collect::<String>()
            );
            (name, load_context(&text, Syntax::Yaml, "bench.yaml").expect("a context"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use smcp_core::json::KeyOrder;

    use super::*;

    /// A ratio between different messages would say nothing.
    #[test]
    fn sizes_are_what_they_are_called() {
        let lengths: Vec<usize> = inputs().iter().map(|input| input.payload.len()).collect();
        assert!((150..260).contains(&lengths[0]), "{lengths:?}");
        assert!((3_600..4_600).contains(&lengths[1]), "{lengths:?}");
        assert!((58_000..70_000).contains(&lengths[2]), "{lengths:?}");
        for input in inputs() {
            assert!(input.spaced_wire.len() > input.own_wire.len());
            let canonical = json::write_canonical(json::scan(&input.spaced_wire).unwrap().root(), KeyOrder::CodePoint);
            assert_eq!(canonical, input.own_wire);
        }
    }
}
