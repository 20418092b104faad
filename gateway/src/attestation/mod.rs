//! Workload verifiers: who is it that asks for a session? (section 4)
//!
//! A verifier answers only whether the workload is the one it says it is; grants, blocks and keys are judged behind it.

mod allow_all;
mod oidc;
mod provider_keys;
mod provider_token;
mod static_list;

pub use allow_all::AllowAll;
pub use oidc::{Oidc, OidcSettings};
pub use provider_keys::KeySource;
pub use provider_token::ProviderAlgorithm;
pub use static_list::{Static, StaticSecret, StaticWorkload};

use smcp_core::smcp::attest::{AttestationRequest, Workload};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

/// Decides whether a workload is real. The host program's own verifier implements this too.
#[async_trait::async_trait]
pub trait WorkloadVerifier: Send + Sync {
    /// Verifies the workload of `request`; `bearer` is the credential of its `Authorization` header.
    ///
    /// # Errors
    /// `WORKLOAD_VERIFICATION_FAILED` with a message that tells an attacker nothing.
    async fn verify(&self, request: &AttestationRequest, bearer: Option<&str>, now: UnixTime) -> Result<Workload>;
}

/// The one answer to every failed verification.
fn refused() -> Error {
    Error::new(ErrorKind::WorkloadVerificationFailed, "the workload could not be verified")
}

#[cfg(test)]
pub(crate) fn test_request(workload_id: &str) -> AttestationRequest {
    let key = smcp_core::keys::AgentKey::derive_from_slice(&[3; 32]).unwrap();
    AttestationRequest {
        dialect: smcp_core::smcp::Dialect::Smcp,
        key: *key.public(),
        workload_id: workload_id.to_owned(),
        scope: "research".to_owned(),
        proof: None,
    }
}
