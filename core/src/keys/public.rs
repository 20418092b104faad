//! Ed25519 public keys with strict verification (section 2).

use std::fmt;

use ed25519_dalek::VerifyingKey;

use super::{Signature, decode_base64, decode_base64url, encode_base64, encode_base64url};
use crate::error::{Error, ErrorKind, Result};

/// A public key that is a canonical encoding of a point of large order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of a key.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when there are not 32 bytes, or when they are no point, a non-canonical encoding, or a
    /// point of small order (for which anybody can make signatures).
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: &'static str| Error::new(ErrorKind::InvalidArgument, reason);
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| refuse("an Ed25519 public key has 32 bytes"))?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| refuse("the public key is not a point of the curve"))?;
        // `from_bytes` keeps the text as given; a second text for the same point would be a second name for one key.
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(refuse("the public key is not in canonical encoding"));
        }
        if key.is_weak() {
            return Err(refuse("the public key has small order"));
        }
        Ok(Self(key))
    }

    /// Reads standard base64 with padding.
    ///
    /// # Errors
    /// As [`PublicKey::parse_bytes`].
    pub fn parse_base64(text: &str) -> Result<Self> {
        let bytes = decode_base64(text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the public key is not standard base64 with padding")
        })?;
        Self::parse_bytes(&bytes)
    }

    /// Reads the `x` member of a JWK.
    ///
    /// # Errors
    /// As [`PublicKey::parse_bytes`].
    pub fn parse_base64url(text: &str) -> Result<Self> {
        let bytes = decode_base64url(text)
            .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the public key is not unpadded base64url"))?;
        Self::parse_bytes(&bytes)
    }

    /// Verifies `signature` over `message` strictly: canonical S, A and R, no small-order A or R.
    ///
    /// # Errors
    /// `INVALID_SIGNATURE`, without further reason.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<()> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0
            .verify_strict(message, &signature)
            .map_err(|_| Error::new(ErrorKind::InvalidSignature, "signature verification failed"))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Standard base64 with padding.
    #[must_use]
    pub fn to_base64(&self) -> String {
        encode_base64(self.as_bytes())
    }

    /// The `x` member of a JWK.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        encode_base64url(self.as_bytes())
    }

    /// The RFC 7638 thumbprint of the key's JWK, our `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        use sha2::Digest as _;
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.to_base64url());
        encode_base64url(&sha2::Sha256::digest(jwk.as_bytes()))
    }
}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.to_base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_weak_and_odd_keys() {
        let mut identity = [0_u8; 32];
        identity[0] = 1;
        let mut non_canonical_identity = [0xFF_u8; 32];
        non_canonical_identity[0] = 0xEE;
        non_canonical_identity[31] = 0x7F;
        for (bytes, reason) in [
            (&[0_u8; 32][..], "the public key has small order"),
            (&identity, "the public key has small order"),
            (&non_canonical_identity, "the public key is not in canonical encoding"),
            (&[2_u8; 32], "the public key is not a point of the curve"),
            (&[1_u8; 31], "an Ed25519 public key has 32 bytes"),
            (&[1_u8; 33], "an Ed25519 public key has 32 bytes"),
        ] {
            assert_eq!(PublicKey::parse_bytes(bytes).unwrap_err().message(), reason);
        }
    }

    /// The owner of a key can make R the identity, so that half of the signature says nothing; plain verification takes it.
    #[test]
    fn refuses_signatures_with_a_weak_half() {
        let key = crate::keys::AgentKey::derive_from_slice(&[7; 32]).unwrap();
        let message = b"a message";
        let text = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADHbR8yEuz42jc+IaXee8yRRVmP0GoY8HI/Eh+wXVuRBg==";
        let signature = Signature::try_from(decode_base64(text).unwrap()).unwrap();
        let plain = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(ed25519_dalek::Verifier::verify(&key.public().0, message, &plain).is_ok());
        assert_eq!(key.public().verify(message, &signature).unwrap_err().kind(), ErrorKind::InvalidSignature);
    }

    #[test]
    fn thumbprint_is_that_of_rfc_8037() {
        let key = PublicKey::parse_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
