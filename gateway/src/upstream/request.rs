//! One JSON-RPC request to a tool server, and what it answered.

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// JSON-RPC code of a request whose parameters do not fit (also an unknown tool, as MCP says).
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC code of a method that is not served.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// MCP's code of a resource no server has.
pub const RESOURCE_NOT_FOUND: i64 = -32002;

/// One JSON-RPC request on its way to a tool server.
///
/// It has no id: every connection numbers its own requests, since ids of agents collide on a shared
/// server (section 1). `params` reach the server as exactly these JSON values, apart from the rules
/// for `_meta` (section 5).
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// JSON-RPC method, such as `tools/call`.
    pub method: String,
    /// JSON-RPC parameters.
    pub params: Map<String, Value>,
    /// Moment at which the call is given up; the server's own `call_timeout` may be sooner.
    pub deadline: Option<Instant>,
    /// Gives the call up when cancelled, for instance by the agent's `notifications/cancelled`.
    pub cancel: CancellationToken,
    /// Largest accepted answer, in bytes of the compact JSON of `result` (section 7); equal passes.
    pub max_response_size: Option<u64>,
}

impl UpstreamRequest {
    /// Makes a request without deadline and size limit of its own.
    #[must_use]
    pub fn new(method: impl Into<String>, params: Map<String, Value>) -> Self {
        Self {
            method: method.into(),
            params,
            deadline: None,
            cancel: CancellationToken::new(),
            max_response_size: None,
        }
    }

    /// Sets the moment at which the call is given up.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the token that gives the call up.
    #[must_use]
    pub fn with_cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets the largest accepted answer in bytes.
    #[must_use]
    pub fn with_max_response_size(mut self, bytes: u64) -> Self {
        self.max_response_size = Some(bytes);
        self
    }
}

/// What a tool server answered. A JSON-RPC error is an answer, not a failure of the gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum UpstreamAnswer {
    /// The member `result`, unchanged.
    Result(Value),
    /// The members of `error`, unchanged.
    Error {
        /// JSON-RPC error code.
        code: i64,
        /// The server's message.
        message: String,
        /// The server's data.
        data: Option<Value>,
    },
}

impl UpstreamAnswer {
    /// Makes an error answer without data.
    #[must_use]
    pub fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into(), data: None }
    }
}
