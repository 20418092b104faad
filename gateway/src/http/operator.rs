//! The operator's routes on their own loopback socket (section 5).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use smcp_core::ErrorKind;
use smcp_core::error::{Error, Result};
use smcp_core::json::{self, Document, Kind, ObjectWriter, Value};
use smcp_core::session::{Session, SessionState};

use super::{body, json_response, plain_error};
use crate::gateway::Gateway;
use crate::{clock, events};

/// The largest request in bytes.
const MAXIMUM_BYTES: usize = 64 << 10;
/// The longest block in seconds, a year.
const LONGEST_BLOCK_SECONDS: i64 = 366 * 86_400;

/// Refuses every request without the operator's token.
pub(super) async fn require_token(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let value = request.headers().get(axum::http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let known = gateway.operator_token.as_ref().is_some_and(|token| token.matches(given));
    if known {
        next.run(request).await
    } else {
        plain_error(StatusCode::UNAUTHORIZED, "the operator's token is missing or wrong")
    }
}

/// Reads a JSON object of the operator's.
pub(super) async fn read_object<T>(body: Body, read: impl FnOnce(Value<'_>) -> Result<T>) -> Result<T> {
    let bytes = body::read(body, MAXIMUM_BYTES, std::time::Duration::from_secs(10), ErrorKind::InvalidArgument).await?;
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let document: Document<'_> =
        json::scan(&bytes).map_err(|error| invalid(format!("the body is not strict JSON: {error}")))?;
    if document.root().kind() != Kind::Object {
        return Err(invalid("the body is no JSON object".to_owned()));
    }
    read(document.root())
}

/// A text member.
pub(super) fn text(object: Value<'_>, name: &str) -> Result<Option<String>> {
    match object.get(name) {
        None => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(Error::new(ErrorKind::InvalidArgument, format!("member `{name}` is no string"))),
        },
    }
}

/// The answer to an operator's mistake or to a store's error.
pub(super) fn failed(error: &Error) -> Response {
    // A kind without status is one that clients raise: the operator's own mistake.
    let status = error.http_status().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::BAD_REQUEST);
    let body =
        ObjectWriter::new().text("status", "error").text("code", error.kind().name()).text("message", error.message());
    json_response(status, body.finish())
}

/// One session as the operator sees it; no key material beyond the public key.
pub(super) fn describe(session: &Session) -> ObjectWriter {
    ObjectWriter::new()
        .text("session_id", &session.id)
        .text("agent_id", &session.agent_id)
        .text("workload_id", &session.workload_id)
        .text("context", &session.context)
        .text("protocol", session.dialect.protocol())
        .text("state", state_name(session.state))
        .text("public_key", &session.key.to_base64())
        .text("opened_at", &session.opened_at.to_rfc3339())
        .text("expires_at", &session.expires_at.to_rfc3339())
        .optional_text("execution_id", session.execution_id.as_deref())
        .optional_text("tenant_id", session.tenant_id.as_deref())
}

pub(super) fn state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Live => "active",
        SessionState::Revoked => "revoked",
        SessionState::Ended => "ended",
    }
}

pub(super) async fn list_sessions(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.sessions.list(clock::now()) {
        Err(error) => failed(&error),
        Ok(sessions) => {
            let mut list = vec![b'['];
            for (index, session) in sessions.iter().enumerate() {
                if index > 0 {
                    list.push(b',');
                }
                list.extend_from_slice(&describe(session).finish());
            }
            list.push(b']');
            json_response(StatusCode::OK, ObjectWriter::new().text("status", "success").raw("sessions", &list).finish())
        }
    }
}

/// What the operator wants of a revocation.
struct Revocation {
    session: String,
    /// `None`: the session only.
    block: Option<smcp_core::session::Block>,
}

fn read_revocation(object: Value<'_>) -> Result<Revocation> {
    let invalid = |message: &'static str| Error::new(ErrorKind::InvalidArgument, message);
    let session = text(object, "session_id")?.ok_or_else(|| invalid("member `session_id` is missing"))?;
    let only = object.get("session_only").is_some_and(|only| only.as_bool() == Some(true));
    let seconds = match object.get("for_seconds") {
        None => None,
        Some(value) => {
            let seconds = value.as_i64().filter(|seconds| (1..=LONGEST_BLOCK_SECONDS).contains(seconds));
            Some(seconds.ok_or_else(|| invalid("member `for_seconds` is no number of seconds from 1 to a year"))?)
        }
    };
    let block = match (only, seconds) {
        (true, Some(_)) => return Err(invalid("`session_only` and `for_seconds` exclude each other")),
        (true, None) => None,
        (false, None) => Some(smcp_core::session::Block::UntilLifted),
        (false, Some(seconds)) => Some(smcp_core::session::Block::Until(clock::now().plus_seconds(seconds))),
    };
    Ok(Revocation { session, block })
}

pub(super) async fn revoke_session(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let wanted = match read_object(body, read_revocation).await {
        Ok(wanted) => wanted,
        Err(error) => return failed(&error),
    };
    let now = clock::now();
    match gateway.sessions.revoke(&wanted.session, wanted.block, now) {
        Err(error) => failed(&error),
        Ok(None) => plain_error(StatusCode::NOT_FOUND, "there is no such session"),
        Ok(Some(session)) => {
            tracing::info!(session = session.id, workload = session.workload_id, "session revoked");
            if let Err(error) = gateway.audit.append(events::revoked(&session, wanted.block.is_some(), now), now).await
            {
                tracing::error!(%error, "a revocation could not be audited");
            }
            let body = ObjectWriter::new().text("status", "success").boolean("blocked", wanted.block.is_some());
            json_response(StatusCode::OK, body.raw("session", &describe(&session).finish()).finish())
        }
    }
}

pub(super) async fn allow_workload(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let workload = read_object(body, |object| {
        text(object, "workload_id")?
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "member `workload_id` is missing"))
    })
    .await;
    let now = clock::now();
    match workload.and_then(|workload| gateway.sessions.allow(&workload).map(|lifted| (workload, lifted))) {
        Err(error) => failed(&error),
        Ok((_, false)) => plain_error(StatusCode::NOT_FOUND, "the workload is not blocked"),
        Ok((workload, true)) => {
            tracing::info!(workload, "block lifted");
            if let Err(error) = gateway.audit.append(events::allowed(&workload, now), now).await {
                tracing::error!(%error, "lifting a block could not be audited");
            }
            json_response(
                StatusCode::OK,
                ObjectWriter::new().text("status", "success").text("workload_id", &workload).finish(),
            )
        }
    }
}

pub(super) async fn audit_head(State(gateway): State<Arc<Gateway>>) -> Response {
    let head = gateway.audit.head();
    let body = ObjectWriter::new().text("status", "success").text("head", &head);
    json_response(StatusCode::OK, body.finish())
}

pub(super) async fn status(State(gateway): State<Arc<Gateway>>) -> Response {
    let waiting = gateway.not_ready().await;
    let sessions = gateway.sessions.list(clock::now()).map_or(0, |sessions| sessions.len());
    let body = ObjectWriter::new()
        .text("status", "success")
        .text("version", env!("CARGO_PKG_VERSION"))
        .integer("sessions", i64::try_from(sessions).unwrap_or(i64::MAX))
        .integer("calls", i64::try_from(gateway.running.count()).unwrap_or(i64::MAX))
        .list("contexts", gateway.contexts.load().iter().map(|context| context.name.as_ref()))
        .list("waiting_for", waiting.iter().map(String::as_str));
    json_response(StatusCode::OK, body.finish())
}
