use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::json::{scan, write_string};
use crate::keys::AgentKey;

fn line(record: &AuditRecord) -> String {
    let line = record.write(ObjectWriter::new().text("event", record.event.name())).finish();
    scan(&line).unwrap();
    String::from_utf8(line).unwrap()
}

#[test]
fn writes_every_member() {
    let key = AgentKey::derive_from_slice(&[7; 32]).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let record = AuditRecord {
        authenticated: Some(true),
        request_id: text("r"),
        call_id: text("\"7\""),
        session_id: text("s"),
        agent_id: text("a"),
        workload_id: text("w"),
        execution_id: text("x"),
        tenant_id: text("t"),
        context: text("c"),
        context_digest: Some(ContextDigest([0xAB; 32])),
        dialect: Some(Dialect::Seal),
        method: text("tools/call"),
        tool: text("fs.read"),
        upstream: text("files"),
        decision: Some(Decided::DeniedByEntry(2)),
        violation: Some(Error::new(ErrorKind::PolicyViolationPathTraversal, "path `../a` climbs")),
        outcome: Some(CallOutcome { ok: false, executed: Executed::Unknown, size: Some(12), duration_millis: 5 }),
        signature: Some([1; 64]),
        agent_key: Some(*key.public()),
        message_sha256: Some([2; 32]),
        evidence: Some(99),
        source: text("127.0.0.1"),
        expires_at: Some(UnixTime::EPOCH),
        note: Some(Cow::Borrowed("note")),
        ..AuditRecord::new(AuditEvent::PolicyViolationBlocked, UnixTime::EPOCH)
    };
    let expected = format!(
        concat!(
            r#"{{"event":"PolicyViolationBlocked","authenticated":true,"request_id":"r","call_id":"\"7\"","session_id":"s","#,
            r#""agent_id":"a","workload_id":"w","execution_id":"x","tenant_id":"t","context":"c","context_digest":"{}","#,
            r#""protocol":"seal/v1","method":"tools/call","tool":"fs.read","upstream":"files","decision":"deny","deny_entry":2,"#,
            r#""violation":{{"code":"POLICY_VIOLATION_PATH_TRAVERSAL","number":2002,"message":"path `../a` climbs"}},"#,
            r#""outcome":{{"ok":false,"executed":"unknown","size":12,"duration_ms":5}},"signature":"{}==","agent_key":"{}","#,
            r#""message_sha256":"{}","evidence":99,"source":"127.0.0.1","expires_at":"1970-01-01T00:00:00.000Z","note":"note"}}"#
        ),
        "ab".repeat(32),
        format!("AQ{}", "EBAQ".repeat(21)),
        key.public().to_base64(),
        "02".repeat(32),
    );
    assert_eq!(line(&record), expected);
}

#[test]
fn events_have_distinct_names() {
    let names: std::collections::HashSet<_> = AuditEvent::ALL.iter().map(|event| event.name()).collect();
    assert_eq!(names.len(), AuditEvent::ALL.len());
}

#[test]
fn a_message_that_quotes_a_secret_loses_it() {
    for quoted in ["mysql --password hunter2", "https://a:hunter2@b/", "TOKEN=hunter2"] {
        let error = Error::new(
            ErrorKind::PolicyViolationCommandNotAllowed,
            format!("`{quoted}` is not in the allowlist of capability `2`"),
        );
        let record = AuditRecord {
            violation: Some(error),
            ..AuditRecord::new(AuditEvent::PolicyViolationBlocked, UnixTime::EPOCH)
        };
        let line = line(&record);
        assert!(line.contains("`…` is not in the allowlist of capability `2`"), "{line}");
    }
}

proptest! {
    #[test]
    fn any_text_makes_one_line_of_strict_json(texts in prop::collection::vec(any::<String>(), 12)) {
        let text = |index: usize| Some(texts[index].clone());
        let record = AuditRecord {
            request_id: text(0),
            call_id: text(1),
            session_id: text(2),
            agent_id: text(3),
            workload_id: text(4),
            context: text(5),
            method: text(6),
            tool: text(7),
            upstream: text(8),
            source: text(9),
            note: text(10).map(Cow::Owned),
            violation: Some(Error::new(ErrorKind::InternalError, texts[11].clone())),
            ..AuditRecord::new(AuditEvent::EnvelopeRefused, UnixTime::EPOCH)
        };
        let line = line(&record);
        prop_assert!(!line.contains(|character: char| character < ' '));
        let document = scan(line.as_bytes()).unwrap();
        prop_assert_eq!(document.root().get("tool").unwrap().as_str().unwrap(), cut(&texts[7]));
    }
}

#[test]
fn long_texts_are_cut() {
    let record = AuditRecord {
        tool: Some("\u{1}".repeat(1_000_000)),
        ..AuditRecord::new(AuditEvent::EnvelopeRefused, UnixTime::EPOCH)
    };
    assert!(line(&record).len() < 4000);
    let mut quoted = Vec::new();
    write_string(&cut(&"é".repeat(513)), &mut quoted);
    assert_eq!(quoted.len(), 2 + 512 * 2 + 3);
}
