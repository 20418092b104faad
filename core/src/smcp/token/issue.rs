//! Issuing tokens (sections 3 and 4).

use super::{Claims, MAXIMUM_LIFETIME_SECONDS};
use crate::error::{Error, ErrorKind, Result};
use crate::json;
use crate::keys::{AgentKey, Algorithm, Signer as _, encode_base64url};

/// Whatever holds the gateway's token-signing key.
pub trait TokenSigner: Send + Sync {
    /// The `kid` written into tokens.
    fn key_id(&self) -> &str;

    /// The algorithm of the key.
    fn algorithm(&self) -> Algorithm;

    /// Signs the signing input of a token.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the key cannot be used.
    fn sign_token(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// A token-signing Ed25519 key in memory, named by its thumbprint.
impl TokenSigner for (String, AgentKey) {
    fn key_id(&self) -> &str {
        &self.0
    }

    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn sign_token(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.1.sign(message)?.to_vec())
    }
}

/// Writes and signs a token; `with_ctx` adds the alias claim `ctx`.
///
/// # Errors
/// `INVALID_ARGUMENT` when the claims are ones no verifier would accept; the signer's error.
pub fn issue_token(claims: &Claims, signer: &dyn TokenSigner, with_ctx: bool) -> Result<String> {
    let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
    if !(1..=MAXIMUM_LIFETIME_SECONDS).contains(&lifetime) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a token lives from 1 second to 24 hours"));
    }
    if [&claims.agent_id, &claims.scope, &claims.workload_id].iter().any(|text| text.trim().is_empty()) {
        return Err(Error::new(ErrorKind::InvalidArgument, "a token needs an agent id, a scope and a workload id"));
    }
    let mut header = format!(r#"{{"alg":"{}","kid":"#, signer.algorithm().name()).into_bytes();
    json::write_string(signer.key_id(), &mut header);
    header.extend_from_slice(br#","typ":"JWT"}"#);
    let signing_input = format!("{}.{}", encode_base64url(&header), encode_base64url(&claims.to_json(with_ctx)));
    let signature = signer.sign_token(signing_input.as_bytes())?;
    Ok(format!("{signing_input}.{}", encode_base64url(&signature)))
}
