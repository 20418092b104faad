//! Bodies of answers (sections 4, 5 and 8).

use super::Dialect;
use crate::error::{Error, ErrorKind, Executed};
use crate::json::ObjectWriter;
use crate::time::UnixTime;

/// JSON-RPC's code of a method that is not served (section 5).
const METHOD_NOT_FOUND: i64 = -32601;

/// The body of a call that was forwarded or that the gateway answered: `response` is a JSON-RPC response.
#[must_use]
pub fn success_body(dialect: Dialect, response: &[u8]) -> Vec<u8> {
    ObjectWriter::new().text("protocol", dialect.protocol()).text("status", "success").raw("payload", response).finish()
}

/// The body of an accepted notification.
#[must_use]
pub fn accepted_body(dialect: Dialect) -> Vec<u8> {
    ObjectWriter::new().text("protocol", dialect.protocol()).text("status", "success").finish()
}

/// The body of an error; `request_id` is the JSON text of the payload's `id`.
#[must_use]
pub fn error_body(error: &Error, dialect: Dialect, request_id: Option<&str>, now: UnixTime) -> Vec<u8> {
    ObjectWriter::new()
        .text("protocol", dialect.protocol())
        .text("status", "error")
        .raw("error", &error_object(error, dialect, request_id, now))
        .finish()
}

/// The body of a refused attestation, readable by both published clients: flat members and the `error` object.
#[must_use]
pub fn attestation_error_body(error: &Error, dialect: Dialect, now: UnixTime) -> Vec<u8> {
    ObjectWriter::new()
        .text("protocol", dialect.protocol())
        .text("status", "error")
        .text("error_code", error.kind().name())
        .text("message", error.message())
        .raw("error", &error_object(error, dialect, None, now))
        .finish()
}

/// In `seal/v1` the `code` is the number (section 9).
fn error_object(error: &Error, dialect: Dialect, request_id: Option<&str>, now: UnixTime) -> Vec<u8> {
    let number = error.kind().number(dialect);
    let code = match dialect {
        Dialect::Smcp => ObjectWriter::new().text("code", error.kind().name()),
        Dialect::Seal => ObjectWriter::new().integer("code", i64::from(number)).text("name", error.kind().name()),
    };
    code.integer("number", i64::from(number))
        .text("message", error.message())
        .text("timestamp", &now.to_rfc3339())
        .raw("request_id", request_id.unwrap_or("null").as_bytes())
        .raw("details", &details_object(error))
        .finish()
}

fn details_object(error: &Error) -> Vec<u8> {
    let details = error.details();
    let mut object = ObjectWriter::new();
    if error.kind() == ErrorKind::MethodNotAllowed {
        object = object.integer("jsonrpc_code", METHOD_NOT_FOUND);
    }
    object = match details.executed {
        None => object,
        Some(Executed::No) => object.boolean("executed", false),
        Some(Executed::Yes) => object.boolean("executed", true),
        Some(Executed::Unknown) => object.text("executed", "unknown"),
    };
    if let Some(seconds) = details.retry_after {
        object = object.integer("retry_after", i64::try_from(seconds).unwrap_or(i64::MAX));
    }
    if let Some(time) = details.server_time {
        object = object.text("server_time", &time.to_rfc3339());
    }
    object.finish()
}

/// The body of a successful attestation.
#[must_use]
pub fn attestation_body(token: &str, session_id: &str, expires_at: UnixTime) -> Vec<u8> {
    ObjectWriter::new()
        .text("status", "success")
        .text("security_token", token)
        .text("expires_at", &expires_at.to_rfc3339())
        .text("session_id", session_id)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::scan;

    #[test]
    fn bodies_are_strict_json_with_the_dialects_code() {
        let error = Error::new(ErrorKind::StaleTimestamp, "a \"quoted\"\nmessage").with_server_time(UnixTime::EPOCH);
        for (dialect, code) in [(Dialect::Smcp, "\"STALE_TIMESTAMP\""), (Dialect::Seal, "1003")] {
            let body = error_body(&error, dialect, Some("\"id-1\""), UnixTime::EPOCH);
            let document = scan(&body).unwrap();
            let error = document.root().get("error").unwrap();
            assert_eq!(error.get("code").unwrap().raw(), code);
            assert_eq!(error.get("message").unwrap().as_str().unwrap(), "a \"quoted\"\nmessage");
            assert_eq!(error.get("request_id").unwrap().raw(), "\"id-1\"");
            assert_eq!(error.get("details").unwrap().raw(), r#"{"server_time":"1970-01-01T00:00:00.000Z"}"#);
        }
        let error_without = Error::new(ErrorKind::MethodNotAllowed, "no");
        let body = error_body(&error_without, Dialect::Smcp, None, UnixTime::EPOCH);
        assert!(String::from_utf8(body).unwrap().contains(r#""details":{"jsonrpc_code":-32601}"#));
        let body = attestation_error_body(&error, Dialect::Smcp, UnixTime::EPOCH);
        let document = scan(&body).unwrap();
        assert_eq!(document.root().get("error_code").unwrap().as_str().unwrap(), "STALE_TIMESTAMP");
        assert!(document.root().get("message").is_some());
    }
}
