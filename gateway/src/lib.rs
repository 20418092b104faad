//! The gateway: verifies envelopes, decides, audits and forwards plain MCP to unmodified tool servers.

pub mod attestation;
pub mod audit;
pub mod clock;
pub mod config;
pub mod connectors;
pub mod private_file;
pub mod random;
pub mod signer;
pub mod store;
pub mod tls;
pub mod upstream;
