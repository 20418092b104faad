//! The client against dead, slow, lying and foreign servers, and its TLS.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what a test does not expect ends it"
)]

mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use server::{Reply, Server, attested, far, result};
use smcp_client::{Client, ClientCertificate, ClientOptions, Environment, Stage};
use smcp_core::ErrorKind;
use smcp_core::error::Executed;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};

fn options(url: &str) -> ClientOptions {
    let mut options = ClientOptions::new(url, "w", "s");
    options.environment = Environment::fixed([]);
    options.max_retries = 0;
    options.timeout = Duration::from_millis(600);
    options
}

async fn call(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (smcp_client::ClientError, Server) {
    let server =
        Server::start(move |request, _| if request.is_attest() { attested("t", far()) } else { reply() }).await;
    let client = Client::new(options(&server.url));
    client.attest().await.unwrap();
    (client.call_tool("t", b"{}").await.unwrap_err(), server)
}

#[tokio::test]
async fn a_refused_connection_ran_no_tool() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(options(&format!("http://127.0.0.1:{port}")));
    let error = client.attest().await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionFailed, Stage::Attest));
    let text = error.to_string();
    assert!(text.starts_with("Attestation failed: the gateway cannot be reached: "), "{text}");
    assert!(text.contains("refused"), "{text}");
    let key = Arc::new(smcp_client::EphemeralKey::generate().unwrap());
    client.provision(Some((smcp_client::SessionSigner::memory(key), "t".to_owned())));
    let error = client.call_tool("t", b"{}").await.unwrap_err();
    assert_eq!((error.kind(), error.error().details().executed), (ErrorKind::ConnectionFailed, Some(Executed::No)));
    assert_eq!((error.status_code(), error.http_status()), (None, None));
}

#[tokio::test]
async fn a_refused_connection_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut options = options(&format!("http://127.0.0.1:{port}"));
    options.max_retries = 2;
    let client = Client::new(options);
    let begun = Instant::now();
    client.attest().await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let events: Vec<_> = client.drain_events().into_iter().map(|event| event.message).collect();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events[1].contains("CONNECTION_FAILED, attempt 2"), "{events:?}");
}

#[tokio::test]
async fn broken_answers_leave_the_outcome_unknown() {
    let (error, server) = call(|| Reply::Truncated).await;
    assert_eq!(
        (error.kind(), error.error().details().executed),
        (ErrorKind::ConnectionFailed, Some(Executed::Unknown))
    );
    assert_eq!(server.counts(), (1, 1), "never sent again");
    let (error, server) = call(|| Reply::Close).await;
    assert_eq!(
        (error.kind(), error.error().details().executed),
        (ErrorKind::ConnectionFailed, Some(Executed::Unknown))
    );
    assert_eq!(server.counts(), (1, 1), "never sent again");
}

#[tokio::test]
async fn a_silent_server_meets_the_deadline() {
    let begun = Instant::now();
    let (error, server) = call(|| Reply::Silence).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!((error.kind(), error.error().details().executed), (ErrorKind::Timeout, Some(Executed::Unknown)));
    assert_eq!(error.to_string(), "SMCP Gateway Error: no answer within `0.6` seconds");
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let server = Server::start(|request, _| match request.is_attest() {
        true => attested("t", far()),
        false => Reply::Endless,
    })
    .await;
    let mut options = options(&server.url);
    options.max_response_bytes = 1 << 20;
    options.timeout = Duration::from_secs(20);
    let client = Client::new(options);
    client.attest().await.unwrap();
    let error = client.call_tool("t", b"{}").await.unwrap_err();
    assert_eq!((error.kind(), error.error().details().executed), (ErrorKind::BadResponse, Some(Executed::Unknown)));
    assert!(error.to_string().contains("larger than `1048576` bytes"), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = Server::start(|_, _| result("{}")).await;
    let url = target.url.clone();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{url}/elsewhere");
        let (error, _server) =
            call(move || Reply::Full(status, vec![("location", location.clone())], Vec::new())).await;
        assert_eq!(error.kind(), ErrorKind::BadResponse);
        assert!(error.to_string().contains(&format!("redirect (HTTP {status})")), "{error}");
    }
    assert!(target.seen().is_empty());
}

#[tokio::test]
async fn plain_http_leaves_this_machine_only_when_told() {
    for url in ["http://gateway.example", "http://192.0.2.1"] {
        let error = Client::new(options(url)).attest().await.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::ConfigInvalid, Stage::Local));
    }
}

#[tokio::test]
async fn headers_of_the_client_itself_cannot_be_set() {
    for (name, value) in
        [("Content-Type", "text/plain"), ("host", "evil"), ("Content-Length", "1"), ("a b", "c"), ("X", "a\r\nY: b")]
    {
        let mut options = options("http://127.0.0.1:1");
        options.headers = vec![(name.to_owned(), value.to_owned())];
        assert_eq!(Client::new(options).attest().await.unwrap_err().kind(), ErrorKind::ConfigInvalid, "{name}");
    }
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn ca_file(&self) -> PathBuf {
        self.file("ca.pem", &self.issuer.pem())
    }

    fn leaf(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn acceptor(&self, tls12_only: bool, client_authority: bool) -> TlsAcceptor {
        let (certificate, key) = self.leaf("localhost");
        let versions = if tls12_only { &[&version::TLS12][..] } else { &[&version::TLS13][..] };
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = if client_authority {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    async fn server(&self, tls12_only: bool, client_authority: bool) -> Server {
        let acceptor = self.acceptor(tls12_only, client_authority);
        Server::start_with(Some(acceptor), |_, _| attested("t", far())).await
    }
}

#[tokio::test]
async fn own_authorities_are_trusted_when_named_and_no_others() {
    let authority = Authority::new();
    let server = authority.server(false, false).await;
    let mut trusting = options(&server.url);
    trusting.ca_file = Some(authority.ca_file());
    Client::new(trusting).attest().await.unwrap();
    for variable in ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"] {
        let mut trusting = options(&server.url);
        trusting.environment = Environment::fixed([(variable, authority.ca_file().to_str().unwrap())]);
        Client::new(trusting).attest().await.unwrap();
    }
    let other = Authority::new();
    let mut both = options(&server.url);
    let (own, foreign) = (authority.ca_file(), other.ca_file());
    let variables = [("REQUESTS_CA_BUNDLE", own.to_str().unwrap()), ("SSL_CERT_FILE", foreign.to_str().unwrap())];
    both.environment = Environment::fixed(variables);
    Client::new(both).attest().await.unwrap();
    let mut distrusting = options(&server.url);
    distrusting.ca_file = Some(other.ca_file());
    let error = Client::new(distrusting).attest().await.unwrap_err();
    assert_eq!((error.kind(), error.error().details().executed), (ErrorKind::ConnectionFailed, Some(Executed::No)));
    assert!(error.to_string().contains("certificate"), "{error}");
    let mut wrong_name = options(&format!("https://127.0.0.1:{}", server.address.port()));
    wrong_name.ca_file = Some(authority.ca_file());
    assert_eq!(Client::new(wrong_name).attest().await.unwrap_err().kind(), ErrorKind::ConnectionFailed);
    assert_eq!(server.counts(), (4, 0));
}

#[tokio::test]
async fn tls_1_2_only_when_told() {
    let authority = Authority::new();
    let server = authority.server(true, false).await;
    let mut options = options(&server.url);
    options.ca_file = Some(authority.ca_file());
    assert_eq!(Client::new(options.clone()).attest().await.unwrap_err().kind(), ErrorKind::ConnectionFailed);
    options.allow_tls12 = true;
    Client::new(options).attest().await.unwrap();
}

#[tokio::test]
async fn shows_a_client_certificate() {
    let authority = Authority::new();
    let server = authority.server(false, true).await;
    let mut options = options(&server.url);
    options.ca_file = Some(authority.ca_file());
    assert_eq!(Client::new(options.clone()).attest().await.unwrap_err().kind(), ErrorKind::ConnectionFailed);
    let (certificate, key) = authority.leaf("workload");
    let separate = ClientCertificate {
        certificate: authority.file("client.pem", &certificate.pem()),
        key: Some(authority.file("client.key", &key.serialize_pem())),
    };
    let together = format!("{}{}", certificate.pem(), key.serialize_pem());
    let together = ClientCertificate { certificate: authority.file("both.pem", &together), key: None };
    for certificate in [separate, together] {
        options.client_certificate = Some(certificate);
        Client::new(options.clone()).attest().await.unwrap();
    }
    assert_eq!(server.counts(), (2, 0));
}

#[tokio::test]
async fn https_goes_through_the_proxy_and_loopback_does_not() {
    let proxy = Server::start(|_, _| Reply::Close).await;
    let address = format!("http://127.0.0.1:{}", proxy.address.port());
    let mut through = options("https://gateway.example");
    through.environment = Environment::fixed([("HTTPS_PROXY", address.as_str())]);
    through.ca_file = Some(Authority::new().leak_ca());
    let error = Client::new(through.clone()).attest().await.unwrap_err();
    assert_eq!((error.kind(), error.error().details().executed), (ErrorKind::ConnectionFailed, Some(Executed::No)));
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1);
    through.environment = Environment::fixed([("HTTPS_PROXY", address.as_str()), ("NO_PROXY", "gateway.example")]);
    Client::new(through.clone()).attest().await.unwrap_err();
    through.environment = Environment::fixed([]);
    Client::new(through.clone()).attest().await.unwrap_err();
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1, "NO_PROXY names the gateway");

    let server = Server::start(|_, _| attested("t", far())).await;
    let mut plain = options(&server.url);
    plain.environment =
        Environment::fixed([("HTTP_PROXY", address.as_str()), ("HTTPS_PROXY", &address), ("ALL_PROXY", &address)]);
    Client::new(plain).attest().await.unwrap();
    assert_eq!(proxy.connections.load(Ordering::SeqCst), 1);
}

impl Authority {
    fn leak_ca(self) -> PathBuf {
        let path = self.ca_file();
        std::mem::forget(self);
        path
    }
}
