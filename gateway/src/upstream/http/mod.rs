//! Tool servers that speak MCP's Streamable HTTP.

mod client;
mod connect;
mod events;

pub(crate) use client::{HttpClient, chain};
pub(crate) use connect::{Endpoint, endpoint};
