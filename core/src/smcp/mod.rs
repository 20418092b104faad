//! The Secure Model Context Protocol, `smcp/v1` and its `seal/v1` dialect.

mod dialect;

pub use dialect::Dialect;
