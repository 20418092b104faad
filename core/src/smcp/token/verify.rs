//! Verifying tokens: the algorithm pinned to the key, signature before claims, times last (section 3).

use std::sync::{Arc, PoisonError, RwLock};

use sha2::Digest as _;

use super::cache::{ClaimsCache, TokenDigest};
use super::jws::WireToken;
use super::{Claims, refuse};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::{KeySet, TokenKey};
use crate::time::UnixTime;

/// The most leeway on `exp` in seconds.
const MAXIMUM_LEEWAY_SECONDS: u32 = 60;

/// What a verifier demands beyond the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// Required `iss`, when set.
    pub issuer: Option<String>,
    /// Required member of `aud`, when set.
    pub audience: Option<String>,
    /// Seconds of leeway on `exp`, at most 60.
    pub leeway_seconds: u32,
    /// Take `sub` for a missing `wid`.
    pub lenient_claims: bool,
    /// Verified tokens kept, 0 for none.
    pub cache_capacity: usize,
}

impl Default for TokenRules {
    fn default() -> Self {
        Self { issuer: None, audience: None, leeway_seconds: 0, lenient_claims: false, cache_capacity: 16_384 }
    }
}

/// A token whose signature, issuer, audience and times hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    claims: Arc<Claims>,
}

impl VerifiedToken {
    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Verifies tokens with a set of keys that may change while it is in use.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: RwLock<Arc<KeySet>>,
    rules: TokenRules,
    cache: ClaimsCache,
}

impl TokenVerifier {
    /// Makes a verifier.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when there is no key or the leeway is above 60 s.
    pub fn new(keys: KeySet, rules: TokenRules) -> Result<Self> {
        if keys.keys().is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "a token verifier needs at least one key"));
        }
        if rules.leeway_seconds > MAXIMUM_LEEWAY_SECONDS {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the leeway on `exp` is at most 60 seconds"));
        }
        let cache = ClaimsCache::new(rules.cache_capacity);
        Ok(Self { keys: RwLock::new(Arc::new(keys)), rules, cache })
    }

    /// What is demanded.
    #[must_use]
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the keys; every cached token is verified anew, so that a removed key ends at once.
    pub fn replace_keys(&self, keys: KeySet) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(keys);
        self.cache.clear();
    }

    /// Verifies `token` at `now`.
    ///
    /// # Errors
    /// `TOKEN_EXPIRED`, or `TOKEN_VERIFICATION_FAILED` with what failed.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<VerifiedToken> {
        let digest: TokenDigest = sha2::Sha256::digest(token.as_bytes()).into();
        if let Some(verified) = self.cache.get(&digest) {
            verified.claims.check_times(now, self.rules.leeway_seconds)?;
            return Ok(verified);
        }
        // The lock is held until the token is in the cache, so that no key change can slip between.
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let verified = self.verify_uncached(token, now, &keys)?;
        self.cache.insert(digest, verified.clone());
        Ok(verified)
    }

    fn verify_uncached(&self, token: &str, now: UnixTime, keys: &KeySet) -> Result<VerifiedToken> {
        let wire = WireToken::parse(token)?;
        verify_signature(&wire, keys)?;
        let claims = Claims::parse(&wire.claims, self.rules.lenient_claims)?;
        if self.rules.issuer.is_some() && claims.issuer != self.rules.issuer {
            return Err(refuse("claim `iss` is not the expected issuer"));
        }
        if self.rules.audience.as_ref().is_some_and(|audience| !claims.audience.contains(audience)) {
            return Err(refuse("claim `aud` does not name this gateway"));
        }
        claims.check_times(now, self.rules.leeway_seconds)?;
        Ok(VerifiedToken { claims: Arc::new(claims) })
    }

    /// Entries in the cache, for tests and metrics.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.cache.len()
    }
}

fn verify_signature(wire: &WireToken<'_>, keys: &KeySet) -> Result<()> {
    let message = wire.signing_input.as_bytes();
    let fits = |key: &TokenKey| key.algorithm().name() == wire.algorithm;
    match &wire.key_id {
        Some(id) => {
            let key = keys.find(id).ok_or_else(|| refuse("header member `kid` names no known key"))?;
            if !fits(key) {
                return Err(refuse("header member `alg` is not the algorithm of the key"));
            }
            key.verify(message, &wire.signature)
        }
        None => {
            let mut candidates = keys.keys().iter().filter(|key| fits(key)).peekable();
            if candidates.peek().is_none() {
                return Err(refuse("header member `alg` is not the algorithm of any key"));
            }
            if candidates.any(|key| key.verify(message, &wire.signature).is_ok()) {
                Ok(())
            } else {
                Err(refuse("token signature verification failed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{issue_token, tests::claims};
    use super::*;
    use crate::keys::{AgentKey, KeyMaterial};

    fn signer(seed: u8) -> (String, AgentKey) {
        let key = AgentKey::derive_from_slice(&[seed; 32]).unwrap();
        (key.public().thumbprint(), key)
    }

    fn key_set(signers: &[&(String, AgentKey)]) -> KeySet {
        KeySet::new(signers.iter().map(|(_, key)| TokenKey::new(None, KeyMaterial::Ed25519(*key.public()))).collect())
            .unwrap()
    }

    #[test]
    fn removing_a_key_ends_cached_tokens() {
        let (first, second) = (signer(1), signer(2));
        let verifier = TokenVerifier::new(key_set(&[&first, &second]), TokenRules::default()).unwrap();
        let token = issue_token(&claims(), &first, false).unwrap();
        let now = UnixTime::from_seconds(1000);
        verifier.verify(&token, now).unwrap();
        assert_eq!(verifier.cached(), 1);
        verifier.verify(&token, now).unwrap();
        verifier.replace_keys(key_set(&[&second]));
        assert_eq!(verifier.verify(&token, now).unwrap_err().kind(), ErrorKind::TokenVerificationFailed);
    }

    #[test]
    fn the_header_does_not_choose_the_algorithm() {
        let signer = signer(1);
        let verifier = TokenVerifier::new(key_set(&[&signer]), TokenRules::default()).unwrap();
        let now = UnixTime::from_seconds(1000);
        let kid = format!(r#","kid":"{}""#, signer.0);
        for (algorithm, kid, accepted) in [
            ("EdDSA", kid.as_str(), true),
            ("EdDSA", "", true),
            ("none", &kid, false),
            ("HS256", &kid, false),
            ("RS256", &kid, false),
            ("eddsa", &kid, false),
            ("RS256", "", false),
            ("EdDSA", r#","kid":"other""#, false),
        ] {
            let header = format!(r#"{{"alg":"{algorithm}"{kid}}}"#);
            let parts = [header.as_bytes(), &claims().to_json(false)].map(crate::keys::encode_base64url);
            let input = parts.join(".");
            // The signature is right whatever the header says.
            let signature = crate::keys::encode_base64url(&signer.1.sign_message(input.as_bytes()));
            let outcome = verifier.verify(&format!("{input}.{signature}"), now);
            assert_eq!(outcome.is_ok(), accepted, "{header}");
        }
    }

    #[test]
    fn cached_tokens_expire() {
        let signer = signer(1);
        let verifier = TokenVerifier::new(key_set(&[&signer]), TokenRules::default()).unwrap();
        let token = issue_token(&claims(), &signer, true).unwrap();
        assert_eq!(verifier.verify(&token, UnixTime::from_seconds(4599)).unwrap().claims(), &claims());
        assert_eq!(verifier.verify(&token, UnixTime::from_seconds(4600)).unwrap_err().kind(), ErrorKind::TokenExpired);
    }

    #[test]
    fn cache_is_bounded() {
        let signer = signer(1);
        let rules = TokenRules { cache_capacity: 8, ..TokenRules::default() };
        let verifier = TokenVerifier::new(key_set(&[&signer]), rules).unwrap();
        for index in 0..100 {
            let claims = Claims { session_id: Some(format!("s-{index}")), ..claims() };
            verifier.verify(&issue_token(&claims, &signer, false).unwrap(), UnixTime::from_seconds(1000)).unwrap();
            assert!(verifier.cached() <= 8);
        }
    }

    #[test]
    fn issuer_and_audience_are_required_when_configured() {
        let signer = signer(1);
        for (issuer, audience, accepted) in [
            (None, None, true),
            (Some("gw"), Some("https://gw"), true),
            (Some("other"), None, false),
            (None, Some("https://g"), false),
        ] {
            let rules = TokenRules {
                issuer: issuer.map(str::to_owned),
                audience: audience.map(str::to_owned),
                ..TokenRules::default()
            };
            let verifier = TokenVerifier::new(key_set(&[&signer]), rules).unwrap();
            let token = issue_token(&claims(), &signer, false).unwrap();
            assert_eq!(verifier.verify(&token, UnixTime::from_seconds(1000)).is_ok(), accepted);
        }
    }

    #[test]
    fn scope_alias_must_agree() {
        let parse = |text: &str| Claims::parse(text.as_bytes(), true).map(|claims| claims.scope);
        let with = |scope: &str| format!(r#"{{"sub":"a","iat":1,"exp":2,{scope}}}"#);
        assert_eq!(parse(&with(r#""ctx":"x""#)).unwrap(), "x");
        assert_eq!(parse(&with(r#""ctx":"x","scp":"x""#)).unwrap(), "x");
        assert!(parse(&with(r#""ctx":"x","scp":"y""#)).is_err());
        assert!(parse(&with(r#""ctx":null,"scp":"y""#)).is_err());
        assert!(Claims::parse(with(r#""scp":"x""#).as_bytes(), false).is_err());
    }
}
