//! What a log proves.

use std::fmt;

use super::{Head, LogId};

/// Where something is wrong or open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Number of the record.
    pub record: Option<u64>,
    /// Index of its line in the file, from 0.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.record {
            Some(record) => {
                write!(formatter, "record {record} (line {}): {}", self.line.saturating_add(1), self.reason)
            }
            None => formatter.write_str(&self.reason),
        }
    }
}

/// One verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is so.
    Holds,
    /// It may be so; what is missing.
    Unproven(Finding),
    /// It is not so.
    Fails(Finding),
}

/// The verdicts on one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// The log's id, once record 0 was read.
    pub log_id: Option<LogId>,
    /// Whole lines read.
    pub records: u64,
    /// The last record of an intact log.
    pub head: Option<Head>,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Number of the last checkpoint that verifies.
    pub signed_through: Option<u64>,
    /// Records that were written before a crash and signed only after the restart.
    pub late_signed: u64,
    /// Every record follows from the one before.
    pub intact: Proof,
    /// Nothing is missing at the end. Without an expected head this means that the log ends in a signed checkpoint; a cut
    /// behind an earlier checkpoint shows only against a head kept elsewhere.
    pub complete: Proof,
    /// Trusted checkpoints cover every record.
    pub signed: Proof,
    /// The agents' own signatures verify over the kept messages; `None` when no evidence was given.
    pub evidence: Option<EvidenceReport>,
}

impl AuditReport {
    /// The worst of the verdicts.
    #[must_use]
    pub fn overall(&self) -> &Proof {
        let evidence = self.evidence.as_ref().map(|evidence| &evidence.proof);
        let all = [Some(&self.intact), Some(&self.complete), Some(&self.signed), evidence];
        let find = |wanted: fn(&Proof) -> bool| all.into_iter().flatten().find(|proof| wanted(proof));
        find(|proof| matches!(proof, Proof::Fails(_)))
            .or_else(|| find(|proof| matches!(proof, Proof::Unproven(_))))
            .unwrap_or(&Proof::Holds)
    }
}

/// What the evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceReport {
    /// Records whose message was found and whose agent signature verifies.
    pub verified: u64,
    /// Records of signed calls that name no evidence or whose evidence is not in the file.
    pub missing: u64,
    /// The verdict.
    pub proof: Proof,
}
