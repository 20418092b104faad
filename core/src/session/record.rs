//! One session.

use std::sync::Arc;

use crate::keys::PublicKey;
use crate::policy::ToolPattern;
use crate::smcp::Dialect;
use crate::time::UnixTime;

/// Whether a session may still call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// It may, until it expires.
    Live,
    /// An operator revoked it.
    Revoked,
    /// It was ended in the ordinary way.
    Ended,
}

/// What an attestation opened: an agent, its key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Session id, the token's `jti`.
    pub id: String,
    /// Agent id, the token's `sub`.
    pub agent_id: String,
    /// Workload id, the token's `wid`.
    pub workload_id: String,
    /// Name of the security context, the token's `scp`.
    pub context: String,
    /// The agent's key.
    pub key: PublicKey,
    /// The dialect the session was attested under.
    pub dialect: Dialect,
    /// When the session was opened.
    pub opened_at: UnixTime,
    /// From this second on the session has expired.
    pub expires_at: UnixTime,
    /// Whether it may still call.
    pub state: SessionState,
    /// `exec_id` of the token.
    pub execution_id: Option<String>,
    /// `tenant_id` of the token.
    pub tenant_id: Option<String>,
    /// Tools to which the context is narrowed for this session; each pattern keeps its text.
    pub allowed_tools: Option<Arc<[ToolPattern]>>,
}

impl Session {
    /// The patterns to which the context is narrowed; `None` leaves the context as it is, an empty list allows nothing.
    #[must_use]
    pub fn allowed_patterns(&self) -> Option<&[ToolPattern]> {
        self.allowed_tools.as_deref()
    }

    /// Whether the session has expired at `now`, in whole seconds: equal is expired (section 3).
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_at.seconds() <= now.seconds()
    }

    /// Whether the session may call at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixTime) -> bool {
        self.state == SessionState::Live && !self.is_expired(now)
    }
}
