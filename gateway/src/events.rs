//! What happens at the gateway, as audit records (section 10).

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use smcp_core::audit::{AuditEvent, AuditRecord, CallOutcome, Decided, RedactionKey};
use smcp_core::error::{Error, Executed, Result};
use smcp_core::policy::{Decision, DeniedBy, Verdict};
use smcp_core::session::Session;
use smcp_core::smcp::Call;
use smcp_core::smcp::attest::AttestationRequest;
use smcp_core::smcp::receive::{AuthorizedCall, CallFacts, Refusal};
use smcp_core::time::UnixTime;

use crate::dispatch::Reply;

/// A session was opened by an attestation.
pub(crate) fn attested(session: &Session, request_id: &str, source: IpAddr, now: UnixTime) -> AuditRecord {
    AuditRecord {
        request_id: Some(request_id.to_owned()),
        source: Some(source.to_string()),
        ..of_session(AuditEvent::AttestationSucceeded, session, now)
    }
}

/// A session was opened by an orchestrator through the operator API.
pub(crate) fn opened_by_operator(session: &Session, now: UnixTime) -> AuditRecord {
    AuditRecord {
        note: Some(Cow::Borrowed("opened through the operator API")),
        ..of_session(AuditEvent::AttestationSucceeded, session, now)
    }
}

/// An attestation was refused; `request` is there when the body was at least a request.
pub(crate) fn attestation_refused(
    request: Option<&AttestationRequest>,
    error: &Error,
    request_id: &str,
    source: IpAddr,
    now: UnixTime,
) -> AuditRecord {
    AuditRecord {
        authenticated: Some(false),
        request_id: Some(request_id.to_owned()),
        workload_id: request.map(|request| request.workload_id.clone()),
        context: request.map(|request| request.scope.clone()),
        dialect: request.map(|request| request.dialect),
        agent_key: request.map(|request| request.key),
        source: Some(source.to_string()),
        violation: Some(error.clone()),
        ..AuditRecord::new(AuditEvent::AttestationFailed, now)
    }
}

/// A session came to its end in time.
pub(crate) fn expired(session: &Session, now: UnixTime) -> AuditRecord {
    of_session(AuditEvent::SecurityTokenExpired, session, now)
}

/// An operator revoked a session; `blocked` says whether its workload and key are blocked too.
pub(crate) fn revoked(session: &Session, blocked: bool, now: UnixTime) -> AuditRecord {
    let note = if blocked { "workload and key are blocked" } else { "the session only" };
    AuditRecord { note: Some(Cow::Borrowed(note)), ..of_session(AuditEvent::SessionRevoked, session, now) }
}

/// A session was ended in the ordinary way.
pub(crate) fn ended(session: &Session, now: UnixTime) -> AuditRecord {
    of_session(AuditEvent::SessionEnded, session, now)
}

/// An operator lifted a block.
pub(crate) fn allowed(workload_id: &str, now: UnixTime) -> AuditRecord {
    AuditRecord { workload_id: Some(workload_id.to_owned()), ..AuditRecord::new(AuditEvent::WorkloadAllowed, now) }
}

/// Step 8: an authorised call, before it is forwarded.
pub(crate) fn authorized(
    call: &AuthorizedCall<'_>,
    key: &RedactionKey,
    request_id: &str,
    source: IpAddr,
    now: UnixTime,
) -> AuditRecord {
    AuditRecord {
        context_digest: Some(call.context().digest),
        ..authorized_facts(&call.facts(), &call.admitted().call(), key, request_id, source, now)
    }
}

/// As [`authorized`], for a call that came without envelope.
pub(crate) fn authorized_facts(
    facts: &CallFacts,
    call: &Call<'_>,
    key: &RedactionKey,
    request_id: &str,
    source: IpAddr,
    now: UnixTime,
) -> AuditRecord {
    AuditRecord {
        arguments: call.arguments().map(|arguments| key.sanitise(arguments)),
        decision: Some(facts.decision.as_ref().map_or(Decided::Allowed, decided)),
        source: Some(source.to_string()),
        ..of_facts(AuditEvent::ToolCallAuthorized, facts, request_id, now)
    }
}

/// Step 10: how an authorised call ended.
pub(crate) fn completed(
    call: &AuthorizedCall<'_>,
    reply: &Result<Reply>,
    took: Duration,
    request_id: &str,
    now: UnixTime,
) -> AuditRecord {
    completed_facts(&call.facts(), reply, took, request_id, now)
}

/// As [`completed`], for a call that came without envelope.
pub(crate) fn completed_facts(
    facts: &CallFacts,
    reply: &Result<Reply>,
    took: Duration,
    request_id: &str,
    now: UnixTime,
) -> AuditRecord {
    let duration_millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = match reply {
        Ok(reply) => CallOutcome {
            ok: reply.is_success(),
            executed: Executed::Yes,
            size: u64::try_from(reply.size()).ok(),
            duration_millis,
        },
        Err(error) => CallOutcome {
            ok: false,
            executed: error.details().executed.unwrap_or(Executed::No),
            size: None,
            duration_millis,
        },
    };
    AuditRecord {
        outcome: Some(outcome),
        violation: reply.as_ref().err().cloned(),
        ..of_facts(AuditEvent::ToolCallCompleted, facts, request_id, now)
    }
}

/// A refused call.
pub(crate) fn refused(refusal: &Refusal, request_id: &str, source: IpAddr, now: UnixTime) -> AuditRecord {
    refused_facts(&refusal.facts, &refusal.error, request_id, source, now)
}

/// As [`refused`], for a call that came without envelope.
pub(crate) fn refused_facts(
    facts: &CallFacts,
    error: &Error,
    request_id: &str,
    source: IpAddr,
    now: UnixTime,
) -> AuditRecord {
    AuditRecord {
        decision: facts.decision.as_ref().map(decided),
        violation: Some(error.clone()),
        source: Some(source.to_string()),
        ..of_facts(AuditEvent::of_refused_call(error.kind()), facts, request_id, now)
    }
}

fn decided(decision: &Decision) -> Decided {
    match decision.verdict() {
        Verdict::Allow { capability } => Decided::AllowedByCapability(capability),
        Verdict::Deny { by: DeniedBy::DenyEntry(index) } => Decided::DeniedByEntry(index),
        Verdict::Deny { by: DeniedBy::Capability(index) } => Decided::DeniedByCapability(index),
        Verdict::Deny { by: DeniedBy::Default } => Decided::DeniedByDefault,
    }
}

fn of_facts(event: AuditEvent, facts: &CallFacts, request_id: &str, now: UnixTime) -> AuditRecord {
    AuditRecord {
        authenticated: Some(facts.authenticated),
        request_id: Some(request_id.to_owned()),
        call_id: facts.request_id.clone(),
        session_id: facts.session_id.clone(),
        agent_id: facts.agent_id.clone(),
        workload_id: facts.workload_id.clone(),
        execution_id: facts.execution_id.clone(),
        tenant_id: facts.tenant_id.clone(),
        context: facts.context.clone(),
        context_digest: facts.decision.as_ref().map(Decision::digest),
        dialect: facts.dialect,
        method: facts.method.clone(),
        tool: facts.tool.clone(),
        signature: facts.signature,
        agent_key: facts.agent_key,
        message_sha256: facts.message_sha256,
        ..AuditRecord::new(event, now)
    }
}

fn of_session(event: AuditEvent, session: &Session, now: UnixTime) -> AuditRecord {
    AuditRecord {
        session_id: Some(session.id.clone()),
        agent_id: Some(session.agent_id.clone()),
        workload_id: Some(session.workload_id.clone()),
        execution_id: session.execution_id.clone(),
        tenant_id: session.tenant_id.clone(),
        context: Some(session.context.clone()),
        dialect: Some(session.dialect),
        agent_key: Some(session.key),
        expires_at: Some(session.expires_at),
        ..AuditRecord::new(event, now)
    }
}
