//! Private signing keys in PKCS#8 PEM files (section 6).

use std::path::Path;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use smcp_core::keys::{AgentKey, Algorithm, KeyMaterial, KeySet, PublicKey, RsaPublicKey, TokenKey};
use smcp_core::smcp::token::TokenSigner;
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::pem::{parse_pem, write_pem};
use super::spki::{parse_spki, write_spki};
use crate::private_file::{create_private, read_private, read_public};

/// The largest key file in bytes; an RSA key of 8192 bits has about 6 KiB.
const MAXIMUM_BYTES: usize = 16 << 10;
/// PKCS#8 version 1 of an Ed25519 seed up to the seed itself, the form every OpenSSL reads.
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

fn refuse(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("key file `{}`: {reason}", path.display()))
}

/// The private key of a [`FileSigner`].
enum PrivateKey {
    Ed25519(AgentKey),
    // ring keeps the factors itself and does not overwrite them; the file's text is overwritten.
    Rsa(Box<RsaKeyPair>),
}

/// A token-signing key read from a file: Ed25519, or RSA of 2048 to 4096 bits.
pub struct FileSigner {
    private: PrivateKey,
    public: TokenKey,
}

impl FileSigner {
    /// Reads a PKCS#8 PEM file that only we may read. The `kid` is the key's RFC 7638 thumbprint.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the file is a symlink, not ours, open to others, or holds no key of these kinds.
    pub fn load(path: &Path) -> Result<Self> {
        let text = read_private(path, MAXIMUM_BYTES)?;
        let block = parse_pem(&text).map_err(|error| refuse(path, error.message()))?;
        if block.label != PRIVATE_LABEL {
            return Err(refuse(path, format_args!("holds `{}`, not an unencrypted PKCS#8 `PRIVATE KEY`", block.label)));
        }
        if let Ok(key) = parse_ed25519(&block.der) {
            let public = TokenKey::new(None, KeyMaterial::Ed25519(*key.public()));
            return Ok(Self { private: PrivateKey::Ed25519(key), public });
        }
        let pair = RsaKeyPair::from_pkcs8(&block.der)
            .map_err(|_| refuse(path, "holds neither an Ed25519 key nor an RSA key of 2048 to 4096 bits"))?;
        let components = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = RsaPublicKey::parse_components(&components.n, &components.e)
            .map_err(|error| refuse(path, error.message()))?;
        Ok(Self { private: PrivateKey::Rsa(Box::new(pair)), public: TokenKey::new(None, KeyMaterial::Rsa(public)) })
    }

    /// The public half, as it verifies tokens.
    #[must_use]
    pub fn public(&self) -> &TokenKey {
        &self.public
    }
}

impl TokenSigner for FileSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    fn sign_token(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.private {
            PrivateKey::Ed25519(key) => Ok(key.sign_message(message).to_vec()),
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), message, &mut signature)
                    .map_err(|_| Error::new(ErrorKind::InternalError, "the token-signing key cannot be used"))?;
                Ok(signature)
            }
        }
    }
}

impl std::fmt::Debug for FileSigner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "FileSigner({} {})", self.public.algorithm().name(), self.public.id())
    }
}

fn parse_ed25519(der: &[u8]) -> Result<AgentKey> {
    let key = ed25519_dalek::SigningKey::from_pkcs8_der(der)
        .map_err(|_| Error::new(ErrorKind::ConfigInvalid, "the PKCS#8 text holds no Ed25519 key"))?;
    AgentKey::derive_from_slice(key.as_bytes())
}

/// Reads an Ed25519 key for another use than tokens: audit checkpoints, or an agent's registered key.
///
/// # Errors
/// As [`FileSigner::load`], and for an RSA key.
pub fn load_ed25519_key(path: &Path) -> Result<AgentKey> {
    match FileSigner::load(path)?.private {
        PrivateKey::Ed25519(key) => Ok(key),
        PrivateKey::Rsa(_) => Err(refuse(path, "holds an RSA key where an Ed25519 key is needed")),
    }
}

/// Reads the audit key and makes sure that it is none of the keys that sign tokens.
///
/// # Errors
/// As [`load_ed25519_key`], and when the key is in `token_keys`.
pub fn load_audit_key(path: &Path, token_keys: &KeySet) -> Result<AgentKey> {
    let key = load_ed25519_key(path)?;
    if token_keys.keys().iter().any(|token| *token.material() == KeyMaterial::Ed25519(*key.public())) {
        return Err(refuse(path, "the audit key must not be a token-signing key"));
    }
    Ok(key)
}

/// Makes a new Ed25519 key and writes it to a file that did not exist, mode 0600.
///
/// # Errors
/// `CONFIG_INVALID` when the file exists or cannot be written; `INTERNAL_ERROR` without randomness.
pub fn create_ed25519_key(path: &Path) -> Result<PublicKey> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut_slice())
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system gives no random bytes"))?;
    let key = AgentKey::derive_from_seed(&seed)?;
    let mut der = Zeroizing::new(Vec::with_capacity(48));
    der.extend_from_slice(&ED25519_PREFIX);
    der.extend_from_slice(seed.as_slice());
    create_private(path, write_pem(PRIVATE_LABEL, &der).as_bytes())?;
    Ok(*key.public())
}

/// Writes a public key as PEM (`PUBLIC KEY`).
#[must_use]
pub fn public_key_to_pem(material: &KeyMaterial) -> String {
    write_pem(PUBLIC_LABEL, &write_spki(material)).to_string()
}

/// Reads a public key from a PEM file (`PUBLIC KEY`); an unencrypted private key gives its public half, under the rules
/// for private keys.
///
/// # Errors
/// `CONFIG_INVALID` with the reason.
pub fn load_public_key(path: &Path) -> Result<TokenKey> {
    let text = Zeroizing::new(read_public(path, MAXIMUM_BYTES)?);
    let block = parse_pem(&text).map_err(|error| refuse(path, error.message()))?;
    match block.label.as_str() {
        PUBLIC_LABEL => {
            let material = parse_spki(&block.der).map_err(|error| refuse(path, error.message()))?;
            Ok(TokenKey::new(None, material))
        }
        PRIVATE_LABEL => FileSigner::load(path).map(|signer| signer.public),
        other => Err(refuse(path, format_args!("holds `{other}`, not a `PUBLIC KEY`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_file::create_public;

    /// Made for these tests with `openssl genpkey`; it protects nothing.
    pub(crate) const RSA_2048: &str = include_str!("testdata/rsa-2048-test-only.pem");
    const RSA_1024: &str = include_str!("testdata/rsa-1024-test-only.pem");

    fn refused(path: &Path) -> String {
        let error = FileSigner::load(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error.message().to_owned()
    }

    #[test]
    fn refuses_files_that_hold_no_usable_key() {
        let folder = tempfile::tempdir().unwrap();
        let ed448 = write_pem(PRIVATE_LABEL, &[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x71]);
        let mut long = ED25519_PREFIX.to_vec();
        long.extend_from_slice(&[7; 33]);
        for (name, text, reason) in [
            ("empty", String::new(), "does not begin with a PEM block"),
            ("public", public_key_to_pem(&KeyMaterial::Ed25519(key(1))), "holds `PUBLIC KEY`"),
            ("encrypted", RSA_2048.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "holds `ENCRYPTED PRIVATE KEY`"),
            ("small", RSA_1024.to_owned(), "neither an Ed25519 key nor an RSA key"),
            ("ed448", ed448.to_string(), "neither an Ed25519 key nor an RSA key"),
            ("long", write_pem(PRIVATE_LABEL, &long).to_string(), "neither an Ed25519 key nor an RSA key"),
            ("cut", write_pem(PRIVATE_LABEL, &long[..47]).to_string(), "neither an Ed25519 key nor an RSA key"),
        ] {
            let path = folder.path().join(name);
            create_private(&path, text.as_bytes()).unwrap();
            let message = refused(&path);
            assert!(message.contains(reason), "{name}: {message}");
        }
        let path = folder.path().join("open");
        create_public(&path, RSA_2048.as_bytes()).unwrap();
        assert!(refused(&path).contains("open to group or others"));
        assert!(load_public_key(&path).unwrap_err().message().contains("open to group or others"));
    }

    fn key(seed: u8) -> PublicKey {
        *AgentKey::derive_from_slice(&[seed; 32]).unwrap().public()
    }

    #[test]
    fn both_kinds_sign_what_their_public_half_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let (ed25519, rsa) = (folder.path().join("ed25519.pem"), folder.path().join("rsa.pem"));
        let public = create_ed25519_key(&ed25519).unwrap();
        create_private(&rsa, RSA_2048.as_bytes()).unwrap();
        for (path, algorithm) in [(&ed25519, Algorithm::EdDsa), (&rsa, Algorithm::Rs256)] {
            let signer = FileSigner::load(path).unwrap();
            assert_eq!(signer.algorithm(), algorithm);
            let signature = signer.sign_token(b"message").unwrap();
            signer.public().verify(b"message", &signature).unwrap();
            assert!(signer.public().verify(b"massage", &signature).is_err());
            let pem = folder.path().join(format!("{}.pub", algorithm.name()));
            create_public(&pem, public_key_to_pem(signer.public().material()).as_bytes()).unwrap();
            assert_eq!(&load_public_key(&pem).unwrap(), signer.public());
            assert_eq!(&load_public_key(path).unwrap(), signer.public());
            assert_eq!(signer.key_id(), signer.public().id());
        }
        assert_eq!(load_ed25519_key(&ed25519).unwrap().public(), &public);
        assert_eq!(FileSigner::load(&ed25519).unwrap().key_id(), public.thumbprint());
        assert!(load_ed25519_key(&rsa).unwrap_err().message().contains("where an Ed25519 key is needed"));
        assert!(create_ed25519_key(&ed25519).unwrap_err().message().contains("exists already"));
    }

    #[test]
    fn the_audit_key_is_not_a_token_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let public = create_ed25519_key(&path).unwrap();
        let set = |key| KeySet::new(vec![TokenKey::new(None, KeyMaterial::Ed25519(key))]).unwrap();
        assert!(load_audit_key(&path, &set(public)).is_err());
        load_audit_key(&path, &set(key(1))).unwrap();
    }

    #[test]
    fn reads_keys_of_openssl_and_shows_no_secret() {
        // `openssl genpkey -algorithm ed25519` writes version 1 without the public key.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        create_private(&path, text.as_bytes()).unwrap();
        let signer = FileSigner::load(&path).unwrap();
        let KeyMaterial::Ed25519(public) = signer.public().material() else { panic!("an Ed25519 key") };
        // RFC 8032, section 7.1, test 1.
        assert_eq!(public.to_base64url(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(format!("{signer:?}"), format!("FileSigner(EdDSA {})", public.thumbprint()));
    }
}
