//! `POST /v1/smcp/attest` and its `seal/v1` twin (section 4).

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use smcp_core::error::Error;
use smcp_core::smcp::attest::{AttemptLimits, AttestationRequest, Granted};
use smcp_core::smcp::{Dialect, reply};
use smcp_core::time::UnixTime;
use smcp_core::{ErrorKind, Result};

use super::{PeerAddress, RequestId, body, client_address, error_response, json_response};
use crate::gateway::Gateway;
use crate::{clock, events, random};

/// The largest attestation request in bytes.
const MAXIMUM_BYTES: usize = 64 << 10;

pub(super) async fn smcp(
    state: State<Arc<Gateway>>,
    peer: Extension<PeerAddress>,
    id: Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    attest(state.0, Dialect::Smcp, peer.0, id.0, headers, body).await
}

pub(super) async fn seal(
    state: State<Arc<Gateway>>,
    peer: Extension<PeerAddress>,
    id: Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    attest(state.0, Dialect::Seal, peer.0, id.0, headers, body).await
}

async fn attest(
    gateway: Arc<Gateway>,
    dialect: Dialect,
    peer: PeerAddress,
    id: RequestId,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let source = client_address(peer.0, &headers, &gateway.config.listen.trusted_proxies);
    let body = match body::receive(&gateway, body, MAXIMUM_BYTES, ErrorKind::AttestationFailed).await {
        Ok(body) => body,
        Err(error) => {
            let now = clock::now();
            note_failure(&gateway, None, &error, source, &id, now).await;
            return refused(&error, dialect, now);
        }
    };
    let bearer = bearer(&headers);
    // A task of its own: a client that goes away does not stop an attestation half-way between store and audit.
    let task = tokio::spawn(async move {
        let now = clock::now();
        match conclude(&gateway, dialect, &body, bearer.as_deref(), source, &id, now).await {
            Ok(granted) => {
                let session = &granted.session;
                json_response(StatusCode::OK, reply::attestation_body(&granted.token, &session.id, session.expires_at))
            }
            Err(error) => refused(&error, dialect, now),
        }
    });
    match task.await {
        Ok(response) => response,
        Err(_) => {
            refused(&Error::new(ErrorKind::InternalError, "the attestation ended in a defect"), dialect, clock::now())
        }
    }
}

fn refused(error: &Error, dialect: Dialect, now: UnixTime) -> Response {
    error_response(error, reply::attestation_error_body(error, dialect, now))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim().to_owned())
}

async fn conclude(
    gateway: &Gateway,
    dialect: Dialect,
    body: &[u8],
    bearer: Option<&str>,
    address: IpAddr,
    id: &RequestId,
    now: UnixTime,
) -> Result<Granted> {
    let source = AttemptLimits::source_name(address);
    let mut request = None;
    let result = async {
        let request = request.insert(AttestationRequest::parse(body, dialect)?);
        gateway.attestor.begin(request, &source, now)?;
        let workload = gateway.workloads.verify(request, bearer, now).await?;
        let exists = gateway.contexts.load().get(&request.scope).is_some();
        let granted = exists && gateway.config.grants.allows(&request.workload_id, &request.scope);
        let random = random::bytes()?;
        gateway.attestor.conclude(
            request,
            &workload,
            granted,
            gateway.sessions.as_ref(),
            gateway.signer.as_ref(),
            &random,
            now,
        )
    }
    .await;
    match result {
        Ok(granted) => {
            let record = events::attested(&granted.session, &id.0, address, now);
            if let Err(error) = gateway.audit.append(record, now).await {
                // The agent gets no token, and the session it would name is closed.
                gateway.sessions.revoke(&granted.session.id, None, now)?;
                return Err(error);
            }
            tracing::info!(
                request_id = id.0,
                session = granted.session.id,
                workload = granted.session.workload_id,
                context = granted.session.context,
                "attested"
            );
            Ok(granted)
        }
        Err(error) => {
            note_failure(gateway, request.as_ref(), &error, address, id, now).await;
            Err(error)
        }
    }
}

/// Counts and audits a refused attestation.
async fn note_failure(
    gateway: &Gateway,
    request: Option<&AttestationRequest>,
    error: &Error,
    address: IpAddr,
    id: &RequestId,
    now: UnixTime,
) {
    let source = AttemptLimits::source_name(address);
    if is_senders_fault(error.kind()) {
        gateway.attestor.count_failure(&source, now);
    }
    tracing::warn!(request_id = id.0, %source, code = error.kind().name(), "attestation refused");
    gateway.audit.refused(events::attestation_refused(request, error, &id.0, address, now), &source, now).await;
}

/// Whether a refusal counts against its source: not that of a limit, and not a fault of the gateway, which would lock
/// honest sources out once it is over.
fn is_senders_fault(kind: ErrorKind) -> bool {
    kind.http_status().is_some_and(|status| (400..500).contains(&status) && status != 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_gateway_counts_against_nobody() {
        for kind in [ErrorKind::InternalError, ErrorKind::Overloaded, ErrorKind::PolicyViolationRateLimitExceeded] {
            assert!(!is_senders_fault(kind), "{kind:?}");
        }
        for kind in [ErrorKind::AttestationFailed, ErrorKind::WorkloadVerificationFailed, ErrorKind::ScopeNotFound] {
            assert!(is_senders_fault(kind), "{kind:?}");
        }
    }
}
