//! The log as a state machine without a file: records go in, lines to write come out.

use std::sync::Arc;

use super::AuditRecord;
use super::chain::{
    self, CLOSED, Head, LineHead, LogId, LogIdentity, Opening, RESUMED, SUMMARY, begin_line, checkpoint_line,
    checkpoint_message, line_hash, opening_line,
};
use super::hex::encode_hex;
use super::summary::{Refusals, SummaryRules};
use crate::error::{Error, ErrorKind, Result};
use crate::json::ObjectWriter;
use crate::keys::Signer;
use crate::time::UnixTime;

/// When a checkpoint is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRules {
    /// After so many records; at least 1.
    pub records: u32,
    /// When the oldest record behind the last checkpoint is so many seconds old.
    pub seconds: u32,
}

impl Default for CheckpointRules {
    /// 256 records, 1 second.
    fn default() -> Self {
        Self { records: 256, seconds: 1 }
    }
}

/// Bytes to append to the file, whole lines each with its newline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The last line is a checkpoint: time to bring the file to the disk.
    pub checkpoint: bool,
}

impl Lines {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn push(&mut self, line: &[u8], checkpoint: bool) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.checkpoint = checkpoint;
    }
}

/// The state before lines that could not be written, for [`AuditLog::roll_back`].
#[derive(Clone, Debug)]
pub struct Mark(Chain);

/// What a log needs beside its file.
#[derive(Clone)]
pub struct LogSettings {
    /// The audit key, which is not the token key.
    pub signer: Arc<dyn Signer>,
    /// When a checkpoint is written.
    pub checkpoints: CheckpointRules,
    /// How refusals from anyone are counted.
    pub refusals: SummaryRules,
}

/// The pieces of an existing file from which its log goes on.
#[derive(Clone, Copy, Debug)]
pub struct ExistingLog<'f> {
    /// The first line, without newline.
    pub first_line: &'f [u8],
    /// The last whole line, without newline; the first one if there is no other.
    pub last_line: &'f [u8],
    /// What stands behind the last newline after a crash. The caller cuts it off the file, and the first new record says
    /// so. A torn record was never acknowledged.
    pub torn: &'f [u8],
}

/// One open log.
///
/// Its owner writes the bytes of every answer, in order, to the end of the file. When a write fails it cuts the file
/// back to where it was and calls [`AuditLog::roll_back`]; otherwise the chain would have a gap.
pub struct AuditLog {
    log_id: LogId,
    signer: Arc<dyn Signer>,
    rules: CheckpointRules,
    chain: Chain,
    refusals: Refusals,
    /// Counts that a summary of the present call took.
    summed: Option<Refusals>,
}

#[derive(Clone, Debug)]
struct Chain {
    head: Head,
    /// Time of the last record, as written.
    time: String,
    /// Records behind the last checkpoint.
    unsigned: u32,
    /// When the first of them was written.
    unsigned_since: UnixTime,
}

impl AuditLog {
    /// Begins a new log, with record 0 and a first checkpoint.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when the signer fails.
    pub fn open(identity: &LogIdentity, settings: LogSettings, now: UnixTime) -> Result<(Self, Lines)> {
        let key = settings.signer.public_key().map_err(|error| unsigned(&error))?;
        let line = opening_line(identity, &key, now);
        let head = Head { seq: 0, hash: line_hash(&line) };
        let chain = Chain { head, time: now.to_rfc3339(), unsigned: 1, unsigned_since: now };
        let mut lines = Lines::default();
        lines.push(&line, false);
        let mut log = Self::new(identity.log_id, settings, chain);
        log.push_checkpoint(&mut lines)?;
        Ok((log, lines))
    }

    /// Goes on with an existing log. `config_digest` is that of the present configuration.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the lines are not those of a log, or when the log was opened with another key;
    /// `AUDIT_UNAVAILABLE` when the signer fails.
    pub fn resume(
        file: &ExistingLog<'_>,
        config_digest: &[u8; 32],
        settings: LogSettings,
        now: UnixTime,
    ) -> Result<(Self, Lines)> {
        let invalid =
            |reason: &str| Error::new(ErrorKind::ConfigInvalid, format!("the audit log cannot go on: {reason}"));
        let document = chain::scan_line(file.first_line).map_err(|reason| invalid(&reason))?;
        let opening = Opening::parse(document.root()).map_err(invalid)?;
        if settings.signer.public_key().map_err(|error| unsigned(&error))? != opening.key {
            return Err(invalid("it was opened with another audit key; begin a new log file for this one"));
        }
        let document = chain::scan_line(file.last_line).map_err(|reason| invalid(&reason))?;
        let last = LineHead::parse(document.root()).map_err(invalid)?;
        let head = Head { seq: last.seq, hash: line_hash(file.last_line) };
        let chain = Chain { head, time: last.time, unsigned: 0, unsigned_since: now };
        let mut log = Self::new(opening.log_id, settings, chain);
        let mut lines = Lines::default();
        log.push(&mut lines, RESUMED, now, now, |line| {
            let line = line.text("config_sha256", &encode_hex(config_digest));
            if file.torn.is_empty() {
                return line;
            }
            let bytes = i64::try_from(file.torn.len()).unwrap_or(i64::MAX);
            line.integer("torn_bytes", bytes).text("torn_sha256", &encode_hex(&line_hash(file.torn)))
        });
        log.push_checkpoint(&mut lines)?;
        Ok((log, lines))
    }

    fn new(log_id: LogId, settings: LogSettings, chain: Chain) -> Self {
        let LogSettings { signer, checkpoints, refusals } = settings;
        Self { log_id, signer, rules: checkpoints, chain, refusals: Refusals::new(refusals), summed: None }
    }

    /// The log's id.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The last record, to be kept elsewhere.
    #[must_use]
    pub fn head(&self) -> Head {
        self.chain.head
    }

    /// Appends a record.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when a checkpoint is due and the signer fails; nothing is then appended.
    pub fn append(&mut self, record: &AuditRecord, now: UnixTime) -> Result<Lines> {
        self.all_or_nothing(|log, lines| {
            log.push(lines, record.event.name(), record.time, now, |line| record.write(line));
            log.checkpoint_if_full(lines)
        })
    }

    /// Counts a refusal that came before the signature was verified, and appends it if it is one of its source's first
    /// in this minute. `source` is the name under which addresses are counted together.
    ///
    /// # Errors
    /// As [`AuditLog::append`].
    pub fn refused(&mut self, record: &AuditRecord, source: &str, now: UnixTime) -> Result<Lines> {
        self.all_or_nothing(|log, lines| {
            log.push_summary_if_due(lines, now);
            let kind = record.violation.as_ref().map(Error::kind);
            if log.refusals.count(source, kind, now) {
                log.push(lines, record.event.name(), record.time, now, |line| record.write(line));
            }
            log.checkpoint_if_full(lines)
        })
    }

    /// Does what the time asks for: the summary of a minute that is over, and a checkpoint. To be called about every
    /// second; the answer may be empty.
    ///
    /// # Errors
    /// As [`AuditLog::append`].
    pub fn tick(&mut self, now: UnixTime) -> Result<Lines> {
        self.all_or_nothing(|log, lines| {
            log.push_summary_if_due(lines, now);
            // Also due when the clock was stepped back.
            let age = now.millis().abs_diff(log.chain.unsigned_since.millis());
            let is_due = age >= u64::from(log.rules.seconds).saturating_mul(1000);
            if log.chain.unsigned > 0 && is_due { log.push_checkpoint(lines) } else { Ok(()) }
        })
    }

    /// Ends the log in an orderly way: what is counted, a last record and a checkpoint.
    ///
    /// # Errors
    /// As [`AuditLog::append`].
    pub fn close(&mut self, now: UnixTime) -> Result<Lines> {
        self.all_or_nothing(|log, lines| {
            log.push_summary(lines, now);
            log.push(lines, CLOSED, now, now, |line| line);
            log.push_checkpoint(lines)
        })
    }

    /// The state to go back to when the lines of the next calls cannot be written.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.chain.clone())
    }

    /// Forgets the records since `mark`, none of which reached the file. Counts of refusals are not brought back.
    pub fn roll_back(&mut self, mark: Mark) {
        self.chain = mark.0;
    }

    fn all_or_nothing(&mut self, work: impl FnOnce(&mut Self, &mut Lines) -> Result<()>) -> Result<Lines> {
        let chain = self.chain.clone();
        let mut lines = Lines::default();
        let result = work(self, &mut lines);
        let summed = self.summed.take();
        match result {
            Ok(()) => Ok(lines),
            Err(error) => {
                self.chain = chain;
                if let Some(counted) = summed {
                    self.refusals = counted;
                }
                Err(error)
            }
        }
    }

    fn push(
        &mut self,
        lines: &mut Lines,
        event: &str,
        time: UnixTime,
        now: UnixTime,
        write: impl FnOnce(ObjectWriter) -> ObjectWriter,
    ) {
        let seq = self.chain.head.seq.saturating_add(1);
        let time = time.to_rfc3339();
        let line = write(begin_line(seq, &self.chain.head.hash, &time, event)).finish();
        lines.push(&line, false);
        if self.chain.unsigned == 0 {
            self.chain.unsigned_since = now;
        }
        self.chain.unsigned = self.chain.unsigned.saturating_add(1);
        self.chain.head = Head { seq, hash: line_hash(&line) };
        self.chain.time = time;
    }

    fn push_checkpoint(&mut self, lines: &mut Lines) -> Result<()> {
        let head = self.chain.head;
        let signature = self.signer.sign(&checkpoint_message(self.log_id, &head)).map_err(|error| unsigned(&error))?;
        let seq = head.seq.saturating_add(1);
        let line = checkpoint_line(seq, &head.hash, &self.chain.time, &signature);
        lines.push(&line, true);
        self.chain.head = Head { seq, hash: line_hash(&line) };
        self.chain.unsigned = 0;
        Ok(())
    }

    fn checkpoint_if_full(&mut self, lines: &mut Lines) -> Result<()> {
        if self.chain.unsigned >= self.rules.records.max(1) { self.push_checkpoint(lines) } else { Ok(()) }
    }

    fn push_summary_if_due(&mut self, lines: &mut Lines, now: UnixTime) {
        if self.refusals.is_due(now) {
            self.push_summary(lines, now);
        }
    }

    fn push_summary(&mut self, lines: &mut Lines, now: UnixTime) {
        if self.refusals.is_empty() {
            return;
        }
        let counted = self.refusals.take();
        self.push(lines, SUMMARY, now, now, |line| counted.write(line));
        self.summed = Some(counted);
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AuditLog({} at {})", self.log_id, self.chain.head)
    }
}

fn unsigned(error: &Error) -> Error {
    Error::new(ErrorKind::AuditUnavailable, format!("the audit key cannot sign: {}", error.message()))
}

#[cfg(test)]
mod tests;
