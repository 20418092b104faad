//! What an envelope must look like at a gateway and in the verify functions (section 1), one broken rule at a time.

use smcp_core::ErrorKind;
use smcp_core::json::Limits;
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, WireEnvelope};

const SIGNATURE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

fn rules(payload: PayloadRule, dialect: Option<Dialect>) -> EnvelopeRules {
    EnvelopeRules { limits: Limits::default(), dialect, payload }
}

fn envelope(protocol: &str, payload: &str) -> String {
    format!(
        r#"{{{protocol}"security_token":"t","signature":"{SIGNATURE}","payload":{payload},"timestamp":"2026-02-17T14:32:01Z"}}"#
    )
}

fn kind(text: &str, rules: &EnvelopeRules) -> Option<ErrorKind> {
    WireEnvelope::parse(text.as_bytes(), rules).err().map(|error| error.kind())
}

#[test]
fn the_protocol_is_one_of_two_and_that_of_the_route() {
    let any = rules(PayloadRule::AnyObject, None);
    let only = |dialect| rules(PayloadRule::AnyObject, Some(dialect));
    let named = |name: &str| envelope(&format!(r#""protocol":{name},"#), r#"{"id":1}"#);
    for (name, taken) in [
        (r#""smcp/v1""#, true),
        (r#""seal/v1""#, true),
        (r#""smcp/v2""#, false),
        (r#""SMCP/v1""#, false),
        (r#""smcp/v1 ""#, false),
        (r#""""#, false),
        ("1", false),
        ("null", false),
    ] {
        let expected = (!taken).then_some(ErrorKind::UnsupportedProtocol);
        assert_eq!(kind(&named(name), &any), expected, "{name}");
    }
    assert_eq!(kind(&named(r#""smcp/v1""#), &only(Dialect::Smcp)), None);
    assert_eq!(kind(&named(r#""smcp/v1""#), &only(Dialect::Seal)), Some(ErrorKind::UnsupportedProtocol));
    assert_eq!(kind(&named(r#""seal/v1""#), &only(Dialect::Smcp)), Some(ErrorKind::UnsupportedProtocol));
    assert_eq!(kind(&envelope("", r#"{"id":1}"#), &any), Some(ErrorKind::UnsupportedProtocol));
}

#[test]
fn wrong_in_both_is_an_unsupported_protocol() {
    for text in [r#"{"protocol":"smcp/v9"}"#, r#"{"payload":3}"#, "{}", r#"{"protocol":[],"signature":7}"#] {
        assert_eq!(kind(text, &rules(PayloadRule::AnyObject, None)), Some(ErrorKind::UnsupportedProtocol), "{text}");
    }
}

#[test]
fn a_text_beyond_the_size_limit_says_so() {
    let text = envelope(r#""protocol":"smcp/v1","#, r#"{"id":1}"#);
    let limits = |bytes| EnvelopeRules { limits: Limits { bytes, depth: 128 }, ..rules(PayloadRule::AnyObject, None) };
    assert_eq!(kind(&text, &limits(text.len())), None);
    let error = WireEnvelope::parse(text.as_bytes(), &limits(text.len() - 1)).unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::MalformedEnvelope, Some(413)));
    let broken = WireEnvelope::parse(b"{", &limits(1024)).unwrap_err();
    assert_eq!((broken.kind(), broken.http_status()), (ErrorKind::MalformedEnvelope, Some(401)));
}

/// Payload; whether the verify functions, services and gateways take it.
const PAYLOADS: &[(&str, bool, bool, bool)] = &[
    (r#"{"id":1}"#, true, false, false),
    ("{}", false, false, false),
    ("[]", false, false, false),
    (r#""x""#, false, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{}}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, true, true, true),
    (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, true, false, false),
    (r#"{"id":1,"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#, true, false, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":[]}}"#, true, false, false),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{},"_meta":{},"inputResponses":{},"requestState":""}}"#,
        true,
        true,
        true,
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","task":{}}}"#, true, true, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","other":1}}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":18446744073709551615}}"#, true, true, true),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":18446744073709551617}}"#, true, true, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":[{"m":1e400}]}}"#, true, true, false),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":0.12345678901234567890}}"#, true, true, false),
    (r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#, true, true, false),
];

#[test]
fn payloads_by_who_takes_them() {
    for (payload, functions, services, gateways) in PAYLOADS {
        let text = envelope(r#""protocol":"smcp/v1","#, payload);
        for (rule, taken) in [
            (PayloadRule::AnyObject, functions),
            (PayloadRule::JsonRpc, services),
            (PayloadRule::Forwardable, gateways),
        ] {
            let expected = (!taken).then_some(ErrorKind::MalformedEnvelope);
            assert_eq!(kind(&text, &rules(rule, None)), expected, "{payload} {rule:?}");
        }
    }
}
