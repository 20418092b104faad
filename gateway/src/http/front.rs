//! The rules every request passes before a route sees it (section 5, "HTTP front").

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use smcp_core::json::ObjectWriter;

use super::RequestId;
use crate::config::HostPattern;
use crate::random;

/// Which origins and hosts a listener accepts.
#[derive(Clone, Debug, Default)]
pub struct FrontRules {
    /// Values of `Origin` that are accepted; requests without `Origin` always are.
    pub allowed_origins: Vec<String>,
    /// Hosts that are accepted in `Host`.
    pub allowed_hosts: Vec<HostPattern>,
}

/// Checks method-independent headers and gives the request its id.
pub(super) async fn front(State(rules): State<Arc<FrontRules>>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = match check(&rules, &request) {
        Ok(()) => next.run(request).await,
        Err((status, message)) => refuse(status, message),
    };
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

fn check(rules: &FrontRules, request: &Request) -> Result<(), (StatusCode, &'static str)> {
    let headers = request.headers();
    if headers.get_all(HOST).iter().count() > 1 {
        return Err((StatusCode::BAD_REQUEST, "more than one `Host` header"));
    }
    // HTTP/2 carries the host as `:authority`, which is in the URI.
    let host = match headers.get(HOST) {
        Some(host) => host.to_str().ok(),
        None => request.uri().authority().map(axum::http::uri::Authority::as_str),
    };
    if !host.is_some_and(|host| rules.allowed_hosts.iter().any(|allowed| allowed.matches(host))) {
        return Err((StatusCode::FORBIDDEN, "this `Host` is not served here"));
    }
    for origin in headers.get_all(ORIGIN) {
        let allowed = origin.to_str().is_ok_and(|origin| rules.allowed_origins.iter().any(|allowed| allowed == origin));
        if !allowed {
            return Err((StatusCode::FORBIDDEN, "this `Origin` is not allowed"));
        }
    }
    if request.method() == Method::POST && !is_json(headers) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `Content-Type: application/json`"));
    }
    Ok(())
}

/// `application/json`, with no parameter but `charset=utf-8`; exactly one header.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json")) {
        return false;
    }
    parts.all(|parameter| {
        parameter.split_once('=').is_some_and(|(name, charset)| {
            name.eq_ignore_ascii_case("charset") && charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    })
}

/// The caller's id if it is a plain token, else a fresh one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    });
    match given {
        Some(id) => id.to_owned(),
        None => smcp_core::keys::encode_base64url(&random::bytes::<12>().unwrap_or_default()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let body = ObjectWriter::new().text("status", "error").text("message", message).finish();
    json_response(status, body)
}

/// A response with a JSON body that no cache keeps.
pub fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(axum::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: Method, headers: &[(&str, &str)]) -> Option<u16> {
        let rules = FrontRules {
            allowed_origins: vec!["https://ui".into()],
            allowed_hosts: ["localhost", "[::1]"].into_iter().filter_map(HostPattern::parse).collect(),
        };
        let mut request = Request::builder().method(method).uri("/v1/smcp/invoke");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&rules, &request.body(Body::empty()).unwrap()).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn refuses_foreign_hosts_origins_and_media() {
        let json = ("content-type", "application/json");
        for (headers, status) in [
            (vec![json], 403),
            (vec![("host", "evil.example"), json], 403),
            (vec![("host", "localhost.evil.example"), json], 403),
            (vec![("host", "localhost"), ("host", "evil"), json], 400),
            (vec![("host", "localhost"), ("origin", "null"), json], 403),
            (vec![("host", "localhost"), ("origin", "https://evil"), json], 403),
            (vec![("host", "localhost"), ("origin", "https://ui"), ("origin", "https://evil"), json], 403),
            (vec![("host", "localhost")], 415),
            (vec![("host", "localhost"), ("content-type", "text/plain")], 415),
            (vec![("host", "localhost"), ("content-type", "application/json; charset=latin-1")], 415),
            (vec![("host", "localhost"), json, json], 415),
        ] {
            assert_eq!(verdict(Method::POST, &headers), Some(status), "{headers:?}");
        }
    }

    #[test]
    fn accepts_what_clients_send() {
        for host in ["localhost", "LOCALHOST:8787", "[::1]:8787", "[::1]"] {
            let headers =
                [("host", host), ("content-type", "application/json; charset=UTF-8"), ("origin", "https://ui")];
            assert_eq!(verdict(Method::POST, &headers), None, "{host}");
        }
        assert_eq!(verdict(Method::GET, &[("host", "localhost:1")]), None);
    }
}
