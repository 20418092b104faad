//! What a client can be told (section 11, Additions).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use smcp_core::smcp::Dialect;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};
use url::{Host, Url};

use crate::clock::system_now;
use crate::{Credential, Environment, FileCredential, SessionSigner};

/// A client certificate for mutual TLS, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key; the certificate's file when `None`.
    pub key: Option<PathBuf>,
}

/// Everything a client is made from. [`ClientOptions::new`] gives the defaults.
#[derive(Clone)]
pub struct ClientOptions {
    /// URL of the gateway, without the routes. Checked at the first use, not before.
    pub gateway_url: String,
    /// Who this workload says it is.
    pub workload_id: String,
    /// The SecurityContext it asks for.
    pub security_scope: String,
    /// The dialect; `smcp/v1`.
    pub dialect: Dialect,
    /// Deadline of a call; 30 s.
    pub timeout: Duration,
    /// Deadline of an attestation; 10 s.
    pub attest_timeout: Duration,
    /// Tries beyond the first, where they are safe; 2.
    pub max_retries: u32,
    /// Headers sent with every request.
    pub headers: Vec<(String, String)>,
    /// PEM file of the only certificate authorities to trust. Without it `REQUESTS_CA_BUNDLE`, which the
    /// published SDK obeyed, then `SSL_CERT_FILE`, then the platform's.
    pub ca_file: Option<PathBuf>,
    /// Client certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// For development: plain `http` beyond the loopback interface. Token and credential can then be read on the way.
    pub allow_insecure_http: bool,
    /// For development: TLS 1.2 beside 1.3.
    pub allow_tls12: bool,
    /// Proxy of `https` requests. Without it `HTTPS_PROXY` and `NO_PROXY`. Plain `http` never uses a proxy.
    pub proxy: Option<String>,
    /// Largest answer in bytes; 16 MiB.
    pub max_response_bytes: usize,
    /// Whether to sign with the gateway's clock as its answers show it; off.
    pub clock_correction: bool,
    /// Whether to attest anew before expiry, and once when the gateway no longer knows the session; on.
    pub reattest: bool,
    /// What the workload shows at each attestation. Without it the file that `SMCP_WORKLOAD_TOKEN_FILE` names.
    pub workload_credential: Option<Arc<dyn Credential>>,
    /// A registered key or a foreign signer; without it every attestation makes a key of its own.
    pub key: Option<SessionSigner>,
    /// Environment variables.
    pub environment: Environment,
    /// Clock; this machine's.
    pub clock: Arc<dyn Fn() -> UnixTime + Send + Sync>,
}

impl ClientOptions {
    /// The defaults for a gateway, a workload and a context.
    #[must_use]
    pub fn new(gateway_url: &str, workload_id: &str, security_scope: &str) -> Self {
        Self {
            gateway_url: gateway_url.trim_end_matches('/').to_owned(),
            workload_id: workload_id.to_owned(),
            security_scope: security_scope.to_owned(),
            dialect: Dialect::Smcp,
            timeout: Duration::from_secs(30),
            attest_timeout: Duration::from_secs(10),
            max_retries: 2,
            headers: Vec::new(),
            ca_file: None,
            client_certificate: None,
            allow_insecure_http: false,
            allow_tls12: false,
            proxy: None,
            max_response_bytes: 16 << 20,
            clock_correction: false,
            reattest: true,
            workload_credential: None,
            key: None,
            environment: Environment::process(),
            clock: Arc::new(system_now),
        }
    }

    /// Options from `SMCP_GATEWAY_URL`, `SMCP_WORKLOAD_ID` and `SMCP_SECURITY_SCOPE`, which must be set, and from
    /// `SMCP_TIMEOUT` (seconds), `SMCP_MAX_RETRIES`, `SMCP_CA_FILE`, `SMCP_CLIENT_CERT`, `SMCP_CLIENT_KEY` and
    /// `SMCP_ALLOW_INSECURE_HTTP` (`1` or `true`), which may.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with the variable that is missing or wrong.
    pub fn from_environment(environment: Environment) -> Result<Self> {
        let required = |name: &str| {
            environment.get(name).ok_or_else(|| invalid(format!("the environment variable `{name}` is not set")))
        };
        let mut options = Self::new(
            &required("SMCP_GATEWAY_URL")?,
            &required("SMCP_WORKLOAD_ID")?,
            &required("SMCP_SECURITY_SCOPE")?,
        );
        if let Some(text) = environment.get("SMCP_TIMEOUT") {
            let seconds = f64::from_str(&text).ok().filter(|seconds| *seconds > 0.0);
            let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            options.timeout =
                timeout.ok_or_else(|| invalid(format!("`SMCP_TIMEOUT` is no number of seconds: `{text}`")))?;
        }
        if let Some(text) = environment.get("SMCP_MAX_RETRIES") {
            options.max_retries =
                text.parse().map_err(|_| invalid(format!("`SMCP_MAX_RETRIES` is no whole number: `{text}`")))?;
        }
        options.ca_file = environment.get("SMCP_CA_FILE").map(PathBuf::from);
        options.client_certificate = environment.get("SMCP_CLIENT_CERT").map(|certificate| ClientCertificate {
            certificate: certificate.into(),
            key: environment.get("SMCP_CLIENT_KEY").map(PathBuf::from),
        });
        options.allow_insecure_http = match environment.get("SMCP_ALLOW_INSECURE_HTTP").as_deref() {
            None | Some("0" | "false") => false,
            Some("1" | "true") => true,
            Some(text) => {
                return Err(invalid(format!("`SMCP_ALLOW_INSECURE_HTTP` is neither `true` nor `false`: `{text}`")));
            }
        };
        options.environment = environment;
        Ok(options)
    }

    /// The credential to show: the configured one, or the file of the environment.
    pub(crate) fn credential(&self) -> Option<Arc<dyn Credential>> {
        let from_file = || {
            let path = self.environment.get("SMCP_WORKLOAD_TOKEN_FILE")?;
            let credential: Arc<dyn Credential> = Arc::new(FileCredential::new(path.into()));
            Some(credential)
        };
        self.workload_credential.clone().or_else(from_file)
    }

    /// Checks the gateway's URL and returns it parsed.
    ///
    /// # Errors
    /// `CONFIG_INVALID`.
    pub(crate) fn checked_url(&self) -> Result<Url> {
        let text = &self.gateway_url;
        // The parser would repair these silently, and the proof of possession names the text as it was given.
        if text.chars().any(|character| character.is_control() || character.is_whitespace() || character == '\\') {
            return Err(invalid(format!("the gateway URL `{}` has a character no URL has", text.escape_debug())));
        }
        let url = Url::parse(text).map_err(|error| invalid(format!("the gateway URL `{text}` is no URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the gateway URL has a user name or password; use a workload credential".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid(format!("the gateway URL `{text}` has a query or a fragment")));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self.allow_insecure_http || is_loopback(&url) => Ok(url),
            "http" => Err(invalid(format!(
                "the gateway URL `{text}` is plain http beyond loopback; use https, or `allow_insecure_http` in development"
            ))),
            _ => Err(invalid(format!("the gateway URL `{text}` is neither https nor http"))),
        }
    }
}

/// Whether the URL's host can only be this machine. A name other than `localhost` may resolve to anything.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message)
}

/// Headers and credential may be secrets.
impl fmt::Debug for ClientOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientOptions")
            .field("gateway_url", &self.gateway_url)
            .field("workload_id", &self.workload_id)
            .field("security_scope", &self.security_scope)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<Url> {
        ClientOptions::new(url, "w", "s").checked_url()
    }

    #[test]
    fn plain_http_only_to_loopback() {
        for url in ["http://127.0.0.1:8080", "http://127.8.9.1", "http://[::1]:1/", "http://localhost:5", "https://gw"]
        {
            check(url).unwrap();
        }
        for url in [
            "http://gateway.example",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "http://[::ffff:127.0.0.1]",
            "http://0.0.0.0",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "gateway",
            "",
            "https://user:secret@gw",
            "https://gw/?a=b",
            "https://gw/#f",
            "https://g\tw",
            "https:\\\\gw",
        ] {
            let error = check(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{url}");
            assert!(!error.message().contains("secret"));
        }
        let mut options = ClientOptions::new("http://gateway.example", "w", "s");
        options.allow_insecure_http = true;
        options.checked_url().unwrap();
    }

    #[test]
    fn reads_the_environment() {
        let required = [("SMCP_GATEWAY_URL", "https://gw/"), ("SMCP_WORKLOAD_ID", "w"), ("SMCP_SECURITY_SCOPE", "s")];
        let with = |more: &[(&'static str, &'static str)]| {
            ClientOptions::from_environment(Environment::fixed(required.iter().chain(more).copied()))
        };
        let options = with(&[("SMCP_TIMEOUT", "2.5"), ("SMCP_CLIENT_CERT", "/c"), ("SMCP_MAX_RETRIES", "0")]).unwrap();
        assert_eq!(options.gateway_url, "https://gw");
        assert_eq!((options.timeout, options.max_retries), (Duration::from_millis(2500), 0));
        let certificate = ClientCertificate { certificate: "/c".into(), key: None };
        assert_eq!(options.client_certificate, Some(certificate));
        for wrong in [
            ("SMCP_TIMEOUT", "-1"),
            ("SMCP_TIMEOUT", "nan"),
            ("SMCP_TIMEOUT", "inf"),
            ("SMCP_MAX_RETRIES", "x"),
            ("SMCP_ALLOW_INSECURE_HTTP", "yes"),
        ] {
            let error = with(&[wrong]).unwrap_err();
            assert!(error.message().contains(wrong.0), "{error}");
        }
        let error = ClientOptions::from_environment(Environment::fixed([])).unwrap_err();
        assert!(error.message().contains("SMCP_GATEWAY_URL"));
    }
}
