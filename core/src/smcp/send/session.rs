//! The client's session: one immutable record of key, token and expiry, swapped at once (section 5).

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::Zeroizing;

use super::{AttestAnswer, compose_envelope};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::Signer;
use crate::smcp::Dialect;
use crate::time::UnixTime;

/// What one attestation won. A call in flight keeps its record even when another is swapped in.
pub struct SessionRecord {
    /// The agent's key.
    pub signer: Arc<dyn Signer>,
    /// The token.
    pub token: Zeroizing<String>,
    /// When the token expires, as far as the gateway said.
    pub expires_at: Option<UnixTime>,
    /// The session id, as far as the gateway said.
    pub session_id: Option<String>,
    /// Whether the record came from an attestation of this client; a provisioned one is never renewed.
    pub attested: bool,
}

impl SessionRecord {
    /// The record of an answer.
    #[must_use]
    pub fn attested(signer: Arc<dyn Signer>, answer: AttestAnswer) -> Self {
        Self {
            signer,
            token: answer.token,
            expires_at: answer.expires_at,
            session_id: answer.session_id,
            attested: true,
        }
    }

    /// Signs a payload under this record.
    ///
    /// # Errors
    /// As [`compose_envelope`].
    pub fn compose(&self, payload: &[u8], dialect: Dialect, now: UnixTime) -> Result<Vec<u8>> {
        compose_envelope(payload, &self.token, dialect, self.signer.as_ref(), now)
    }
}

impl fmt::Debug for SessionRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SessionRecord")
            .field("session_id", &self.session_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Seconds before expiry at which a client renews its session.
const RENEW_BEFORE_SECONDS: i64 = 30;

/// Holds the current record.
#[derive(Debug, Default)]
pub struct ClientSession {
    current: RwLock<Option<Arc<SessionRecord>>>,
}

impl ClientSession {
    /// The current record.
    #[must_use]
    pub fn record(&self) -> Option<Arc<SessionRecord>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current record, or the published text of the missing one.
    ///
    /// # Errors
    /// `NOT_ATTESTED`.
    pub fn require(&self) -> Result<Arc<SessionRecord>> {
        self.record()
            .ok_or_else(|| Error::new(ErrorKind::NotAttested, "No security token available. Must attest() first."))
    }

    /// Swaps in a new record; the old one lives on in calls under way.
    pub fn replace(&self, record: Option<SessionRecord>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = record.map(Arc::new);
    }

    /// Whether the record should be renewed before it is used at `now`.
    #[must_use]
    pub fn needs_renewal(record: &SessionRecord, now: UnixTime) -> bool {
        record.attested
            && record.expires_at.is_some_and(|expires_at| expires_at.plus_seconds(-RENEW_BEFORE_SECONDS) <= now)
    }

    /// Whether a refused call may be sent again after a new attestation: only when the refusal proves that no tool ran
    /// and that a new session cures it.
    #[must_use]
    pub fn cured_by_attestation(record: &SessionRecord, kind: ErrorKind) -> bool {
        record.attested && matches!(kind, ErrorKind::TokenExpired | ErrorKind::SessionNotFound)
    }
}
