//! `smcp audit verify`.

use std::sync::Arc;

use smcp_core::audit::{
    AuditEvent, AuditLog, AuditRecord, CheckpointRules, LogId, LogIdentity, LogSettings, SummaryRules, evidence_line,
};
use smcp_core::keys::{AgentKey, KeyMaterial, KeySet, TokenKey};
use smcp_core::smcp::CanonicalMessage;
use smcp_core::time::UnixTime;

use crate::program::{Program, text};

fn key(seed: u8) -> AgentKey {
    AgentKey::derive_from_slice(&[seed; 32]).unwrap()
}

/// A closed log of a few records, its head, and the evidence of the calls in it.
fn log() -> (Vec<u8>, String, Vec<u8>) {
    let now = UnixTime::parse_rfc3339("2026-02-17T14:32:01Z").unwrap();
    let settings = LogSettings {
        signer: Arc::new(key(1)),
        checkpoints: CheckpointRules { records: 3, seconds: 60 },
        refusals: SummaryRules::default(),
    };
    let identity = LogIdentity { log_id: LogId([7; 16]), config_digest: [8; 32], continues: None };
    let (mut log, lines) = AuditLog::open(&identity, settings, now).unwrap();
    let (mut bytes, mut evidence) = (lines.bytes, Vec::new());
    for number in 0..7 {
        let payload = format!(r#"{{"id":{number},"method":"tools/call","params":{{"name":"fs.read"}}}}"#);
        let document = smcp_core::json::scan(payload.as_bytes()).unwrap();
        let order = smcp_core::json::KeyOrder::CodePoint;
        let message = CanonicalMessage::compose(document.root(), "token", now.seconds(), order);
        let mut record = AuditRecord::new(AuditEvent::ToolCallAuthorized, now);
        record.authenticated = Some(true);
        record.tool = Some("fs.read".to_owned());
        record.signature = Some(key(5).sign_message(message.as_bytes()));
        record.agent_key = Some(*key(5).public());
        record.message_sha256 = Some(message.sha256());
        record.evidence = Some(u64::try_from(evidence.len()).unwrap());
        evidence.extend_from_slice(&evidence_line(message.as_bytes()).unwrap());
        bytes.extend_from_slice(&log.append(&record, now).unwrap().bytes);
    }
    bytes.extend_from_slice(&log.close(now).unwrap().bytes);
    (bytes, log.head().to_string(), evidence)
}

#[test]
fn three_verdicts_and_three_exit_statuses() {
    let program = Program::new();
    let (bytes, head, _) = log();
    program.write("audit.jsonl", &bytes);
    let public = key(1).public().to_base64();
    let set = [2, 1].map(|seed| TokenKey::new(None, KeyMaterial::Ed25519(*key(seed).public())));
    program.write("audit.jwks", KeySet::new(set.to_vec()).unwrap().to_jwks());
    for source in [["--key", &public], ["--jwks", "audit.jwks"]] {
        let out = program.run(&[&["audit", "verify", "audit.jsonl"], &source[..]].concat()).done();
        assert!(out.contains("intact    yes\ncomplete  yes\nsigned    yes\n"), "{out}");
        assert!(out.contains(&format!("head  {head}\n")), "{out}");
    }
    let unknown = program.run(&["audit", "verify", "audit.jsonl"]);
    assert_eq!((unknown.status, unknown.err.as_str()), (3, ""));
    assert!(unknown.out.contains("intact    yes\n") && unknown.out.contains("signer unknown"), "{}", unknown.out);
    let other = program.run(&["audit", "verify", "audit.jsonl", "--key", &key(2).public().to_base64()]);
    assert_eq!(other.status, 1);
    assert!(other.out.contains("signed    NO  record "), "{}", other.out);
    let expected = program.run(&["audit", "verify", "audit.jsonl", "--key", &public, "--expect-head", &head]);
    assert_eq!(expected.status, 0);
    let wrong = head.replace(['a', 'b'], "c");
    let wrong = program.run(&["audit", "verify", "audit.jsonl", "--key", &public, "--expect-head", &wrong]);
    assert_eq!(wrong.status, 1);
    assert!(wrong.out.contains("complete  NO  "), "{}", wrong.out);
}

#[test]
fn a_changed_byte_names_its_record() {
    let program = Program::new();
    let (bytes, _, _) = log();
    let public = key(1).public().to_base64();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    for record in 0..lines.len() {
        let mut changed = bytes.clone();
        let start: usize = lines[..record].iter().map(|line| line.len()).sum();
        let place = start + lines[record].windows(7).position(|window| window == b"\"time\":").unwrap() + 10;
        changed[place] ^= 1;
        program.write("changed.jsonl", &changed);
        let ran = program.run(&["audit", "verify", "changed.jsonl", "--key", &public, "--json"]);
        assert_eq!(ran.status, 1, "{record}: {}", ran.out);
        let document = ran.json();
        assert_eq!(text(&document, &["status"]), "failed");
        assert_eq!(text(&document, &["intact", "record"]), record.to_string(), "{}", ran.out);
    }
}

#[test]
fn a_cut_log_is_not_complete() {
    let program = Program::new();
    let (bytes, head, _) = log();
    let public = key(1).public().to_base64();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    program.write("cut.jsonl", lines[..lines.len() - 3].concat());
    assert_eq!(program.run(&["audit", "verify", "cut.jsonl", "--key", &public, "--expect-head", &head]).status, 1);
    program.write("torn.jsonl", &bytes[..bytes.len() - 20]);
    let torn = program.run(&["audit", "verify", "torn.jsonl", "--key", &public]);
    assert_eq!(torn.status, 1);
    assert!(torn.out.contains("complete  NO  record "), "{}", torn.out);
    program.write("empty.jsonl", "");
    assert_eq!(program.run(&["audit", "verify", "empty.jsonl", "--key", &public]).status, 1);
}

#[test]
fn evidence_is_checked_again() {
    let program = Program::new();
    let (bytes, _, evidence) = log();
    let public = key(1).public().to_base64();
    program.write("audit.jsonl", &bytes);
    let verify = |evidence: Vec<u8>| {
        program.write("evidence", evidence);
        program.run(&["audit", "verify", "audit.jsonl", "--key", &public, "--evidence", "evidence"])
    };
    let whole = verify(evidence.clone());
    assert_eq!(whole.status, 0, "{}", whole.out);
    assert!(whole.out.contains("7 agent signatures verified, 0 missing"), "{}", whole.out);
    let mut changed = evidence.clone();
    changed[100] ^= 1;
    assert_eq!(verify(changed).status, 1);
    assert_eq!(verify(evidence[..evidence.len() - 10].to_vec()).status, 3);
}
