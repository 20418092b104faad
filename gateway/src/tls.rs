//! TLS of the gateway's listeners: rustls with ring, 1.3 only, files reread when they change (section 5).
//!
//! Every configuration carries its own crypto provider; nothing depends on a process-wide one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::BuilderVerifierExt as _;
use smcp_core::{Error, ErrorKind, Result};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::private_file::{read_managed, read_public};

/// The largest certificate or key file in bytes.
const MAXIMUM_BYTES: usize = 1 << 20;
/// The protocols offered, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How often the files are looked at.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

fn refuse(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("TLS file `{}`: {reason}", path.display()))
}

/// The files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: the server's certificate first, then the intermediate ones.
    pub certificate: PathBuf,
    /// PEM: its private key, closed to others.
    pub key: PathBuf,
    /// PEM: the authorities of client certificates; when given, every client must show one.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads the files into a server configuration.
///
/// # Errors
/// `CONFIG_INVALID` when a file is refused, holds no certificate or key, or certificate and key do not belong together.
pub fn load_server_config(files: &TlsFiles) -> Result<ServerConfig> {
    let provider = provider();
    let chain = load_certificates(&files.certificate)?;
    let key = load_key(&files.key)?;
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
        if matches!(error, rustls::Error::InconsistentKeys(_)) {
            refuse(&files.key, "is not the key of the certificate")
        } else {
            refuse(&files.certificate, format_args!("certificate or key cannot be used: {error}"))
        }
    })?;
    let client_verifier = client_verifier(files.client_ca.as_deref(), &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| refuse(&files.certificate, error))?
        .with_client_cert_verifier(client_verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = PROTOCOLS.iter().map(|protocol| protocol.to_vec()).collect();
    // Early data could be replayed.
    config.max_early_data_size = 0;
    Ok(config)
}

fn client_verifier(authorities: Option<&Path>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
    let Some(path) = authorities else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Arc::new(load_authorities(path)?);
    WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| refuse(path, error))
}

fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let text = read_public(path, MAXIMUM_BYTES)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<std::result::Result<_, PemError>>()
        .map_err(|_| refuse(path, "is not PEM"))?;
    if chain.is_empty() {
        return Err(refuse(path, "holds no `CERTIFICATE`"));
    }
    Ok(chain)
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let text = read_managed(path, MAXIMUM_BYTES)?;
    let mut keys = PrivateKeyDer::pem_slice_iter(&text);
    let key = match keys.next() {
        Some(Ok(key)) => key,
        Some(Err(_)) => return Err(refuse(path, "is not PEM")),
        None => return Err(refuse(path, "holds no unencrypted private key")),
    };
    if keys.next().is_some() {
        return Err(refuse(path, "holds more than one private key"));
    }
    Ok(key)
}

fn load_authorities(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in load_certificates(path)? {
        roots.add(certificate).map_err(|error| refuse(path, format_args!("a certificate cannot be used: {error}")))?;
    }
    Ok(roots)
}

/// A client configuration for requests of the gateway's own: the platform's authorities, or only those of `ca_file`.
///
/// # Errors
/// `CONFIG_INVALID` when the file is refused or the platform has no authorities.
pub fn load_client_config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let failed = |error: rustls::Error| Error::new(ErrorKind::ConfigInvalid, format!("TLS client: {error}"));
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(load_authorities(path)?),
        None => builder.with_platform_verifier().map_err(failed)?,
    };
    Ok(builder.with_no_client_auth())
}

/// What shows that a file is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fingerprint(Vec<Option<[i128; 5]>>);

impl Fingerprint {
    fn of(files: &TlsFiles) -> Self {
        let one = |path: &Path| {
            let stat = rustix::fs::stat(path).ok()?;
            let changed = i128::from(stat.st_ctime).saturating_mul(1_000_000_000);
            let modified = i128::from(stat.st_mtime).saturating_mul(1_000_000_000);
            Some([
                i128::from(stat.st_dev),
                i128::from(stat.st_ino),
                i128::from(stat.st_size),
                changed.saturating_add(i128::from(stat.st_ctime_nsec)),
                modified.saturating_add(i128::from(stat.st_mtime_nsec)),
            ])
        };
        Self(files.paths().map(one).collect())
    }
}

/// A server configuration that follows its files. Connections that are open keep what they began with.
#[derive(Debug)]
pub struct ReloadingTls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    seen: Mutex<Fingerprint>,
}

impl ReloadingTls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// As [`load_server_config`].
    pub fn load(files: TlsFiles) -> Result<Self> {
        // The look before the reading: a change in between is then found by the next look.
        let seen = Mutex::new(Fingerprint::of(&files));
        let current = ArcSwap::from_pointee(load_server_config(&files)?);
        Ok(Self { files, current, seen })
    }

    /// The configuration for new connections.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// An acceptor with the configuration for new connections; to be asked for at each connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config())
    }

    /// Rereads the files if they changed since the last look; says whether a new configuration is in use.
    ///
    /// # Errors
    /// As [`load_server_config`]: the new files are broken (or only half written yet) and the old configuration stays.
    /// The same broken files are complained about once.
    pub fn reload_if_changed(&self) -> Result<bool> {
        let now = Fingerprint::of(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        let config = load_server_config(&self.files)?;
        self.current.store(Arc::new(config));
        Ok(true)
    }

    /// Looks at the files every `interval` until cancelled.
    pub async fn watch(self: Arc<Self>, interval: Duration, cancelled: CancellationToken) {
        loop {
            tokio::select! {
                () = cancelled.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.reload_if_changed()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!(certificate = %self.files.certificate.display(), "TLS files reread"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "TLS files changed and are refused; the old ones stay in use")
                }
                Err(error) => tracing::error!(%error, "TLS files could not be reread"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_file::{create_private, create_public};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    /// An authority, and a folder with what it issued.
    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        folder: tempfile::TempDir,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            create_public(&folder.path().join("ca.pem"), issuer.pem().as_bytes()).unwrap();
            Self { issuer, folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Writes certificate and key of `localhost`, replacing what was there as certbot does.
        fn issue(&self, name: &str) -> TlsFiles {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = certificate.signed_by(&key, &self.issuer).unwrap();
            let files = TlsFiles {
                certificate: self.path(&format!("{name}.pem")),
                key: self.path(&format!("{name}.key")),
                client_ca: None,
            };
            let next = self.path("next");
            create_public(&next, certificate.pem().as_bytes()).unwrap();
            std::fs::rename(&next, &files.certificate).unwrap();
            create_private(&next, key.serialize_pem().as_bytes()).unwrap();
            std::fs::rename(&next, &files.key).unwrap();
            files
        }

        fn client(
            &self,
            identity: Option<&TlsFiles>,
            versions: &[&'static rustls::SupportedProtocolVersion],
        ) -> TlsConnector {
            let builder = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(load_authorities(&self.path("ca.pem")).unwrap());
            let mut config = match identity {
                None => builder.with_no_client_auth(),
                Some(files) => builder
                    .with_client_auth_cert(
                        load_certificates(&files.certificate).unwrap(),
                        load_key(&files.key).unwrap(),
                    )
                    .unwrap(),
            };
            config.alpn_protocols = vec![b"h2".to_vec()];
            TlsConnector::from(Arc::new(config))
        }
    }

    /// One connection; the certificate the client saw.
    async fn connect(server: Arc<ServerConfig>, client: TlsConnector) -> std::io::Result<Vec<u8>> {
        let (near, far) = tokio::io::duplex(64 << 10);
        let serve = async move {
            let mut stream = TlsAcceptor::from(server).accept(far).await?;
            stream.write_all(b"hello").await?;
            stream.shutdown().await
        };
        let ask = async move {
            let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), near).await?;
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await?;
            assert_eq!(text, b"hello");
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
            assert_eq!(connection.alpn_protocol(), Some(&b"h2"[..]));
            Ok(connection.peer_certificates().unwrap()[0].to_vec())
        };
        let (served, asked) = tokio::join!(serve, ask);
        served.and(asked)
    }

    const ALL: &[&rustls::SupportedProtocolVersion] = rustls::ALL_VERSIONS;

    #[test]
    fn refuses_files_that_do_not_fit() {
        let authority = Authority::new();
        let (one, two) = (authority.issue("one"), authority.issue("two"));
        let empty = authority.path("empty");
        create_private(&empty, b"").unwrap();
        let (mixed, open) = (authority.path("mixed"), authority.path("open"));
        let key = std::fs::read_to_string(&one.key).unwrap();
        create_private(&mixed, format!("{key}{key}").as_bytes()).unwrap();
        create_public(&open, key.as_bytes()).unwrap();
        let broken = authority.path("broken");
        create_private(&broken, b"-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n").unwrap();
        for (files, reason) in [
            (TlsFiles { key: two.key.clone(), ..one.clone() }, "is not the key of the certificate"),
            (TlsFiles { key: empty.clone(), ..one.clone() }, "holds no unencrypted private key"),
            (TlsFiles { key: mixed, ..one.clone() }, "more than one private key"),
            (TlsFiles { key: open, ..one.clone() }, "can be read by others"),
            (TlsFiles { certificate: empty.clone(), ..one.clone() }, "holds no `CERTIFICATE`"),
            (TlsFiles { certificate: one.key.clone(), ..one.clone() }, "holds no `CERTIFICATE`"),
            (TlsFiles { certificate: broken, ..one.clone() }, "is not PEM"),
            (TlsFiles { client_ca: Some(empty), ..one.clone() }, "holds no `CERTIFICATE`"),
            (TlsFiles { client_ca: Some(authority.path("absent")), ..one }, "cannot be opened"),
        ] {
            let error = load_server_config(&files).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(error.message().contains(reason), "{error}");
        }
    }

    #[tokio::test]
    async fn only_tls_1_3_is_spoken() {
        let authority = Authority::new();
        let tls = ReloadingTls::load(authority.issue("server")).unwrap();
        connect(tls.config(), authority.client(None, ALL)).await.unwrap();
        let old = authority.client(None, &[&rustls::version::TLS12]);
        connect(tls.config(), old).await.unwrap_err();
    }

    #[tokio::test]
    async fn client_certificates_are_required_and_checked() {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let files = TlsFiles { client_ca: Some(authority.path("ca.pem")), ..authority.issue("server") };
        let tls = ReloadingTls::load(files).unwrap();
        let own = authority.issue("client");
        connect(tls.config(), authority.client(Some(&own), ALL)).await.unwrap();
        connect(tls.config(), authority.client(None, ALL)).await.unwrap_err();
        let foreign = stranger.issue("client");
        connect(tls.config(), authority.client(Some(&foreign), ALL)).await.unwrap_err();
    }

    #[tokio::test]
    async fn follows_its_files_and_keeps_the_old_ones_when_the_new_are_broken() {
        let authority = Authority::new();
        let files = authority.issue("server");
        let tls = ReloadingTls::load(files.clone()).unwrap();
        let first = connect(tls.config(), authority.client(None, ALL)).await.unwrap();
        assert!(!tls.reload_if_changed().unwrap());

        std::fs::write(&files.certificate, "broken").unwrap();
        assert!(tls.reload_if_changed().is_err());
        assert!(!tls.reload_if_changed().unwrap(), "complained about once");
        assert_eq!(connect(tls.config(), authority.client(None, ALL)).await.unwrap(), first);

        // The certificate is replaced first; until the key follows, the pair does not fit.
        let key = std::fs::read(&files.key).unwrap();
        authority.issue("server");
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, key).unwrap();
        assert!(tls.reload_if_changed().unwrap_err().message().contains("not the key of the certificate"));
        std::fs::write(&files.key, new_key).unwrap();
        assert!(tls.reload_if_changed().unwrap());
        assert_ne!(connect(tls.config(), authority.client(None, ALL)).await.unwrap(), first);
        std::fs::remove_file(&files.key).unwrap();
        assert!(tls.reload_if_changed().is_err());
    }

    #[tokio::test]
    async fn watching_ends_when_cancelled() {
        let authority = Authority::new();
        let files = authority.issue("server");
        let tls = Arc::new(ReloadingTls::load(files).unwrap());
        let first = connect(tls.config(), authority.client(None, ALL)).await.unwrap();
        let token = CancellationToken::new();
        let watch = tokio::spawn(Arc::clone(&tls).watch(Duration::from_millis(5), token.clone()));
        authority.issue("server");
        let changed = async {
            while connect(tls.config(), authority.client(None, ALL)).await.unwrap() == first {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), changed).await.unwrap();
        token.cancel();
        tokio::time::timeout(Duration::from_secs(10), watch).await.unwrap().unwrap();
    }
}
