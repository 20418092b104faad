//! Step 6: replay.

use super::{CallFacts, Refusal, VerifiedEnvelope};
use crate::error::{Error, ErrorKind};
use crate::keys::Signature;
use crate::replay::{ReplayAnswer, ReplayEntry};
use crate::smcp::call::Call;
use crate::smcp::token::Claims;
use crate::time::UnixTime;

/// A verified envelope that was not seen before.
#[derive(Debug)]
pub struct AdmittedEnvelope<'a> {
    pub(super) verified: VerifiedEnvelope<'a>,
}

impl VerifiedEnvelope<'_> {
    /// What to ask the replay store: the SHA-256 of the message that verified, never the token or the wire bytes.
    #[must_use]
    pub fn replay_entry(&self, window_seconds: u32) -> ReplayEntry {
        let claims = self.claims();
        let timestamp = self.opened.envelope.timestamp().seconds();
        ReplayEntry {
            key: self.digest,
            timestamp,
            expires_at: timestamp.saturating_add(i64::from(window_seconds)),
            session: claims.session_id.clone().unwrap_or_else(|| claims.agent_id.clone()),
            opened_at: self
                .session
                .as_ref()
                .map_or_else(|| UnixTime::from_seconds(claims.issued_at), |session| session.opened_at),
        }
    }
}

/// Takes the replay store's answer to [`VerifiedEnvelope::replay_entry`].
///
/// # Errors
/// `REPLAY_DETECTED`, `STALE_TIMESTAMP`, `SESSION_NOT_FOUND` or `OVERLOADED`.
pub fn admit(
    verified: VerifiedEnvelope<'_>,
    answer: ReplayAnswer,
    now: UnixTime,
) -> Result<AdmittedEnvelope<'_>, Refusal> {
    let error = match answer {
        ReplayAnswer::New => return Ok(AdmittedEnvelope { verified }),
        ReplayAnswer::Seen => Error::new(ErrorKind::ReplayDetected, "this signed message was received before"),
        ReplayAnswer::Stale => {
            Error::new(ErrorKind::StaleTimestamp, "timestamp is outside the allowed window of the replay store")
                .with_server_time(now)
        }
        ReplayAnswer::BeforeRestart => {
            Error::new(ErrorKind::SessionNotFound, "the session was opened before the replay store was started")
        }
        ReplayAnswer::Full => {
            Error::new(ErrorKind::Overloaded, "no room to remember another message").with_retry_after(1)
        }
    };
    Err(verified.refuse(error))
}

impl AdmittedEnvelope<'_> {
    /// The JSON-RPC message.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        self.verified.opened.envelope.call()
    }

    /// The canonical payload that was verified.
    #[must_use]
    pub fn payload_bytes(&self) -> &[u8] {
        self.verified.message.payload_bytes()
    }

    /// The canonical message that was verified: payload, token and timestamp.
    #[must_use]
    pub fn message_bytes(&self) -> &[u8] {
        self.verified.message.as_bytes()
    }

    /// The token's claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.verified.claims()
    }

    /// The envelope's signature.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        self.verified.opened.envelope.signature()
    }

    /// What the audit may say of the call.
    #[must_use]
    pub fn facts(&self) -> CallFacts {
        self.verified.facts()
    }

    /// Turns an error of a later step into a refusal that carries what is known.
    #[must_use]
    pub fn refuse(&self, error: Error) -> Refusal {
        self.verified.refuse(error)
    }
}
