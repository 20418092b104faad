//! `POST /v1/smcp/invoke` and its `seal/v1` twin: the ten steps of section 5.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use smcp_core::ErrorKind;
use smcp_core::audit::AuditRecord;
use smcp_core::error::Error;
use smcp_core::smcp::attest::AttemptLimits;
use smcp_core::smcp::receive::{AuthorizedCall, Refusal};
use smcp_core::smcp::{CanonicalMessage, Dialect, reply};
use smcp_core::time::UnixTime;

use super::timing::Timing;
use super::{PeerAddress, RequestId, body, client_address, error_response, json_response};
use crate::dispatch::{self, Reply};
use crate::gateway::Gateway;
use crate::pipeline::{self, Step};
use crate::{clock, events};

pub(super) async fn smcp(
    state: State<Arc<Gateway>>,
    peer: Extension<PeerAddress>,
    id: Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    invoke(state.0, Dialect::Smcp, peer.0, id.0, headers, body).await
}

pub(super) async fn seal(
    state: State<Arc<Gateway>>,
    peer: Extension<PeerAddress>,
    id: Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    invoke(state.0, Dialect::Seal, peer.0, id.0, headers, body).await
}

async fn invoke(
    gateway: Arc<Gateway>,
    dialect: Dialect,
    peer: PeerAddress,
    id: RequestId,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let source = client_address(peer.0, &headers, &gateway.config.listen.trusted_proxies);
    let limits = &gateway.config.limits;
    let body = body::receive(&gateway, body, limits.body_size, ErrorKind::MalformedEnvelope).await;
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse(&gateway, &Refusal::unparsed(error), dialect, source, &id, clock::now()).await,
    };
    // Taken only now: a body that trickles in holds no room for calls.
    let Ok(permit) = Arc::clone(&gateway.permits).try_acquire_owned() else {
        let error = Error::new(ErrorKind::Overloaded, "too many calls at once").with_retry_after(1);
        return refuse(&gateway, &Refusal::unparsed(error), dialect, source, &id, clock::now()).await;
    };
    // A task of its own: once a call is admitted it is forwarded and its outcome audited, even if the client goes away.
    let task = tokio::spawn(async move {
        let response = handle(&gateway, dialect, body, source, &id).await;
        drop(permit);
        response
    });
    match task.await {
        Ok(response) => response,
        Err(_) => {
            refused(&Error::new(ErrorKind::InternalError, "the call ended in a defect"), dialect, None, clock::now())
        }
    }
}

async fn handle(gateway: &Gateway, dialect: Dialect, body: Bytes, source: IpAddr, id: &RequestId) -> Response {
    let now = clock::now();
    let mut timing = Timing::start();
    let received = pipeline::receive(gateway, &body, dialect, now, &mut |step| timing.passed(step));
    let call = match received {
        Ok(call) => call,
        Err(refusal) => return refuse(gateway, &refusal, dialect, source, id, now).await,
    };
    let record = events::authorized(&call, gateway.audit.redaction(), &id.0, source, now);
    if let Err(error) = append(gateway, record, Some(call.admitted().message_bytes()), now).await {
        return refuse(gateway, &call.admitted().refuse(error), dialect, source, id, now).await;
    }
    timing.passed(Step::Audit);
    let started = std::time::Instant::now();
    let reply = dispatch::answer(gateway, &call).await;
    timing.passed(Step::Forward);
    let outcome = events::completed(&call, &reply, started.elapsed(), &id.0, clock::now());
    if let Err(error) = gateway.audit.append(outcome, clock::now()).await {
        // The tool has run, so the agent gets its answer; the record of the decision is written, and the next call is refused.
        tracing::error!(request_id = id.0, %error, "the outcome of a call could not be audited");
    }
    timing.passed(Step::Outcome);
    let mut response = respond(&call, reply, dialect, id);
    if gateway.server_timing {
        timing.write(&mut response);
    }
    response
}

fn respond(call: &AuthorizedCall<'_>, reply: Result<Reply, Error>, dialect: Dialect, id: &RequestId) -> Response {
    match reply {
        Ok(Reply::Accepted) => json_response(StatusCode::ACCEPTED, reply::accepted_body(dialect)),
        Ok(Reply::Response { text, .. }) => json_response(StatusCode::OK, reply::success_body(dialect, &text)),
        Err(error) => {
            tracing::warn!(request_id = id.0, code = error.kind().name(), message = error.message(), "call failed");
            refused(&error, dialect, call.admitted().call().id(), clock::now())
        }
    }
}

async fn refuse(
    gateway: &Gateway,
    refusal: &Refusal,
    dialect: Dialect,
    source: IpAddr,
    id: &RequestId,
    now: UnixTime,
) -> Response {
    let error = &refusal.error;
    tracing::warn!(
        request_id = id.0,
        %source,
        code = error.kind().name(),
        session = refusal.facts.session_id,
        tool = refusal.facts.tool,
        "call refused"
    );
    let record = events::refused(refusal, &id.0, source, now);
    if pipeline::is_anonymous(refusal) {
        gateway.audit.refused(record, &AttemptLimits::source_name(source), now).await;
    } else if let Err(audit) =
        append(gateway, record, refusal.message.as_ref().map(CanonicalMessage::as_bytes), now).await
    {
        // The call is refused anyway; that the refusal is not in the log is the log's error to show.
        tracing::error!(request_id = id.0, error = %audit, "a refusal could not be audited");
    }
    refused(error, dialect, refusal.facts.request_id.as_deref(), now)
}

/// Writes a record, with the message the agent signed where evidence is kept.
async fn append(gateway: &Gateway, record: AuditRecord, message: Option<&[u8]>, now: UnixTime) -> Result<(), Error> {
    match message.filter(|_| gateway.config.audit.evidence.is_some()) {
        Some(message) => gateway.audit.append_with_evidence(record, message, now).await,
        None => gateway.audit.append(record, now).await,
    }
}

fn refused(error: &Error, dialect: Dialect, request_id: Option<&str>, now: UnixTime) -> Response {
    error_response(error, reply::error_body(error, dialect, request_id, now))
}
