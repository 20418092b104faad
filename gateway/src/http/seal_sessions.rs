//! `/v1/seal/sessions`: sessions that an orchestrator opens for its executions (section 9), on the operator's socket.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use smcp_core::ErrorKind;
use smcp_core::error::{Error, Result};
use smcp_core::json::{ObjectWriter, Value};
use smcp_core::keys::{PublicKey, encode_base64url};
use smcp_core::policy::ToolPattern;
use smcp_core::session::{Session, SessionState};
use smcp_core::smcp::Dialect;

use super::operator::{describe, failed, read_object, state_name, text};
use super::{json_response, plain_error};
use crate::gateway::Gateway;
use crate::{clock, events, random};

/// The most tool patterns of one session.
const MAXIMUM_PATTERNS: usize = 256;

/// What an orchestrator asks for.
struct Wanted {
    execution_id: String,
    agent_id: String,
    context: String,
    key: PublicKey,
    allowed_tools: Option<Arc<[ToolPattern]>>,
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn read_wanted(object: Value<'_>) -> Result<Wanted> {
    let required = |name: &str| {
        text(object, name)?
            .filter(|text| !text.trim().is_empty() && text.len() <= 1024)
            .ok_or_else(|| invalid(format!("member `{name}` is missing, empty or too long")))
    };
    let allowed_tools = match object.get("allowed_tool_patterns") {
        None => None,
        Some(list) if list.is_null() => None,
        Some(list) => Some(read_patterns(list)?),
    };
    Ok(Wanted {
        execution_id: required("execution_id")?,
        agent_id: required("sub")?,
        context: required("security_context_name")?,
        key: PublicKey::parse_base64(&required("public_key_b64")?)?,
        allowed_tools,
    })
}

fn read_patterns(list: Value<'_>) -> Result<Arc<[ToolPattern]>> {
    let wrong = || invalid("member `allowed_tool_patterns` is no list of tool patterns".to_owned());
    if list.kind() != smcp_core::json::Kind::Array {
        return Err(wrong());
    }
    let patterns: Vec<ToolPattern> = list
        .elements()
        .take(MAXIMUM_PATTERNS.saturating_add(1))
        .map(|pattern| {
            ToolPattern::parse(&pattern.as_str().ok_or_else(wrong)?)
                .map_err(|error| invalid(error.message().to_owned()))
        })
        .collect::<Result<_>>()?;
    if patterns.len() > MAXIMUM_PATTERNS {
        return Err(invalid(format!("a session has at most `{MAXIMUM_PATTERNS}` tool patterns")));
    }
    Ok(patterns.into())
}

pub(super) async fn open(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let wanted = match read_object(body, read_wanted).await {
        Ok(wanted) => wanted,
        Err(error) => return failed(&error),
    };
    match open_session(&gateway, wanted).await {
        Err(error) => failed(&error),
        Ok((token, session)) => {
            let body = ObjectWriter::new()
                .text("status", "success")
                .optional_text("execution_id", session.execution_id.as_deref())
                .text("security_token", &token)
                .text("expires_at", &session.expires_at.to_rfc3339())
                .text("session_status", "active");
            json_response(StatusCode::OK, body.finish())
        }
    }
}

async fn open_session(gateway: &Gateway, wanted: Wanted) -> Result<(zeroize::Zeroizing<String>, Session)> {
    let now = clock::now();
    if gateway.contexts.load().get(&wanted.context).is_none() {
        return Err(Error::new(ErrorKind::ScopeNotFound, "the security context does not exist"));
    }
    if gateway.sessions.blocked(&wanted.agent_id, &wanted.key, now)? {
        return Err(Error::new(
            ErrorKind::WorkloadVerificationFailed,
            "the workload or its key is blocked after a revocation",
        ));
    }
    let taken =
        gateway.sessions.list(now)?.iter().any(|session| {
            session.is_live(now) && session.execution_id.as_deref() == Some(wanted.execution_id.as_str())
        });
    if taken {
        return Err(invalid("the execution has a live session already".to_owned()));
    }
    let lifetime = i64::from(gateway.attestor.rules().lifetime_seconds);
    let session = Session {
        id: format!("session-{}", encode_base64url(&random::bytes::<16>()?)),
        workload_id: wanted.agent_id.clone(),
        agent_id: wanted.agent_id,
        context: wanted.context,
        key: wanted.key,
        dialect: Dialect::Seal,
        opened_at: now,
        expires_at: smcp_core::time::UnixTime::from_seconds(now.seconds()).plus_seconds(lifetime),
        state: SessionState::Live,
        execution_id: Some(wanted.execution_id),
        tenant_id: None,
        allowed_tools: wanted.allowed_tools,
    };
    let granted = gateway.attestor.open(session, gateway.sessions.as_ref(), gateway.signer.as_ref(), now)?;
    if let Err(error) = gateway.audit.append(events::opened_by_operator(&granted.session, now), now).await {
        // Nobody gets the token, so the session must not stand in the way of the next try.
        gateway.sessions.revoke(&granted.session.id, None, now)?;
        return Err(error);
    }
    Ok((granted.token, granted.session))
}

/// The newest session of an execution.
fn find(gateway: &Gateway, execution_id: &str) -> Result<Option<Arc<Session>>> {
    let sessions = gateway.sessions.list(clock::now())?;
    let of_execution = sessions.into_iter().filter(|session| session.execution_id.as_deref() == Some(execution_id));
    Ok(of_execution.max_by_key(|session| session.opened_at))
}

fn describe_execution(session: &Session) -> Vec<u8> {
    describe(session).text("session_status", state_name(session.state)).finish()
}

pub(super) async fn list(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.sessions.list(clock::now()) {
        Err(error) => failed(&error),
        Ok(sessions) => {
            let texts: Vec<Vec<u8>> = sessions
                .iter()
                .filter(|session| session.dialect == Dialect::Seal)
                .map(|session| describe_execution(session))
                .collect();
            let list = [b"[".as_slice(), &texts.join(&b","[..]), b"]"].concat();
            json_response(StatusCode::OK, ObjectWriter::new().text("status", "success").raw("sessions", &list).finish())
        }
    }
}

pub(super) async fn show(State(gateway): State<Arc<Gateway>>, Path(execution_id): Path<String>) -> Response {
    match find(&gateway, &execution_id) {
        Err(error) => failed(&error),
        Ok(None) => plain_error(StatusCode::NOT_FOUND, "there is no session of this execution"),
        Ok(Some(session)) => json_response(StatusCode::OK, describe_execution(&session)),
    }
}

/// Ends the session of an execution; unlike a revocation it blocks nobody.
pub(super) async fn end(State(gateway): State<Arc<Gateway>>, Path(execution_id): Path<String>) -> Response {
    let now = clock::now();
    let ended = find(&gateway, &execution_id).and_then(|session| match session {
        None => Ok(None),
        Some(session) => gateway.sessions.end(&session.id, now),
    });
    match ended {
        Err(error) => failed(&error),
        Ok(None) => plain_error(StatusCode::NOT_FOUND, "there is no session of this execution"),
        Ok(Some(session)) => {
            if let Err(error) = gateway.audit.append(events::ended(&session, now), now).await {
                tracing::error!(%error, "the end of a session could not be audited");
            }
            json_response(StatusCode::OK, describe_execution(&session))
        }
    }
}
