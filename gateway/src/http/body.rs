//! Reading a request's body within limits of size and time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use smcp_core::{Error, ErrorKind, Result};

use crate::gateway::Gateway;

/// Reads an agent's body. Bodies under way have room of their own, so that those that trickle in take none from calls.
///
/// # Errors
/// As [`read`], and `OVERLOADED` when there is no room for another body.
pub(super) async fn receive(gateway: &Gateway, body: Body, limit: usize, kind: ErrorKind) -> Result<Bytes> {
    let Ok(_room) = gateway.bodies.try_acquire() else {
        return Err(Error::new(ErrorKind::Overloaded, "too many requests at once").with_retry_after(1));
    };
    read(body, limit, gateway.config.limits.request_timeout, kind).await
}

/// Reads at most `limit` bytes within `deadline`.
///
/// # Errors
/// `kind` when the body is too large (HTTP 413), too slow, or breaks off.
pub(super) async fn read(body: Body, limit: usize, deadline: Duration, kind: ErrorKind) -> Result<Bytes> {
    match tokio::time::timeout(deadline, collect(body, limit, kind)).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(kind, "the body did not arrive in time")),
    }
}

async fn collect(body: Body, limit: usize, kind: ErrorKind) -> Result<Bytes> {
    let mut stream = body.into_data_stream();
    let Some(first) = stream.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(|_| broken(kind))?;
    let mut total = first.len();
    let mut chunks = vec![first];
    while total <= limit {
        let Some(chunk) = stream.next().await else {
            return Ok(match chunks.as_mut_slice() {
                [single] => std::mem::take(single),
                several => several.concat().into(),
            });
        };
        let chunk = chunk.map_err(|_| broken(kind))?;
        total = total.saturating_add(chunk.len());
        chunks.push(chunk);
    }
    Err(Error::new(kind, format!("the body is larger than the limit of `{limit}` bytes")).with_too_large())
}

fn broken(kind: ErrorKind) -> Error {
    Error::new(kind, "the body broke off")
}
