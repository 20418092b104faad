//! A refused call: the error for the agent and what is known of the call for the audit.

use crate::error::Error;
use crate::keys::{PublicKey, Signature};
use crate::policy::Decision;
use crate::smcp::{CanonicalMessage, Dialect, WireEnvelope};

/// Why a step refused, and what the steps before it had established.
#[derive(Debug)]
pub struct Refusal {
    /// The error that is answered.
    pub error: Error,
    /// What is known of the call.
    pub facts: Box<CallFacts>,
    /// The message the agent signed, once its signature was verified: evidence for the audit.
    pub message: Option<CanonicalMessage>,
}

impl Refusal {
    pub(super) fn new(error: Error, facts: CallFacts) -> Self {
        Self { error, facts: Box::new(facts), message: None }
    }

    /// A refusal of step 1, where nothing is known.
    #[must_use]
    pub fn unparsed(error: Error) -> Self {
        Self::new(error, CallFacts::default())
    }
}

/// What the audit may say of a call. Members are set by the step that established them; before step 5 they are the
/// sender's claims, which `authenticated` tells apart.
#[derive(Clone, Debug, Default)]
pub struct CallFacts {
    /// The signature of step 5 held, so everything here is the agent's own statement.
    pub authenticated: bool,
    /// Claimed dialect.
    pub dialect: Option<Dialect>,
    /// JSON text of the payload's `id`.
    pub request_id: Option<String>,
    /// JSON-RPC method.
    pub method: Option<String>,
    /// Tool as policy names it.
    pub tool: Option<String>,
    /// Session id, the token's `jti`.
    pub session_id: Option<String>,
    /// Agent id.
    pub agent_id: Option<String>,
    /// Workload id.
    pub workload_id: Option<String>,
    /// Name of the security context.
    pub context: Option<String>,
    /// `exec_id` of the token.
    pub execution_id: Option<String>,
    /// `tenant_id` of the token.
    pub tenant_id: Option<String>,
    /// Signature of the envelope.
    pub signature: Option<Signature>,
    /// Key the signature was checked with.
    pub agent_key: Option<PublicKey>,
    /// SHA-256 of the canonical message.
    pub message_sha256: Option<[u8; 32]>,
    /// The policy decision.
    pub decision: Option<Decision>,
}

impl CallFacts {
    /// What an unverified envelope claims, every text bounded.
    #[must_use]
    pub fn of_wire(envelope: &WireEnvelope<'_>) -> Self {
        let call = envelope.call();
        Self {
            dialect: Some(envelope.dialect()),
            request_id: call.id().map(str::to_owned),
            method: Some(bounded(&call.method())),
            tool: Some(bounded(&call.tool())),
            signature: Some(*envelope.signature()),
            ..Self::default()
        }
    }
}

/// At most 256 characters of a text that a sender controls.
fn bounded(text: &str) -> String {
    text.chars().take(256).collect()
}
