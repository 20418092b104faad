//! Concluding an attestation: block list, scope, token and session (section 4).

use zeroize::Zeroizing;

use super::{AttemptLimits, AttestationRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{PublicKey, encode_base64url};
use crate::session::{Session, SessionState, SessionStore};
use crate::smcp::token::{Claims, TokenSigner, issue_token};
use crate::time::UnixTime;

/// What the workload verifier found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// The key registered for the workload; another one is refused.
    pub registered_key: Option<PublicKey>,
    /// Carried into the token.
    pub execution_id: Option<String>,
    /// Carried into the token.
    pub tenant_id: Option<String>,
}

/// Settings of an [`Attestor`].
#[derive(Clone, Debug)]
pub struct AttestorRules {
    /// `iss` of tokens.
    pub issuer: String,
    /// `aud` of tokens.
    pub audience: String,
    /// Lifetime of tokens and sessions in seconds, at most 24 h.
    pub lifetime_seconds: u32,
    /// Write `ctx` beside `scp`.
    pub compat_ctx_claim: bool,
    /// Whether a request without proof is refused.
    pub require_proof: bool,
    /// The URL a proof must name, when configured.
    pub public_url: Option<String>,
    /// Failed attestations per source and minute.
    pub failures_per_minute: usize,
    /// Successful attestations per workload and minute.
    pub successes_per_minute: usize,
}

impl Default for AttestorRules {
    fn default() -> Self {
        Self {
            issuer: "smcp-gateway".to_owned(),
            audience: "smcp-gateway".to_owned(),
            lifetime_seconds: 3600,
            compat_ctx_claim: false,
            require_proof: false,
            public_url: None,
            failures_per_minute: 30,
            successes_per_minute: 30,
        }
    }
}

/// A session that was opened, with its token.
pub struct Granted {
    /// The token.
    pub token: Zeroizing<String>,
    /// The session.
    pub session: Session,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Granted").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Decides attestations and issues tokens.
pub struct Attestor {
    rules: AttestorRules,
    failures: AttemptLimits,
    successes: AttemptLimits,
}

impl Attestor {
    /// An attestor with its own counters.
    #[must_use]
    pub fn new(rules: AttestorRules) -> Self {
        let failures = AttemptLimits::new(rules.failures_per_minute);
        let successes = AttemptLimits::new(rules.successes_per_minute);
        Self { rules, failures, successes }
    }

    /// The settings.
    #[must_use]
    pub fn rules(&self) -> &AttestorRules {
        &self.rules
    }

    /// The checks before the workload verifier: the proof and the source's limit. Only failures count for a source.
    ///
    /// # Errors
    /// `ATTESTATION_FAILED` or `POLICY_VIOLATION_RATE_LIMIT_EXCEEDED`.
    pub fn begin(&self, request: &AttestationRequest, source: &str, now: UnixTime) -> Result<()> {
        request.check_proof(self.rules.require_proof, self.rules.public_url.as_deref(), now)?;
        self.failures.check(source, now)
    }

    /// Refuses a source that failed too often; for requests that do not even parse.
    ///
    /// # Errors
    /// `POLICY_VIOLATION_RATE_LIMIT_EXCEEDED`.
    pub fn check_source(&self, source: &str, now: UnixTime) -> Result<()> {
        self.failures.check(source, now)
    }

    /// Counts a failed attestation of `source`.
    pub fn count_failure(&self, source: &str, now: UnixTime) {
        self.failures.count(source, now);
    }

    /// The checks behind the workload verifier, then token and session. `granted` says whether the context exists and is
    /// granted to the workload; `random` is fresh from the operating system.
    ///
    /// # Errors
    /// `KEYPAIR_MISMATCH`, `WORKLOAD_VERIFICATION_FAILED` (blocked), `SCOPE_NOT_FOUND`,
    /// `POLICY_VIOLATION_RATE_LIMIT_EXCEEDED`, or the store's or signer's error.
    #[expect(clippy::too_many_arguments, reason = "each is another party's answer; a struct would only rename them")]
    pub fn conclude(
        &self,
        request: &AttestationRequest,
        workload: &Workload,
        granted: bool,
        sessions: &dyn SessionStore,
        signer: &dyn TokenSigner,
        random: &[u8; 32],
        now: UnixTime,
    ) -> Result<Granted> {
        if workload.registered_key.is_some_and(|key| key != request.key) {
            return Err(Error::new(
                ErrorKind::KeypairMismatch,
                "the public key is not the one registered for the workload",
            ));
        }
        if sessions.blocked(&request.workload_id, &request.key, now)? {
            return Err(Error::new(
                ErrorKind::WorkloadVerificationFailed,
                "the workload or its key is blocked after a revocation",
            ));
        }
        let owner = sessions.live_key_owner(&request.key, now)?;
        if owner.is_some_and(|owner| owner != request.workload_id) {
            return Err(Error::new(
                ErrorKind::KeypairMismatch,
                "the public key is bound to a live session of another workload",
            ));
        }
        if !granted {
            let scope: String = request.scope.escape_debug().take(128).collect();
            return Err(Error::new(
                ErrorKind::ScopeNotFound,
                format!("the context `{scope}` does not exist or is not granted to the workload"),
            ));
        }
        self.successes.check(&request.workload_id, now)?;
        let granted = self.open(self.session(request, workload, random, now), sessions, signer, now)?;
        self.successes.count(&request.workload_id, now);
        Ok(granted)
    }

    /// Issues the token of a session and opens it. An operator may open a session nobody attested.
    ///
    /// # Errors
    /// The store's or the signer's error.
    pub fn open(
        &self,
        session: Session,
        sessions: &dyn SessionStore,
        signer: &dyn TokenSigner,
        now: UnixTime,
    ) -> Result<Granted> {
        let token = Zeroizing::new(issue_token(&self.claims(&session), signer, self.rules.compat_ctx_claim)?);
        sessions.open(session.clone(), now)?;
        Ok(Granted { token, session })
    }

    fn session(&self, request: &AttestationRequest, workload: &Workload, random: &[u8; 32], now: UnixTime) -> Session {
        let (agent, id) = random.split_at(16);
        let opened_at = UnixTime::from_seconds(now.seconds());
        Session {
            id: format!("session-{}", encode_base64url(id)),
            agent_id: format!("agent-{}", encode_base64url(agent)),
            workload_id: request.workload_id.clone(),
            context: request.scope.clone(),
            key: request.key,
            dialect: request.dialect,
            opened_at: now,
            expires_at: opened_at.plus_seconds(i64::from(self.rules.lifetime_seconds)),
            state: SessionState::Live,
            execution_id: workload.execution_id.clone(),
            tenant_id: workload.tenant_id.clone(),
            allowed_tools: None,
        }
    }

    /// The claims of a session's token.
    #[must_use]
    pub fn claims(&self, session: &Session) -> Claims {
        Claims {
            agent_id: session.agent_id.clone(),
            scope: session.context.clone(),
            workload_id: session.workload_id.clone(),
            issued_at: session.opened_at.seconds(),
            expires_at: session.expires_at.seconds(),
            not_before: None,
            session_id: Some(session.id.clone()),
            issuer: Some(self.rules.issuer.clone()),
            audience: vec![self.rules.audience.clone()],
            key: Some(session.key),
            dialect: Some(session.dialect),
            execution_id: session.execution_id.clone(),
            tenant_id: session.tenant_id.clone(),
        }
    }
}
