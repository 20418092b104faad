//! HTTPS with a certificate authority and client certificates of one's own.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rmcp::model::ProtocolVersion;
use rustls::RootCertStore;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use smcp_gateway::config::{HttpConfig, TransportConfig};
use smcp_gateway::upstream::{HealthState, Upstreams};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::gateway::{http, quick, result, tool, upstream};
use crate::rmcp_server::service;

/// A certificate authority with files for both sides.
struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Serves rmcp over TLS to clients this authority knows.
    async fn serve(&self) -> SocketAddr {
        let (certificate, key) = self.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().nest_service("/mcp", service(ProtocolVersion::V_2026_07_28, false));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = TowerToHyperService::new(router);
                    let _closed =
                        Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address
    }

    fn client(&self, address: SocketAddr, name: &str) -> HttpConfig {
        let (certificate, key) = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        let file = self.directory.path().join("client.pem");
        fs::write(&file, format!("{}{}", certificate.pem(), key.serialize_pem())).unwrap();
        let mut config = http(&format!("https://localhost:{}/mcp", address.port()));
        config.ca_file = Some(self.directory.path().join("ca.pem"));
        config.client_cert = Some(file);
        config
    }
}

async fn start(config: HttpConfig) -> Upstreams {
    Upstreams::start(&[upstream("tls", TransportConfig::Http(config))], quick()).await.unwrap()
}

#[tokio::test]
async fn both_sides_show_certificates_of_the_authority() {
    let authority = Authority::new();
    let address = authority.serve().await;
    let upstreams = start(authority.client(address, "gateway")).await;
    let answer = result(upstreams.call(tool("echo", json!({"x": 1}))).await.unwrap());
    assert_eq!(answer["structuredContent"], json!({"x": 1}));
}

#[tokio::test]
async fn anybody_else_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = authority.serve().await;
    let good = authority.client(address, "gateway");
    let stranger = HttpConfig { client_cert: other.client(address, "gateway").client_cert, ..good.clone() };
    let nobody = HttpConfig { client_cert: None, ..good.clone() };
    let mistrusting = HttpConfig { ca_file: other.client(address, "x").ca_file, ..good.clone() };
    let system = HttpConfig { ca_file: None, ..good.clone() };
    let misnamed = HttpConfig { url: good.url.replace("localhost", "127.0.0.1"), ..good };
    for config in [stranger, nobody, mistrusting, system, misnamed] {
        let upstreams = start(config.clone()).await;
        let state = upstreams.health()[0].health.state.clone();
        assert!(matches!(state, HealthState::Failed(_)), "{config:?} {state:?}");
    }
}
