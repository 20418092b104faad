//! The HTTP front: routes, limits and the order in which a request meets them.

mod attest;
mod body;
mod front;
mod greeting;
mod health;
mod invoke;
mod legacy;
mod operator;
mod peer;
mod seal_sessions;
mod serve;
mod timing;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use smcp_core::error::Error;
use smcp_core::json::ObjectWriter;
use smcp_core::smcp::Dialect;

pub use front::{FrontRules, json_response};
pub use peer::{PeerAddress, client_address};
pub use serve::{ServeLimits, TlsSource, serve};

use crate::gateway::Gateway;

/// The id of a request, in and out as `X-Request-Id`.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The agents' routes.
pub fn agent_router(gateway: &Arc<Gateway>, rules: FrontRules) -> Router {
    let mut router = Router::new()
        .route(Dialect::Smcp.attest_path(), post(attest::smcp))
        .route(Dialect::Smcp.invoke_path(), post(invoke::smcp))
        .route("/.well-known/jwks.json", get(health::jwks))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready));
    if gateway.config.seal.enabled {
        router = router
            .route(Dialect::Seal.attest_path(), post(attest::seal))
            .route(Dialect::Seal.invoke_path(), post(invoke::seal));
    }
    if gateway.config.legacy.is_some() {
        router = router.route("/mcp", post(legacy::call));
    }
    finish(router, gateway, rules)
}

/// The operator's routes; every one needs the operator's token.
pub fn operator_router(gateway: &Arc<Gateway>, rules: FrontRules) -> Router {
    let mut router = Router::new()
        .route("/v1/sessions", get(operator::list_sessions))
        .route("/v1/sessions/revoke", post(operator::revoke_session))
        .route("/v1/workloads/allow", post(operator::allow_workload))
        .route("/v1/audit/head", get(operator::audit_head))
        .route("/v1/status", get(operator::status));
    if gateway.config.seal.enabled {
        router = router
            .route("/v1/seal/sessions", post(seal_sessions::open).get(seal_sessions::list))
            .route("/v1/seal/sessions/{execution_id}", get(seal_sessions::show).delete(seal_sessions::end));
    }
    finish(router.layer(from_fn_with_state(Arc::clone(gateway), operator::require_token)), gateway, rules)
}

fn finish(router: Router<Arc<Gateway>>, gateway: &Arc<Gateway>, rules: FrontRules) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::new(rules), front::front))
        .with_state(Arc::clone(gateway))
}

async fn not_found() -> Response {
    plain_error(StatusCode::NOT_FOUND, "there is nothing at this path")
}

async fn method_not_allowed() -> Response {
    plain_error(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this HTTP method")
}

/// An error outside the protocol, for paths no client of ours calls.
fn plain_error(status: StatusCode, message: &str) -> Response {
    json_response(status, ObjectWriter::new().text("status", "error").text("message", message).finish())
}

/// The answer to an error of the protocol, with `Retry-After` where it says when to come again.
fn error_response(error: &Error, body: Vec<u8>) -> Response {
    let status = error.http_status().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = json_response(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    if let Some(seconds) = error.details().retry_after {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    response
}
