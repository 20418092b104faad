//! Steps 4 and 5: session and signature.

use std::sync::Arc;

use super::{CallFacts, OpenedEnvelope, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::PublicKey;
use crate::policy::SecurityContext;
use crate::session::{Session, SessionAnswer, SessionState};
use crate::smcp::token::Claims;
use crate::smcp::{CanonicalMessage, Dialect};
use crate::time::UnixTime;

/// What is known of the token's session.
#[derive(Clone, Debug)]
pub enum SessionEvidence {
    /// The answer of a session store to [`OpenedEnvelope::session_query`].
    Stored(SessionAnswer),
    /// There is no session store; the token's own binding decides.
    Unstored {
        /// Whether the host's revocation list names the session or the workload.
        revoked: bool,
        /// The dialect of tokens that name none.
        dialect: Dialect,
    },
}

/// What is known of the context the token names.
#[derive(Clone, Debug)]
pub enum ContextEvidence {
    /// It exists.
    Known(Arc<SecurityContext>),
    /// It does not, or not any more.
    Unknown,
    /// The host decides by itself what an admitted call may do.
    WithoutPolicy,
}

/// An envelope that the agent of a live session signed.
#[derive(Debug)]
pub struct VerifiedEnvelope<'a> {
    pub(super) opened: OpenedEnvelope<'a>,
    pub(super) session: Option<Arc<Session>>,
    pub(super) context: Option<Arc<SecurityContext>>,
    pub(super) key: PublicKey,
    pub(super) message: CanonicalMessage,
    pub(super) digest: [u8; 32],
}

/// Checks the session (step 4) and the signature over the canonical message with the bound key (step 5).
///
/// # Errors
/// `SESSION_NOT_FOUND`, `UNSUPPORTED_PROTOCOL`, `SESSION_INACTIVE`, `TOKEN_EXPIRED`, `TOKEN_VERIFICATION_FAILED`,
/// `SCOPE_NOT_FOUND` or `INVALID_SIGNATURE`.
pub fn verify<'a>(
    opened: OpenedEnvelope<'a>,
    session: SessionEvidence,
    context: ContextEvidence,
    now: UnixTime,
) -> std::result::Result<VerifiedEnvelope<'a>, Refusal> {
    match check(&opened, session, context, now) {
        Ok((session, context, key, message)) => {
            let digest = message.sha256();
            Ok(VerifiedEnvelope { opened, session, context, key, message, digest })
        }
        Err(error) => Err(opened.refuse(error)),
    }
}

type Checked = (Option<Arc<Session>>, Option<Arc<SecurityContext>>, PublicKey, CanonicalMessage);

fn check(
    opened: &OpenedEnvelope<'_>,
    session: SessionEvidence,
    context: ContextEvidence,
    now: UnixTime,
) -> Result<Checked> {
    let claims = opened.claims();
    let dialect = opened.envelope.dialect();
    let session = check_session(claims, dialect, session, opened.leeway_seconds, now)?;
    let context = match context {
        ContextEvidence::Known(context) => Some(context),
        ContextEvidence::WithoutPolicy => None,
        ContextEvidence::Unknown => {
            return Err(Error::new(ErrorKind::ScopeNotFound, "the security context of the session does not exist"));
        }
    };
    let key = bound_key(claims, session.as_deref())?;
    let envelope = &opened.envelope;
    let message = CanonicalMessage::verify(
        envelope.payload(),
        &envelope.security_token(),
        envelope.timestamp().seconds(),
        &key,
        envelope.signature(),
    )?;
    Ok((session, context, key, message))
}

fn check_session(
    claims: &Claims,
    dialect: Dialect,
    evidence: SessionEvidence,
    leeway_seconds: u32,
    now: UnixTime,
) -> Result<Option<Arc<Session>>> {
    let other_dialect =
        || Error::new(ErrorKind::UnsupportedProtocol, "the session was attested under another protocol");
    let session = match evidence {
        SessionEvidence::Unstored { revoked, dialect: foreign } => {
            if claims.dialect.unwrap_or(foreign) != dialect {
                return Err(other_dialect());
            }
            if revoked {
                return Err(Error::new(ErrorKind::SessionInactive, "the session was revoked"));
            }
            return Ok(None);
        }
        SessionEvidence::Stored(SessionAnswer::NotFound | SessionAnswer::Ambiguous) => {
            return Err(Error::new(ErrorKind::SessionNotFound, "the session is not known here"));
        }
        SessionEvidence::Stored(SessionAnswer::Found(session)) => session,
    };
    if session.dialect != dialect || claims.dialect.is_some_and(|attested| attested != dialect) {
        return Err(other_dialect());
    }
    match session.state {
        SessionState::Live => {}
        SessionState::Revoked => return Err(Error::new(ErrorKind::SessionInactive, "the session was revoked")),
        SessionState::Ended => return Err(Error::new(ErrorKind::SessionInactive, "the session has ended")),
    }
    if session.expires_at.seconds().saturating_add(i64::from(leeway_seconds)) <= now.seconds() {
        return Err(Error::new(ErrorKind::TokenExpired, "the session has expired"));
    }
    // A token of another issuer could name a session of ours by chance or by malice.
    if session.agent_id != claims.agent_id
        || session.workload_id != claims.workload_id
        || session.context != claims.scope
    {
        return Err(Error::new(ErrorKind::TokenVerificationFailed, "the token does not belong to its session"));
    }
    Ok(Some(session))
}

/// The key the token is bound to: by itself, by its session, or by both in agreement (section 3).
fn bound_key(claims: &Claims, session: Option<&Session>) -> Result<PublicKey> {
    let refuse = |reason: &'static str| Err(Error::new(ErrorKind::TokenVerificationFailed, reason));
    match (claims.key, session.map(|session| session.key)) {
        (Some(confirmed), Some(bound)) if confirmed != bound => {
            refuse("the token is bound to another key than its session")
        }
        (Some(key), _) | (None, Some(key)) => Ok(key),
        (None, None) => refuse("the token is not bound to a key and there is no session store"),
    }
}

impl VerifiedEnvelope<'_> {
    /// The token's claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.opened.claims()
    }

    pub(super) fn facts(&self) -> CallFacts {
        CallFacts {
            authenticated: true,
            agent_key: Some(self.key),
            message_sha256: Some(self.digest),
            ..self.opened.facts()
        }
    }

    /// Turns an error of a store into a refusal that carries what is known.
    #[must_use]
    pub fn refuse(&self, error: Error) -> Refusal {
        Refusal { message: Some(self.message.clone()), ..Refusal::new(error, self.facts()) }
    }
}
