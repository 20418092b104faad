//! `smcp verify`.

use smcp_core::keys::{AgentKey, KeyMaterial, KeySet, TokenKey};
use smcp_core::smcp::Dialect;
use smcp_core::smcp::send::compose_envelope;
use smcp_core::smcp::token::{Claims, issue_token};
use smcp_core::time::UnixTime;

use crate::program::{Program, text};

const AT: &str = "2026-02-17T14:32:01Z";
const PAYLOAD: &[u8] =
    br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fs.read","arguments":{"path":"a"}}}"#;

fn key(seed: u8) -> AgentKey {
    AgentKey::derive_from_slice(&[seed; 32]).unwrap()
}

fn claims(bound: bool, dialect: Dialect) -> Claims {
    let now = UnixTime::parse_rfc3339(AT).unwrap().seconds();
    Claims {
        agent_id: "agent-1".to_owned(),
        scope: "files".to_owned(),
        workload_id: "docs-bot".to_owned(),
        issued_at: now.saturating_sub(10),
        expires_at: now.saturating_add(3590),
        not_before: None,
        session_id: Some("s-1".to_owned()),
        issuer: Some("gw".to_owned()),
        audience: vec!["https://gw".to_owned()],
        key: bound.then(|| *key(1).public()),
        dialect: Some(dialect),
        execution_id: None,
        tenant_id: None,
    }
}

/// An envelope signed by agent key 1 under a token of gateway key 2.
fn envelope(claims: &Claims, dialect: Dialect) -> Vec<u8> {
    let gateway = key(2);
    let token = issue_token(claims, &(gateway.public().thumbprint(), gateway), false).unwrap();
    compose_envelope(PAYLOAD, &token, dialect, &key(1), UnixTime::parse_rfc3339(AT).unwrap()).unwrap()
}

fn jwks(seeds: &[u8]) -> String {
    let keys = seeds.iter().map(|seed| TokenKey::new(None, KeyMaterial::Ed25519(*key(*seed).public())));
    KeySet::new(keys.collect()).unwrap().to_jwks()
}

fn prepared() -> Program {
    let program = Program::new();
    program.write("e.json", envelope(&claims(true, Dialect::Smcp), Dialect::Smcp));
    program.write("agents.jwks", jwks(&[3, 1]));
    program.write("others.jwks", jwks(&[3, 2]));
    program.write("gateway.jwks", jwks(&[2]));
    program
}

#[test]
fn a_genuine_envelope_verifies_in_three_ways() {
    let program = prepared();
    let public = key(1).public().to_base64();
    for source in [["--key", &public], ["--jwks", "agents.jwks"], ["--token-jwks", "gateway.jwks"]] {
        let out = program.run(&[&["verify", "e.json", "--at", AT], &source[..]].concat()).done();
        assert!(out.starts_with("valid smcp/v1 signature\n"), "{out}");
        let json = program.run(&[&["verify", "e.json", "--at", AT, "--json"], &source[..]].concat());
        let document = json.json();
        assert_eq!(text(&document, &["public_key"]), public);
        assert_eq!(text(&document, &["payload", "params", "name"]), "fs.read");
        assert_eq!(text(&document, &["token_verified"]), (source[0] == "--token-jwks").to_string());
    }
    let input = std::fs::read(program.path("e.json")).unwrap();
    assert_eq!(program.run_with_input(&["verify", "-", "--key", &public, "--at", AT], &input).status, 0);
}

#[test]
fn everything_else_is_refused_with_its_code() {
    let program = prepared();
    let public = key(1).public().to_base64();
    let genuine = String::from_utf8(envelope(&claims(true, Dialect::Smcp), Dialect::Smcp)).unwrap();
    program.write("tampered.json", genuine.replace("fs.read", "fs.list"));
    program.write("seal.json", genuine.replace("smcp/v1", "seal/v1"));
    program.write("other.json", genuine.replace("smcp/v1", "other/v1"));
    program.write("broken.json", "{");
    for (arguments, code) in [
        (&["e.json", "--key", &key(3).public().to_base64(), "--at", AT][..], "INVALID_SIGNATURE"),
        (&["tampered.json", "--key", &public, "--at", AT], "INVALID_SIGNATURE"),
        (&["e.json", "--jwks", "others.jwks", "--at", AT], "INVALID_SIGNATURE"),
        (&["e.json", "--token-jwks", "agents.jwks", "--at", AT], "TOKEN_VERIFICATION_FAILED"),
        (&["e.json", "--token-jwks", "gateway.jwks", "--issuer", "other", "--at", AT], "TOKEN_VERIFICATION_FAILED"),
        (&["e.json", "--token-jwks", "gateway.jwks", "--at", "2026-02-17T16:32:01Z"], "TOKEN_EXPIRED"),
        (&["e.json", "--key", &public, "--at", "2026-02-17T14:32:32Z"], "STALE_TIMESTAMP"),
        (&["e.json", "--key", &public, "--at", "2026-02-17T14:31:30Z"], "STALE_TIMESTAMP"),
        (&["e.json", "--key", &public], "STALE_TIMESTAMP"),
        (&["seal.json", "--token-jwks", "gateway.jwks", "--at", AT], "UNSUPPORTED_PROTOCOL"),
        (&["other.json", "--key", &public, "--at", AT], "UNSUPPORTED_PROTOCOL"),
        (&["broken.json", "--key", &public, "--at", AT], "MALFORMED_ENVELOPE"),
    ] {
        let plain = program.run(&[&["verify"], arguments].concat());
        assert_eq!((plain.status, plain.out.as_str()), (1, ""), "{arguments:?}");
        assert!(plain.err.starts_with(&format!("error: {code}: ")), "{arguments:?}: {}", plain.err);
        let json = program.run(&[&["verify", "--json"], arguments].concat());
        assert_eq!((json.status, json.err.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(text(&json.json(), &["error", "code"]), code);
    }
    assert_eq!(
        program
            .run(&["verify", "e.json", "--key", &public, "--at", "2026-02-17T15:02:01Z", "--max-age", "1800"])
            .status,
        0
    );
}

#[test]
fn a_token_without_key_proves_too_little() {
    let program = prepared();
    program.write("unbound.json", envelope(&claims(false, Dialect::Smcp), Dialect::Smcp));
    let ran = program.run(&["verify", "unbound.json", "--token-jwks", "gateway.jwks", "--at", AT]);
    assert_eq!((ran.status, ran.err.as_str()), (3, ""));
    assert!(ran.out.starts_with("incomplete: the token is valid, but bound to no key"), "{}", ran.out);
}

#[test]
fn the_other_dialect_verifies_too() {
    let program = prepared();
    program.write("seal.json", envelope(&claims(true, Dialect::Seal), Dialect::Seal));
    let out = program.run(&["verify", "seal.json", "--token-jwks", "gateway.jwks", "--at", AT]).done();
    assert!(out.starts_with("valid seal/v1 signature\n"), "{out}");
}
