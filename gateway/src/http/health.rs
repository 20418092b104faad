//! Liveness, readiness and the public keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use smcp_core::json::ObjectWriter;

use super::json_response;
use crate::gateway::Gateway;

/// The process answers.
pub(super) async fn live() -> Response {
    json_response(StatusCode::OK, ObjectWriter::new().text("status", "ok").finish())
}

/// Calls would be served: not shutting down, the audit log takes records, every tool server is up.
pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> Response {
    let down = gateway.not_ready().await;
    if down.is_empty() {
        return json_response(StatusCode::OK, ObjectWriter::new().text("status", "ready").finish());
    }
    let body = ObjectWriter::new().text("status", "not ready").list("waiting_for", down.iter().map(String::as_str));
    json_response(StatusCode::SERVICE_UNAVAILABLE, body.finish())
}

/// The keys that verify tokens (section 6).
pub(super) async fn jwks(State(gateway): State<Arc<Gateway>>) -> Response {
    json_response(StatusCode::OK, gateway.tokens.keys().to_jwks().into_bytes())
}
