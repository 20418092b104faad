//! The client of the Secure Model Context Protocol: attestation and signed calls over HTTP.
//!
//! [`Client`] is async, [`BlockingClient`] is the same on one lazily created runtime. Everything that concerns bytes,
//! signatures and sessions comes from `smcp-core`; this crate adds the network, the clock and randomness.
//!
//! A client survives `fork`: the child keeps key and token and gets a new runtime, new connections and fresh locks.

mod blocking;
mod client;
mod clock;
mod credential;
mod environment;
mod error;
mod event;
mod http;
mod key;
mod options;
mod pages;
mod retry;
pub mod runtime;
mod tls;

pub use blocking::BlockingClient;
pub use client::{Client, SessionSigner};
pub use credential::{Credential, FileCredential, StaticCredential};
pub use environment::Environment;
pub use error::{ClientError, HttpAnswer, Stage, ToolFailure};
pub use event::{Event, Level};
pub use key::EphemeralKey;
pub use options::{ClientCertificate, ClientOptions};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, ClientError>;
