//! Steps 1 to 7 of section 5 with the gateway's stores as the answering parties.

use smcp_core::ErrorKind;
use smcp_core::json::Limits;
use smcp_core::policy::RateStore as _;
use smcp_core::replay::ReplayStore as _;
use smcp_core::smcp::receive::{self, AuthorizedCall, ContextEvidence, Refusal, SessionEvidence, SessionQuery};
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, WireEnvelope};
use smcp_core::time::UnixTime;

use crate::gateway::Gateway;

/// The deepest nesting of an envelope.
const MAXIMUM_DEPTH: usize = 128;

/// The steps of section 5, for timings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// 1: size, parse, protocol, shape.
    Parse,
    /// 2 and 3: freshness and token.
    Open,
    /// 4 and 5: session and signature.
    Verify,
    /// 6: replay.
    Admit,
    /// 7: policy.
    Authorize,
    /// 8: audit record written.
    Audit,
    /// 9: forwarded and answered by the tool server.
    Forward,
    /// 10: outcome audited.
    Outcome,
}

impl Step {
    /// The name in `Server-Timing` and in the demo.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Open => "open",
            Self::Verify => "verify",
            Self::Admit => "admit",
            Self::Authorize => "authorize",
            Self::Audit => "audit",
            Self::Forward => "forward",
            Self::Outcome => "outcome",
        }
    }
}

/// Limits under which JSON of `bytes` is scanned.
#[must_use]
pub fn json_limits(bytes: usize) -> Limits {
    Limits { bytes, depth: MAXIMUM_DEPTH }
}

/// Runs the steps; `passed` is told of each one that let the envelope through.
///
/// # Errors
/// The first step's refusal.
pub fn receive<'a>(
    gateway: &Gateway,
    body: &'a [u8],
    dialect: Dialect,
    now: UnixTime,
    passed: &mut dyn FnMut(Step),
) -> Result<AuthorizedCall<'a>, Refusal> {
    let rules = EnvelopeRules {
        limits: json_limits(gateway.config.limits.body_size),
        dialect: Some(dialect),
        payload: PayloadRule::Forwardable,
    };
    let window = gateway.config.freshness_window;
    let envelope = WireEnvelope::parse(body, &rules).map_err(Refusal::unparsed)?;
    passed(Step::Parse);

    let opened = receive::open(envelope, &gateway.tokens, window, now)?;
    passed(Step::Open);

    let found = match opened.session_query() {
        SessionQuery::Id(id) => gateway.sessions.find(id, now),
        SessionQuery::Agent(agent) => gateway.sessions.find_by_agent(agent, now),
    };
    let session = found.map_err(|error| opened.refuse(error))?;
    let context = match gateway.contexts.load().get(&opened.claims().scope) {
        Some(context) => ContextEvidence::Known(std::sync::Arc::clone(context)),
        None => ContextEvidence::Unknown,
    };
    let verified = receive::verify(opened, SessionEvidence::Stored(session), context, now)?;
    passed(Step::Verify);

    let answer = gateway.replay.check_and_insert(&verified.replay_entry(window), now);
    let answer = answer.map_err(|error| verified.refuse(error))?;
    let admitted = receive::admit(verified, answer, now)?;
    passed(Step::Admit);

    let call = receive::authorize(admitted, &mut |key, limit| gateway.rates.check_and_charge(key, limit, now))?;
    passed(Step::Authorize);
    Ok(call)
}

/// Whether a refusal can come from anyone, because no signature was verified before it (section 10).
#[must_use]
pub fn is_anonymous(refusal: &Refusal) -> bool {
    !refusal.facts.authenticated && refusal.error.kind() != ErrorKind::InternalError
}
