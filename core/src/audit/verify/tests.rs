use std::sync::Arc;

use super::*;
use crate::audit::chain::line_hash;
use crate::audit::{
    AuditEvent, AuditLog, AuditRecord, CheckpointRules, LogIdentity, LogSettings, SummaryRules, evidence_line,
};
use crate::keys::AgentKey;
use crate::time::UnixTime;

fn signer(number: u8) -> AgentKey {
    AgentKey::derive_from_slice(&[number; 32]).unwrap()
}

fn trusted() -> VerifierKeys {
    VerifierKeys::Trusted(vec![*signer(2).public(), *signer(1).public()])
}

fn begin(number: u8) -> (AuditLog, Vec<u8>) {
    let identity = LogIdentity { log_id: LogId([9; 16]), config_digest: [8; 32], continues: None };
    let settings = LogSettings {
        signer: Arc::new(signer(number)),
        checkpoints: CheckpointRules { records: 3, seconds: 1 },
        refusals: SummaryRules::default(),
    };
    let (log, lines) = AuditLog::open(&identity, settings, UnixTime::from_seconds(100)).unwrap();
    (log, lines.bytes)
}

fn record(number: i64) -> AuditRecord {
    AuditRecord {
        tool: Some(format!("tool-{number}")),
        ..AuditRecord::new(AuditEvent::ToolCallAuthorized, UnixTime::from_seconds(number))
    }
}

/// Opened, checkpoint, three records, checkpoint, two records, closed, checkpoint: records 0 to 9.
fn small_log(number: u8) -> (Vec<u8>, Head) {
    let (mut log, mut file) = begin(number);
    for second in 101..106 {
        file.extend(log.append(&record(second), UnixTime::from_seconds(second)).unwrap().bytes);
    }
    file.extend(log.close(UnixTime::from_seconds(106)).unwrap().bytes);
    (file, log.head())
}

fn verify(file: &[u8]) -> AuditReport {
    Verifier::new(trusted(), None).verify(file)
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn file_of(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

fn failure(proof: &Proof) -> &Finding {
    match proof {
        Proof::Fails(finding) => finding,
        Proof::Holds | Proof::Unproven(_) => panic!("no failure: {proof:?}"),
    }
}

fn is_unproven(proof: &Proof) -> bool {
    matches!(proof, Proof::Unproven(_))
}

/// Writes the chain anew behind a change, as whoever has no key can.
fn rechain(lines: &mut [Vec<u8>]) {
    let mut prev = [0; 32];
    for line in lines {
        let text = String::from_utf8(line.clone()).unwrap();
        let (begin, rest) = text.split_once("\"prev\":\"").unwrap();
        let (_, end) = rest.split_at(64);
        *line = format!("{begin}\"prev\":\"{}{end}", crate::audit::hex::encode_hex(&prev)).into_bytes();
        prev = line_hash(line);
    }
}

#[test]
fn a_whole_log_holds() {
    let (file, head) = small_log(1);
    let report = verify(&file);
    assert_eq!(report.overall(), &Proof::Holds);
    assert_eq!((report.records, report.checkpoints, report.signed_through), (10, 3, Some(9)));
    assert_eq!((report.head, report.log_id, report.late_signed), (Some(head), Some(LogId([9; 16])), 0));
    assert_eq!(Verifier::new(trusted(), Some(head)).verify(&file).overall(), &Proof::Holds);
}

#[test]
fn every_single_byte_change_is_noticed_and_the_record_named() {
    let (file, _) = small_log(1);
    for keys in [trusted(), VerifierKeys::Unknown] {
        let mut seq = 0;
        for index in 0..file.len() {
            let newline = file[index] == b'\n';
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = file.clone();
                changed[index] ^= flip;
                let report = Verifier::new(keys.clone(), None).verify(&changed);
                let finding = failure(report.overall());
                let named = finding.record.unwrap();
                assert!(named == seq || (newline && named == seq + 1), "byte {index} of record {seq}: {finding}");
            }
            seq += u64::from(newline);
        }
    }
}

#[test]
fn every_deletion_is_noticed_and_the_record_named() {
    let (file, head) = small_log(1);
    let lines = lines(&file);
    for index in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(index);
        let report = verify(&file_of(&left));
        if index + 1 < lines.len() {
            let finding = failure(&report.intact);
            assert_eq!(finding.record, u64::try_from(index).ok(), "{finding}");
        } else {
            assert_eq!(report.intact, Proof::Holds);
            assert!(is_unproven(&report.complete) && is_unproven(&report.signed));
            let report = Verifier::new(trusted(), Some(head)).verify(&file_of(&left));
            failure(&report.complete);
        }
    }
}

#[test]
fn every_exchange_and_doubling_is_noticed() {
    let (file, _) = small_log(1);
    let lines = lines(&file);
    for one in 0..lines.len() {
        for two in one + 1..lines.len() {
            let mut mixed = lines.clone();
            mixed.swap(one, two);
            assert_eq!(failure(&verify(&file_of(&mixed)).intact).record, u64::try_from(one).ok());
        }
        let mut doubled = lines.clone();
        doubled.insert(one, lines[one].clone());
        assert_eq!(failure(&verify(&file_of(&doubled)).intact).record, u64::try_from(one + 1).ok());
    }
}

#[test]
fn every_truncation_is_noticed() {
    let (file, head) = small_log(1);
    for length in 0..file.len() {
        let report = verify(&file[..length]);
        let cut_at_line = length > 0 && file[length - 1] == b'\n';
        let cut_at_checkpoint = cut_at_line && [2, 6].contains(&lines(&file[..length]).len());
        if cut_at_checkpoint {
            // Only a head kept elsewhere can tell.
            assert_eq!(report.overall(), &Proof::Holds);
        } else {
            assert_ne!(report.overall(), &Proof::Holds, "{length}");
        }
        assert_eq!(matches!(report.overall(), Proof::Fails(_)), !cut_at_line, "{length}");
        let report = Verifier::new(trusted(), Some(head)).verify(&file[..length]);
        assert!(matches!(report.overall(), Proof::Fails(_)), "{length}");
    }
}

#[test]
fn a_forged_log_with_a_new_chain_fails_on_signature_and_head() {
    let (file, head) = small_log(1);
    let mut forged = lines(&file);
    forged[3] = String::from_utf8(forged[3].clone()).unwrap().replace("tool-102", "tool-666").into_bytes();
    rechain(&mut forged);
    for keys in [trusted(), VerifierKeys::Unknown] {
        let report = Verifier::new(keys, Some(head)).verify(&file_of(&forged));
        assert_eq!(report.intact, Proof::Holds);
        let finding = failure(&report.signed);
        assert_eq!(finding.record, Some(5));
        assert!(finding.reason.contains("records 2 to 5"), "{finding}");
        failure(&report.complete);
    }
    // Without the checkpoints there is nothing left that proves anything.
    let is_checkpoint = |line: &[u8]| String::from_utf8_lossy(line).contains("Checkpoint");
    let mut bare: Vec<_> = forged.into_iter().filter(|line| !is_checkpoint(line)).collect();
    for (index, line) in bare.iter_mut().enumerate() {
        let text = String::from_utf8(line.clone()).unwrap();
        let (_, rest) = text.split_once(",\"prev\"").unwrap();
        *line = format!("{{\"seq\":{index},\"prev\"{rest}").into_bytes();
    }
    rechain(&mut bare);
    let report = verify(&file_of(&bare));
    assert_eq!(report.intact, Proof::Holds);
    assert!(is_unproven(&report.signed) && is_unproven(&report.complete));
}

#[test]
fn a_log_of_another_signer_fails() {
    let (file, _) = small_log(3);
    let report = verify(&file);
    assert_eq!(report.intact, Proof::Holds);
    assert_eq!(failure(&report.signed).record, Some(1));
    assert_eq!(verify(&small_log(2).0).overall(), &Proof::Holds, "any of the trusted keys will do");
    let report = Verifier::new(VerifierKeys::Trusted(Vec::new()), None).verify(&file);
    failure(&report.signed);
}

#[test]
fn without_a_key_the_signer_is_unknown() {
    let report = Verifier::new(VerifierKeys::Unknown, None).verify(&small_log(3).0);
    assert_eq!(report.intact, Proof::Holds);
    assert!(is_unproven(&report.signed) && is_unproven(&report.complete));
    assert!(is_unproven(report.overall()));
}

#[test]
fn a_checkpoint_of_another_log_is_none() {
    let (file, _) = small_log(1);
    let mut lines = lines(&file);
    lines[0] = String::from_utf8(lines[0].clone()).unwrap().replace(&"09".repeat(16), &"07".repeat(16)).into_bytes();
    rechain(&mut lines);
    assert_eq!(failure(&verify(&file_of(&lines)).signed).record, Some(1));
}

#[test]
fn an_unsigned_end_is_said() {
    let (mut log, mut file) = begin(1);
    file.extend(log.append(&record(101), UnixTime::from_seconds(101)).unwrap().bytes);
    let report = verify(&file);
    assert_eq!((report.intact.clone(), report.signed_through), (Proof::Holds, Some(1)));
    assert!(is_unproven(&report.signed) && is_unproven(&report.complete));
    let report = Verifier::new(trusted(), report.head).verify(&file);
    assert_eq!(report.complete, Proof::Holds);
    assert!(is_unproven(report.overall()));
}

#[test]
fn an_earlier_head_holds_and_a_wrong_one_fails() {
    let (file, _) = small_log(1);
    let at = |seq: u64| Head { seq, hash: line_hash(&lines(&file)[usize::try_from(seq).unwrap()]) };
    for seq in 0..10 {
        assert_eq!(Verifier::new(trusted(), Some(at(seq))).verify(&file).overall(), &Proof::Holds);
        let wrong = Head { seq, hash: [0; 32] };
        failure(&Verifier::new(trusted(), Some(wrong)).verify(&file).complete);
    }
    failure(&Verifier::new(trusted(), Some(Head { seq: 10, hash: [0; 32] })).verify(&file).complete);
}

#[test]
fn what_is_no_log_fails() {
    for file in ["", "\n", "{}\n", "null\n", "[]\n\n", "{\"seq\":0}\n", "\u{feff}{}\n"] {
        failure(verify(file.as_bytes()).overall());
    }
    let (file, _) = small_log(1);
    let windows = String::from_utf8(file).unwrap().replace('\n', "\r\n");
    failure(&verify(windows.as_bytes()).intact);
}

mod evidence {
    use super::*;

    const TOOL: &str = "fs.read";

    fn message(tool: &str) -> Vec<u8> {
        format!(
            r#"{{"payload":{{"id":1,"jsonrpc":"2.0","method":"tools/call","params":{{"name":"{tool}"}}}},"security_token":"t","timestamp":1}}"#
        )
        .into_bytes()
    }

    /// A log of one call with the evidence of its message.
    fn with_record(change: impl FnOnce(&mut AuditRecord)) -> (Vec<u8>, Vec<u8>) {
        use sha2::Digest as _;
        let agent = signer(5);
        let message = message(TOOL);
        let mut record = AuditRecord {
            authenticated: Some(true),
            method: Some("tools/call".to_owned()),
            tool: Some(TOOL.to_owned()),
            signature: Some(agent.sign_message(&message)),
            agent_key: Some(*agent.public()),
            message_sha256: Some(sha2::Sha256::digest(&message).into()),
            evidence: Some(0),
            ..AuditRecord::new(AuditEvent::ToolCallAuthorized, UnixTime::from_seconds(101))
        };
        change(&mut record);
        let (mut log, mut file) = begin(1);
        file.extend(log.append(&record, record.time).unwrap().bytes);
        file.extend(log.close(UnixTime::from_seconds(106)).unwrap().bytes);
        (file, evidence_line(&message).unwrap())
    }

    fn check(file: &[u8], evidence: &[u8]) -> EvidenceReport {
        let source = Box::new(|offset: u64| {
            let rest = evidence.get(usize::try_from(offset).ok()?..)?;
            rest.split(|byte| *byte == b'\n').next().filter(|line| !line.is_empty()).map(<[u8]>::to_vec)
        });
        let report = Verifier::new(trusted(), None).with_evidence(source).verify(file);
        assert_eq!(report.intact, Proof::Holds);
        report.evidence.unwrap()
    }

    #[test]
    fn the_agents_signature_is_checked_again() {
        let (file, evidence) = with_record(|_| {});
        assert_eq!(check(&file, &evidence), EvidenceReport { verified: 1, missing: 0, proof: Proof::Holds });
        assert_eq!(verify(&file).evidence, None);
        for index in 0..evidence.len() - 1 {
            let mut changed = evidence.clone();
            changed[index] ^= 1;
            assert_eq!(failure(&check(&file, &changed).proof).record, Some(2));
        }
    }

    #[test]
    fn missing_evidence_is_said() {
        for (file, evidence) in [with_record(|record| record.evidence = None), (with_record(|_| {}).0, Vec::new())] {
            let report = check(&file, &evidence);
            assert_eq!((report.verified, report.missing), (0, 1));
            assert!(is_unproven(&report.proof));
        }
        let (file, evidence) = with_record(|record| {
            record.evidence = None;
            record.authenticated = Some(false);
        });
        assert_eq!(check(&file, &evidence).proof, Proof::Holds);
    }

    #[test]
    fn a_record_that_says_something_else_than_the_agent_fails() {
        let changes: [fn(&mut AuditRecord); 8] = [
            |record| record.tool = Some("fs.write".to_owned()),
            |record| record.tool = Some("fs.rea…".to_owned()),
            |record| record.method = Some("tools/list".to_owned()),
            |record| record.signature = Some([1; 64]),
            |record| record.signature = None,
            |record| record.agent_key = Some(*signer(6).public()),
            |record| record.agent_key = None,
            |record| record.message_sha256 = Some([1; 32]),
        ];
        for change in changes {
            let (file, evidence) = with_record(change);
            assert_eq!(failure(&check(&file, &evidence).proof).record, Some(2));
        }
    }

    #[test]
    fn evidence_of_another_message_fails() {
        let (file, _) = with_record(|_| {});
        let other = evidence_line(&message("fs.write")).unwrap();
        assert_eq!(failure(&check(&file, &other).proof).record, Some(2));
    }
}
