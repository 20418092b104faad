//! Errors of the core: a kind from the one table, a message that is safe to send, and details.

mod kind;

use std::borrow::Cow;
use std::fmt;

pub use kind::ErrorKind;

use crate::time::UnixTime;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether the tool ran although the call ended in an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executed {
    /// No tool ran.
    No,
    /// The tool ran to its end.
    Yes,
    /// The call left the gateway or client and its fate is not known.
    Unknown,
}

/// Machine-readable facts beside an error's message (section 8, `details`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Whether the tool ran.
    pub executed: Option<Executed>,
    /// Seconds after which the call may be tried again.
    pub retry_after: Option<u64>,
    /// The verifier's clock, sent with a stale timestamp.
    pub server_time: Option<UnixTime>,
    /// The body is beyond the size limit (HTTP 413 instead of 401).
    pub too_large: bool,
}

/// An error with its kind, message and details.
///
/// The message is lower case without a full stop, names the offending value in backticks and never
/// holds key material, tokens or signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    details: Details,
}

impl Error {
    /// Makes an error without details.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), details: Details::default() }))
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message, without the kind.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.0.details
    }

    /// The HTTP status of the answer, which for an oversized body differs from the kind's own.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        if self.0.details.too_large { Some(413) } else { self.0.kind.http_status() }
    }

    /// Replaces the details.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.0.details = details;
        self
    }

    /// Says whether the tool ran.
    #[must_use]
    pub fn with_executed(mut self, executed: Executed) -> Self {
        self.0.details.executed = Some(executed);
        self
    }

    /// Says after how many seconds a new try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.details.retry_after = Some(seconds);
        self
    }

    /// Carries the verifier's clock.
    #[must_use]
    pub fn with_server_time(mut self, now: UnixTime) -> Self {
        self.0.details.server_time = Some(now);
        self
    }

    /// Marks the body as larger than the limit.
    #[must_use]
    pub fn with_too_large(mut self) -> Self {
        self.0.details.too_large = true;
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.kind.name(), self.0.message)
    }
}

impl std::error::Error for Error {}
