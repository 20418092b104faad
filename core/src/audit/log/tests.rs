use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::audit::{AuditEvent, Proof, Verifier, VerifierKeys};
use crate::json::{Value, scan};
use crate::keys::{AgentKey, PublicKey, Signature};

/// A signer that can be made to fail.
struct Key {
    key: AgentKey,
    broken: AtomicBool,
}

impl Signer for Key {
    fn public_key(&self) -> Result<PublicKey> {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::InternalError, "the token is gone"));
        }
        self.key.sign(message)
    }
}

fn key(number: u8) -> Arc<Key> {
    Arc::new(Key { key: AgentKey::derive_from_slice(&[number; 32]).unwrap(), broken: AtomicBool::new(false) })
}

fn settings(signer: &Arc<Key>, records: u32) -> LogSettings {
    let signer: Arc<dyn Signer> = Arc::<Key>::clone(signer);
    LogSettings {
        signer,
        checkpoints: CheckpointRules { records, seconds: 1 },
        refusals: SummaryRules { in_full: 2, sources: 10 },
    }
}

fn identity() -> LogIdentity {
    LogIdentity { log_id: LogId([9; 16]), config_digest: [8; 32], continues: None }
}

fn at(millis: i64) -> UnixTime {
    UnixTime::from_millis(millis)
}

fn record(millis: i64) -> AuditRecord {
    AuditRecord::new(AuditEvent::ToolCallAuthorized, at(millis))
}

fn refusal(millis: i64) -> AuditRecord {
    AuditRecord {
        violation: Some(Error::new(ErrorKind::MalformedEnvelope, "no")),
        ..AuditRecord::new(AuditEvent::EnvelopeRefused, at(millis))
    }
}

fn open(signer: &Arc<Key>, records: u32) -> (AuditLog, Vec<u8>) {
    let (log, lines) = AuditLog::open(&identity(), settings(signer, records), at(0)).unwrap();
    assert!(lines.checkpoint);
    (log, lines.bytes)
}

fn events(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| scan(line).unwrap().root().get("event").unwrap().as_str().unwrap().into_owned()).collect()
}

fn holds(signer: &Key, file: &[u8]) -> bool {
    let keys = VerifierKeys::Trusted(vec![*signer.key.public()]);
    *Verifier::new(keys, None).verify(file).overall() == Proof::Holds
}

#[test]
fn without_a_signature_nothing_is_appended() {
    let signer = key(1);
    let (mut log, mut file) = open(&signer, 2);
    file.extend(log.append(&record(1), at(1)).unwrap().bytes);
    let head = log.head();
    signer.broken.store(true, Ordering::Relaxed);
    let error = log.append(&record(2), at(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuditUnavailable);
    assert_eq!(log.head(), head);
    assert_eq!(log.tick(at(5000)).unwrap_err().kind(), ErrorKind::AuditUnavailable);
    assert!(AuditLog::open(&identity(), settings(&signer, 2), at(0)).is_err());
    signer.broken.store(false, Ordering::Relaxed);
    let lines = log.append(&record(3), at(3)).unwrap();
    assert!(lines.checkpoint);
    file.extend(lines.bytes);
    assert_eq!(events(&file), ["LogOpened", "Checkpoint", "ToolCallAuthorized", "ToolCallAuthorized", "Checkpoint"]);
    assert!(holds(&signer, &file));
}

#[test]
fn counts_of_a_summary_that_cannot_be_signed_are_kept() {
    let signer = key(1);
    let (mut log, mut file) = open(&signer, 100);
    for _ in 0..5 {
        file.extend(log.refused(&refusal(1), "a", at(1)).unwrap().bytes);
    }
    signer.broken.store(true, Ordering::Relaxed);
    log.tick(at(60_000)).unwrap_err();
    signer.broken.store(false, Ordering::Relaxed);
    let lines = log.tick(at(60_000)).unwrap();
    assert_eq!(events(&lines.bytes), ["RefusalSummary", "Checkpoint"]);
    assert!(String::from_utf8_lossy(&lines.bytes).contains(r#""sources":{"a":5}"#));
    file.extend(lines.bytes);
    assert!(holds(&signer, &file));
}

#[test]
fn refusals_from_anyone_are_few_lines() {
    let signer = key(1);
    let (mut log, mut file) = open(&signer, 1000);
    for _ in 0..1000 {
        file.extend(log.refused(&refusal(1), "a", at(1)).unwrap().bytes);
    }
    assert_eq!(events(&file).len(), 4);
    let lines = log.refused(&refusal(60_001), "a", at(60_001)).unwrap();
    assert_eq!(events(&lines.bytes), ["RefusalSummary", "EnvelopeRefused"]);
    file.extend(lines.bytes);
    file.extend(log.close(at(60_002)).unwrap().bytes);
    assert_eq!(&events(&file)[6..], ["RefusalSummary", "LogClosed", "Checkpoint"]);
    assert!(holds(&signer, &file));
}

#[test]
fn checkpoints_come_by_time_and_only_when_there_is_something() {
    let signer = key(1);
    let (mut log, _) = open(&signer, 1000);
    assert!(log.tick(at(9000)).unwrap().is_empty());
    let lines = log.append(&record(9000), at(9000)).unwrap();
    assert!(!lines.checkpoint);
    assert!(log.tick(at(9999)).unwrap().is_empty());
    assert_eq!(events(&log.tick(at(10_000)).unwrap().bytes), ["Checkpoint"]);
    assert!(log.tick(at(20_000)).unwrap().is_empty());
    log.append(&record(20_000), at(20_000)).unwrap();
    assert!(log.tick(at(1000)).unwrap().checkpoint, "the clock was stepped back");
}

#[test]
fn lines_that_were_not_written_are_rolled_back() {
    let signer = key(1);
    let (mut log, mut file) = open(&signer, 2);
    let mark = log.mark();
    log.append(&record(1), at(1)).unwrap();
    log.append(&record(1), at(1)).unwrap();
    log.roll_back(mark);
    file.extend(log.append(&record(2), at(2)).unwrap().bytes);
    file.extend(log.close(at(3)).unwrap().bytes);
    assert!(holds(&signer, &file));
    assert_eq!(events(&file).len(), 5);
}

#[test]
fn goes_on_after_a_torn_line() {
    let signer = key(1);
    let (mut log, mut file) = open(&signer, 100);
    file.extend(log.append(&record(1), at(1)).unwrap().bytes);
    let whole = file.len();
    file.extend(log.append(&record(2), at(2)).unwrap().bytes);
    for cut in whole + 1..file.len() {
        let kept = &file[..whole];
        let mut lines = kept.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
        let existing = ExistingLog {
            first_line: lines.next().unwrap(),
            last_line: lines.next_back().unwrap(),
            torn: &file[whole..cut],
        };
        let (mut resumed, lines) = AuditLog::resume(&existing, &[7; 32], settings(&signer, 100), at(3)).unwrap();
        assert!(lines.checkpoint);
        let mut file = [kept, &lines.bytes].concat();
        file.extend(resumed.close(at(4)).unwrap().bytes);
        assert!(holds(&signer, &file));
        let line = file.split(|byte| *byte == b'\n').nth(3).unwrap();
        let document = scan(line).unwrap();
        let torn = document.root().get("torn_bytes").and_then(Value::as_i64);
        assert_eq!(torn, i64::try_from(cut - whole).ok());
        let report = Verifier::new(VerifierKeys::Unknown, None).verify(&file);
        assert_eq!(report.late_signed, 1, "record 2 had no checkpoint before the crash");
    }
}

#[test]
fn a_log_of_one_line_goes_on() {
    let signer = key(1);
    let (_, file) = open(&signer, 100);
    let line = file.split(|byte| *byte == b'\n').next().unwrap();
    let existing = ExistingLog { first_line: line, last_line: line, torn: b"" };
    let (_, lines) = AuditLog::resume(&existing, &[7; 32], settings(&signer, 100), at(3)).unwrap();
    assert!(!String::from_utf8_lossy(&lines.bytes).contains("torn"));
    assert!(holds(&signer, &[line, b"\n", &lines.bytes].concat()));
}

#[test]
fn what_is_no_log_does_not_go_on() {
    let signer = key(1);
    let (_, file) = open(&signer, 100);
    let mut lines = file.split(|byte| *byte == b'\n');
    let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
    for (first_line, last_line, signer) in [
        (first, &second[1..], &signer),
        (second, second, &signer),
        (b"".as_slice(), second, &signer),
        (first, b"{}".as_slice(), &signer),
        (first, second, &key(2)),
    ] {
        let existing = ExistingLog { first_line, last_line, torn: b"" };
        let error = AuditLog::resume(&existing, &[7; 32], settings(signer, 100), at(3)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    }
}

#[test]
fn the_first_lines_are_as_documented() {
    let signer = key(1);
    let before = (LogId([1; 16]), Head { seq: 5, hash: [2; 32] });
    let identity = LogIdentity { continues: Some(before), ..identity() };
    let (log, lines) = AuditLog::open(&identity, settings(&signer, 100), at(0)).unwrap();
    let text = String::from_utf8(lines.bytes).unwrap();
    let mut lines = text.lines();
    let (first, second) = (lines.next().unwrap(), lines.next().unwrap());
    let expected = format!(
        r#"{{"seq":0,"prev":"{}","time":"1970-01-01T00:00:00.000Z","event":"LogOpened","format":"smcp-audit-v1","log_id":"{}","config_sha256":"{}","public_key":"{}","continues":{{"log_id":"{}","head":"5:{}"}}}}"#,
        "00".repeat(32),
        "09".repeat(16),
        "08".repeat(32),
        signer.key.public().to_base64(),
        "01".repeat(16),
        "02".repeat(32),
    );
    assert_eq!(first, expected);
    let mut message = b"smcp-audit-v1\0".to_vec();
    message.extend([9; 16]);
    message.extend([0; 8]);
    message.extend(line_hash(first.as_bytes()));
    let expected = format!(
        r#"{{"seq":1,"prev":"{}","time":"1970-01-01T00:00:00.000Z","event":"Checkpoint","signature":"{}"}}"#,
        encode_hex(&line_hash(first.as_bytes())),
        crate::keys::encode_base64(&signer.key.sign_message(&message)),
    );
    assert_eq!(second, expected);
    let head = Head { seq: 1, hash: line_hash(second.as_bytes()) };
    assert_eq!(log.head(), head);
    assert_eq!(Head::parse(&head.to_string()).unwrap(), head);
    for text in ["", "1", "1:", "x:00", "-1:00", &format!("1:{}", "0".repeat(63))] {
        assert!(Head::parse(text).is_err(), "{text}");
    }
}
