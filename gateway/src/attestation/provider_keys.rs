//! The keys of an identity provider: a JWKS from a file or an HTTPS URL, kept and renewed (section 4).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use smcp_core::json::{self, Kind, Limits, Value};
use smcp_core::keys::{KeyMaterial, PublicKey, RsaPublicKey, TokenKey, decode_base64url};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};
use url::Url;

use super::provider_token::{ProviderAlgorithm, ProviderToken, Refusal};
use crate::private_file::read_public;
use crate::tls::load_client_config;

/// The largest JWKS in bytes.
const MAXIMUM_BYTES: usize = 256 << 10;
/// The most keys of one JWKS.
const MAXIMUM_KEYS: usize = 64;
/// Seconds between two attempts to renew the keys.
const RETRY_SECONDS: u64 = 60;
/// Seconds after which keys of a file are read again, so that a removed key ends.
const FILE_AGE_SECONDS: u64 = 60;
/// Seconds after which keys of a URL are fetched again.
const URL_AGE_SECONDS: u64 = 3600;
/// Seconds after which keys that could not be renewed are not trusted any more.
const STALE_SECONDS: u64 = 86_400;
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

fn invalid(reason: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, reason)
}

/// Where the keys of an identity provider come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A JWKS file.
    File(PathBuf),
    /// A JWKS behind an `https` URL, or `http` on loopback.
    Url {
        /// The URL; redirects are not followed.
        url: String,
        /// PEM: the only authorities trusted for it, instead of the platform's.
        ca_file: Option<PathBuf>,
    },
}

/// What a provider's key verifies with.
#[derive(Clone, Debug)]
enum ProviderKey {
    /// RSA or Ed25519.
    Token(TokenKey),
    /// P-256, as an uncompressed point.
    P256(Vec<u8>),
}

impl ProviderKey {
    fn algorithm(&self) -> ProviderAlgorithm {
        match self {
            Self::Token(key) => match key.material() {
                KeyMaterial::Ed25519(_) => ProviderAlgorithm::EdDsa,
                KeyMaterial::Rsa(_) => ProviderAlgorithm::Rs256,
            },
            Self::P256(_) => ProviderAlgorithm::Es256,
        }
    }

    fn verifies(&self, token: &ProviderToken<'_>) -> bool {
        let message = token.signing_input.as_bytes();
        match self {
            Self::Token(key) => key.verify(message, &token.signature).is_ok(),
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &token.signature).is_ok()
            }
        }
    }
}

/// The usable keys of a JWKS.
#[derive(Debug, Default)]
struct ProviderKeys {
    keys: Vec<(Option<String>, ProviderKey)>,
    /// When they were read; `None` before the first time.
    read_at: Option<UnixTime>,
}

impl ProviderKeys {
    /// Reads a JWKS. Keys for other uses, of other kinds or that are broken are passed over: one odd key of the
    /// provider's must not lock every workload out.
    fn parse(text: &[u8], now: UnixTime) -> Result<Self> {
        let limits = Limits { bytes: MAXIMUM_BYTES, depth: 16 };
        let document = json::scan_with(text, limits).map_err(|error| invalid(format!("JWKS: {error}")))?;
        let keys = document.root().get("keys").filter(|keys| keys.kind() == Kind::Array);
        let keys = keys.ok_or_else(|| invalid("JWKS: member `keys` is missing or no array"))?;
        if keys.elements().count() > MAXIMUM_KEYS {
            return Err(invalid(format!("JWKS: more than `{MAXIMUM_KEYS}` keys")));
        }
        let keys: Vec<_> = keys.elements().filter_map(parse_jwk).collect();
        if keys.is_empty() {
            return Err(invalid("JWKS: no key for RS256, ES256 or EdDSA"));
        }
        Ok(Self { keys, read_at: Some(now) })
    }

    fn knows(&self, token: &ProviderToken<'_>) -> bool {
        self.candidates(token).next().is_some()
    }

    /// The keys a token may be verified with: by its `kid` when it has one, and only of the algorithm it names.
    fn candidates<'a>(&'a self, token: &'a ProviderToken<'_>) -> impl Iterator<Item = &'a ProviderKey> {
        self.keys
            .iter()
            .filter(|(id, _)| token.key_id.is_none() || *id == token.key_id)
            .map(|(_, key)| key)
            .filter(|key| key.algorithm() == token.algorithm)
    }

    fn age(&self, now: UnixTime) -> u64 {
        self.read_at.map_or(u64::MAX, |read_at| seconds_between(read_at, now))
    }
}

/// A clock that was stepped back counts as much as one that went on: keys are then renewed too early, never too late.
fn seconds_between(one: UnixTime, other: UnixTime) -> u64 {
    one.seconds().abs_diff(other.seconds())
}

fn parse_jwk(jwk: Value<'_>) -> Option<(Option<String>, ProviderKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let is = |name: &str, expected: &str| jwk.get(name).is_none_or(|value| value.as_str().as_deref() == Some(expected));
    let for_verifying =
        jwk.get("key_ops").is_none_or(|uses| uses.elements().any(|one| one.as_str().as_deref() == Some("verify")));
    let private = ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|name| jwk.get(name).is_some());
    if jwk.kind() != Kind::Object || !is("use", "sig") || !for_verifying || private {
        return None;
    }
    let id = match jwk.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.into_owned()),
    };
    let token_key = |material| ProviderKey::Token(TokenKey::new(None, material));
    let bytes = |name: &str| decode_base64url(text(name)?.as_ref());
    let key = match (text("kty")?.as_ref(), text("crv").as_deref()) {
        ("RSA", _) if is("alg", "RS256") => {
            token_key(KeyMaterial::Rsa(RsaPublicKey::parse_components(&bytes("n")?, &bytes("e")?).ok()?))
        }
        ("OKP", Some("Ed25519")) if is("alg", "EdDSA") || is("alg", "Ed25519") => {
            token_key(KeyMaterial::Ed25519(PublicKey::parse_bytes(&bytes("x")?).ok()?))
        }
        ("EC", Some("P-256")) if is("alg", "ES256") => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            ProviderKey::P256([&[4], x.as_slice(), &y].concat())
        }
        _ => return None,
    };
    Some((id, key))
}

/// A source that is ready to be read.
#[derive(Debug)]
enum Reader {
    File(PathBuf),
    Url { client: reqwest::Client, url: Url },
}

/// The keys in use and the means to renew them.
#[derive(Debug)]
pub(super) struct ProviderKeyStore {
    reader: Reader,
    keys: ArcSwap<ProviderKeys>,
    /// When renewing was last tried; held while a fetch runs, so that there is only one.
    tried_at: tokio::sync::Mutex<Option<UnixTime>>,
}

impl ProviderKeyStore {
    /// A store; a file is read at once, a URL at the first token (the provider may start later than we do).
    pub(super) fn new(source: KeySource, now: UnixTime) -> Result<Self> {
        let (reader, keys) = match source {
            KeySource::File(path) => {
                let keys = ProviderKeys::parse(&read_public(&path, MAXIMUM_BYTES)?, now)?;
                (Reader::File(path), keys)
            }
            KeySource::Url { url, ca_file } => {
                let url = Url::parse(&url).map_err(|error| invalid(format!("JWKS URL: {error}")))?;
                let client = build_client(&url, ca_file.as_deref())?;
                (Reader::Url { client, url }, ProviderKeys::default())
            }
        };
        Ok(Self { reader, keys: ArcSwap::from_pointee(keys), tried_at: tokio::sync::Mutex::new(None) })
    }

    /// Verifies a token's signature, renewing the keys when they are old or do not know the token's.
    pub(super) async fn verify(&self, token: &ProviderToken<'_>, now: UnixTime) -> std::result::Result<(), Refusal> {
        let mut keys = self.keys.load_full();
        if !keys.knows(token) {
            self.renew(now).await;
            keys = self.keys.load_full();
        } else if keys.age(now) >= self.maximum_age() {
            if keys.age(now) >= STALE_SECONDS {
                self.renew(now).await;
            } else if let Ok(tried_at) = self.tried_at.try_lock() {
                // Only one caller waits for keys that are merely old; the others go on with what is there.
                self.renew_locked(tried_at, now).await;
            }
            keys = self.keys.load_full();
        }
        if keys.age(now) >= STALE_SECONDS {
            return Err("the provider's keys could not be read for too long");
        }
        if !keys.knows(token) {
            return Err("no key of the provider fits the token's `kid` and `alg`");
        }
        if keys.candidates(token).any(|key| key.verifies(token)) {
            return Ok(());
        }
        if token.key_id.is_none() {
            // Without a `kid` a failed signature may just as well mean a key that is not known yet.
            self.renew(now).await;
            if self.keys.load().candidates(token).any(|key| key.verifies(token)) {
                return Ok(());
            }
        }
        Err("the signature does not verify")
    }

    fn maximum_age(&self) -> u64 {
        match self.reader {
            Reader::File(_) => FILE_AGE_SECONDS,
            Reader::Url { .. } => URL_AGE_SECONDS,
        }
    }

    async fn renew(&self, now: UnixTime) {
        let tried_at = self.tried_at.lock().await;
        self.renew_locked(tried_at, now).await;
    }

    async fn renew_locked(&self, mut tried_at: tokio::sync::MutexGuard<'_, Option<UnixTime>>, now: UnixTime) {
        if tried_at.is_some_and(|tried_at| seconds_between(tried_at, now) < RETRY_SECONDS) {
            return;
        }
        *tried_at = Some(now);
        let keys = match self.read().await {
            Ok(text) => ProviderKeys::parse(&text, now),
            Err(error) => Err(error),
        };
        match keys {
            Ok(keys) => self.keys.store(Arc::new(keys)),
            Err(error) => tracing::warn!(%error, "the keys of the identity provider could not be renewed"),
        }
    }

    async fn read(&self) -> Result<Vec<u8>> {
        match &self.reader {
            Reader::File(path) => read_public(path, MAXIMUM_BYTES),
            Reader::Url { client, url } => fetch(client, url).await,
        }
    }
}

fn build_client(url: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client> {
    if !(url.scheme() == "https" && url.has_host() || url.scheme() == "http" && is_loopback(url)) {
        return Err(invalid(format!("JWKS URL `{url}` is neither `https` nor `http` on loopback")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a JWKS URL must not hold a user name or password"));
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(load_client_config(ca_file)?)
        .https_only(url.scheme() == "https")
        .redirect(reqwest::redirect::Policy::none())
        .timeout(FETCH_TIMEOUT)
        .build()
        .map_err(|error| invalid(format!("JWKS client: {error}")))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn fetch(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>> {
    let failed = |error: reqwest::Error| invalid(format!("JWKS: {}", error.without_url()));
    let request = client.get(url.clone()).header("accept", "application/json");
    let mut response = request.send().await.map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(invalid(format!("JWKS: the provider answered with status `{}`", response.status().as_u16())));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if text.len().saturating_add(chunk.len()) > MAXIMUM_BYTES {
            return Err(invalid(format!("JWKS: more than `{MAXIMUM_BYTES}` bytes")));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
