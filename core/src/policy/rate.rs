//! Rate limits: what is counted, and the interface of whoever counts (section 7, "Rate limit").

use super::RateLimit;
use crate::error::Result;
use crate::time::UnixTime;

/// What one counter counts: calls of a workload under a capability of a context, across sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateKey {
    /// The workload, so that a new session does not reset the counter.
    pub workload_id: String,
    /// Name of the context.
    pub context: String,
    /// Index of the capability in the context.
    pub capability: usize,
}

/// Answer of a rate store to one check-and-charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateAnswer {
    /// The call fits and is now counted.
    Charged,
    /// The limit is used up; nothing was counted.
    Exceeded {
        /// Whole seconds, at least 1, until a call fits again.
        retry_after: u64,
    },
    /// The store has no room for another counter; nothing was counted.
    Full,
}

/// Counts calls. Check and charge are one atomic step.
pub trait RateStore: Send + Sync {
    /// Counts a call at `now` if fewer than `limit.calls` were counted within the window before.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer; the call is then refused.
    fn check_and_charge(&self, key: &RateKey, limit: RateLimit, now: UnixTime) -> Result<RateAnswer>;
}
