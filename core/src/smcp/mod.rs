//! The Secure Model Context Protocol, `smcp/v1` and its `seal/v1` dialect.

pub mod attest;
mod call;
mod dialect;
mod envelope;
mod message;
mod plain;
pub mod receive;
pub mod reply;
pub mod send;
pub mod token;
mod verify;

pub use call::Call;
pub use dialect::Dialect;
pub use envelope::{EnvelopeRules, WireEnvelope};
pub use message::{CanonicalMessage, PayloadRule};
pub use plain::PlainCall;
pub use verify::{VerifyRules, verify_envelope};
