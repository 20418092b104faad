//! `smcp.crypto.Ed25519Key`, and objects of the host program that sign.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyType};
use smcp_client::EphemeralKey;
use smcp_core::keys::{AgentKey, PublicKey, Signature, Signer, decode_base64, encode_base64};
use smcp_core::smcp::Dialect;
use smcp_core::{Error, ErrorKind};
use zeroize::Zeroizing;

use crate::errors::raise;

/// An ephemeral Ed25519 key. It has no serialised form; erasing it overwrites it.
#[pyclass(frozen, subclass, module = "smcp.crypto")]
pub(crate) struct Ed25519Key {
    pub(crate) key: Arc<EphemeralKey>,
}

impl Ed25519Key {
    fn fail(py: Python<'_>, error: &Error) -> PyErr {
        raise(py, error, Dialect::Smcp)
    }

    fn signature(&self, py: Python<'_>, message: &PyBackedBytes) -> PyResult<Signature> {
        py.detach(|| self.key.sign(message)).map_err(|error| Self::fail(py, &error))
    }
}

#[pymethods]
impl Ed25519Key {
    /// Generates a key, or takes over that of a pyca `Ed25519PrivateKey`.
    #[new]
    #[pyo3(signature = (private_key = None))]
    fn new(py: Python<'_>, private_key: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let key = match private_key {
            None => EphemeralKey::generate().map_err(|error| Self::fail(py, &error))?,
            Some(object) => EphemeralKey::from_key(foreign_key(object)?),
        };
        Ok(Self { key: Arc::new(key) })
    }

    /// Generates a key from the operating system's generator.
    #[classmethod]
    #[pyo3(signature = () -> "Ed25519Key")]
    fn generate(cls: &Bound<'_, PyType>) -> PyResult<Py<PyAny>> {
        Ok(cls.call0()?.unbind())
    }

    /// The 64 bytes of the signature over `message`.
    fn sign<'py>(&self, py: Python<'py>, message: PyBackedBytes) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.signature(py, &message)?))
    }

    /// The signature over `message` in standard base64.
    fn sign_base64(&self, py: Python<'_>, message: PyBackedBytes) -> PyResult<String> {
        Ok(encode_base64(&self.signature(py, &message)?))
    }

    /// The 32 bytes of the public key.
    fn get_public_key_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let key = self.key.public_key().map_err(|error| Self::fail(py, &error))?;
        Ok(PyBytes::new(py, key.as_bytes()))
    }

    /// The public key in standard base64.
    fn get_public_key_base64(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.key.public_key().map_err(|error| Self::fail(py, &error))?.to_base64())
    }

    /// Overwrites the key; afterwards nothing can be signed. Erasing twice is no error.
    fn erase(&self) {
        self.key.erase();
    }

    fn __repr__(&self) -> String {
        match self.key.public_key() {
            Ok(key) => format!("<Ed25519Key {}>", key.to_base64()),
            Err(_) => "<Ed25519Key erased>".to_owned(),
        }
    }
}

/// Reads a pyca private key.
fn foreign_key(object: &Bound<'_, PyAny>) -> PyResult<AgentKey> {
    let refuse = || PyTypeError::new_err("private_key must be an Ed25519PrivateKey of the cryptography package");
    let method = object.getattr("private_bytes_raw").map_err(|_| refuse())?;
    let raw = method.call0()?;
    let bytes = raw.cast::<PyBytes>().map_err(|_| refuse())?;
    let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_bytes()).map_err(|_| refuse())?);
    // X25519 and Ed25519 keys look alike from here; only the latter has a public key that is the seed's.
    let key = AgentKey::derive_from_seed(&seed).map_err(|_| refuse())?;
    let public = object.call_method0("public_key").and_then(|public| public.call_method0("public_bytes_raw"));
    let public = public.map_err(|_| refuse())?;
    if public.cast::<PyBytes>().is_ok_and(|public| public.as_bytes() == key.public().as_bytes()) {
        Ok(key)
    } else {
        Err(refuse())
    }
}

/// A signer of the host program: `sign(bytes) -> bytes` or `sign_base64(bytes) -> str`, and `get_public_key_bytes()`.
pub(crate) struct HostSigner {
    object: Py<PyAny>,
    public: PublicKey,
}

impl HostSigner {
    /// Takes an object; its public key is read now and does not change.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refuse = || {
            PyTypeError::new_err(
                "key must be an Ed25519Key or have get_public_key_bytes() and sign(bytes) -> bytes or \
                 sign_base64(bytes) -> str",
            )
        };
        if !(object.hasattr("sign")? || object.hasattr("sign_base64")?) {
            return Err(refuse());
        }
        let public = object.getattr("get_public_key_bytes").map_err(|_| refuse())?.call0()?;
        let bytes: PyBackedBytes = public.extract().map_err(|_| refuse())?;
        let public = PublicKey::parse_bytes(&bytes).map_err(|error| raise(object.py(), &error, Dialect::Smcp))?;
        Ok(Self { object: object.clone().unbind(), public })
    }

    fn sign_attached(&self, py: Python<'_>, message: &[u8]) -> PyResult<Option<Signature>> {
        let object = self.object.bind(py);
        let message = PyBytes::new(py, message);
        let bytes = if object.hasattr("sign")? {
            object.call_method1("sign", (message,))?.extract::<Vec<u8>>().ok()
        } else {
            object
                .call_method1("sign_base64", (message,))?
                .extract::<String>()
                .ok()
                .and_then(|text| decode_base64(&text))
        };
        Ok(bytes.and_then(|bytes| Signature::try_from(bytes).ok()))
    }
}

impl Signer for HostSigner {
    fn public_key(&self) -> smcp_core::Result<PublicKey> {
        Ok(self.public)
    }

    fn sign(&self, message: &[u8]) -> smcp_core::Result<Signature> {
        let failed =
            |reason: String| Error::new(ErrorKind::InternalError, format!("the foreign signer failed: {reason}"));
        match Python::try_attach(|py| self.sign_attached(py, message).map_err(|error| error.to_string())) {
            None => Err(failed("the interpreter is shutting down".to_owned())),
            Some(Err(reason)) => Err(failed(reason)),
            Some(Ok(None)) => Err(failed("it gave no 64 bytes".to_owned())),
            Some(Ok(Some(signature))) => {
                // A key store that signs with another key would be found out only by the gateway.
                self.public.verify(message, &signature).map_err(|_| failed("it signed with another key".to_owned()))?;
                Ok(signature)
            }
        }
    }
}
