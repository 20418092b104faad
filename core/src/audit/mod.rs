//! The audit log: records, their hash chain with signed checkpoints, and the verifier (section 10).
//!
//! # The file
//!
//! A log is JSON Lines: each line is one compact JSON object in UTF-8, ended by `\n`. Every line begins with
//!
//! ```text
//! {"seq":N,"prev":"<64 lower-case hex digits>","time":"<RFC 3339, UTC>","event":"<name>"
//! ```
//!
//! * `seq` counts from 0 without a gap.
//! * `prev` is the SHA-256 of the bytes of the line before, without its `\n`; in record 0 it is 32 zero bytes.
//! * Record 0 is `LogOpened` with `format` (`smcp-audit-v1`), `log_id` (16 random bytes, hex), `config_sha256` (hex),
//!   `public_key` (the audit key, standard base64) and, in a log that goes on where another was closed, `continues`.
//! * `event` is one of [`AuditEvent`]'s names or of the log's own `LogOpened`, `LogResumed`, `LogClosed`, `Checkpoint` and
//!   `RefusalSummary`; another name is not of this format.
//! * The *head* of a log is the number of its last record with the SHA-256 of that line, written `SEQ:HASH`.
//!
//! # Checkpoints
//!
//! A checkpoint is a record of exactly `{"seq":…,"prev":…,"time":…,"event":"Checkpoint","signature":…}`. The signature is
//! standard base64 of the Ed25519 signature, by the audit key, over these 70 bytes:
//!
//! | bytes | what |
//! | --- | --- |
//! | 14 | `smcp-audit-v1` and a zero byte |
//! | 16 | the log id |
//! | 8 | number of the record before the checkpoint, big-endian |
//! | 32 | SHA-256 of that record's line, which is the checkpoint's `prev` |
//!
//! Its `time` repeats the time of the record before, so that no byte of the line can change without notice.
//!
//! # Evidence
//!
//! With evidence a second file keeps, one JSON line each, `{"message_sha256":"<hex>","message":"<text>"}`: the canonical
//! messages that agents signed. A record's `evidence` is the byte offset of its line in that file.
//!
//! Nothing here writes a file: [`AuditLog`] says which bytes to write, and its owner writes them.

mod chain;
mod event;
mod evidence;
mod hex;
mod log;
mod record;
mod redact;
mod summary;
mod verify;

pub use chain::{Head, LogId, LogIdentity};
pub use event::AuditEvent;
pub use evidence::{evidence_line, parse_evidence_line};
pub use log::{AuditLog, CheckpointRules, ExistingLog, Lines, LogSettings, Mark};
pub use record::{AuditRecord, CallOutcome, Decided};
pub use redact::{RedactionKey, Sanitised};
pub use summary::SummaryRules;
pub use verify::{AuditReport, EvidenceReport, EvidenceSource, Finding, Proof, Verifier, VerifierKeys};
