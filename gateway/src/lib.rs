//! The gateway: verifies envelopes, decides, audits and forwards plain MCP to unmodified tool servers.

pub mod config;
pub mod connectors;
pub mod upstream;
