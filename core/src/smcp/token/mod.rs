//! Security tokens: compact JWS with the claims of section 3.

mod cache;
mod claims;
mod issue;
mod jws;
mod verify;

pub use claims::Claims;
pub use issue::{TokenSigner, issue_token};
pub use verify::{TokenRules, TokenVerifier, VerifiedToken};

use crate::error::{Error, ErrorKind};

/// The longest lifetime of a token, 24 hours in seconds.
pub const MAXIMUM_LIFETIME_SECONDS: i64 = 86_400;

fn refuse(reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::TokenVerificationFailed, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AgentKey;
    use crate::smcp::Dialect;

    pub(super) fn claims() -> Claims {
        Claims {
            agent_id: "agent-1".to_owned(),
            scope: "research".to_owned(),
            workload_id: "docker://1".to_owned(),
            issued_at: 1000,
            expires_at: 4600,
            not_before: None,
            session_id: Some("session-1".to_owned()),
            issuer: Some("gw".to_owned()),
            audience: vec!["https://gw".to_owned()],
            key: Some(*AgentKey::derive_from_slice(&[9; 32]).unwrap().public()),
            dialect: Some(Dialect::Smcp),
            execution_id: Some("e \"1\"".to_owned()),
            tenant_id: None,
        }
    }
}
