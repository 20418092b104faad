//! Names of what happened.

use std::fmt;

use crate::error::ErrorKind;

/// What a record is about. The records of the log itself (`LogOpened`, `LogResumed`, `LogClosed`, `Checkpoint`,
/// `RefusalSummary`) are written by [`AuditLog`](super::AuditLog) only and have no place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditEvent {
    /// A session was opened.
    AttestationSucceeded,
    /// An attestation was refused.
    AttestationFailed,
    /// A call was allowed and is about to be forwarded or answered.
    ToolCallAuthorized,
    /// An allowed call has ended, well or not.
    ToolCallCompleted,
    /// The policy refused a call, or the tool's answer.
    PolicyViolationBlocked,
    /// The signature of an envelope or of a token does not verify.
    SignatureVerificationFailed,
    /// A token was used after its time, or a session came to its end in time.
    SecurityTokenExpired,
    /// A message was shown a second time.
    ReplayBlocked,
    /// An operator revoked a session.
    SessionRevoked,
    /// A call was refused for any other reason; the violation says which.
    EnvelopeRefused,
    /// A session was ended in the ordinary way.
    SessionEnded,
    /// An operator lifted the block of a workload.
    WorkloadAllowed,
}

impl AuditEvent {
    /// Every event.
    pub const ALL: [Self; 12] = [
        Self::AttestationSucceeded,
        Self::AttestationFailed,
        Self::ToolCallAuthorized,
        Self::ToolCallCompleted,
        Self::PolicyViolationBlocked,
        Self::SignatureVerificationFailed,
        Self::SecurityTokenExpired,
        Self::ReplayBlocked,
        Self::SessionRevoked,
        Self::EnvelopeRefused,
        Self::SessionEnded,
        Self::WorkloadAllowed,
    ];

    /// The name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttestationSucceeded => "AttestationSucceeded",
            Self::AttestationFailed => "AttestationFailed",
            Self::ToolCallAuthorized => "ToolCallAuthorized",
            Self::ToolCallCompleted => "ToolCallCompleted",
            Self::PolicyViolationBlocked => "PolicyViolationBlocked",
            Self::SignatureVerificationFailed => "SignatureVerificationFailed",
            Self::SecurityTokenExpired => "SecurityTokenExpired",
            Self::ReplayBlocked => "ReplayBlocked",
            Self::SessionRevoked => "SessionRevoked",
            Self::EnvelopeRefused => "EnvelopeRefused",
            Self::SessionEnded => "SessionEnded",
            Self::WorkloadAllowed => "WorkloadAllowed",
        }
    }

    /// The event of a call refused with this kind.
    #[must_use]
    pub const fn of_refused_call(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature | ErrorKind::TokenVerificationFailed => Self::SignatureVerificationFailed,
            ErrorKind::TokenExpired => Self::SecurityTokenExpired,
            ErrorKind::ReplayDetected => Self::ReplayBlocked,
            ErrorKind::PolicyViolationToolNotAllowed
            | ErrorKind::PolicyViolationToolDenied
            | ErrorKind::PolicyViolationPathNotAllowed
            | ErrorKind::PolicyViolationPathTraversal
            | ErrorKind::PolicyViolationDomainNotAllowed
            | ErrorKind::PolicyViolationRateLimitExceeded
            | ErrorKind::PolicyViolationCommandNotAllowed
            | ErrorKind::PolicyViolationResponseTooLarge
            | ErrorKind::MethodNotAllowed
            | ErrorKind::ScopeNotFound => Self::PolicyViolationBlocked,
            ErrorKind::MalformedEnvelope
            | ErrorKind::StaleTimestamp
            | ErrorKind::UnsupportedProtocol
            | ErrorKind::SessionInactive
            | ErrorKind::SessionNotFound
            | ErrorKind::WorkloadVerificationFailed
            | ErrorKind::KeypairMismatch
            | ErrorKind::AttestationFailed
            | ErrorKind::UpstreamUnavailable
            | ErrorKind::Overloaded
            | ErrorKind::AuditUnavailable
            | ErrorKind::UpstreamTimeout
            | ErrorKind::UpstreamProtocolError
            | ErrorKind::InternalError
            | ErrorKind::NotAttested
            | ErrorKind::KeyErased
            | ErrorKind::ConnectionFailed
            | ErrorKind::Timeout
            | ErrorKind::BadResponse
            | ErrorKind::InvalidArgument
            | ErrorKind::ConfigInvalid => Self::EnvelopeRefused,
        }
    }
}

impl fmt::Display for AuditEvent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
