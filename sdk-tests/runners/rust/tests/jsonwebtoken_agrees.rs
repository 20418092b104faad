//! `jsonwebtoken` as a second opinion on our tokens: what we issue it accepts, what it issues we accept, and of the
//! shared vectors it never refuses one that we accept. It is only an oracle here: the product checks tokens in core,
//! since that library takes its cryptography from a process-global provider (docs/decisions.md).

use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::signature::{Error as SignatureError, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};
use smcp_core::keys::{AgentKey, KeyMaterial, KeySet, PublicKey, TokenKey};
use smcp_core::smcp::token::{Claims, TokenRules, TokenVerifier, issue_token};
use smcp_core::time::UnixTime;

struct Ed25519Signer(SigningKey);
struct Ed25519Verifier(VerifyingKey);

impl Signer<Vec<u8>> for Ed25519Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Ed25519Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError::new())?;
        self.0.verify_strict(message, &signature).map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

fn refused() -> jsonwebtoken::errors::Error {
    jsonwebtoken::errors::ErrorKind::InvalidAlgorithm.into()
}

/// Ed25519 over the same library as ours; everything else about a token is `jsonwebtoken`'s.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => {
            let seed = <[u8; 32]>::try_from(&key.as_bytes()[key.as_bytes().len() - 32..]).map_err(|_| refused())?;
            Ok(Box::new(Ed25519Signer(SigningKey::from_bytes(&seed))))
        }
        _ => Err(refused()),
    },
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => {
            let key = key.try_get_as_bytes()?;
            let bytes = <[u8; 32]>::try_from(key).map_err(|_| refused())?;
            Ok(Box::new(Ed25519Verifier(VerifyingKey::from_bytes(&bytes).map_err(|_| refused())?)))
        }
        _ => Err(refused()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

fn install() {
    // The second test of this process finds it installed.
    let _installed = PROVIDER.install_default();
}

/// PKCS#8 of an Ed25519 seed, which is what `EncodingKey` wants.
fn pkcs8(seed: &[u8; 32]) -> Vec<u8> {
    let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    der.extend_from_slice(seed);
    der
}

fn validation(now_is_irrelevant: bool) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_aud = false;
    validation.validate_exp = !now_is_irrelevant;
    validation.leeway = 0;
    validation
}

#[test]
fn it_accepts_what_we_issue_and_we_accept_what_it_issues() {
    install();
    let seed = [9; 32];
    let key = AgentKey::derive_from_slice(&seed).unwrap();
    let public = *key.public();
    let claims = Claims {
        agent_id: "agent \"1\" é".to_owned(),
        scope: "research".to_owned(),
        workload_id: "docker://1".to_owned(),
        issued_at: 1_771_338_721,
        expires_at: 1_771_342_321,
        not_before: None,
        session_id: Some("s".to_owned()),
        issuer: Some("gw".to_owned()),
        audience: vec!["https://gw".to_owned()],
        key: Some(public),
        dialect: None,
        execution_id: None,
        tenant_id: None,
    };
    let token = issue_token(&claims, &(public.thumbprint(), key), true).unwrap();
    let theirs = decode::<Value>(&token, &DecodingKey::from_ed_der(public.as_bytes()), &validation(true)).unwrap();
    assert_eq!(theirs.header.kid.as_deref(), Some(public.thumbprint().as_str()));
    assert_eq!(theirs.claims["sub"], claims.agent_id);
    assert_eq!(theirs.claims["cnf"]["jwk"]["x"], public.to_base64url());

    let body = json!({"sub": "a", "scp": "b", "wid": "c", "iat": 1_771_338_721, "exp": 1_771_342_321});
    let foreign = encode(&Header::new(Algorithm::EdDSA), &body, &EncodingKey::from_ed_der(&pkcs8(&seed))).unwrap();
    let keys = KeySet::new(vec![TokenKey::new(None, KeyMaterial::Ed25519(public))]).unwrap();
    let verifier = TokenVerifier::new(keys, TokenRules::default()).unwrap();
    assert_eq!(verifier.verify(&foreign, UnixTime::from_seconds(1_771_338_800)).unwrap().claims().agent_id, "a");
}

/// We are the stricter one: there is no token that we accept and an ordinary JWT library refuses.
#[test]
fn it_refuses_no_vector_that_we_accept() {
    install();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors"));
    let file = smcp_sdk_tests::VectorFile::read(folder, "jwt.json");
    let table = file.document["keys"].as_array().unwrap();
    let mut accepted = 0;
    for vector in file.vectors() {
        let mut publics = Vec::new();
        let keys = vector["keys"].as_array().unwrap().iter().map(|known| {
            let entry = table.iter().find(|key| key["id"] == known["key"]).unwrap();
            let public = PublicKey::parse_base64url(entry["jwk"]["x"].as_str().unwrap()).unwrap();
            publics.push(public);
            TokenKey::new(known["kid"].as_str().map(str::to_owned), KeyMaterial::Ed25519(public))
        });
        let keys = KeySet::new(keys.collect()).unwrap();
        let verifier = TokenVerifier::new(keys, TokenRules::default()).unwrap();
        let token = vector["token"].as_str().unwrap();
        if verifier.verify(token, UnixTime::from_seconds(vector["now"].as_i64().unwrap())).is_err() {
            continue;
        }
        accepted += 1;
        let fits = publics.iter().any(|public| {
            decode::<Value>(token, &DecodingKey::from_ed_der(public.as_bytes()), &validation(true)).is_ok()
        });
        assert!(fits, "{}", vector["id"]);
    }
    assert!(accepted >= 15, "{accepted}");
}
