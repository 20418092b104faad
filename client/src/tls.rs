//! One TLS configuration per client; nothing process-global is read or set.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_platform_verifier::BuilderVerifierExt as _;
use smcp_core::Result;

use crate::options::{ClientOptions, invalid};

const TLS13: &[&SupportedProtocolVersion] = &[&version::TLS13];
const TLS12_AND_13: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// The configuration of these options.
pub(crate) fn configure(options: &ClientOptions) -> Result<ClientConfig> {
    let versions = if options.allow_tls12 { TLS12_AND_13 } else { TLS13 };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .map_err(|error| invalid(format!("TLS cannot be configured: {error}")))?;
    let from_environment = || options.environment.first_of(&["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]).map(Into::into);
    let builder = match options.ca_file.clone().or_else(from_environment) {
        Some(path) => builder.with_root_certificates(read_roots(&path)?),
        None => builder.with_platform_verifier().map_err(|error| {
            invalid(format!("the certificate authorities of this machine cannot be read: {error}; name a `ca_file`"))
        })?,
    };
    let mut config = match &options.client_certificate {
        None => builder.with_no_client_auth(),
        Some(certificate) => {
            let key_path = certificate.key.as_ref().unwrap_or(&certificate.certificate);
            let chain = read_certificates(&certificate.certificate)?;
            let key = PrivateKeyDer::from_pem_file(key_path)
                .map_err(|error| invalid(format!("no private key in `{}`: {error}", key_path.display())))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let path = certificate.certificate.display();
                invalid(format!("the client certificate `{path}` cannot be used: {error}"))
            })?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// A configuration that trusts nobody, for a client that only speaks plain http: without any, building an HTTP client
/// would look for a process-global one.
pub(crate) fn unused() -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(TLS13)
        .map_err(|error| invalid(format!("TLS cannot be configured: {error}")))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn read_roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| {
            invalid(format!("a certificate in `{}` cannot be an authority: {error}", path.display()))
        })?;
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let refuse = |error: rustls::pki_types::pem::Error| {
        invalid(format!("the certificate file `{}` cannot be read: {error}", path.display()))
    };
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(refuse)?.collect::<std::result::Result<_, _>>().map_err(refuse)?;
    if certificates.is_empty() {
        return Err(invalid(format!("the certificate file `{}` has no certificate in it", path.display())));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientCertificate, Environment};

    #[test]
    fn broken_files_are_refused_by_name() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let garbage = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(garbage.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        for path in [empty.path(), garbage.path(), Path::new("/nonexistent.pem"), Path::new("/")] {
            let mut options = ClientOptions::new("https://gw", "w", "s");
            options.ca_file = Some(path.to_owned());
            let error = configure(&options).unwrap_err();
            assert!(error.message().contains(&path.display().to_string()), "{error}");
            options.ca_file = None;
            options.environment = Environment::fixed([("SSL_CERT_FILE", path.to_str().unwrap())]);
            assert!(configure(&options).is_err(), "{path:?}");
        }
        let mut options = ClientOptions::new("https://gw", "w", "s");
        let key = Some("/nonexistent.key".into());
        options.client_certificate = Some(ClientCertificate { certificate: empty.path().to_owned(), key });
        assert!(configure(&options).is_err());
    }
}
