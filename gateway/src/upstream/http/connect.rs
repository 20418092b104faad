//! The HTTP client of one tool server: TLS with its own trust, no redirects, no proxies, no retries.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier, client::WantsClientCert};
use rustls_platform_verifier::BuilderVerifierExt;
use smcp_core::error::{Error, ErrorKind};
use url::{Host, Url};

use crate::config::HttpConfig;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers the protocol or HTTP itself sets.
const RESERVED: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// One tool server, ready to be connected to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Client with this server's TLS configuration.
    pub(crate) client: reqwest::Client,
    /// Its URL.
    pub(crate) url: Arc<str>,
    /// Headers of every request.
    pub(crate) headers: HashMap<HeaderName, HeaderValue>,
}

/// Checks the settings of a server and builds its client.
///
/// # Errors
///
/// `CONFIG_INVALID` naming the setting.
pub(crate) fn endpoint(server: &str, config: &HttpConfig) -> Result<Endpoint, Error> {
    let invalid = |message: String| Error::new(ErrorKind::ConfigInvalid, format!("upstream `{server}`: {message}"));
    let url = checked_url(&config.url).map_err(invalid)?;
    let headers = checked_headers(config).map_err(invalid)?;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(config).map_err(invalid)?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        // Plain http is allowed to this name only because it is this machine, whatever a resolver says.
        .resolve_to_addrs("localhost", &[loopback(Ipv4Addr::LOCALHOST.into()), loopback(Ipv6Addr::LOCALHOST.into())]);
    let client = builder.build().map_err(|error| invalid(format!("cannot build an HTTP client: {error}")))?;
    Ok(Endpoint { client, url: url.as_str().into(), headers })
}

/// Port 0 stands for the port of the URL.
fn loopback(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 0)
}

fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`url` `{text}`: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` must not hold a user name or password, use `headers`".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host().is_some_and(|host| is_loopback(&host)) => Ok(url),
        "http" => Err(format!("`url` `{text}`: plain http is allowed to loopback only, use https")),
        scheme => Err(format!("`url` has the scheme `{scheme}`, expected https")),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn checked_headers(config: &HttpConfig) -> Result<HashMap<HeaderName, HeaderValue>, String> {
    config
        .headers
        .iter()
        .map(|(name, value)| {
            let parsed =
                HeaderName::try_from(name.as_str()).map_err(|_bad| format!("`headers`: `{name}` is no header name"))?;
            if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-param-") {
                return Err(format!("`headers`: `{name}` is set by the gateway itself"));
            }
            // The value may be an API key and is not repeated.
            let mut value = HeaderValue::try_from(value.as_str())
                .map_err(|_bad| format!("`headers`: the value of `{name}` has characters a header cannot hold"))?;
            value.set_sensitive(true);
            Ok((parsed, value))
        })
        .collect()
}

/// A TLS configuration of this client alone: libraries must not depend on a process-wide provider.
fn tls(config: &HttpConfig) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let builder = with_roots(builder, config)?;
    let mut tls = match &config.client_cert {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let (chain, key) = client_certificate(file)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("`client_cert` `{}`: {error}", file.display()))?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn with_roots(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
    config: &HttpConfig,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let Some(file) = &config.ca_file else {
        return builder
            .with_platform_verifier()
            .map_err(|error| format!("the system's certificate authorities: {error}"));
    };
    let describe = |error: &dyn std::fmt::Display| format!("`ca_file` `{}`: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| describe(&error))? {
        let certificate = certificate.map_err(|error| describe(&error))?;
        roots.add(certificate).map_err(|error| describe(&error))?;
    }
    if roots.is_empty() {
        return Err(describe(&"holds no certificate"));
    }
    Ok(builder.with_root_certificates(roots))
}

fn client_certificate(file: &Path) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let describe = |error: &dyn std::fmt::Display| format!("`client_cert` `{}`: {error}", file.display());
    let chain = CertificateDer::pem_file_iter(file)
        .map_err(|error| describe(&error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| describe(&error))?;
    if chain.is_empty() {
        return Err(describe(&"holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(file).map_err(|error| describe(&error))?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> HttpConfig {
        HttpConfig { url: url.to_owned(), headers: Default::default(), ca_file: None, client_cert: None }
    }

    #[test]
    fn plain_http_only_to_loopback() {
        for url in
            ["http://127.0.0.1:1/mcp", "http://127.9.9.9/", "http://[::1]:80/", "http://LocalHost/", "https://h/"]
        {
            assert!(checked_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://example.org/",
            "http://10.0.0.1/",
            "http://localhost.example.org/",
            "http://0.0.0.0/",
            "http://[::ffff:127.0.0.1]/",
            "ftp://localhost/",
            "file:///x",
            "localhost",
            "https://user@h/",
            "https://u:p@h/",
        ] {
            assert!(checked_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn reserved_headers_are_refused_and_values_not_repeated() {
        for name in ["Host", "mcp-session-id", "Mcp-Param-X", "Accept", "no space"] {
            let mut config = config("https://h/");
            config.headers.insert(name.to_owned(), "s3cret".to_owned());
            let error = endpoint("x", &config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert!(!error.message().contains("s3cret"), "{error}");
        }
        let mut config = config("https://h/");
        config.headers.insert("x-key".to_owned(), "s3cret\n".to_owned());
        assert!(!endpoint("x", &config).unwrap_err().message().contains("s3cret"));
    }

    #[test]
    fn files_that_hold_no_certificate_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut broken = config("https://h/");
        broken.ca_file = Some(file.path().to_owned());
        assert!(endpoint("x", &broken).unwrap_err().message().contains("ca_file"));
        let mut broken = config("https://h/");
        broken.client_cert = Some("/nonexistent.pem".into());
        assert!(endpoint("x", &broken).unwrap_err().message().contains("client_cert"));
    }
}
