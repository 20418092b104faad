//! The audit log (section 10).

use std::path::PathBuf;
use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::Fields;

use super::address::secure_url;
use super::base::Base;
use super::quantity::{HOUR, SECOND, duration};
use super::signing::SigningConfig;

/// Where records go and when they are safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The log, JSON Lines.
    pub file: PathBuf,
    /// Whether a call is refused when its record cannot be written, default true.
    pub required: bool,
    /// File for canonical messages, with `evidence: full`; they hold tokens and arguments.
    pub evidence: Option<PathBuf>,
    /// When records are forced to the disk.
    pub sync: SyncPolicy,
    /// Records after which a checkpoint is signed, default 1000.
    pub checkpoint_records: u64,
    /// Time after which a checkpoint is signed, default 1 s.
    pub checkpoint_interval: Duration,
    /// Key that signs checkpoints, made at the first start; never the token key.
    pub key_file: PathBuf,
    /// URL to which the head of the chain is sent.
    pub head_url: Option<String>,
}

/// When records are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Written before the call is forwarded, forced at each checkpoint.
    Checkpoint,
    /// Forced before the call is forwarded.
    Every,
}

impl AuditConfig {
    pub(super) fn read(root: &Fields<'_>, base: &Base<'_>, signing: &SigningConfig) -> Result<Self> {
        let mut config = Self {
            file: base.state.join("audit.jsonl"),
            required: true,
            evidence: None,
            sync: SyncPolicy::Checkpoint,
            checkpoint_records: 1000,
            checkpoint_interval: SECOND,
            key_file: base.state.join("audit.key"),
            head_url: None,
        };
        let Some(field) = root.optional("audit") else { return Ok(config) };
        let fields = field.fields(&[
            "file",
            "required",
            "evidence",
            "evidence_file",
            "sync",
            "checkpoint",
            "key_file",
            "head_url",
        ])?;
        if let Some(field) = fields.optional("file") {
            config.file = base.path(&field)?;
        }
        if let Some(field) = fields.optional("required") {
            config.required = field.boolean()?;
        }
        if let Some(field) = fields.optional("sync") {
            config.sync = field.choice(&[("checkpoint", SyncPolicy::Checkpoint), ("every", SyncPolicy::Every)])?;
        }
        if let Some(field) = fields.optional("head_url") {
            config.head_url = Some(secure_url(&field)?.into());
        }
        if let Some(field) = fields.optional("key_file") {
            config.key_file = base.path(&field)?;
            let of_tokens = signing.retired.iter().map(|key| &key.key_file).chain([&signing.key_file]);
            if of_tokens.into_iter().any(|file| *file == config.key_file) {
                return Err(field.error("signs tokens; the audit log needs a key of its own"));
            }
        }
        config.read_evidence(&fields, base)?;
        config.read_checkpoint(&fields)?;
        Ok(config)
    }

    fn read_evidence(&mut self, fields: &Fields<'_>, base: &Base<'_>) -> Result<()> {
        let full =
            fields.optional("evidence").map_or(Ok(false), |field| field.choice(&[("off", false), ("full", true)]))?;
        let file = fields.optional("evidence_file");
        if let (Some(file), false) = (&file, full) {
            return Err(file.error("needs `evidence: full`"));
        }
        if full {
            let path = match &file {
                Some(file) => base.path(file)?,
                None => self.file.with_added_extension("evidence"),
            };
            if let (Some(file), true) = (&file, path == self.file) {
                return Err(file.error("is the log itself"));
            }
            self.evidence = Some(path);
        }
        Ok(())
    }

    fn read_checkpoint(&mut self, fields: &Fields<'_>) -> Result<()> {
        let Some(field) = fields.optional("checkpoint") else { return Ok(()) };
        let fields = field.fields(&["records", "interval"])?;
        if let Some(field) = fields.optional("records") {
            self.checkpoint_records = field.integer(1..=1_000_000)?;
        }
        if let Some(field) = fields.optional("interval") {
            self.checkpoint_interval = duration(&field, Duration::from_millis(10)..=HOUR)?;
        }
        Ok(())
    }
}
