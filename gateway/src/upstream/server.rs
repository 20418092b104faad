//! What every tool server can do, however it is reached.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use smcp_core::Result;
use tokio::sync::watch;

use super::request::{UpstreamAnswer, UpstreamRequest};

/// One of the lists a tool server publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    Templates,
    /// `prompts/list`.
    Prompts,
}

impl ListKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Resources, Self::Templates, Self::Prompts];

    /// The JSON-RPC method that fetches the list.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// The member of the result that holds the entries.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The member of an entry that tells it from the others.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }
}

/// Whether a tool server can be called now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthState {
    /// Connected; the last call got through.
    Ready,
    /// Being connected to.
    Connecting,
    /// Not usable, with the reason.
    Failed(String),
    /// Shut down.
    Stopped,
}

/// What is known about a tool server's condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it can be called.
    pub state: HealthState,
    /// MCP version agreed on.
    pub protocol_version: Option<String>,
    /// How often it was connected to again.
    pub restarts: u64,
}

/// A tool server behind the gateway.
#[async_trait]
pub trait ToolServer: Send + Sync {
    /// Its configured name, unique in the gateway.
    fn name(&self) -> &Arc<str>;

    /// Sends one request and waits for the answer. It is sent at most once.
    ///
    /// Names in `params` are the server's own. A JSON-RPC error of the server is an `Ok` answer.
    /// `max_response_size` is a hint for when to stop reading; [`Upstreams`](super::Upstreams) enforces it.
    ///
    /// # Errors
    ///
    /// `UPSTREAM_UNAVAILABLE`, `UPSTREAM_TIMEOUT`, `UPSTREAM_PROTOCOL_ERROR`, `OVERLOADED` or
    /// `POLICY_VIOLATION_RESPONSE_TOO_LARGE`; `details.executed` says what is known about the tool.
    async fn call(&self, request: UpstreamRequest) -> Result<UpstreamAnswer>;

    /// Fetches all pages of a list. A list the server does not have is empty.
    ///
    /// # Errors
    ///
    /// As [`ToolServer::call`].
    async fn list(&self, kind: ListKind) -> Result<Vec<Value>>;

    /// Counts the moments at which its lists may have changed: a new connection, an announcement.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Its condition.
    fn health(&self) -> Health;

    /// Ends it and waits until it is gone.
    async fn shutdown(&self);
}
