//! Workloads that show a token of an identity provider: Kubernetes service accounts, SPIFFE JWT-SVIDs, OIDC (section 4).

use smcp_core::json::{Kind, Value};
use smcp_core::smcp::attest::{AttestationRequest, Workload};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::provider_keys::{KeySource, ProviderKeyStore};
use super::provider_token::{ProviderAlgorithm, ProviderToken, Refusal};
use super::{WorkloadVerifier, refused};

/// How far `iat` may lie in the future, in seconds.
const ISSUED_AHEAD_SECONDS: i64 = 60;
/// The most leeway in seconds.
const MAXIMUM_LEEWAY_SECONDS: u32 = 60;

/// What is demanded of a provider's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSettings {
    /// Required `iss`.
    pub issuer: String,
    /// Required member of `aud`: this gateway, so that a token for another service cannot be used here.
    pub audience: String,
    /// The claim that holds the workload id, such as `sub`.
    pub workload_claim: String,
    /// The claim carried into the session as execution id, when there is one.
    pub execution_claim: Option<String>,
    /// The claim carried into the session as tenant id, when there is one.
    pub tenant_claim: Option<String>,
    /// Algorithms the provider may sign with.
    pub algorithms: Vec<ProviderAlgorithm>,
    /// Where the provider's keys come from.
    pub keys: KeySource,
    /// Seconds of leeway on `exp` and `nbf`, at most 60.
    pub leeway_seconds: u32,
}

/// Verifies tokens of one identity provider.
#[derive(Debug)]
pub struct Oidc {
    settings: OidcSettings,
    keys: ProviderKeyStore,
}

impl Oidc {
    /// A verifier; a JWKS file is read now, a URL at the first token.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when a setting is empty, the leeway is above 60 s, the file is refused, or the URL is not `https`.
    pub fn new(settings: OidcSettings, now: UnixTime) -> Result<Self> {
        for (name, value) in [
            ("issuer", &settings.issuer),
            ("audience", &settings.audience),
            ("workload_claim", &settings.workload_claim),
        ] {
            if value.trim().is_empty() {
                return Err(Error::new(ErrorKind::ConfigInvalid, format!("workload verifier `oidc` needs `{name}`")));
            }
        }
        if settings.algorithms.is_empty() {
            return Err(Error::new(ErrorKind::ConfigInvalid, "workload verifier `oidc` needs an algorithm"));
        }
        if settings.leeway_seconds > MAXIMUM_LEEWAY_SECONDS {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the leeway of workload tokens is at most 60 seconds"));
        }
        let keys = ProviderKeyStore::new(settings.keys.clone(), now)?;
        Ok(Self { settings, keys })
    }

    async fn check(
        &self,
        workload_id: &str,
        bearer: Option<&str>,
        now: UnixTime,
    ) -> std::result::Result<Workload, Refusal> {
        let token = ProviderToken::parse(bearer.ok_or("there is no Bearer credential")?)?;
        if !self.settings.algorithms.contains(&token.algorithm) {
            return Err("the algorithm of the token is not configured");
        }
        self.keys.verify(&token, now).await?;
        token.read_claims(|claims| {
            self.check_origin(claims)?;
            self.check_times(claims, now)?;
            if text(claims, &self.settings.workload_claim)?.as_deref() != Some(workload_id) {
                return Err("the workload claim is not the workload id asked for");
            }
            let optional = |name: &Option<String>| name.as_deref().map_or(Ok(None), |name| text(claims, name));
            Ok(Workload {
                registered_key: None,
                execution_id: optional(&self.settings.execution_claim)?,
                tenant_id: optional(&self.settings.tenant_claim)?,
            })
        })
    }

    fn check_origin(&self, claims: Value<'_>) -> std::result::Result<(), Refusal> {
        if text(claims, "iss")?.as_deref() != Some(&self.settings.issuer) {
            return Err("claim `iss` is not the configured issuer");
        }
        let is_ours = |one: Value<'_>| one.as_str().as_deref() == Some(&self.settings.audience);
        let audience = claims.get("aud").ok_or("claim `aud` is missing")?;
        let named = if audience.kind() == Kind::Array { audience.elements().any(is_ours) } else { is_ours(audience) };
        if named { Ok(()) } else { Err("claim `aud` does not name the configured audience") }
    }

    fn check_times(&self, claims: Value<'_>, now: UnixTime) -> std::result::Result<(), Refusal> {
        let now = now.seconds();
        let leeway = i64::from(self.settings.leeway_seconds);
        let expires_at = seconds(claims, "exp")?.ok_or("claim `exp` is missing")?;
        if expires_at.saturating_add(leeway) <= now {
            return Err("the token has expired");
        }
        if seconds(claims, "nbf")?.is_some_and(|not_before| not_before > now.saturating_add(leeway)) {
            return Err("the token is not valid yet");
        }
        if seconds(claims, "iat")?.is_some_and(|issued_at| issued_at > now.saturating_add(ISSUED_AHEAD_SECONDS)) {
            return Err("the token was issued in the future");
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl WorkloadVerifier for Oidc {
    async fn verify(&self, request: &AttestationRequest, bearer: Option<&str>, now: UnixTime) -> Result<Workload> {
        self.check(&request.workload_id, bearer, now).await.map_err(|reason| {
            tracing::info!(reason, "workload token refused");
            refused()
        })
    }
}

/// A claim that is text, or absent; anything else, and blank text, refuses the token.
fn text(claims: Value<'_>, name: &str) -> std::result::Result<Option<String>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let text = value.as_str().ok_or("a claim that must be text is none")?;
    if text.trim().is_empty() { Err("a claim is empty") } else { Ok(Some(text.into_owned())) }
}

fn seconds(claims: Value<'_>, name: &str) -> std::result::Result<Option<i64>, Refusal> {
    claims.get(name).map(|value| value.as_i64().ok_or("a time claim is no integer")).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::test_request;
    use super::*;
    use crate::private_file::{create_private, create_public};
    use crate::signer::FileSigner;
    use crate::tls::{TlsFiles, load_server_config};
    use rcgen::{CertificateParams, KeyPair as CertificateKey};
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use smcp_core::keys::{AgentKey, KeySet, encode_base64url};
    use smcp_core::smcp::token::TokenSigner as _;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsAcceptor;

    const NOW: i64 = 1_000_000;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    /// A provider with one key of each kind, `r`, `p` and `e`.
    struct Provider {
        folder: tempfile::TempDir,
        rsa: FileSigner,
        p256: EcdsaKeyPair,
        ed25519: AgentKey,
    }

    impl Provider {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rsa.pem");
            create_private(&path, include_bytes!("../signer/testdata/rsa-2048-test-only.pem")).unwrap();
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
            let ed25519 = AgentKey::derive_from_slice(&[8; 32]).unwrap();
            Self { rsa: FileSigner::load(&path).unwrap(), folder, p256, ed25519 }
        }

        fn jwk(&self, id: &str) -> String {
            match id {
                "r" => {
                    let set = KeySet::new(vec![self.rsa.public().clone()]).unwrap().to_jwks();
                    let jwk = set.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}");
                    jwk.replace(self.rsa.public().id(), "r")
                }
                "p" => {
                    let point = self.p256.public_key().as_ref();
                    let (x, y) = (encode_base64url(&point[1..33]), encode_base64url(&point[33..]));
                    format!(r#"{{"kty":"EC","crv":"P-256","kid":"p","x":"{x}","y":"{y}"}}"#)
                }
                _ => {
                    let x = self.ed25519.public().to_base64url();
                    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{x}"}}"#)
                }
            }
        }

        fn jwks(&self, ids: &[&str]) -> String {
            let keys: Vec<_> = ids.iter().map(|id| self.jwk(id)).collect();
            format!(r#"{{"keys":[{}]}}"#, keys.join(","))
        }

        fn sign(&self, header: &str, claims: &str) -> String {
            let input = format!("{}.{}", encode_base64url(header.as_bytes()), encode_base64url(claims.as_bytes()));
            let signature = if header.contains("RS256") {
                self.rsa.sign_token(input.as_bytes()).unwrap()
            } else if header.contains("ES256") {
                self.p256.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec()
            } else {
                self.ed25519.sign_message(input.as_bytes()).to_vec()
            };
            format!("{input}.{}", encode_base64url(&signature))
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            create_public(&self.path("next"), text.as_bytes()).unwrap();
            std::fs::rename(self.path("next"), &path).unwrap();
            path
        }

        fn verifier(&self) -> Oidc {
            Oidc::new(settings(KeySource::File(self.write("jwks", &self.jwks(&["r", "p", "e"])))), at(NOW)).unwrap()
        }
    }

    fn settings(keys: KeySource) -> OidcSettings {
        OidcSettings {
            issuer: "https://idp".to_owned(),
            audience: "gateway".to_owned(),
            workload_claim: "sub".to_owned(),
            execution_claim: Some("run".to_owned()),
            tenant_claim: Some("tenant".to_owned()),
            algorithms: ProviderAlgorithm::ALL.to_vec(),
            keys,
            leeway_seconds: 0,
        }
    }

    const CLAIMS: &str = r#"{"iss":"https://idp","aud":"gateway","sub":"w","exp":1000001,"nbf":1000000,"iat":1000060}"#;

    async fn check(verifier: &Oidc, token: &str) -> std::result::Result<Workload, Refusal> {
        verifier.check("w", Some(token), at(NOW)).await
    }

    #[tokio::test]
    async fn each_algorithm_is_pinned_to_its_key() {
        let provider = Provider::new();
        let verifier = provider.verifier();
        for (algorithm, id) in [("RS256", "r"), ("ES256", "p"), ("EdDSA", "e")] {
            for other in ["RS256", "ES256", "EdDSA", "HS256", "none", "ES384", "rs256", "RS256\u{0}"] {
                // The key of `algorithm` signs whatever the header claims.
                let header = format!(r#"{{"alg":"{other}","kid":"{id}","was":"{algorithm}"}}"#);
                let accepted = check(&verifier, &provider.sign(&header, CLAIMS)).await.is_ok();
                assert_eq!(accepted, other == algorithm, "{header}");
            }
            let header = format!(r#"{{"alg":"{algorithm}"}}"#);
            check(&verifier, &provider.sign(&header, CLAIMS)).await.unwrap();
            let header = format!(r#"{{"alg":"{algorithm}","kid":"x"}}"#);
            check(&verifier, &provider.sign(&header, CLAIMS)).await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn every_bit_of_the_signature_and_the_input_counts() {
        let provider = Provider::new();
        let verifier = provider.verifier();
        for algorithm in ["ES256", "EdDSA"] {
            let token = provider.sign(&format!(r#"{{"alg":"{algorithm}"}}"#), CLAIMS);
            check(&verifier, &token).await.unwrap();
            for index in 0..token.len() {
                let mut bytes = token.clone().into_bytes();
                bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
                check(&verifier, &String::from_utf8(bytes).unwrap()).await.unwrap_err();
            }
        }
    }

    #[tokio::test]
    async fn refuses_headers_and_shapes() {
        let provider = Provider::new();
        let verifier = provider.verifier();
        for header in [
            "[]",
            "{}",
            r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","crit":["exp"]}"#,
            r#"{"alg":"EdDSA","jwk":{}}"#,
            r#"{"alg":"EdDSA","jku":"https://evil"}"#,
            r#"{"alg":"EdDSA","x5u":"https://evil"}"#,
            r#"{"alg":"EdDSA","x5c":[]}"#,
            r#"{"alg":"EdDSA","b64":false}"#,
            r#"{"alg":"EdDSA","typ":"secevent+jwt"}"#,
            r#"{"alg":"EdDSA","typ":null}"#,
            r#"{"alg":"EdDSA","kid":1}"#,
            r#"{"alg":["EdDSA"]}"#,
        ] {
            check(&verifier, &provider.sign(header, CLAIMS)).await.unwrap_err();
        }
        for kind in ["JWT", "jwt", "JOSE", "at+jwt"] {
            check(&verifier, &provider.sign(&format!(r#"{{"alg":"EdDSA","typ":"{kind}"}}"#), CLAIMS)).await.unwrap();
        }
        let token = provider.sign(r#"{"alg":"EdDSA"}"#, CLAIMS);
        let (input, signature) = token.rsplit_once('.').unwrap();
        let big = "A".repeat(16 << 10);
        for broken in [
            "",
            ".",
            "..",
            "a.b",
            input,
            &format!("{token}."),
            &format!("{token}.e30"),
            &format!("{token}="),
            &format!(" {token}"),
            &format!("{input}."),
            &format!("{input}.{signature}{big}"),
        ] {
            check(&verifier, broken).await.unwrap_err();
        }
        assert!(verifier.check("w", None, at(NOW)).await.is_err());
    }

    #[tokio::test]
    async fn refuses_claims() {
        let provider = Provider::new();
        let verifier = provider.verifier();
        let sign = |claims: &str| provider.sign(r#"{"alg":"EdDSA","kid":"e"}"#, claims);
        for (change, to) in [
            (r#""iss":"https://idp","#, ""),
            (r#""iss":"https://idp""#, r#""iss":"https://idp/""#),
            (r#""iss":"https://idp""#, r#""iss":["https://idp"]"#),
            (r#""aud":"gateway","#, ""),
            (r#""aud":"gateway""#, r#""aud":"gatewax""#),
            (r#""aud":"gateway""#, r#""aud":[]"#),
            (r#""aud":"gateway""#, r#""aud":{"gateway":1}"#),
            (r#""sub":"w","#, ""),
            (r#""sub":"w""#, r#""sub":"W""#),
            (r#""sub":"w""#, r#""sub":["w"]"#),
            (r#""sub":"w""#, r#""sub":"x","sub":"w""#),
            (r#""exp":1000001,"#, ""),
            (r#""exp":1000001"#, r#""exp":1000000"#),
            (r#""exp":1000001"#, r#""exp":"1000001""#),
            (r#""exp":1000001"#, r#""exp":1e99"#),
            (r#""nbf":1000000"#, r#""nbf":1000001"#),
            (r#""nbf":1000000"#, r#""nbf":null"#),
            (r#""iat":1000060"#, r#""iat":1000061"#),
            (r#""iat":1000060"#, r#""iat":1000060,"run":"#),
            (r#""iat":1000060"#, r#""iat":1000060,"run":7"#),
            (r#""iat":1000060"#, r#""iat":1000060,"tenant":" ""#),
        ] {
            let claims = CLAIMS.replace(change, to);
            assert_ne!(claims, CLAIMS);
            check(&verifier, &sign(&claims)).await.unwrap_err();
        }
        check(&verifier, &sign("[]")).await.unwrap_err();
        let claims =
            CLAIMS.replace(r#""gateway""#, r#"["other","gateway"]"#).replace("w\"", r#"w","run":"7","tenant":"t""#);
        let workload = check(&verifier, &sign(&claims)).await.unwrap();
        assert_eq!((workload.execution_id.as_deref(), workload.tenant_id.as_deref()), (Some("7"), Some("t")));
        assert!(verifier.check("v", Some(&sign(CLAIMS)), at(NOW)).await.is_err());
    }

    #[tokio::test]
    async fn the_answer_leaks_nothing() {
        let provider = Provider::new();
        let verifier = provider.verifier();
        for bearer in [None, Some("x"), Some(provider.sign(r#"{"alg":"EdDSA"}"#, "{}").as_str())] {
            assert_eq!(verifier.verify(&test_request("w"), bearer, at(NOW)).await.unwrap_err(), refused());
        }
        let good = provider.sign(r#"{"alg":"EdDSA"}"#, CLAIMS);
        verifier.verify(&test_request("w"), Some(&good), at(NOW)).await.unwrap();
    }

    #[test]
    fn refuses_settings_that_leave_a_hole() {
        let provider = Provider::new();
        let file = KeySource::File(provider.write("jwks", &provider.jwks(&["e"])));
        let url = |text: &str| KeySource::Url { url: text.to_owned(), ca_file: None };
        let good = settings(file);
        for broken in [
            OidcSettings { issuer: String::new(), ..good.clone() },
            OidcSettings { audience: " ".to_owned(), ..good.clone() },
            OidcSettings { workload_claim: String::new(), ..good.clone() },
            OidcSettings { leeway_seconds: 61, ..good.clone() },
            OidcSettings { algorithms: Vec::new(), ..good.clone() },
            settings(url("http://idp/jwks")),
            settings(url("http://127.0.0.1.evil/jwks")),
            settings(url("file:///etc/jwks")),
            settings(url("https://user@idp/jwks")),
            settings(KeySource::File(provider.path("absent"))),
            settings(KeySource::File(provider.write("bad", r#"{"keys":[]}"#))),
            settings(KeySource::File(provider.write("twice", r#"{"keys":[],"keys":[]}"#))),
            settings(KeySource::File(provider.write("many", &provider.jwks(&["e"; 65])))),
        ] {
            let error = Oidc::new(broken.clone(), at(NOW)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{broken:?}");
        }
        Oidc::new(good, at(NOW)).unwrap();
        for text in ["http://127.0.0.1:1/jwks", "http://[::1]/jwks", "http://localhost/jwks", "https://idp/jwks"] {
            Oidc::new(settings(url(text)), at(NOW)).unwrap();
        }
    }

    #[tokio::test]
    async fn an_algorithm_that_is_not_configured_is_refused() {
        let provider = Provider::new();
        let keys = KeySource::File(provider.write("jwks", &provider.jwks(&["r", "p", "e"])));
        let only = OidcSettings { algorithms: vec![ProviderAlgorithm::Es256], ..settings(keys) };
        let verifier = Oidc::new(only, at(NOW)).unwrap();
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let token = provider.sign(&format!(r#"{{"alg":"{algorithm}"}}"#), CLAIMS);
            assert_eq!(check(&verifier, &token).await.is_ok(), algorithm == "ES256");
        }
    }

    #[tokio::test]
    async fn odd_keys_of_the_provider_are_passed_over() {
        let provider = Provider::new();
        let short = r#"{"kty":"OKP","crv":"Ed25519","kid":"short","x":"AAAA"}"#;
        let odd = [
            short.to_owned(),
            r#"{"kty":"oct","k":"AAAA","kid":"h"}"#.to_owned(),
            r#"{"kty":"EC","crv":"P-256","kid":"q","x":"AAAA","y":"AAAA"}"#.to_owned(),
            provider.jwk("e").replace(r#""kid":"e""#, r#""kid":"enc","use":"enc""#),
            provider.jwk("e").replace(r#""kid":"e""#, r#""kid":"ops","key_ops":["sign"]"#),
            provider.jwk("e").replace(r#""kid":"e""#, r#""kid":"alg","alg":"RS256""#),
            provider.jwk("e").replace(r#""kid":"e""#, r#""kid":"private","d":"AAAA""#),
            provider.jwk("e"),
        ];
        let path = provider.write("jwks", &format!(r#"{{"keys":[{}]}}"#, odd.join(",")));
        let verifier = Oidc::new(settings(KeySource::File(path)), at(NOW)).unwrap();
        for id in ["short", "h", "q", "enc", "ops", "alg", "private"] {
            let token = provider.sign(&format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#), CLAIMS);
            check(&verifier, &token).await.unwrap_err();
        }
        check(&verifier, &provider.sign(r#"{"alg":"EdDSA","kid":"e"}"#, CLAIMS)).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_read_again_for_new_and_removed_keys_but_not_all_the_time() {
        let provider = Provider::new();
        let path = provider.write("jwks", &provider.jwks(&["p"]));
        let verifier = Oidc::new(settings(KeySource::File(path)), at(NOW)).unwrap();
        let claims = CLAIMS.replace("1000001", "2000000");
        let (old, new) = (
            provider.sign(r#"{"alg":"ES256","kid":"p"}"#, &claims),
            provider.sign(r#"{"alg":"EdDSA","kid":"e"}"#, &claims),
        );
        let check = |token: &str, now| {
            let (verifier, token) = (&verifier, token.to_owned());
            async move { verifier.check("w", Some(&token), at(now)).await.is_ok() }
        };
        assert!(!check(&new, NOW).await, "tried at once, not there yet");
        provider.write("jwks", &provider.jwks(&["e"]));
        assert!(!check(&new, NOW + 59).await, "at most once a minute");
        assert!(check(&old, NOW + 59).await);
        assert!(check(&new, NOW + 60).await);
        assert!(!check(&old, NOW + 60).await, "a removed key has ended");
        provider.write("jwks", "broken");
        assert!(check(&new, NOW + 60 + 3600).await, "keys that cannot be renewed serve on for a day");
        assert!(!check(&new, NOW + 60 + 86_400).await);
        provider.write("jwks", &provider.jwks(&["e"]));
        assert!(check(&new, NOW + 60 + 86_460).await);
    }

    /// An HTTPS server that answers every request with `body` and counts them.
    async fn serve(folder: &Path, answer: Arc<Mutex<String>>, count: Arc<AtomicUsize>) -> (String, PathBuf) {
        let key = CertificateKey::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let files = TlsFiles { certificate: folder.join("tls.pem"), key: folder.join("tls.key"), client_ca: None };
        create_public(&files.certificate, certificate.pem().as_bytes()).unwrap();
        create_private(&files.key, key.serialize_pem().as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(load_server_config(&files).unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/jwks", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap() > 0 {}
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().unwrap().clone();
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        (url, files.certificate)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_url_is_fetched_once_a_minute_at_most_and_only_https_with_the_right_authority() {
        let provider = Provider::new();
        let (body, count) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let (url, ca_file) = serve(provider.folder.path(), Arc::clone(&body), Arc::clone(&count)).await;
        let source = |ca_file: Option<PathBuf>| KeySource::Url { url: url.clone(), ca_file };
        let set = |text: String| *body.lock().unwrap() = text;
        let token = provider.sign(r#"{"alg":"EdDSA","kid":"e"}"#, &CLAIMS.replace("1000001", "2000000"));

        set(answer("200 OK", &provider.jwks(&["e"])));
        let strangers = Oidc::new(settings(source(None)), at(NOW)).unwrap();
        strangers.check("w", Some(&token), at(NOW)).await.unwrap_err();
        assert_eq!(count.load(Ordering::SeqCst), 0, "the platform does not trust the test's authority");

        let verifier = Oidc::new(settings(source(Some(ca_file))), at(NOW)).unwrap();
        let large = format!("{}{}", provider.jwks(&["e"]), " ".repeat(300 << 10));
        let mut now = NOW;
        for broken in [
            answer("500 Internal Server Error", &provider.jwks(&["e"])),
            answer("200 OK", "{}"),
            answer("200 OK", &large),
            format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        ] {
            set(broken);
            let before = count.load(Ordering::SeqCst);
            for _ in 0..3 {
                verifier.check("w", Some(&token), at(now)).await.unwrap_err();
            }
            assert_eq!(count.load(Ordering::SeqCst), before + 1);
            now += 60;
        }
        set(answer("200 OK", &provider.jwks(&["e"])));
        let before = count.load(Ordering::SeqCst);
        let checks = (0..20).map(|_| verifier.check("w", Some(&token), at(now)));
        assert!(futures::future::join_all(checks).await.iter().all(std::result::Result::is_ok));
        verifier.check("w", Some(&token), at(now + 3599)).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), before + 1);
        verifier.check("w", Some(&token), at(now + 3600)).await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), before + 2);
    }
}
