//! Private Ed25519 keys in memory, zeroised when dropped (section 6).

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::{PublicKey, Signature, Signer};
use crate::error::{Error, ErrorKind, Result};

/// A private Ed25519 key. It has no `Clone` and no serialised form; dropping it overwrites it.
pub struct AgentKey {
    // Boxed, so that moving the key moves a pointer and leaves no copy of the secret on the stack.
    key: Box<SigningKey>,
    public: PublicKey,
}

impl AgentKey {
    /// Makes the key of a 32-byte seed, which the caller draws from the operating system's generator.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when the seed's public key is not usable, which no honest seed leads to.
    pub fn derive_from_seed(seed: &Zeroizing<[u8; 32]>) -> Result<Self> {
        let key = Box::new(SigningKey::from_bytes(seed));
        let public = PublicKey::parse_bytes(key.verifying_key().as_bytes())?;
        Ok(Self { key, public })
    }

    /// Makes the key of a seed given as a slice.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when there are not 32 bytes.
    pub fn derive_from_slice(seed: &[u8]) -> Result<Self> {
        let mut copy = Zeroizing::new([0_u8; 32]);
        if seed.len() != copy.len() {
            return Err(Error::new(ErrorKind::InvalidArgument, "an Ed25519 private key has 32 bytes"));
        }
        copy.copy_from_slice(seed);
        Self::derive_from_seed(&copy)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign_message(&self, message: &[u8]) -> Signature {
        self.key.sign(message).to_bytes()
    }
}

impl Signer for AgentKey {
    fn public_key(&self) -> Result<PublicKey> {
        Ok(self.public)
    }

    fn sign(&self, message: &[u8]) -> Result<Signature> {
        Ok(self.sign_message(message))
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AgentKey({})", self.public.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let key = AgentKey::derive_from_slice(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), format!("AgentKey({})", key.public().to_base64()));
        assert!(AgentKey::derive_from_slice(&[7; 31]).is_err());
    }

    #[test]
    fn signs_what_verifies() {
        let key = AgentKey::derive_from_slice(&[7; 32]).unwrap();
        let mut signature = key.sign_message(b"message");
        key.public().verify(b"message", &signature).unwrap();
        assert!(key.public().verify(b"massage", &signature).is_err());
        signature[63] ^= 0x10;
        assert!(key.public().verify(b"message", &signature).is_err());
    }
}
