//! The audit log's files, and the one task that writes them (section 10).

mod append_file;
mod head_post;
mod ledger;
mod writer;

use std::path::PathBuf;
use std::time::Duration;

pub use writer::{AuditHandle, AuditWriter};

/// When records are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Written before a call is forwarded, forced at each checkpoint.
    Checkpoint,
    /// Forced before a call is forwarded.
    Every,
}

/// What an audit log is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// The log, JSON Lines, mode 0600.
    pub file: PathBuf,
    /// The file of canonical messages, mode 0600; they hold tokens and arguments.
    pub evidence_file: Option<PathBuf>,
    /// Whether a call is refused when its record cannot be written.
    pub required: bool,
    /// When records are forced to the disk.
    pub sync: SyncMode,
    /// Records after which a checkpoint is signed.
    pub checkpoint_records: u32,
    /// Time after which a checkpoint is signed.
    pub checkpoint_interval: Duration,
    /// `https` URL (or `http` on loopback) to which the head is sent after checkpoints.
    pub head_url: Option<String>,
    /// SHA-256 of the configuration.
    pub config_digest: [u8; 32],
}
