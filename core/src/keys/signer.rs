//! Whatever can sign with Ed25519: a key in memory, a key store, a callback of the host program.

use super::PublicKey;
use crate::error::Result;

/// The 64 bytes of an Ed25519 signature.
pub type Signature = [u8; 64];

/// An Ed25519 key that may live anywhere.
pub trait Signer: Send + Sync {
    /// The public half.
    ///
    /// # Errors
    /// `KEY_ERASED` when there is no key any more.
    fn public_key(&self) -> Result<PublicKey>;

    /// Signs `message`.
    ///
    /// # Errors
    /// `KEY_ERASED` when there is no key any more; `INTERNAL_ERROR` when a foreign signer fails.
    fn sign(&self, message: &[u8]) -> Result<Signature>;
}
