//! Security tokens and key sets: nothing panics, and no token is accepted that the gateway's key did not sign.
#![no_main]

use std::collections::HashSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use smcp_core::ErrorKind;
use smcp_core::keys::{KeyMaterial, KeySet, PublicKey, TokenKey, decode_base64url};
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::time::UnixTime;

const NOW: UnixTime = UnixTime::EPOCH;

struct Known {
    verifier: TokenVerifier,
    /// Header and claims of every token of the vectors that one of the keys signed, acceptable or not.
    signed: HashSet<String>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../sdk-tests/vectors/jwt.json")).expect("vectors");
    let keys = file["keys"].as_array().expect("keys").iter().filter_map(|key| {
        let public = PublicKey::parse_base64url(key["jwk"]["x"].as_str()?).ok()?;
        Some(TokenKey::new(None, KeyMaterial::Ed25519(public)))
    });
    let keys = KeySet::new(keys.collect()).expect("a key set");
    // No cache: a token must not pass because another one did.
    let verifier =
        TokenVerifier::new(keys, TokenRules { cache_capacity: 0, ..TokenRules::default() }).expect("a verifier");
    let vectors = file["vectors"].as_array().expect("vectors").iter();
    let signed: HashSet<String> = vectors
        .filter_map(|vector| {
            let (input, signature) = vector["token"].as_str()?.rsplit_once('.')?;
            let signature = decode_base64url(signature)?;
            let known = verifier.keys();
            known.keys().iter().any(|key| key.verify(input.as_bytes(), &signature).is_ok()).then(|| input.to_owned())
        })
        .collect();
    assert!(signed.len() > 20, "the vectors hold many signed tokens, found {}", signed.len());
    Known { verifier, signed }
});

fuzz_target!(|input: &[u8]| {
    if let Ok(token) = std::str::from_utf8(input) {
        check_token(token);
    }
    if let Ok(keys) = KeySet::parse_jwks(input) {
        let again = KeySet::parse_jwks(keys.to_jwks().as_bytes()).expect("our own key set");
        let ids = |set: &KeySet| set.keys().iter().map(|key| key.id().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&keys), ids(&again));
    }
});

fn check_token(token: &str) {
    // The vectors' tokens live around these times; an expired one must not pass by its signature alone.
    for now in [NOW, UnixTime::from_seconds(1_771_338_721), UnixTime::from_seconds(1_771_342_260)] {
        match KNOWN.verifier.verify(token, now) {
            Ok(verified) => {
                let input = token.rsplit_once('.').map(|(input, _)| input).expect("three parts");
                assert!(KNOWN.signed.contains(input), "accepted a token that nobody signed");
                assert!(verified.claims().expires_at > now.seconds(), "accepted an expired token");
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::TokenExpired | ErrorKind::TokenVerificationFailed),
                "step 3 answers {error}"
            ),
        }
    }
}
