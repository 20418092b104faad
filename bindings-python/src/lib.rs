//! The native module of the Python package `smcp`: bytes in, bytes out. The Python sources make the API out of it.
//!
//! Dictionaries are turned into JSON text by Python's own `json` before they come here, since every other conversion
//! changes signed content. The interpreter is released around cryptography and the network.

mod attest;
mod client;
mod detached;
mod envelope;
mod errors;
#[cfg(feature = "gateway")]
mod gateway;
mod keys;
mod moment;
mod policy;
mod reception;
mod replay_file;
mod stores;
mod token;
mod verifier;

/// Native parts of the package; private.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::attest::{NativeAttestation, NativeAttestor, attestation_refusal};
    #[pymodule_export]
    use super::client::{NativeCall, NativeClient, options_from_environment};
    #[pymodule_export]
    use super::detached::{after_fork, before_fork};
    #[pymodule_export]
    use super::envelope::{check_names, parse_attestation, parse_timestamp, verify_envelope, write_timestamp};
    #[pymodule_export]
    use super::keys::Ed25519Key;
    #[pymodule_export]
    use super::policy::{Decision, NativeContext, TraceStep, decide, decide_step, explain, method_class};
    #[pymodule_export]
    use super::stores::{
        HostRateKey, HostRateLimit, HostReplayEntry, HostSession, NativeFileReplayStore, NativeRateStore,
        NativeReplayStore, NativeSessionStore,
    };
    #[pymodule_export]
    use super::token::{HostClaims, NativeKeys, NativeTokenSigner, NativeTokenVerifier};
    #[pymodule_export]
    use super::verifier::{NativeFacts, NativeQuestion, NativeReceived, NativeReception, NativeVerifier, audit_event};

    /// Whether the gateway and the `smcp` command are part of this build.
    #[pymodule_export]
    const HAS_GATEWAY: bool = cfg!(feature = "gateway");

    #[cfg(feature = "gateway")]
    #[pymodule_export]
    use super::gateway::run_command;

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
