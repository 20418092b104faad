//! The one table of error kinds: name, number per dialect and HTTP status (section 8).
//!
//! Everything that names an error, in any language, is generated from or checked against this table.

use crate::smcp::Dialect;

/// Builds [`ErrorKind`] and its columns from one row per kind, so that no column can miss a kind.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident, $name:literal, $smcp:literal, $seal:literal, $http:literal;)+) => {
        /// What went wrong, as the protocol names it (section 8).
        ///
        /// The enumeration is exhaustive on purpose: adding a kind breaks every `match` that maps it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The RFC's name, the wire `code` of `smcp/v1`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The number callers test, which differs between the dialects.
            #[must_use]
            pub const fn number(self, dialect: Dialect) -> u16 {
                match dialect {
                    Dialect::Smcp => match self { $(Self::$variant => $smcp,)+ },
                    Dialect::Seal => match self { $(Self::$variant => $seal,)+ },
                }
            }

            /// The HTTP status of an answer with this kind; `None` for kinds that only a client raises.
            #[must_use]
            pub const fn http_status(self) -> Option<u16> {
                let status: u16 = match self { $(Self::$variant => $http,)+ };
                if status == 0 { None } else { Some(status) }
            }

            /// One line that says what the kind means.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc, "\n"),+).trim_ascii(),)+ }
            }
        }
    };
}

kinds! {
    /// The body is not a well-formed envelope, or a request is not of the shape the gateway requires.
    MalformedEnvelope, "MALFORMED_ENVELOPE", 1000, 1000, 401;
    /// The envelope's signature does not verify over its canonical message.
    InvalidSignature, "INVALID_SIGNATURE", 1001, 1001, 401;
    /// The security token, or the session it names, has expired.
    TokenExpired, "TOKEN_EXPIRED", 1002, 1003, 401;
    /// The security token does not verify.
    TokenVerificationFailed, "TOKEN_VERIFICATION_FAILED", 1003, 1004, 401;
    /// The envelope's timestamp lies outside the freshness window.
    StaleTimestamp, "STALE_TIMESTAMP", 1004, 1003, 401;
    /// The protocol is missing, unknown, or not the one the session was attested under.
    UnsupportedProtocol, "UNSUPPORTED_PROTOCOL", 1005, 1000, 401;
    /// The session was revoked or has ended.
    SessionInactive, "SESSION_INACTIVE", 1006, 1006, 401;
    /// The verifier does not know the session; the client should attest again.
    SessionNotFound, "SESSION_NOT_FOUND", 1007, 1005, 401;
    /// The same signed message was seen before.
    ReplayDetected, "REPLAY_DETECTED", 1008, 1008, 401;
    /// No capability of the context matches the tool.
    PolicyViolationToolNotAllowed, "POLICY_VIOLATION_TOOL_NOT_ALLOWED", 2000, 2006, 403;
    /// The deny list of the context matches the call.
    PolicyViolationToolDenied, "POLICY_VIOLATION_TOOL_DENIED", 2001, 2001, 403;
    /// A path argument is outside what the capability allows, or is missing.
    PolicyViolationPathNotAllowed, "POLICY_VIOLATION_PATH_NOT_ALLOWED", 2002, 2002, 403;
    /// A path argument climbs with `..` in one of its readings.
    PolicyViolationPathTraversal, "POLICY_VIOLATION_PATH_TRAVERSAL", 2003, 2002, 403;
    /// A URL or host in the arguments is outside what the capability allows.
    PolicyViolationDomainNotAllowed, "POLICY_VIOLATION_DOMAIN_NOT_ALLOWED", 2004, 2004, 403;
    /// The capability's rate limit, or the gateway's attestation limit, is used up.
    PolicyViolationRateLimitExceeded, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED", 2005, 2005, 429;
    /// A command is outside what the capability allows, or is missing.
    PolicyViolationCommandNotAllowed, "POLICY_VIOLATION_COMMAND_NOT_ALLOWED", 2007, 2003, 403;
    /// The tool ran, and its answer is larger than the capability allows.
    PolicyViolationResponseTooLarge, "POLICY_VIOLATION_RESPONSE_TOO_LARGE", 2008, 2008, 403;
    /// The gateway does not serve this JSON-RPC method.
    MethodNotAllowed, "METHOD_NOT_ALLOWED", 2009, 2009, 403;
    /// The workload could not be verified, or is blocked.
    WorkloadVerificationFailed, "WORKLOAD_VERIFICATION_FAILED", 3000, 3000, 401;
    /// The security context does not exist or is not granted to the workload.
    ScopeNotFound, "SCOPE_NOT_FOUND", 3001, 3001, 403;
    /// The public key belongs to a live session of another workload, or is not the registered one.
    KeypairMismatch, "KEYPAIR_MISMATCH", 3002, 3002, 401;
    /// The attestation failed for another reason.
    AttestationFailed, "ATTESTATION_FAILED", 3003, 3002, 401;
    /// The tool server cannot be reached.
    UpstreamUnavailable, "UPSTREAM_UNAVAILABLE", 4000, 4000, 502;
    /// The gateway has no room for the call now.
    Overloaded, "OVERLOADED", 4001, 4001, 503;
    /// The audit log is required and refused the record, so the call was not forwarded.
    AuditUnavailable, "AUDIT_UNAVAILABLE", 4002, 4002, 503;
    /// The tool server did not answer within the deadline.
    UpstreamTimeout, "UPSTREAM_TIMEOUT", 4003, 4003, 504;
    /// The tool server answered something that is not MCP.
    UpstreamProtocolError, "UPSTREAM_PROTOCOL_ERROR", 4004, 4004, 502;
    /// A defect of the gateway.
    InternalError, "INTERNAL_ERROR", 4005, 4005, 500;
    /// The client holds no security token yet.
    NotAttested, "NOT_ATTESTED", 6000, 6000, 0;
    /// The private key was erased.
    KeyErased, "KEY_ERASED", 6001, 6001, 0;
    /// The gateway could not be reached.
    ConnectionFailed, "CONNECTION_FAILED", 6002, 6002, 0;
    /// The gateway did not answer within the client's deadline.
    Timeout, "TIMEOUT", 6003, 6003, 0;
    /// The gateway's answer is not one the protocol knows.
    BadResponse, "BAD_RESPONSE", 6004, 6004, 0;
    /// An argument of a call is not valid.
    InvalidArgument, "INVALID_ARGUMENT", 6005, 6005, 0;
    /// A configuration, a context or a key file is not valid.
    ConfigInvalid, "CONFIG_INVALID", 6006, 6006, 0;
}

impl ErrorKind {
    /// Finds a kind by its wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Finds the first kind that carries `number` in `dialect`.
    ///
    /// Numbers of `seal/v1` stand for several kinds; the first row of the table wins.
    #[must_use]
    pub fn from_number(number: u16, dialect: Dialect) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number(dialect) == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_smcp_numbers_are_unique() {
        let names: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        let numbers: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.number(Dialect::Smcp)).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        assert_eq!(numbers.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn only_client_kinds_have_no_status() {
        for kind in ErrorKind::ALL {
            assert_eq!(kind.http_status().is_none(), kind.number(Dialect::Smcp) >= 6000, "{kind:?}");
            assert_eq!(ErrorKind::from_name(kind.name()), Some(*kind));
            assert!(!kind.summary().is_empty());
        }
    }
}
