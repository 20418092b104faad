//! The log and its files: what happens to a batch of records, without tasks and queues.

use std::io;
use std::path::Path;
use std::sync::Arc;

use smcp_core::audit::{
    AuditLog, AuditRecord, CheckpointRules, ExistingLog, Head, Lines, LogId, LogIdentity, LogSettings, SummaryRules,
    evidence_line,
};
use smcp_core::keys::Signer;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::append_file::AppendFile;
use super::{AuditSettings, SyncMode};
use crate::random;

/// The longest line of the log in bytes; records are bounded far below.
const LONGEST_LINE: u64 = 4 << 20;
/// The longest line of the evidence file in bytes.
const LONGEST_EVIDENCE: u64 = 64 << 20;
/// How the first line of every log begins.
const FIRST_LINE: &[u8] = br#"{"seq":0,"prev":"0000"#;

/// What is to be written.
pub(super) enum Entry {
    /// A record, with the canonical message of its call where evidence is kept.
    Record { record: Box<AuditRecord>, message: Option<Vec<u8>>, now: UnixTime },
    /// A refusal that can come from anyone.
    Refusal { record: Box<AuditRecord>, source: String, now: UnixTime },
}

/// What became of a batch.
pub(super) struct Written {
    /// One answer for each entry.
    pub(super) answers: Vec<Result<()>>,
    /// A checkpoint was written, so [`Ledger::sync`] is due.
    pub(super) checkpoint: bool,
}

/// One log with its files.
pub(super) struct Ledger {
    log: AuditLog,
    file: AppendFile,
    evidence: Option<AppendFile>,
    mode: SyncMode,
    /// The last attempt to bring the files to the disk failed.
    unsynced: bool,
    /// Records stand behind the last checkpoint.
    unsigned: bool,
}

fn unavailable(error: &io::Error) -> Error {
    Error::new(ErrorKind::AuditUnavailable, format!("the audit log cannot be written: {error}"))
}

fn refuse(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("audit file `{}` {reason}", path.display()))
}

impl Ledger {
    /// Opens the files, begins a log or goes on with the existing one, and brings its first lines to the disk.
    pub(super) fn open(settings: &AuditSettings, signer: Arc<dyn Signer>, now: UnixTime) -> Result<Self> {
        let log_settings = LogSettings {
            signer,
            // Below a second the writer's timer alone decides: a tick then always signs.
            checkpoints: CheckpointRules {
                records: settings.checkpoint_records,
                seconds: u32::try_from(settings.checkpoint_interval.as_secs()).unwrap_or(u32::MAX),
            },
            refusals: SummaryRules::default(),
        };
        let path = &settings.file;
        let mut file = AppendFile::open(path)?;
        let evidence = settings.evidence_file.as_deref().map(open_evidence).transpose()?;
        let (log, lines) = match existing(path, &mut file)? {
            None => {
                let log_id = LogId(random::bytes()?);
                let identity = LogIdentity { log_id, config_digest: settings.config_digest, continues: None };
                AuditLog::open(&identity, log_settings, now)?
            }
            Some((first, last, torn)) => {
                let ends = ExistingLog { first_line: &first, last_line: &last, torn: &torn };
                AuditLog::resume(&ends, &settings.config_digest, log_settings, now)?
            }
        };
        let mut ledger = Self { log, file, evidence, mode: settings.sync, unsynced: false, unsigned: false };
        let failed = |error: io::Error| refuse(path, format_args!("cannot be written: {error}"));
        ledger.file.append(&lines.bytes).map_err(failed)?;
        ledger.sync()?;
        crate::private_file::sync_folder(path).map_err(failed)?;
        Ok(ledger)
    }

    pub(super) fn head(&self) -> Head {
        self.log.head()
    }

    pub(super) fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    /// Whether records wait for a checkpoint.
    pub(super) fn is_unsigned(&self) -> bool {
        self.unsigned
    }

    /// Writes a batch. Either all of its lines are in the file or none is.
    pub(super) fn write(&mut self, entries: Vec<Entry>) -> Written {
        let count = entries.len();
        let mut answers = Vec::with_capacity(count);
        let result = self.commit(|log, evidence, batch| {
            answers.extend(entries.into_iter().map(|entry| batch.add(log, evidence, entry)));
            Ok(())
        });
        match result {
            Ok(checkpoint) => Written { answers, checkpoint },
            Err(error) => {
                answers.resize(count, Ok(()));
                let answers = answers.into_iter().map(|answer| answer.and_then(|()| Err(error.clone()))).collect();
                Written { answers, checkpoint: false }
            }
        }
    }

    /// What the time asks for: summaries of refusals and a checkpoint. Says whether there was a checkpoint.
    pub(super) fn tick(&mut self, now: UnixTime) -> Result<bool> {
        self.commit(|log, _, batch| {
            batch.take(log.tick(now)?);
            Ok(())
        })
    }

    /// The last records and the last checkpoint, brought to the disk.
    pub(super) fn close(&mut self, now: UnixTime) -> Result<()> {
        self.commit(|log, _, batch| {
            batch.take(log.close(now)?);
            Ok(())
        })?;
        self.sync()
    }

    /// Brings the files to the disk, the evidence first.
    pub(super) fn sync(&mut self) -> Result<()> {
        let evidence = self.evidence.as_mut().map_or(Ok(()), AppendFile::sync);
        let synced = evidence.and_then(|()| self.file.sync());
        self.unsynced = synced.is_err();
        synced.map_err(|error| unavailable(&error))
    }

    /// Whether records could be written again.
    pub(super) fn probe(&mut self) -> Result<()> {
        let evidence = self.evidence.as_mut().map_or(Ok(()), AppendFile::probe);
        evidence.and_then(|()| self.file.probe()).map_err(|error| unavailable(&error))?;
        self.sync()
    }

    fn commit(&mut self, fill: impl FnOnce(&mut AuditLog, Option<u64>, &mut Batch) -> Result<()>) -> Result<bool> {
        if self.unsynced {
            // What is in the file may not be on the disk; until it is, nothing more is promised.
            self.sync()?;
        }
        let mark = self.log.mark();
        let (length, evidence_length) = (self.file.length(), self.evidence.as_ref().map(AppendFile::length));
        let mut batch = Batch::default();
        fill(&mut self.log, evidence_length, &mut batch)?;
        if let Err(error) = self.put(&batch) {
            self.file.cut_back(length);
            if let (Some(evidence), Some(length)) = (&mut self.evidence, evidence_length) {
                evidence.cut_back(length);
            }
            self.log.roll_back(mark);
            return Err(unavailable(&error));
        }
        if !batch.lines.is_empty() {
            self.unsigned = !batch.lines.checkpoint;
        }
        Ok(batch.checkpoint)
    }

    fn put(&mut self, batch: &Batch) -> io::Result<()> {
        if let Some(evidence) = &mut self.evidence
            && !batch.evidence.is_empty()
        {
            evidence.append(&batch.evidence)?;
        }
        if batch.lines.is_empty() {
            return Ok(());
        }
        self.file.append(&batch.lines.bytes)?;
        match self.mode {
            SyncMode::Checkpoint => Ok(()),
            SyncMode::Every => {
                self.evidence.as_mut().map_or(Ok(()), AppendFile::sync)?;
                self.file.sync()
            }
        }
    }
}

/// Bytes that go into the files together.
#[derive(Default)]
struct Batch {
    lines: Lines,
    evidence: Vec<u8>,
    checkpoint: bool,
}

impl Batch {
    fn take(&mut self, lines: Lines) {
        if !lines.is_empty() {
            self.lines.bytes.extend_from_slice(&lines.bytes);
            self.lines.checkpoint = lines.checkpoint;
            self.checkpoint |= lines.checkpoint;
        }
    }

    fn add(&mut self, log: &mut AuditLog, evidence_length: Option<u64>, entry: Entry) -> Result<()> {
        match entry {
            Entry::Refusal { record, source, now } => {
                self.take(log.refused(&record, &source, now)?);
                Ok(())
            }
            Entry::Record { mut record, message, now } => {
                let before = self.evidence.len();
                if let (Some(length), Some(message)) = (evidence_length, message) {
                    let line = evidence_line(&message)?;
                    record.evidence = Some(length.saturating_add(u64::try_from(before).unwrap_or(u64::MAX)));
                    self.evidence.extend_from_slice(&line);
                }
                match log.append(&record, now) {
                    Ok(lines) => {
                        self.take(lines);
                        Ok(())
                    }
                    Err(error) => {
                        self.evidence.truncate(before);
                        Err(error)
                    }
                }
            }
        }
    }
}

/// First line, last whole line, and what was torn off.
type Existing = (Vec<u8>, Vec<u8>, Vec<u8>);

/// The ends of an existing log; the file is cut back to its last whole line.
fn existing(path: &Path, file: &mut AppendFile) -> Result<Option<Existing>> {
    if file.length() == 0 {
        return Ok(None);
    }
    let ends = file.ends(LONGEST_LINE).map_err(|error| refuse(path, format_args!("cannot be read: {error}")))?;
    let torn = u64::try_from(ends.torn.len()).unwrap_or(u64::MAX);
    let is_begun = FIRST_LINE.starts_with(&ends.torn) || ends.torn.starts_with(FIRST_LINE);
    if ends.first.is_empty() && !(is_begun && torn > 0) {
        return Err(refuse(path, "is no audit log"));
    }
    if torn > 0 {
        // A crash in the middle of a write; what was not written whole was never acknowledged.
        tracing::warn!(bytes = torn, file = %path.display(), "the audit log ends in a torn line, which is cut off");
        file.cut_back(file.length().saturating_sub(torn));
    }
    if ends.first.is_empty() { Ok(None) } else { Ok(Some((ends.first, ends.last, ends.torn))) }
}

fn open_evidence(path: &Path) -> Result<AppendFile> {
    let mut file = AppendFile::open(path)?;
    if file.length() > 0 {
        let ends =
            file.ends(LONGEST_EVIDENCE).map_err(|error| refuse(path, format_args!("cannot be read: {error}")))?;
        let begin = if ends.first.is_empty() { &ends.torn } else { &ends.first };
        if !begin.starts_with(br#"{"message"#) {
            return Err(refuse(path, "is no evidence file"));
        }
        file.cut_back(file.length().saturating_sub(u64::try_from(ends.torn.len()).unwrap_or(u64::MAX)));
    }
    Ok(file)
}
