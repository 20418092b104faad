//! One POST with deadline, size limit and without redirects.

use std::error::Error as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{NoProxy, Proxy};
use smcp_core::error::Executed;
use smcp_core::{Error, ErrorKind, Result};
use url::Url;

use crate::HttpAnswer;
use crate::options::{ClientOptions, invalid, is_loopback};
use crate::tls;

/// Idle connections older than this are not used again, so that a server that closes them is not raced.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The connections of one process to one gateway.
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
    max_response_bytes: usize,
}

impl Http {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self> {
        let url = options.checked_url()?;
        let shortest = options.timeout.min(options.attest_timeout);
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .pool_idle_timeout(POOL_IDLE)
            // Shorter than the deadline, so that a host that never answers is known to have got nothing.
            .connect_timeout(shortest.mul_f64(0.8))
            .default_headers(headers(options)?)
            .tls_backend_preconfigured(tls_config(options, &url)?);
        builder = match proxy(options, &url)? {
            Some(proxy) => builder.proxy(proxy),
            None => builder.no_proxy(),
        };
        if url.scheme() == "http" && is_loopback(&url) {
            // A name server does not get to say where `localhost` is.
            let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
            builder = builder.resolve_to_addrs("localhost", &here);
        }
        let client = builder.build().map_err(|error| invalid(format!("the HTTP client cannot be made: {error}")))?;
        Ok(Self { client, base: options.gateway_url.clone(), max_response_bytes: options.max_response_bytes })
    }

    /// Posts JSON and reads the whole answer.
    ///
    /// # Errors
    /// `CONNECTION_FAILED`, `TIMEOUT` or `BAD_RESPONSE`, each with `executed`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        bearer: Option<&str>,
        deadline: Duration,
    ) -> Result<HttpAnswer> {
        let mut request = self.client.post(format!("{}{path}", self.base)).timeout(deadline).body(body);
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::from_str(bearer)
                .map_err(|_| invalid("the workload credential has a character no header has".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| transport_error(error, deadline))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport_error(error, deadline))? {
            if body.len().saturating_add(chunk.len()) > self.max_response_bytes {
                let message = format!("the answer is larger than `{}` bytes", self.max_response_bytes);
                return Err(Error::new(ErrorKind::BadResponse, message).with_executed(Executed::Unknown));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { status, headers, body })
    }
}

impl HttpAnswer {
    /// The first value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(own, value)| (own == name).then_some(value.as_str()))
    }
}

fn tls_config(options: &ClientOptions, url: &Url) -> Result<rustls::ClientConfig> {
    if url.scheme() == "https" {
        return tls::configure(options);
    }
    tls::unused()
}

fn headers(options: &ClientOptions) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let refuse = |reason: &str| invalid(format!("the header `{}` {reason}", name.escape_debug()));
        let parsed: HeaderName = name.parse().map_err(|_| refuse("has no valid name"))?;
        let own = [CONTENT_TYPE.as_str(), HOST.as_str(), "content-length", "transfer-encoding", "connection"];
        if own.contains(&parsed.as_str()) {
            return Err(refuse("is set by the client itself"));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| refuse("has no valid value"))?;
        value.set_sensitive(true);
        headers.append(parsed, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.entry("user-agent").or_insert(HeaderValue::from_static(concat!("smcp/", env!("CARGO_PKG_VERSION"))));
    Ok(headers)
}

/// Only `https` goes through a proxy: plain text is for this machine alone.
fn proxy(options: &ClientOptions, url: &Url) -> Result<Option<Proxy>> {
    if url.scheme() != "https" {
        return Ok(None);
    }
    let environment = &options.environment;
    let (text, except) = match &options.proxy {
        Some(text) => (text.clone(), None),
        None if is_loopback(url) => return Ok(None),
        None => match environment.first_of(&["HTTPS_PROXY", "https_proxy"]) {
            Some(text) => (text, environment.first_of(&["NO_PROXY", "no_proxy"])),
            None => return Ok(None),
        },
    };
    // The text may hold a password, so it is not repeated.
    let proxy = Proxy::https(&text).map_err(|_| invalid("the proxy is no URL".to_owned()))?;
    Ok(Some(proxy.no_proxy(except.as_deref().and_then(NoProxy::from_string))))
}

fn transport_error(error: reqwest::Error, deadline: Duration) -> Error {
    let executed = if error.is_connect() { Executed::No } else { Executed::Unknown };
    if error.is_timeout() {
        let message = format!("no answer within `{}` seconds", deadline.as_secs_f64());
        return Error::new(ErrorKind::Timeout, message).with_executed(executed);
    }
    let mut reason = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    let what = if error.is_connect() { "the gateway cannot be reached" } else { "the connection to the gateway broke" };
    let message = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
    Error::new(ErrorKind::ConnectionFailed, message).with_executed(executed)
}
