//! The client's session: one immutable record of key, token and expiry, swapped at once (section 5).

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
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
    /// Whether signing may wait for another device or program, so that an async caller must not do it on its own thread.
    pub blocking: bool,
    /// The token.
    pub token: Zeroizing<String>,
    /// When the token expires, as far as the gateway said.
    pub expires_at: Option<UnixTime>,
    /// The session id, as far as the gateway said.
    pub session_id: Option<String>,
    /// When this client attested, by the gateway's clock; `None` for a provisioned record, which is never renewed.
    pub attested_at: Option<UnixTime>,
}

impl SessionRecord {
    /// The record of an answer that came at `now` by the gateway's clock.
    #[must_use]
    pub fn attested(signer: Arc<dyn Signer>, blocking: bool, answer: AttestAnswer, now: UnixTime) -> Self {
        Self {
            signer,
            blocking,
            token: answer.token,
            expires_at: answer.expires_at,
            session_id: answer.session_id,
            attested_at: Some(now),
        }
    }

    /// The record of a session that somebody else attested.
    #[must_use]
    pub fn provisioned(signer: Arc<dyn Signer>, blocking: bool, token: Zeroizing<String>) -> Self {
        Self { signer, blocking, token, expires_at: None, session_id: None, attested_at: None }
    }

    /// Signs a payload under this record.
    ///
    /// # Errors
    /// As [`compose_envelope`].
    pub fn compose(&self, payload: &[u8], dialect: Dialect, now: UnixTime) -> Result<Vec<u8>> {
        compose_envelope(payload, &self.token, dialect, self.signer.as_ref(), now)
    }

    /// Whether the record should be renewed before it is used at `now`: in the last 30 seconds, or the last quarter of
    /// a short life, so that a token of a few seconds does not make every call attest.
    #[must_use]
    pub fn needs_renewal(&self, now: UnixTime) -> bool {
        let (Some(attested_at), Some(expires_at)) = (self.attested_at, self.expires_at) else { return false };
        let lifetime = expires_at.seconds().saturating_sub(attested_at.seconds());
        // A token that came expired is the gateway's business: renewing it would only bring another one.
        lifetime > 0 && expires_at.plus_seconds(RENEW_BEFORE_SECONDS.min(lifetime / 4).saturating_neg()) <= now
    }

    /// Whether a refused call may be sent again after a new attestation: only when the refusal proves that no tool ran
    /// and that a new session cures it.
    #[must_use]
    pub fn cured_by_attestation(&self, kind: ErrorKind) -> bool {
        self.attested_at.is_some() && matches!(kind, ErrorKind::TokenExpired | ErrorKind::SessionNotFound)
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

/// Holds the current record. It takes no lock, so a fork in the middle of a call leaves nothing locked in the child.
#[derive(Debug, Default)]
pub struct ClientSession {
    current: ArcSwapOption<SessionRecord>,
}

impl ClientSession {
    /// The current record.
    #[must_use]
    pub fn record(&self) -> Option<Arc<SessionRecord>> {
        self.current.load_full()
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
    pub fn replace(&self, record: Option<Arc<SessionRecord>>) {
        self.current.store(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AgentKey;

    fn record(lifetime: i64) -> SessionRecord {
        let key = Arc::new(AgentKey::derive_from_slice(&[7; 32]).unwrap());
        let expires_at = Some(UnixTime::from_seconds(1000).plus_seconds(lifetime));
        let answer = AttestAnswer { token: Zeroizing::new("t".to_owned()), expires_at, session_id: None };
        SessionRecord::attested(key, false, answer, UnixTime::from_seconds(1000))
    }

    #[test]
    fn renews_before_expiry_and_not_all_the_time() {
        for (lifetime, now, expected) in [
            (3600, 1000, false),
            (3600, 4569, false),
            (3600, 4570, true),
            (20, 1000, false),
            (20, 1014, false),
            (20, 1015, true),
            (2, 1001, false),
            (2, 1002, true),
            (0, 1000, false),
            (-5, 1000, false),
        ] {
            assert_eq!(record(lifetime).needs_renewal(UnixTime::from_seconds(now)), expected, "{lifetime} {now}");
        }
    }

    #[test]
    fn a_provisioned_record_is_never_renewed() {
        let signer = record(1).signer;
        let provisioned = SessionRecord::provisioned(signer, false, Zeroizing::new("t".to_owned()));
        assert!(!provisioned.needs_renewal(UnixTime::from_seconds(i64::MAX)));
        assert!(!provisioned.cured_by_attestation(ErrorKind::TokenExpired));
        let attested = record(3600);
        for kind in ErrorKind::ALL {
            let cured = matches!(kind, ErrorKind::TokenExpired | ErrorKind::SessionNotFound);
            assert_eq!(attested.cured_by_attestation(*kind), cured, "{kind:?}");
        }
        assert!(!format!("{attested:?}").contains("\"t\""));
    }
}
