//! The verifier: reads a log line by line and says what it proves.

mod recheck;
mod report;

use super::AuditEvent;
use super::chain::{
    CHECKPOINT, CLOSED, Head, LineHead, LogId, OPENED, Opening, RESUMED, SUMMARY, checkpoint_line, checkpoint_message,
    checkpoint_signature, line_hash, scan_line,
};
use crate::json::Value;
use crate::keys::PublicKey;
pub use recheck::EvidenceSource;
use recheck::Rechecker;
pub use report::{AuditReport, EvidenceReport, Finding, Proof};

/// Whose signatures count.
#[derive(Clone, Debug)]
pub enum VerifierKeys {
    /// The audit keys the reader trusts, obtained elsewhere than from the log.
    Trusted(Vec<PublicKey>),
    /// None are known: checkpoints are compared with the key the log itself names, which proves no signer.
    Unknown,
}

/// Verifies one log. Feed it every line in order, then ask for the report.
pub struct Verifier<'e> {
    keys: VerifierKeys,
    expected: Option<Head>,
    rechecker: Rechecker<'e>,
    opening: Option<Opening>,
    head: Option<Head>,
    /// Time of the last record, as written.
    time: String,
    lines: u64,
    checkpoints: u64,
    /// Number of the last record whose checkpoint verifies, the checkpoint itself included.
    signed_through: Option<u64>,
    late: u64,
    suspect: Option<Suspect>,
    broken: Option<Finding>,
    unsigned: Option<Finding>,
    torn: bool,
    met_expected: Option<bool>,
}

/// A record that does not follow from the one before; the next line tells which of the two was changed.
struct Suspect {
    seq: u64,
    line: u64,
    hash: [u8; 32],
    /// What the signature says if the suspect is a checkpoint.
    culprit: Option<Culprit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Culprit {
    /// The record before the suspect.
    Before,
    Suspect,
}

impl<'e> Verifier<'e> {
    /// A verifier that trusts `keys` and, when the head of the log is known from elsewhere, compares it.
    #[must_use]
    pub fn new(keys: VerifierKeys, expected: Option<Head>) -> Self {
        Self {
            keys,
            expected,
            rechecker: Rechecker::default(),
            opening: None,
            head: None,
            time: String::new(),
            lines: 0,
            checkpoints: 0,
            signed_through: None,
            late: 0,
            suspect: None,
            broken: None,
            unsigned: None,
            torn: false,
            met_expected: None,
        }
    }

    /// Checks the agents' own signatures as well, with the lines of the evidence file.
    #[must_use]
    pub fn with_evidence(mut self, source: EvidenceSource<'e>) -> Self {
        self.rechecker = Rechecker::new(source);
        self
    }

    /// Takes the next line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        let number = self.lines;
        self.lines = self.lines.saturating_add(1);
        if self.broken.is_some() {
            return;
        }
        if let Some(suspect) = self.suspect.take() {
            self.resolve(&suspect, line);
            return;
        }
        let seq = self.head.map_or(0, |head| head.seq.saturating_add(1));
        let document = match scan_line(line) {
            Ok(document) => document,
            Err(reason) => return self.break_at(Some(seq), number, reason),
        };
        let found = match LineHead::parse(document.root()) {
            Ok(found) => found,
            Err(reason) => return self.break_at(Some(seq), number, reason.to_owned()),
        };
        let hash = line_hash(line);
        let follows = found.prev == self.head.map_or([0; 32], |head| head.hash);
        match (found.seq == seq, follows) {
            (true, true) => self.accept(line, document.root(), &found, Head { seq, hash }),
            (false, true) => {
                self.break_at(Some(seq), number, format!("the record calls itself number {}", found.seq));
            }
            (false, false) => {
                let reason = format!("the record is missing or out of order: record {} stands in its place", found.seq);
                self.break_at(Some(seq), number, reason);
            }
            (true, false) if seq == 0 => {
                self.break_at(Some(0), number, "the first record names a record before it".to_owned());
            }
            (true, false) => {
                let culprit = self.culprit(document.root(), &found);
                self.suspect = Some(Suspect { seq, line: number, hash, culprit });
            }
        }
    }

    /// Takes what stands behind the last newline, if anything.
    pub fn torn(&mut self, rest: &[u8]) {
        self.torn |= !rest.is_empty();
    }

    /// The verdicts.
    #[must_use]
    pub fn finish(mut self) -> AuditReport {
        if let Some(suspect) = self.suspect.take() {
            let before = suspect.seq.saturating_sub(1);
            match suspect.culprit {
                Some(culprit) => self.accuse(&suspect, culprit),
                None => {
                    let reason = format!("record {} does not follow from it: one of the two was changed", suspect.seq);
                    self.break_at(Some(before), suspect.line.saturating_sub(1), reason);
                }
            }
        }
        if self.lines == 0 {
            self.break_at(None, 0, "the log has no whole line".to_owned());
        }
        let intact = self.broken.take().map_or(Proof::Holds, Proof::Fails);
        let signed = self.signed(&intact);
        AuditReport {
            log_id: self.opening.map(|opening| opening.log_id),
            records: self.lines,
            head: self.head.filter(|_| intact == Proof::Holds),
            checkpoints: self.checkpoints,
            signed_through: self.signed_through,
            late_signed: self.late,
            complete: self.complete(&intact, &signed),
            evidence: self.rechecker.finish(),
            intact,
            signed,
        }
    }

    /// Reads a whole log held in memory.
    #[must_use]
    pub fn verify(mut self, log: &[u8]) -> AuditReport {
        let mut lines = log.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_some() { self.line(line) } else { self.torn(line) }
        }
        self.finish()
    }

    fn accept(&mut self, line: &[u8], root: Value<'_>, found: &LineHead, head: Head) {
        let number = self.lines.saturating_sub(1);
        if head.seq == 0 {
            match Opening::parse(root) {
                Ok(opening) => self.opening = Some(opening),
                Err(reason) => return self.break_at(Some(0), number, reason.to_owned()),
            }
        } else if found.event == OPENED {
            return self.break_at(Some(head.seq), number, "a second record opens a log".to_owned());
        } else if found.event == CHECKPOINT {
            if self.checkpoint_text(root, found) != Some(line.to_vec()) {
                return self.break_at(
                    Some(head.seq),
                    number,
                    "the checkpoint is not written as checkpoints are".to_owned(),
                );
            }
            self.checkpoint(root, found, number);
        } else if !is_known(&found.event) {
            return self.break_at(Some(head.seq), number, format!("`{}` is no event of this format", found.event));
        } else if found.event == RESUMED {
            let signed = self.signed_through.map_or(0, |signed| signed.saturating_add(1));
            self.late = self.late.saturating_add(head.seq.saturating_sub(signed));
        }
        self.rechecker.check(root, &found.event, head.seq, number);
        if let Some(expected) = self.expected.filter(|expected| expected.seq == head.seq) {
            self.met_expected = Some(expected.hash == head.hash);
        }
        self.head = Some(head);
        found.time.clone_into(&mut self.time);
    }

    /// The only line a checkpoint with this signature can be.
    fn checkpoint_text(&self, root: Value<'_>, found: &LineHead) -> Option<Vec<u8>> {
        Some(checkpoint_line(found.seq, &found.prev, &self.time, &checkpoint_signature(root)?))
    }

    fn checkpoint(&mut self, root: Value<'_>, found: &LineHead, number: u64) {
        self.checkpoints = self.checkpoints.saturating_add(1);
        if self.is_signed(root, found.seq, &found.prev) {
            // A checkpoint that fails leaves everything up to the next good one covered by that one, but the failure stays.
            self.signed_through = Some(found.seq);
        } else if self.unsigned.is_none() {
            let first = self.signed_through.map_or(0, |signed| signed.saturating_add(1));
            let reason = format!(
                "the signature of this checkpoint does not verify: records {first} to {} may be forged, or another key signed",
                found.seq
            );
            self.unsigned = Some(Finding { record: Some(found.seq), line: number, reason });
        }
    }

    fn is_signed(&self, root: Value<'_>, seq: u64, prev: &[u8; 32]) -> bool {
        let (Some(signature), Some(opening)) = (checkpoint_signature(root), self.opening) else { return false };
        let Some(before) = seq.checked_sub(1) else { return false };
        let message = checkpoint_message(opening.log_id, &Head { seq: before, hash: *prev });
        let verifies = |key: &PublicKey| key.verify(&message, &signature).is_ok();
        match &self.keys {
            VerifierKeys::Trusted(keys) => keys.iter().any(verifies),
            VerifierKeys::Unknown => verifies(&opening.key),
        }
    }

    /// A checkpoint's signature covers its link, so it tells whether the link or the record before was changed.
    fn culprit(&self, root: Value<'_>, found: &LineHead) -> Option<Culprit> {
        if found.event != CHECKPOINT {
            return None;
        }
        if self.is_signed(root, found.seq, &found.prev) {
            return Some(Culprit::Before);
        }
        self.head.is_some_and(|head| self.is_signed(root, found.seq, &head.hash)).then_some(Culprit::Suspect)
    }

    /// If the next record follows from the suspect, the suspect is whole and the record before it was changed.
    fn resolve(&mut self, suspect: &Suspect, next: &[u8]) {
        let prev = scan_line(next).ok().and_then(|next| LineHead::parse(next.root()).ok()).map(|head| head.prev);
        let follows = if prev == Some(suspect.hash) { Culprit::Before } else { Culprit::Suspect };
        self.accuse(suspect, suspect.culprit.unwrap_or(follows));
    }

    fn accuse(&mut self, suspect: &Suspect, culprit: Culprit) {
        let back = u64::from(culprit == Culprit::Before);
        let reason = "the record was changed: it does not fit between the records around it".to_owned();
        self.break_at(Some(suspect.seq.saturating_sub(back)), suspect.line.saturating_sub(back), reason);
    }

    fn break_at(&mut self, record: Option<u64>, line: u64, reason: String) {
        self.broken.get_or_insert(Finding { record, line, reason });
    }

    fn last_line(&self, reason: String) -> Finding {
        Finding { record: self.head.map(|head| head.seq), line: self.lines.saturating_sub(1), reason }
    }

    fn signed(&mut self, intact: &Proof) -> Proof {
        if let Some(finding) = self.unsigned.take() {
            return Proof::Fails(finding);
        }
        let unproven = |reason: &str| Proof::Unproven(self.last_line(reason.to_owned()));
        let Some(signed) = self.signed_through else {
            return unproven("the log has no checkpoint that could be checked");
        };
        if matches!(self.keys, VerifierKeys::Unknown) {
            return unproven("signer unknown: the checkpoints verify under the key that the log itself names");
        }
        if *intact != Proof::Holds {
            return unproven(&format!("only the records up to {signed}, before the break, are signed"));
        }
        match self.head {
            Some(head) if head.seq > signed => {
                unproven(&format!("the records after {signed} are not covered by a checkpoint yet"))
            }
            _ => Proof::Holds,
        }
    }

    fn complete(&self, intact: &Proof, signed: &Proof) -> Proof {
        let fails = |reason: String| Proof::Fails(self.last_line(reason));
        if self.torn {
            let record = self.head.map_or(0, |head| head.seq.saturating_add(1));
            let reason = "the line of this record is cut off".to_owned();
            return Proof::Fails(Finding { record: Some(record), line: self.lines, reason });
        }
        if let (Some(expected), Proof::Holds) = (self.expected, intact) {
            return match self.met_expected {
                Some(true) => Proof::Holds,
                Some(false) => fails(format!("record {} is not the one of the expected head", expected.seq)),
                None => fails(format!("the log ends before record {} of the expected head", expected.seq)),
            };
        }
        match (intact, signed) {
            (Proof::Fails(finding), _) => Proof::Unproven(Finding {
                reason: "what stands behind the broken record was not examined".to_owned(),
                ..finding.clone()
            }),
            (Proof::Holds | Proof::Unproven(_), Proof::Holds) => Proof::Holds,
            (Proof::Holds | Proof::Unproven(_), Proof::Unproven(_) | Proof::Fails(_)) => {
                Proof::Unproven(self.last_line(
                    "the log does not end in a trusted checkpoint, and no expected head is given".to_owned(),
                ))
            }
        }
    }
}

/// Whether a record that is neither the first nor a checkpoint may have this event.
fn is_known(event: &str) -> bool {
    [RESUMED, CLOSED, SUMMARY].contains(&event) || AuditEvent::ALL.iter().any(|known| known.name() == event)
}

impl std::fmt::Debug for Verifier<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Verifier({} lines)", self.lines)
    }
}

#[cfg(test)]
mod tests;
