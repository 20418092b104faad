//! `POST /mcp`: plain MCP for clients without SMCP, closed by default (section 5, `legacy`).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use smcp_core::ErrorKind;
use smcp_core::error::{Error, Result};
use smcp_core::json::ObjectWriter;
use smcp_core::keys::encode_base64url;
use smcp_core::policy::{MethodClass, RateStore as _, lists_tool, policy_target};
use smcp_core::smcp::attest::AttemptLimits;
use smcp_core::smcp::receive::{CallFacts, decide_call};
use smcp_core::smcp::{Call, Dialect, PlainCall};
use smcp_core::time::UnixTime;

use super::{PeerAddress, RequestId, body, client_address, json_response};
use crate::dispatch::{Dispatch, Reply};
use crate::gateway::Gateway;
use crate::{clock, events, pipeline, random};

/// The name under which all plain clients are counted and audited.
const WORKLOAD: &str = "legacy";

/// JSON-RPC codes of refusals; the protocol's own kind stands in `data`.
const PARSE_ERROR: i64 = -32700;
const METHOD_NOT_FOUND: i64 = -32601;
const REFUSED: i64 = -32000;

pub(super) async fn call(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<PeerAddress>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let source = client_address(peer.0, &headers, &gateway.config.listen.trusted_proxies);
    let limits = &gateway.config.limits;
    let body = match body::receive(&gateway, body, limits.body_size, ErrorKind::MalformedEnvelope).await {
        Ok(body) => body,
        Err(error) => return refuse_unread(&gateway, &error, source, &id).await,
    };
    // Taken only now: a body that trickles in holds no room for calls.
    let Ok(permit) = Arc::clone(&gateway.permits).try_acquire_owned() else {
        let error = Error::new(ErrorKind::Overloaded, "too many calls at once").with_retry_after(1);
        return refuse_unread(&gateway, &error, source, &id).await;
    };
    let task = tokio::spawn(async move {
        let response = handle(&gateway, body, source, &id).await;
        drop(permit);
        response
    });
    match task.await {
        Ok(response) => response,
        Err(_) => refused(&Error::new(ErrorKind::InternalError, "the call ended in a defect"), None),
    }
}

async fn handle(gateway: &Gateway, body: Bytes, source: IpAddr, id: &RequestId) -> Response {
    let now = clock::now();
    let plain = match PlainCall::parse(&body, pipeline::json_limits(gateway.config.limits.body_size)) {
        Ok(plain) => plain,
        Err(error) => return refuse_unread(gateway, &error, source, id).await,
    };
    let call = plain.call();
    let mut facts = facts(&call, gateway);
    let reply = answer(gateway, &call, &mut facts, source, id, now).await;
    match reply {
        Ok(Reply::Accepted) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Ok(Reply::Response { text, .. }) => json_response(StatusCode::OK, text),
        Err(error) => refused(&error, call.id()),
    }
}

/// Policy, audit, dispatch, audit: the same order as behind an envelope.
async fn answer(
    gateway: &Gateway,
    call: &Call<'_>,
    facts: &mut CallFacts,
    source: IpAddr,
    id: &RequestId,
    now: UnixTime,
) -> Result<Reply> {
    let contexts = gateway.contexts.load();
    let scope = gateway.config.legacy.as_ref().map(|legacy| legacy.scope.as_str()).unwrap_or_default();
    let Some(context) = contexts.get(scope) else {
        let error = Error::new(ErrorKind::ScopeNotFound, "the context of plain clients does not exist");
        return refuse(gateway, facts, error, source, id, now).await;
    };
    let class = policy_target(&call.method());
    let decision = match class {
        MethodClass::Gateway | MethodClass::ToolList => None,
        MethodClass::NotAllowed => {
            return refuse(
                gateway,
                facts,
                Error::new(ErrorKind::MethodNotAllowed, "the gateway does not serve this method"),
                source,
                id,
                now,
            )
            .await;
        }
        MethodClass::ToolCall | MethodClass::AsTool(_) => {
            let charge = &mut |key: &_, limit| gateway.rates.check_and_charge(key, limit, now);
            let decision = match decide_call(call, context, WORKLOAD, None, charge) {
                Ok(decision) => decision,
                Err(error) => return refuse(gateway, facts, error, source, id, now).await,
            };
            facts.decision = Some(decision.clone());
            if let Some(violation) = decision.violation() {
                return refuse(gateway, facts, violation.clone(), source, id, now).await;
            }
            Some(decision)
        }
    };
    // Plain clients have no session, and the request's id is theirs to choose: none of them can cancel another's call.
    let session = format!("{WORKLOAD} {}", encode_base64url(&random::bytes::<16>()?));
    let record = events::authorized_facts(facts, call, gateway.audit.redaction(), &id.0, source, now);
    if let Err(error) = gateway.audit.append(record, now).await {
        return refuse(gateway, facts, error, source, id, now).await;
    }
    let lists = |tool: &str| lists_tool(context, None, tool);
    let dispatch = Dispatch {
        call: *call,
        class,
        decision: decision.as_ref(),
        lists: &lists,
        session: Cow::Owned(session),
        dialect: Dialect::Smcp,
    };
    let started = std::time::Instant::now();
    let reply = dispatch.run(gateway).await;
    let outcome = events::completed_facts(facts, &reply, started.elapsed(), &id.0, clock::now());
    if let Err(error) = gateway.audit.append(outcome, clock::now()).await {
        tracing::error!(request_id = id.0, %error, "the outcome of a call could not be audited");
    }
    reply
}

async fn refuse(
    gateway: &Gateway,
    facts: &CallFacts,
    error: Error,
    source: IpAddr,
    id: &RequestId,
    now: UnixTime,
) -> Result<Reply> {
    if let Err(audit) = gateway.audit.append(events::refused_facts(facts, &error, &id.0, source, now), now).await {
        tracing::error!(request_id = id.0, error = %audit, "a refusal could not be audited");
    }
    Err(error)
}

/// Refuses what was not even read as a message; that can come from anyone.
async fn refuse_unread(gateway: &Gateway, error: &Error, source: IpAddr, id: &RequestId) -> Response {
    let now = clock::now();
    let record = events::refused_facts(&CallFacts::default(), error, &id.0, source, now);
    gateway.audit.refused(record, &AttemptLimits::source_name(source), now).await;
    refused(error, None)
}

fn facts(call: &Call<'_>, gateway: &Gateway) -> CallFacts {
    CallFacts {
        request_id: call.id().map(str::to_owned),
        method: Some(call.method().chars().take(256).collect()),
        tool: Some(call.tool().chars().take(256).collect()),
        workload_id: Some(WORKLOAD.to_owned()),
        context: gateway.config.legacy.as_ref().map(|legacy| legacy.scope.clone()),
        ..CallFacts::default()
    }
}

/// A JSON-RPC error with the kind in `data`; the HTTP status is 200 for a message that was understood.
fn refused(error: &Error, id: Option<&str>) -> Response {
    let kind = error.kind();
    let (status, code) = if error.details().too_large {
        (StatusCode::PAYLOAD_TOO_LARGE, PARSE_ERROR)
    } else if kind == ErrorKind::MalformedEnvelope {
        (StatusCode::BAD_REQUEST, PARSE_ERROR)
    } else if kind == ErrorKind::Overloaded {
        (StatusCode::SERVICE_UNAVAILABLE, REFUSED)
    } else if kind == ErrorKind::MethodNotAllowed {
        (StatusCode::OK, METHOD_NOT_FOUND)
    } else {
        (StatusCode::OK, REFUSED)
    };
    let data = ObjectWriter::new().text("code", kind.name()).integer("number", i64::from(kind.number(Dialect::Smcp)));
    let object = ObjectWriter::new().integer("code", code).text("message", error.message()).raw("data", &data.finish());
    let body = ObjectWriter::new()
        .text("jsonrpc", "2.0")
        .raw("id", id.unwrap_or("null").as_bytes())
        .raw("error", &object.finish());
    json_response(status, body.finish())
}
