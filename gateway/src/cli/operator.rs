//! Calls of the operator API (section 5).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use rustls::crypto::ring;
use smcp_core::json::{self, Kind, Limits, Value};
use smcp_core::{Error, ErrorKind};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::connection::require_file;
use super::failure::{Failure, Outcome};
use super::input::shown;
use super::runtime::block_on;
use crate::config::{Config, DEFAULT_OPERATOR_PORT};
use crate::signer::read_operator_token;

/// The largest answer in bytes; a list of the most sessions a gateway holds has about 50 MiB.
const LARGEST_ANSWER: usize = 64 << 20;
/// Longest time for a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where the operator API listens and what opens it.
#[derive(Args, Clone, Debug)]
pub(super) struct OperatorArguments {
    /// URL of the operator API [default: the configuration's, or http://127.0.0.1:8788]
    #[arg(long, value_name = "URL", env = "SMCP_OPERATOR_URL")]
    operator_url: Option<String>,

    /// File with the operator's token [default: the configuration's]
    #[arg(long, value_name = "FILE", env = "SMCP_OPERATOR_TOKEN_FILE")]
    operator_token_file: Option<PathBuf>,

    /// The gateway's configuration, which names both
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl OperatorArguments {
    pub(super) fn connect(&self) -> Outcome<Operator> {
        let mut url = self.operator_url.clone();
        let mut token_file = self.operator_token_file.clone();
        if let Some(path) = &self.config {
            require_file(path)?;
            let config = Config::load(path)?;
            let operator = config
                .operator
                .ok_or_else(|| Failure::usage(format!("{}: `operator` is switched off", shown(path))))?;
            url = url.or_else(|| (operator.address.port() != 0).then(|| url_of(operator.address)));
            token_file = token_file.or(Some(operator.token_file));
            if url.is_none() {
                return Err(Failure::usage(format!(
                    "{}: the operator's port is chosen at each start; give `--operator-url`",
                    shown(path)
                )));
            }
        }
        let token_file = token_file.ok_or_else(|| {
            Failure::usage("no operator token: give `--operator-token-file FILE`, `--config FILE`, or set `SMCP_OPERATOR_TOKEN_FILE`")
        })?;
        require_file(&token_file)?;
        let url = url.unwrap_or_else(|| format!("http://127.0.0.1:{DEFAULT_OPERATOR_PORT}"));
        Operator::new(&url, read_operator_token(&token_file)?)
    }
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// The operator API of one gateway.
pub(super) struct Operator {
    base: String,
    token: Zeroizing<String>,
    http: reqwest::Client,
}

impl Operator {
    pub(super) fn new(url: &str, token: Zeroizing<String>) -> Outcome<Self> {
        let refuse = |what: &str| Failure::usage(format!("the operator URL `{url}` {what}"));
        let parsed = Url::parse(url).map_err(|error| refuse(&format!("is no URL: {error}")))?;
        let loopback = match parsed.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        // The token opens everything and the API has no TLS, so it never leaves this machine; ssh carries it further.
        if parsed.scheme() != "http" || !loopback || !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refuse("is not `http` to a loopback address"));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(refuse("has a query or a fragment"));
        }
        Ok(Self { base: url.trim_end_matches('/').to_owned(), token, http: http_client()? })
    }

    /// Sends a request and returns the body of a successful answer, which is a JSON object.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Outcome<Vec<u8>> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", *self.token));
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let unreachable = |error: reqwest::Error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), innermost);
            Failure::unavailable(format!("the operator API at `{}` cannot be reached: {why}", self.base))
                .with_hint("is the gateway running, and does `--operator-url` name its operator API?")
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(strange("is too large"));
            }
        }
        check_answer(status, &body)?;
        Ok(body)
    }

    /// As [`Operator::call`], on the calling thread.
    pub(super) fn call_blocking(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Outcome<Vec<u8>> {
        block_on(self.call(method, path, body))?
    }
}

/// A client that goes straight to the address it is given: no proxy, no redirect, no TLS.
pub(super) fn http_client() -> Outcome<reqwest::Client> {
    let broken = |error: String| Failure::from(Error::new(ErrorKind::InternalError, error));
    // Without a configuration of its own, building the client would look for a process-global one.
    let unused = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| broken(format!("TLS cannot be configured: {error}")))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(unused)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| broken(format!("the HTTP client cannot be made: {error}")))
}

/// The cause at the bottom, which says what really happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut current = error;
    while let Some(deeper) = current.source() {
        current = deeper;
    }
    current.to_string()
}

fn strange(what: &str) -> Failure {
    Failure::from(Error::new(ErrorKind::BadResponse, format!("the answer of the operator API {what}")))
}

/// The limits of an answer.
pub(super) fn limits() -> Limits {
    Limits { bytes: LARGEST_ANSWER, ..Limits::default() }
}

fn check_answer(status: u16, body: &[u8]) -> Outcome<()> {
    let document = json::scan_with(body, limits()).ok();
    let root = document.as_ref().map(json::Document::root).filter(|root| root.kind() == Kind::Object);
    let Some(root) = root else {
        return Err(strange(&format!("is not one of a gateway (HTTP {status})")));
    };
    if (200..300).contains(&status) {
        return Ok(());
    }
    let message = text(root, "message").unwrap_or_else(|| format!("HTTP {status}"));
    if let Some(kind) = text(root, "code").and_then(|code| ErrorKind::from_name(&code)) {
        // What the API calls an invalid argument came from this command line.
        return Err(Error::new(kind, message).into());
    }
    Err(match status {
        401 => {
            Failure::check(message).with_hint("the token file belongs to another gateway, or the token was replaced")
        }
        _ => Failure::check(message),
    })
}

/// A text member of an answer.
pub(super) fn text(object: Value<'_>, name: &str) -> Option<String> {
    Some(object.get(name)?.as_str()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Zeroizing<String> {
        Zeroizing::new("token".to_owned())
    }

    #[test]
    fn the_token_stays_on_this_machine() {
        for url in [
            "http://example.org",
            "http://10.0.0.1:8788",
            "https://127.0.0.1:8788",
            "http://127.0.0.1.example.org",
            "http://user@127.0.0.1",
            "http://127.0.0.1/?a",
            "ftp://127.0.0.1",
            "127.0.0.1:8788",
            "",
        ] {
            assert!(Operator::new(url, token()).is_err(), "{url}");
        }
        for url in ["http://127.0.0.1:8788", "http://localhost:1/", "http://[::1]:8788"] {
            assert!(Operator::new(url, token()).is_ok(), "{url}");
        }
    }

    #[test]
    fn answers_of_others_are_not_believed() {
        assert!(check_answer(200, b"{}").is_ok());
        for (status, body) in [(200, "<html>"), (502, "<html>"), (200, "[]"), (404, r#"{"message":"gone"}"#)] {
            assert!(check_answer(status, body.as_bytes()).is_err(), "{status} {body}");
        }
        let failure = check_answer(400, br#"{"code":"INVALID_ARGUMENT","message":"m"}"#).unwrap_err();
        assert_eq!((failure.status, failure.text()), (super::super::ExitStatus::Usage, "m".to_owned()));
    }
}
