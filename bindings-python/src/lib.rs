//! The native module of the Python package `smcp`: bytes in, bytes out. The Python sources make the API out of it.
//!
//! Dictionaries are turned into JSON text by Python's own `json` before they come here, since every other conversion
//! changes signed content. The interpreter is released around cryptography and the network.

mod client;
mod envelope;
mod errors;
mod keys;

/// Native parts of the package; private.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::client::{NativeCall, NativeClient, options_from_environment};
    #[pymodule_export]
    use super::envelope::{check_names, parse_attestation, parse_timestamp, verify_envelope, write_timestamp};
    #[pymodule_export]
    use super::keys::Ed25519Key;

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
