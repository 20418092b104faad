//! Steps 2 and 3: freshness and token.

use super::{CallFacts, Refusal};
use crate::smcp::WireEnvelope;
use crate::smcp::token::{Claims, TokenVerifier, VerifiedToken};
use crate::time::UnixTime;

/// An envelope that is fresh and carries a valid token; whether the agent sent it is not known yet.
#[derive(Debug)]
pub struct OpenedEnvelope<'a> {
    pub(super) envelope: WireEnvelope<'a>,
    pub(super) token: VerifiedToken,
    /// Granted on the session's expiry as on the token's, since they are the same moment.
    pub(super) leeway_seconds: u32,
}

/// How the session of a token is found (section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionQuery<'q> {
    /// By `jti`.
    Id(&'q str),
    /// By `sub`, for a token without `jti`; only an answer that is the only one counts.
    Agent(&'q str),
}

/// Checks freshness (step 2) and the token (step 3).
///
/// # Errors
/// `STALE_TIMESTAMP`, `TOKEN_EXPIRED` or `TOKEN_VERIFICATION_FAILED`.
pub fn open<'a>(
    envelope: WireEnvelope<'a>,
    tokens: &TokenVerifier,
    window_seconds: u32,
    now: UnixTime,
) -> Result<OpenedEnvelope<'a>, Refusal> {
    if let Err(error) = envelope.check_freshness(i64::from(window_seconds), now) {
        return Err(Refusal::new(error, CallFacts::of_wire(&envelope)));
    }
    let verified = tokens.verify(&envelope.security_token(), now);
    match verified {
        Ok(token) => Ok(OpenedEnvelope { envelope, token, leeway_seconds: tokens.rules().leeway_seconds }),
        Err(error) => Err(Refusal::new(error, CallFacts::of_wire(&envelope))),
    }
}

impl OpenedEnvelope<'_> {
    /// What to ask the session store.
    #[must_use]
    pub fn session_query(&self) -> SessionQuery<'_> {
        let claims = self.token.claims();
        match &claims.session_id {
            Some(id) => SessionQuery::Id(id),
            None => SessionQuery::Agent(&claims.agent_id),
        }
    }

    /// The token's claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.token.claims()
    }

    pub(super) fn facts(&self) -> CallFacts {
        let claims = self.token.claims();
        CallFacts {
            session_id: claims.session_id.clone(),
            agent_id: Some(claims.agent_id.clone()),
            workload_id: Some(claims.workload_id.clone()),
            context: Some(claims.scope.clone()),
            execution_id: claims.execution_id.clone(),
            tenant_id: claims.tenant_id.clone(),
            ..CallFacts::of_wire(&self.envelope)
        }
    }

    /// Turns an error of a store into a refusal that carries what is known.
    #[must_use]
    pub fn refuse(&self, error: crate::error::Error) -> Refusal {
        Refusal::new(error, self.facts())
    }
}
