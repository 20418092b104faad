//! Tool servers built into the gateway.

pub mod filesystem;
