//! Why a command ended early, and what the shell and the user are told about it.

use std::borrow::Cow;

use smcp_core::error::{Details, Executed};
use smcp_core::json::ObjectWriter;
use smcp_core::smcp::Dialect;
use smcp_core::{Error, ErrorKind};

use super::ExitStatus;

/// The end of a command that did not do what was asked.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) status: ExitStatus,
    pub(super) error: Error,
    /// What to do about it, one line.
    pub(super) hint: Option<Cow<'static, str>>,
}

/// The result of a command's parts.
pub(super) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// The command line, or a file it names, is at fault.
    pub(super) fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: ExitStatus::Usage, error: Error::new(ErrorKind::InvalidArgument, message), hint: None }
    }

    /// A check failed that has no kind in the protocol.
    pub(super) fn check(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: ExitStatus::Failed, error: Error::new(ErrorKind::ConfigInvalid, message), hint: None }
    }

    /// A service cannot be reached.
    pub(super) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: ExitStatus::Unavailable, error: Error::new(ErrorKind::ConnectionFailed, message), hint: None }
    }

    /// Adds what to do about it.
    pub(super) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// One line for people: kinds of the protocol are named, local mistakes are not.
    pub(super) fn text(&self) -> String {
        let kind = self.error.kind();
        if matches!(kind, ErrorKind::InvalidArgument | ErrorKind::ConfigInvalid) {
            return self.error.message().to_owned();
        }
        format!("{}: {}", kind.name(), self.error.message())
    }

    /// The same as one JSON object.
    pub(super) fn to_json(&self) -> Vec<u8> {
        ObjectWriter::new().text("status", "error").raw("error", &error_object(&self.error)).finish()
    }
}

/// An error as the commands' `--json` shows it: the members of section 8.
pub(super) fn error_object(error: &Error) -> Vec<u8> {
    ObjectWriter::new()
        .text("code", error.kind().name())
        .integer("number", i64::from(error.kind().number(Dialect::Smcp)))
        .text("message", error.message())
        .raw("details", &details_object(error.details()))
        .finish()
}

fn details_object(details: &Details) -> Vec<u8> {
    let mut object = ObjectWriter::new();
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status_of(error.kind()), error, hint: None }
    }
}

/// The exit status of an error: a service that is not there is another matter than a refusal.
fn status_of(kind: ErrorKind) -> ExitStatus {
    match kind {
        ErrorKind::ConnectionFailed
        | ErrorKind::Timeout
        | ErrorKind::UpstreamUnavailable
        | ErrorKind::UpstreamTimeout
        | ErrorKind::Overloaded
        | ErrorKind::AuditUnavailable => ExitStatus::Unavailable,
        ErrorKind::InvalidArgument => ExitStatus::Usage,
        ErrorKind::MalformedEnvelope
        | ErrorKind::InvalidSignature
        | ErrorKind::TokenExpired
        | ErrorKind::TokenVerificationFailed
        | ErrorKind::StaleTimestamp
        | ErrorKind::UnsupportedProtocol
        | ErrorKind::SessionInactive
        | ErrorKind::SessionNotFound
        | ErrorKind::ReplayDetected
        | ErrorKind::PolicyViolationToolNotAllowed
        | ErrorKind::PolicyViolationToolDenied
        | ErrorKind::PolicyViolationPathNotAllowed
        | ErrorKind::PolicyViolationPathTraversal
        | ErrorKind::PolicyViolationDomainNotAllowed
        | ErrorKind::PolicyViolationRateLimitExceeded
        | ErrorKind::PolicyViolationCommandNotAllowed
        | ErrorKind::PolicyViolationResponseTooLarge
        | ErrorKind::MethodNotAllowed
        | ErrorKind::WorkloadVerificationFailed
        | ErrorKind::ScopeNotFound
        | ErrorKind::KeypairMismatch
        | ErrorKind::AttestationFailed
        | ErrorKind::UpstreamProtocolError
        | ErrorKind::InternalError
        | ErrorKind::NotAttested
        | ErrorKind::KeyErased
        | ErrorKind::BadResponse
        | ErrorKind::ConfigInvalid => ExitStatus::Failed,
    }
}
