//! Errors of a client: the core's error, where it arose, and the HTTP answer it came with.

use std::fmt;
use std::sync::Arc;

use smcp_core::error::Executed;
use smcp_core::smcp::Dialect;
use smcp_core::smcp::send::GatewayError;
use smcp_core::{Error, ErrorKind};

/// Where an error arose; it chooses the published beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before anything was sent.
    Local,
    /// During an attestation.
    Attest,
    /// The gateway refused the call with an HTTP error and a body of the protocol.
    Rejected,
    /// Any other failure of a call: an error in an answer with HTTP 200, a foreign answer, no answer.
    Gateway,
    /// The tool server answered with a JSON-RPC error.
    Tool,
}

/// An HTTP answer as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status.
    pub status: u16,
    /// Header names in lower case and values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The body of an answer to an attestation holds a token.
impl fmt::Debug for HttpAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// The JSON-RPC error of a tool server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFailure {
    /// JSON-RPC code.
    pub code: Option<i64>,
    /// JSON text of `data`.
    pub data: Option<Vec<u8>>,
}

/// Why a client's call failed. Its text begins as the published SDKs' texts do.
#[derive(Clone)]
pub struct ClientError(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    error: Error,
    stage: Stage,
    dialect: Dialect,
    /// The protocol's number, as far as the error has one.
    status_code: Option<u16>,
    http_status: Option<u16>,
    answer: Option<HttpAnswer>,
    tool: Option<ToolFailure>,
}

impl ClientError {
    /// An error that arose before anything was sent.
    #[must_use]
    pub fn local(error: Error, dialect: Dialect) -> Self {
        Self::at(Stage::Local, with_executed(error, Executed::No), dialect)
    }

    /// An error without an HTTP answer.
    #[must_use]
    pub fn at(stage: Stage, error: Error, dialect: Dialect) -> Self {
        let error = if stage == Stage::Attest { error.with_executed(Executed::No) } else { error };
        // The kinds of the client side are on no wire, so the published `status_code` has no number for them.
        let status_code = error.kind().http_status().map(|_| error.kind().number(dialect));
        let inner = Inner { error, stage, dialect, status_code, http_status: None, answer: None, tool: None };
        Self(Arc::new(inner))
    }

    /// An error that the core read out of `answer`.
    #[must_use]
    pub(crate) fn answered(attesting: bool, refused: GatewayError, answer: HttpAnswer, dialect: Dialect) -> Self {
        let success = (200..300).contains(&answer.status);
        let stage = match (attesting, success, refused.spoken) {
            (true, _, _) => Stage::Attest,
            (false, false, true) => Stage::Rejected,
            (false, _, _) => Stage::Gateway,
        };
        let executed = if attesting { Executed::No } else { executed_after(refused.error.kind()) };
        let http_status = Some(answer.status);
        let mut error = with_executed(refused.error, executed);
        let header = answer.header("retry-after").and_then(|seconds| seconds.trim().parse().ok());
        if let (None, Some(seconds)) = (error.details().retry_after, header) {
            error = error.with_retry_after(seconds);
        }
        let inner = Inner {
            error,
            stage,
            dialect,
            status_code: refused.number,
            http_status,
            answer: (!success).then_some(answer),
            tool: None,
        };
        Self(Arc::new(inner))
    }

    /// A JSON-RPC error of the tool server.
    #[must_use]
    pub(crate) fn tool(message: String, failure: ToolFailure, dialect: Dialect) -> Self {
        let error = Error::new(ErrorKind::UpstreamProtocolError, message).with_executed(Executed::Unknown);
        let inner = Inner {
            error,
            stage: Stage::Tool,
            dialect,
            status_code: None,
            http_status: Some(200),
            answer: None,
            tool: Some(failure),
        };
        Self(Arc::new(inner))
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.error.kind()
    }

    /// The core's error: kind, message without prefix, details.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// Where the error arose.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The dialect the client speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The protocol's number, the published `status_code`; `None` for what is on no wire.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        self.0.status_code
    }

    /// The HTTP status of the answer, when there was one.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The answer, when it was an HTTP error.
    #[must_use]
    pub fn answer(&self) -> Option<&HttpAnswer> {
        self.0.answer.as_ref()
    }

    /// The tool server's error.
    #[must_use]
    pub fn tool_failure(&self) -> Option<&ToolFailure> {
        self.0.tool.as_ref()
    }

    /// Whether a gateway that speaks the protocol said this, and no proxy, network or this client.
    #[must_use]
    pub fn is_said_by_gateway(&self) -> bool {
        self.0.http_status.is_some() && self.kind().http_status().is_some() && self.0.tool.is_none()
    }

    /// The same error without `secret` in its text, should a gateway repeat it.
    #[must_use]
    pub(crate) fn without(self, secret: &str) -> Self {
        if secret.len() < 8 || !self.0.error.message().contains(secret) {
            return self;
        }
        let message = self.0.error.message().replace(secret, "[secret]");
        let error = Error::new(self.kind(), message).with_details(self.0.error.details().clone());
        Self(Arc::new(Inner { error, ..(*self.0).clone() }))
    }
}

fn with_executed(error: Error, executed: Executed) -> Error {
    if error.details().executed.is_some() { error } else { error.with_executed(executed) }
}

/// What an error of a gateway that does not say so proves about the tool: refusals of the pipeline's steps 1 to 8 come
/// before the call is forwarded.
fn executed_after(kind: ErrorKind) -> Executed {
    match kind {
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
        | ErrorKind::MethodNotAllowed
        | ErrorKind::WorkloadVerificationFailed
        | ErrorKind::ScopeNotFound
        | ErrorKind::KeypairMismatch
        | ErrorKind::AttestationFailed
        | ErrorKind::Overloaded
        | ErrorKind::AuditUnavailable => Executed::No,
        ErrorKind::PolicyViolationResponseTooLarge => Executed::Yes,
        ErrorKind::UpstreamUnavailable
        | ErrorKind::UpstreamTimeout
        | ErrorKind::UpstreamProtocolError
        | ErrorKind::InternalError
        | ErrorKind::NotAttested
        | ErrorKind::KeyErased
        | ErrorKind::ConnectionFailed
        | ErrorKind::Timeout
        | ErrorKind::BadResponse
        | ErrorKind::InvalidArgument
        | ErrorKind::ConfigInvalid => Executed::Unknown,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0.dialect {
            Dialect::Smcp => "SMCP",
            Dialect::Seal => "SEAL",
        };
        match self.0.stage {
            Stage::Local => {}
            Stage::Attest => formatter.write_str("Attestation failed: ")?,
            Stage::Rejected => write!(formatter, "{name} Gateway Rejected: ")?,
            Stage::Gateway => write!(formatter, "{name} Gateway Error: ")?,
            Stage::Tool => formatter.write_str("MCP Tool Error: ")?,
        }
        formatter.write_str(self.0.error.message())
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl std::error::Error for ClientError {}
