//! Replay protection (section 5 step 6): what is remembered, and the interface of whoever remembers it.

mod memory;
mod window;

pub use memory::MemoryReplayStore;

use crate::error::Result;
use crate::time::UnixTime;

/// One verified message, as a replay store sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayEntry {
    /// SHA-256 of the canonical message that verified.
    pub key: [u8; 32],
    /// The envelope's timestamp in whole seconds.
    pub timestamp: i64,
    /// The last second in which the envelope is fresh: timestamp plus window.
    pub expires_at: i64,
    /// The session whose share the entry takes: its id, or the agent id of a token without one.
    pub session: String,
    /// When the session was opened; without a session record, the token's `iat`.
    pub opened_at: UnixTime,
}

/// Answer of a replay store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplayAnswer {
    /// Not seen before, and remembered now.
    New,
    /// Seen before: REPLAY_DETECTED.
    Seen,
    /// So old that the store may have forgotten it, or not fresh at the store's time: STALE_TIMESTAMP.
    Stale,
    /// The session is older than the store's memory, which cannot tell: SESSION_NOT_FOUND.
    BeforeRestart,
    /// No room in the store or in the session's share: OVERLOADED. Nothing was forgotten for it.
    Full,
}

/// Remembers messages for as long as they are fresh.
pub trait ReplayStore: Send + Sync {
    /// Says whether `entry` is new and remembers it if so, in one atomic step.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer; the call is then refused.
    fn check_and_insert(&self, entry: &ReplayEntry, now: UnixTime) -> Result<ReplayAnswer>;
}
