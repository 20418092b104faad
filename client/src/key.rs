//! Keys that live in memory for one session and can be erased while others still hold them (section 6).

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use smcp_core::keys::{AgentKey, PublicKey, Signature, Signer};
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// An Ed25519 key that [`EphemeralKey::erase`] takes away from every holder at once.
///
/// The secret is overwritten when the last signature under way is done. There is no lock inside, so a fork leaves
/// nothing locked.
#[derive(Debug)]
pub struct EphemeralKey {
    key: ArcSwapOption<AgentKey>,
}

impl EphemeralKey {
    /// Makes a key from the operating system's generator.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the generator fails.
    pub fn generate() -> Result<Self> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system's random generator failed"))?;
        Ok(Self::from_key(AgentKey::derive_from_seed(&seed)?))
    }

    /// Takes a key made elsewhere.
    #[must_use]
    pub fn from_key(key: AgentKey) -> Self {
        Self { key: ArcSwapOption::from_pointee(key) }
    }

    /// Takes the key away; doing it twice is no error.
    pub fn erase(&self) {
        self.key.store(None);
    }

    /// Whether the key was erased.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.key.load().is_none()
    }

    fn require(&self) -> Result<Arc<AgentKey>> {
        let erased = || Error::new(ErrorKind::KeyErased, "Private key has been erased or is not initialized");
        self.key.load_full().ok_or_else(erased)
    }
}

impl Signer for EphemeralKey {
    fn public_key(&self) -> Result<PublicKey> {
        Ok(*self.require()?.public())
    }

    fn sign(&self, message: &[u8]) -> Result<Signature> {
        Ok(self.require()?.sign_message(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erasing_reaches_every_holder() {
        let key = Arc::new(EphemeralKey::generate().unwrap());
        let other = Arc::clone(&key);
        let signature = other.sign(b"message").unwrap();
        key.public_key().unwrap().verify(b"message", &signature).unwrap();
        key.erase();
        key.erase();
        assert!(other.is_erased());
        assert_eq!(other.sign(b"message").unwrap_err().kind(), ErrorKind::KeyErased);
        assert_eq!(other.public_key().unwrap_err().kind(), ErrorKind::KeyErased);
    }

    #[test]
    fn keys_differ() {
        let [one, two] = [(); 2].map(|()| EphemeralKey::generate().unwrap().public_key().unwrap());
        assert_ne!(one, two);
    }
}
