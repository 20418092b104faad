//! The interface of a session store.

use std::sync::Arc;

use super::Session;
use crate::error::Result;
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// Answer of a session store to a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionAnswer {
    /// The session, whatever its state, also when it has expired.
    Found(Arc<Session>),
    /// The store does not know it (any more).
    NotFound,
    /// More than one session fits, so that none may be chosen.
    Ambiguous,
}

/// How long a revocation keeps the workload and its key from attesting again (section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Until an operator allows the workload.
    UntilLifted,
    /// Until this time, or until an operator allows the workload before.
    Until(UnixTime),
}

impl Block {
    /// Whether the block holds at `now`.
    #[must_use]
    pub fn holds(self, now: UnixTime) -> bool {
        match self {
            Self::UntilLifted => true,
            Self::Until(end) => now < end,
        }
    }

    /// The longer of two blocks.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        match (self, other) {
            (Self::Until(one), Self::Until(two)) => Self::Until(one.max(two)),
            (Self::UntilLifted, _) | (_, Self::UntilLifted) => Self::UntilLifted,
        }
    }
}

/// A blocked workload with the keys that were blocked with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRecord {
    /// The workload.
    pub workload_id: String,
    /// Its keys.
    pub keys: Vec<PublicKey>,
    /// For how long.
    pub block: Block,
}

/// Remembers sessions, revocations and blocks. Every operation is one atomic step.
///
/// Every error is fail-closed: the caller refuses what it wanted to do.
pub trait SessionStore: Send + Sync {
    /// Remembers a new session.
    ///
    /// The two checks of section 4 that depend on other sessions are made here, in the same step, so that neither a
    /// second attestation nor a revocation at the same moment can slip in between.
    ///
    /// # Errors
    /// `KEYPAIR_MISMATCH` when the key is bound to a live session of another workload, `WORKLOAD_VERIFICATION_FAILED`
    /// when the workload or the key is blocked, `OVERLOADED` when the store is full of sessions that have not expired,
    /// `INTERNAL_ERROR` when there is a session of this id already.
    fn open(&self, session: Session, now: UnixTime) -> Result<()>;

    /// Finds a session by its id, the token's `jti`.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn find(&self, id: &str, now: UnixTime) -> Result<SessionAnswer>;

    /// Finds the session of a token without `jti`: only if exactly one session not yet expired has this agent id,
    /// in whatever state, so that the token of a revoked session is never taken for that of a live one (section 3).
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn find_by_agent(&self, agent_id: &str, now: UnixTime) -> Result<SessionAnswer>;

    /// The workload of the live session bound to this key.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn live_key_owner(&self, key: &PublicKey, now: UnixTime) -> Result<Option<String>>;

    /// Revokes a session and blocks its workload and key if `block` says so; the revoked session, or `None` when there
    /// is no such session. A block never shortens an earlier one.
    ///
    /// # Errors
    /// `OVERLOADED` when the session is revoked but there is no room for the block; `INTERNAL_ERROR` when the store
    /// cannot answer.
    fn revoke(&self, id: &str, block: Option<Block>, now: UnixTime) -> Result<Option<Arc<Session>>>;

    /// Ends a session in the ordinary way; one that was revoked stays revoked. `None` when there is no such session.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn end(&self, id: &str, now: UnixTime) -> Result<Option<Arc<Session>>>;

    /// Whether the workload or the key may not attest.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn blocked(&self, workload_id: &str, key: &PublicKey, now: UnixTime) -> Result<bool>;

    /// Lifts the block of a workload and of the keys blocked with it; whether there was one. Revoked sessions stay
    /// revoked.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn allow(&self, workload_id: &str) -> Result<bool>;

    /// The blocks that hold, ordered by workload.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn blocks(&self, now: UnixTime) -> Result<Vec<BlockRecord>>;

    /// The sessions that have not expired, in the order in which they expire.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn list(&self, now: UnixTime) -> Result<Vec<Arc<Session>>>;

    /// Forgets the sessions that have expired and returns them, for the audit; each session is returned once.
    ///
    /// # Errors
    /// `OVERLOADED` or `INTERNAL_ERROR` when the store cannot answer.
    fn expire(&self, now: UnixTime) -> Result<Vec<Arc<Session>>>;
}
