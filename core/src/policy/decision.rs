//! What the policy says about a call, as data (section 7).

use std::num::NonZeroU64;
use std::sync::Arc;

use super::context::{ContextDigest, SecurityContext};
use crate::error::{Error, ErrorKind, Executed, Result};

/// What decided against a call. Indices count from 0 in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeniedBy {
    /// An entry of the deny list.
    DenyEntry(usize),
    /// The capability whose failing constraint is reported.
    Capability(usize),
    /// No capability matches the tool.
    Default,
}

/// Allow or deny, and what decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed by one capability, which was charged if it has a rate limit.
    Allow {
        /// Its index in the context, from 0.
        capability: usize,
    },
    /// Refused.
    Deny {
        /// What decided.
        by: DeniedBy,
    },
}

/// Which rule a step of a trace is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceRule {
    /// The form of the tool's name.
    ToolName,
    /// A deny entry.
    DenyEntry(usize),
    /// The session's own tool patterns.
    Narrowing,
    /// A capability's tool pattern.
    ToolPattern(usize),
    /// A capability's path constraint.
    Path(usize),
    /// A capability's command constraints.
    Command(usize),
    /// A capability's domain constraint.
    Domain(usize),
    /// A capability's rate limit.
    Rate(usize),
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The rule, with the index of its capability or deny entry.
    pub rule: TraceRule,
    /// Whether the rule lets the call pass.
    pub passed: bool,
    /// One line for a person.
    pub message: String,
}

/// The answer of [`decide`](super::decide) or [`explain`](super::explain).
#[derive(Clone, Debug)]
#[must_use = "a decision that nobody reads protects nothing"]
pub struct Decision {
    context: Arc<str>,
    digest: ContextDigest,
    verdict: Verdict,
    violation: Option<Error>,
    max_response_size: Option<NonZeroU64>,
    pub(super) trace: Vec<TraceStep>,
}

impl Decision {
    pub(super) fn allow(context: &SecurityContext, capability: usize, max_response_size: Option<NonZeroU64>) -> Self {
        Self {
            context: Arc::clone(&context.name),
            digest: context.digest,
            verdict: Verdict::Allow { capability },
            violation: None,
            max_response_size,
            trace: Vec::new(),
        }
    }

    pub(super) fn deny(context: &SecurityContext, by: DeniedBy, violation: Error) -> Self {
        Self {
            context: Arc::clone(&context.name),
            digest: context.digest,
            verdict: Verdict::Deny { by },
            violation: Some(violation),
            max_response_size: None,
            trace: Vec::new(),
        }
    }

    /// Allow or deny, and what decided.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The violation to answer with; `None` when the call is allowed.
    #[must_use]
    pub fn violation(&self) -> Option<&Error> {
        self.violation.as_ref()
    }

    /// The index of the capability that allows the call.
    ///
    /// # Errors
    /// The violation when the call is refused.
    pub fn allowed(&self) -> Result<usize> {
        match (self.verdict, &self.violation) {
            (Verdict::Allow { capability }, None) => Ok(capability),
            (Verdict::Deny { .. } | Verdict::Allow { .. }, Some(violation)) => Err(violation.clone()),
            (Verdict::Deny { .. }, None) => Err(Error::new(ErrorKind::PolicyViolationToolNotAllowed, "refused")),
        }
    }

    /// Name of the context that decided.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The context's digest.
    #[must_use]
    pub fn digest(&self) -> ContextDigest {
        self.digest
    }

    /// The largest answer the deciding capability lets through, in bytes; `None` for no limit or a refused call.
    #[must_use]
    pub fn max_response_size(&self) -> Option<NonZeroU64> {
        self.max_response_size
    }

    /// Every rule that was looked at; only [`explain`](super::explain) fills it.
    #[must_use]
    pub fn trace(&self) -> &[TraceStep] {
        &self.trace
    }

    /// Checks the size of the tool's answer: the bytes of the compact JSON of the response's `result`.
    ///
    /// # Errors
    /// `POLICY_VIOLATION_RESPONSE_TOO_LARGE`, which says that the tool ran, when it is larger than the limit.
    pub fn check_response_size(&self, bytes: u64) -> Result<()> {
        match self.max_response_size {
            Some(limit) if bytes > limit.get() => {
                let message = format!("response of `{bytes}` bytes is larger than the allowed `{limit}` bytes");
                Err(Error::new(ErrorKind::PolicyViolationResponseTooLarge, message).with_executed(Executed::Yes))
            }
            Some(_) | None => Ok(()),
        }
    }
}
