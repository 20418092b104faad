//! Sets of public keys that verify tokens, as a JWKS writes them (sections 3 and 6).

use std::fmt::Write as _;

use super::{PublicKey, decode_base64url, encode_base64url};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Kind, Value};

/// The most keys one set holds; more would make every token without `kid` a denial of service.
const MAXIMUM_KEYS: usize = 64;
/// The largest JWKS text in bytes.
const MAXIMUM_BYTES: usize = 256 << 10;

/// The signature algorithm a key is pinned to. A token's header never chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519, `EdDSA`.
    EdDsa,
    /// RSA PKCS#1 v1.5 with SHA-256, `RS256`.
    Rs256,
}

impl Algorithm {
    /// The `alg` text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

/// An RSA public key of 2048 to 8192 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaPublicKey {
    /// Makes a key of big-endian modulus and exponent.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the modulus has fewer than 2048 or more than 8192 bits, or the exponent is even or trivial.
    pub fn parse_components(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        let refuse = |reason: &'static str| Err(Error::new(ErrorKind::ConfigInvalid, reason));
        if modulus.first() == Some(&0) || exponent.first() == Some(&0) {
            return refuse("an RSA key has leading zero bytes");
        }
        let bits = modulus.len().saturating_mul(8).saturating_sub(leading_zeros(modulus));
        if !(2048..=8192).contains(&bits) {
            return refuse("an RSA key must have 2048 to 8192 bits");
        }
        let odd = exponent.last().is_some_and(|byte| byte & 1 == 1);
        if !odd || exponent.len() > 4 || exponent == [1] {
            return refuse("the exponent of an RSA key must be odd, above 1 and below 2^32");
        }
        Ok(Self { modulus: modulus.to_vec(), exponent: exponent.to_vec() })
    }

    /// The modulus, big-endian without leading zero bytes.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent, big-endian without leading zero bytes.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    #[cfg(feature = "rs256")]
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        ring::signature::RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent }
            .verify(&ring::signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            .map_err(|_| signature_failed())
    }

    #[cfg(not(feature = "rs256"))]
    #[expect(clippy::unused_self, reason = "the signature of the function does not depend on the feature")]
    fn verify(&self, _message: &[u8], _signature: &[u8]) -> Result<()> {
        Err(signature_failed())
    }
}

impl std::fmt::Debug for RsaPublicKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RsaPublicKey({} bytes)", self.modulus.len())
    }
}

fn leading_zeros(bytes: &[u8]) -> usize {
    bytes.first().map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or(0))
}

fn signature_failed() -> Error {
    Error::new(ErrorKind::TokenVerificationFailed, "token signature verification failed")
}

/// What a [`TokenKey`] verifies with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// Ed25519.
    Ed25519(PublicKey),
    /// RSA.
    Rsa(RsaPublicKey),
}

/// One key that verifies tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKey {
    id: String,
    material: KeyMaterial,
}

impl TokenKey {
    /// A key with a `kid`; without one it gets its RFC 7638 thumbprint.
    #[must_use]
    pub fn new(id: Option<String>, material: KeyMaterial) -> Self {
        let id = id.unwrap_or_else(|| match &material {
            KeyMaterial::Ed25519(key) => key.thumbprint(),
            KeyMaterial::Rsa(key) => rsa_thumbprint(key),
        });
        Self { id, material }
    }

    /// The `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the key verifies with.
    #[must_use]
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// The algorithm the key is pinned to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            KeyMaterial::Ed25519(_) => Algorithm::EdDsa,
            KeyMaterial::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Verifies a token's signature.
    ///
    /// # Errors
    /// `TOKEN_VERIFICATION_FAILED`, without further reason.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<()> {
        match &self.material {
            KeyMaterial::Ed25519(key) => {
                let signature: &[u8; 64] = signature.try_into().map_err(|_| signature_failed())?;
                key.verify(message, signature).map_err(|_| signature_failed())
            }
            KeyMaterial::Rsa(key) => key.verify(message, signature),
        }
    }
}

fn rsa_thumbprint(key: &RsaPublicKey) -> String {
    use sha2::Digest as _;
    let (e, n) = (encode_base64url(&key.exponent), encode_base64url(&key.modulus));
    encode_base64url(&sha2::Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes()))
}

/// A bounded set of keys with unique ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<TokenKey>,
}

impl KeySet {
    /// Makes a set.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with more than 64 keys or with two different keys of one id.
    pub fn new(keys: Vec<TokenKey>) -> Result<Self> {
        if keys.len() > MAXIMUM_KEYS {
            return Err(Error::new(ErrorKind::ConfigInvalid, format!("a key set holds at most `{MAXIMUM_KEYS}` keys")));
        }
        let mut unique: Vec<TokenKey> = Vec::with_capacity(keys.len());
        for key in keys {
            match unique.iter().find(|known| known.id == key.id) {
                Some(known) if *known == key => {}
                Some(_) => {
                    return Err(Error::new(
                        ErrorKind::ConfigInvalid,
                        format!("two keys have the id `{}`", key.id.escape_debug()),
                    ));
                }
                None => unique.push(key),
            }
        }
        Ok(Self { keys: unique })
    }

    /// Reads a JWKS (RFC 7517). Keys of other types or with another `use` are passed over; a broken key of a known
    /// type, or one with private members, refuses the set.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with the reason.
    pub fn parse_jwks(text: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Error::new(ErrorKind::ConfigInvalid, reason);
        let limits = json::Limits { bytes: MAXIMUM_BYTES, depth: 16 };
        let document = json::scan_with(text, limits).map_err(|error| refuse(format!("JWKS: {error}")))?;
        let keys = document.root().get("keys").filter(|keys| keys.kind() == Kind::Array);
        let keys = keys.ok_or_else(|| refuse("JWKS: member `keys` is missing or no array".to_owned()))?;
        let mut parsed = Vec::new();
        for jwk in keys.elements() {
            if let Some(key) = parse_jwk(jwk)? {
                parsed.push(key);
            }
        }
        Self::new(parsed)
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[TokenKey] {
        &self.keys
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&TokenKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Writes the set as a JWKS.
    #[must_use]
    pub fn to_jwks(&self) -> String {
        let mut text = String::from(r#"{"keys":["#);
        for (index, key) in self.keys.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            let mut id = Vec::new();
            json::write_string(&key.id, &mut id);
            let id = String::from_utf8(id).unwrap_or_default();
            // Writing to a `String` cannot fail.
            let _ = match &key.material {
                KeyMaterial::Ed25519(public) => write!(
                    text,
                    r#"{{"alg":"EdDSA","crv":"Ed25519","kid":{id},"kty":"OKP","use":"sig","x":"{}"}}"#,
                    public.to_base64url()
                ),
                KeyMaterial::Rsa(public) => write!(
                    text,
                    r#"{{"alg":"RS256","e":"{}","kid":{id},"kty":"RSA","n":"{}","use":"sig"}}"#,
                    encode_base64url(&public.exponent),
                    encode_base64url(&public.modulus)
                ),
            };
        }
        text.push_str("]}");
        text
    }
}

/// Reads one JWK; `None` for a key that is not for verifying our signatures.
fn parse_jwk(jwk: Value<'_>) -> Result<Option<TokenKey>> {
    let refuse = |reason: &str| Error::new(ErrorKind::ConfigInvalid, format!("JWKS: {reason}"));
    if jwk.kind() != Kind::Object {
        return Err(refuse("a key is no object"));
    }
    let text = |name: &str| -> Result<Option<String>> {
        match jwk.get(name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text.into_owned())),
                None => Err(refuse(&format!("member `{name}` of a key is no string"))),
            },
        }
    };
    if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|name| jwk.get(name).is_some()) {
        return Err(refuse("a key has private members"));
    }
    if text("use")?.is_some_and(|usage| usage != "sig") {
        return Ok(None);
    }
    let required = |name: &str| text(name)?.ok_or_else(|| refuse(&format!("member `{name}` of a key is missing")));
    let algorithm = text("alg")?;
    let material = match (required("kty")?.as_str(), text("crv")?.as_deref()) {
        ("OKP", Some("Ed25519")) if algorithm.as_deref().is_none_or(|name| name == "EdDSA" || name == "Ed25519") => {
            KeyMaterial::Ed25519(PublicKey::parse_base64url(&required("x")?).map_err(|error| refuse(error.message()))?)
        }
        ("RSA", None) if algorithm.as_deref().is_none_or(|name| name == "RS256") => {
            let component = |name: &str| {
                decode_base64url(&required(name)?)
                    .ok_or_else(|| refuse(&format!("member `{name}` is not unpadded base64url")))
            };
            KeyMaterial::Rsa(RsaPublicKey::parse_components(&component("n")?, &component("e")?)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(TokenKey::new(text("kid")?.filter(|id| !id.is_empty()), material)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn refuses_broken_sets() {
        for (text, reason) in [
            ("[]", "JWKS: member `keys` is missing or no array"),
            (r#"{"keys":[1]}"#, "JWKS: a key is no object"),
            (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#, "JWKS: an Ed25519 public key has 32 bytes"),
            (r#"{"keys":[{"kty":"OKP","crv":"Ed25519"}]}"#, "JWKS: member `x` of a key is missing"),
            (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}"#, "JWKS: a key has private members"),
            (r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, "an RSA key must have 2048 to 8192 bits"),
            (r#"{"keys":[{"kty":1}]}"#, "JWKS: member `kty` of a key is no string"),
        ] {
            assert_eq!(KeySet::parse_jwks(text.as_bytes()).unwrap_err().message(), reason);
        }
        let twice = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"a"}},{{"kty":"OKP","crv":"Ed25519","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw","kid":"a"}}]}}"#
        );
        assert_eq!(KeySet::parse_jwks(twice.as_bytes()).unwrap_err().message(), "two keys have the id `a`");
    }

    #[test]
    fn round_trips_and_passes_over_foreign_keys() {
        let text = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}},{{"kty":"OKP","crv":"Ed25519","x":"{X}"}},{{"kty":"OKP","crv":"Ed25519","x":"{X}","use":"enc"}}]}}"#
        );
        let set = KeySet::parse_jwks(text.as_bytes()).unwrap();
        assert_eq!(set.keys().len(), 1);
        assert_eq!(set.keys()[0].id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(KeySet::parse_jwks(set.to_jwks().as_bytes()).unwrap(), set);
    }
}
