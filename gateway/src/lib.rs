//! The gateway: verifies envelopes, decides, audits and forwards plain MCP to unmodified tool servers.

pub mod attestation;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod dispatch;
mod events;
pub mod gateway;
pub mod http;
pub mod mcp;
mod parts;
pub mod pipeline;
pub mod private_file;
mod random;
pub mod signer;
pub mod store;
pub mod tls;
pub mod upstream;
