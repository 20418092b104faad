//! Tool servers behind the gateway: child processes, Streamable HTTP and built-in connectors as one.
//!
//! [`Upstreams`] starts every configured server, keeps a merged [`Index`] of what they offer and
//! sends each request to the server that owns it. Remote servers speak MCP through the official SDK
//! `rmcp`; its types are kept away from what agents sign and read, which passes as JSON values.
//!
//! * A request is sent at most once. When its fate is not known the error says `executed: unknown`.
//! * Nothing a server sends is kept without bound: messages, lists, event streams, requests, log lines.
//! * Servers cannot use the gateway: no client capabilities are declared, their requests are refused.

mod backoff;
mod http;
mod index;
mod listing;
mod message_id;
mod metadata;
mod pending;
mod remote;
mod request;
mod routing;
mod server;
mod session;
mod size;
mod stdio;
mod template;
mod upstreams;
mod wire;

pub use index::{Index, IndexEntry};
pub use request::{INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, UpstreamAnswer, UpstreamRequest};
pub use server::{Health, HealthState, ListKind, ToolServer};
pub use upstreams::{PrefixedServer, ServerHealth, UpstreamSettings, Upstreams};
