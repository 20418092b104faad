//! Security tokens: keys, claims, issuing and verifying.

use std::sync::Arc;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smcp_core::keys::{AgentKey, KeyMaterial, KeySet, PublicKey, TokenKey, encode_base64url};
use smcp_core::smcp::Dialect;
use smcp_core::smcp::token::{Claims, TokenRules, TokenVerifier, issue_token};
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::detached::detached;
use crate::envelope::dialect;
use crate::errors::{raise, raise_refusal};
use crate::moment::moment_or_now;

/// The claims of a verified token.
#[pyclass(frozen, module = "smcp.token", name = "Claims")]
pub(crate) struct HostClaims {
    claims: Claims,
}

impl From<Claims> for HostClaims {
    fn from(claims: Claims) -> Self {
        Self { claims }
    }
}

#[pymethods]
impl HostClaims {
    /// `sub`: agent id.
    #[getter]
    fn agent_id(&self) -> &str {
        &self.claims.agent_id
    }

    /// `scp`: name of the security context.
    #[getter]
    fn scope(&self) -> &str {
        &self.claims.scope
    }

    /// `wid`: workload id.
    #[getter]
    fn workload_id(&self) -> &str {
        &self.claims.workload_id
    }

    /// `iat`, Unix seconds.
    #[getter]
    fn issued_at(&self) -> i64 {
        self.claims.issued_at
    }

    /// `exp`, Unix seconds.
    #[getter]
    fn expires_at(&self) -> i64 {
        self.claims.expires_at
    }

    /// `nbf`, Unix seconds.
    #[getter]
    fn not_before(&self) -> Option<i64> {
        self.claims.not_before
    }

    /// `jti`: session id.
    #[getter]
    fn session_id(&self) -> Option<&str> {
        self.claims.session_id.as_deref()
    }

    /// `iss`.
    #[getter]
    fn issuer(&self) -> Option<&str> {
        self.claims.issuer.as_deref()
    }

    /// `aud`.
    #[getter]
    fn audience(&self) -> Vec<&str> {
        self.claims.audience.iter().map(String::as_str).collect()
    }

    /// `cnf`: the 32 bytes of the agent key the token is bound to.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.claims.key.map(|key| PyBytes::new(py, key.as_bytes()))
    }

    /// `protocol`: the dialect the session was attested under.
    #[getter]
    fn protocol(&self) -> Option<&'static str> {
        self.claims.dialect.map(Dialect::protocol)
    }

    /// `exec_id`.
    #[getter]
    fn execution_id(&self) -> Option<&str> {
        self.claims.execution_id.as_deref()
    }

    /// `tenant_id`.
    #[getter]
    fn tenant_id(&self) -> Option<&str> {
        self.claims.tenant_id.as_deref()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.claims == other.claims
    }

    fn __repr__(&self) -> String {
        let claims = &self.claims;
        format!(
            "<Claims of {:?}, {:?}, session {:?}>",
            claims.workload_id,
            claims.scope,
            claims.session_id.as_deref().unwrap_or_default()
        )
    }
}

/// Public keys that verify tokens.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeKeys {
    pub(crate) keys: KeySet,
}

#[pymethods]
impl NativeKeys {
    /// Ed25519 keys as id (or None for the thumbprint) and bytes, and the keys of JWKS texts.
    #[new]
    fn new(py: Python<'_>, keys: Vec<(Option<String>, PyBackedBytes)>, jwks: Vec<PyBackedBytes>) -> PyResult<Self> {
        let read = || -> Result<KeySet> {
            let mut all = Vec::new();
            for (id, bytes) in &keys {
                let public = PublicKey::parse_bytes(bytes)
                    .map_err(|error| Error::new(ErrorKind::ConfigInvalid, error.message().to_owned()))?;
                all.push(TokenKey::new(id.clone(), KeyMaterial::Ed25519(public)));
            }
            for text in &jwks {
                all.extend_from_slice(KeySet::parse_jwks(text)?.keys());
            }
            KeySet::new(all)
        };
        Ok(Self { keys: read().map_err(|error| raise(py, &error, Dialect::Smcp))? })
    }

    /// The set as a JWKS text.
    fn to_jwks(&self) -> String {
        self.keys.to_jwks()
    }

    fn __len__(&self) -> usize {
        self.keys.keys().len()
    }
}

/// Verifies tokens.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeTokenVerifier {
    verifier: TokenVerifier,
}

#[pymethods]
impl NativeTokenVerifier {
    #[new]
    fn new(
        py: Python<'_>,
        keys: &NativeKeys,
        issuer: Option<String>,
        audience: Option<String>,
        leeway_seconds: u32,
        lenient_claims: bool,
    ) -> PyResult<Self> {
        let rules = TokenRules { issuer, audience, leeway_seconds, lenient_claims, ..TokenRules::default() };
        let verifier = TokenVerifier::new(keys.keys.clone(), rules);
        Ok(Self { verifier: verifier.map_err(|error| raise(py, &error, Dialect::Smcp))? })
    }

    fn verify(&self, py: Python<'_>, token: &str, now: Option<f64>) -> PyResult<HostClaims> {
        let now = moment_or_now(py, now)?;
        let verified = detached(py, || self.verifier.verify(token, now)).flatten();
        let verified = verified.map_err(|error| raise_refusal(py, &error, Dialect::Smcp))?;
        Ok(verified.claims().clone().into())
    }

    fn replace_keys(&self, py: Python<'_>, keys: &NativeKeys) -> PyResult<()> {
        let keys = keys.keys.clone();
        detached(py, || self.verifier.replace_keys(keys)).map_err(|error| raise(py, &error, Dialect::Smcp))
    }

    fn to_jwks(&self) -> String {
        self.verifier.keys().to_jwks()
    }
}

/// A key that signs tokens.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeTokenSigner {
    pub(crate) signer: Arc<(String, AgentKey)>,
}

impl NativeTokenSigner {
    fn from_key(key: AgentKey) -> Self {
        Self { signer: Arc::new((key.public().thumbprint(), key)) }
    }
}

#[pymethods]
impl NativeTokenSigner {
    /// The key of a 32-byte seed.
    #[staticmethod]
    fn from_seed(py: Python<'_>, seed: PyBackedBytes) -> PyResult<Self> {
        let key = AgentKey::derive_from_slice(&seed).map_err(|error| raise(py, &error, Dialect::Smcp))?;
        Ok(Self::from_key(key))
    }

    /// The key of a PKCS#8 structure in DER.
    #[staticmethod]
    fn from_pkcs8(py: Python<'_>, der: PyBackedBytes) -> PyResult<Self> {
        let refuse = || {
            let error = Error::new(ErrorKind::ConfigInvalid, "the key is no Ed25519 private key in PKCS#8");
            raise(py, &error, Dialect::Smcp)
        };
        let key = ed25519_dalek::SigningKey::from_pkcs8_der(&der).map_err(|_| refuse())?;
        let seed = Zeroizing::new(key.to_bytes());
        AgentKey::derive_from_seed(&seed).map(Self::from_key).map_err(|_| refuse())
    }

    /// A new key from the operating system's generator.
    #[staticmethod]
    fn generate(py: Python<'_>) -> PyResult<Self> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        let made = fill_random(&mut *seed).and_then(|()| AgentKey::derive_from_seed(&seed));
        made.map(Self::from_key).map_err(|error| raise(py, &error, Dialect::Smcp))
    }

    /// The RFC 7638 thumbprint, the `kid` of tokens.
    #[getter]
    fn key_id(&self) -> &str {
        &self.signer.0
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.signer.1.public().as_bytes())
    }

    /// Writes and signs a token; an agent or session id that is not given is drawn at random.
    #[expect(clippy::too_many_arguments, reason = "one for each claim")]
    fn issue(
        &self,
        py: Python<'_>,
        issuer: Option<String>,
        audience: Vec<String>,
        agent_id: Option<String>,
        scope: String,
        workload_id: String,
        key: Option<PyBackedBytes>,
        session_id: Option<String>,
        protocol: Option<&str>,
        lifetime_seconds: u32,
        not_before: Option<i64>,
        execution_id: Option<String>,
        tenant_id: Option<String>,
        with_ctx: bool,
        now: Option<f64>,
    ) -> PyResult<(String, HostClaims)> {
        let issued_at = moment_or_now(py, now)?.seconds();
        let dialect = protocol.map(dialect).transpose()?;
        let fail = |error: Error| raise(py, &error, Dialect::Smcp);
        let mut random = [0_u8; 32];
        fill_random(&mut random).map_err(fail)?;
        let (agent, session) = random.split_at(16);
        let claims = Claims {
            agent_id: agent_id.unwrap_or_else(|| format!("agent-{}", encode_base64url(agent))),
            scope,
            workload_id,
            issued_at,
            expires_at: issued_at.saturating_add(i64::from(lifetime_seconds)),
            not_before,
            session_id: Some(session_id.unwrap_or_else(|| format!("session-{}", encode_base64url(session)))),
            issuer,
            audience,
            key: key.map(|key| PublicKey::parse_bytes(&key)).transpose().map_err(fail)?,
            dialect,
            execution_id,
            tenant_id,
        };
        let token = detached(py, || issue_token(&claims, self.signer.as_ref(), with_ctx)).flatten().map_err(fail)?;
        Ok((token, claims.into()))
    }

    fn __repr__(&self) -> String {
        format!("<NativeTokenSigner {}>", self.signer.0)
    }
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system's random generator failed"))
}
