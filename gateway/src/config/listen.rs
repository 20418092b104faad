//! Where the gateway listens, and what the HTTP front accepts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, Fields, quote};
use url::Url;

use super::address::{base_url, socket};
use super::base::Base;
use super::host::HostPattern;
use super::network::Network;
use super::tls::TlsConfig;

/// Port of the agents' listener without configuration.
pub const DEFAULT_PORT: u16 = 8787;

/// The agents' listener (section 5, "HTTP front").
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Address and port to bind; port 0 takes a free one.
    pub address: SocketAddr,
    /// URL under which agents reach the gateway, without trailing slash.
    pub public_url: Option<String>,
    /// Whether a proxy in front of the gateway ends TLS.
    pub behind_tls_proxy: bool,
    /// Certificate and key, when the gateway itself serves TLS.
    pub tls: Option<TlsConfig>,
    /// Values of `Origin` that are accepted; a request without the header always is.
    pub allowed_origins: Vec<String>,
    /// Values of `Host` that are accepted; `None` means those of [`ListenConfig::hosts`].
    pub allowed_hosts: Option<Vec<HostPattern>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

impl ListenConfig {
    pub(super) fn read(fields: &Fields<'_>, base: &Base<'_>) -> Result<Self> {
        let boolean = |name| fields.optional(name).map_or(Ok(false), |field| field.boolean());
        let texts = |name: &str| fields.optional(name).map_or(Ok(Vec::new()), |field| field.texts());
        let listen = fields.optional("listen");
        let config = Self {
            address: listen
                .as_ref()
                .map_or(Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT)), socket)?,
            public_url: fields.optional("public_url").map(|field| base_url(&field)).transpose()?,
            behind_tls_proxy: boolean("behind_tls_proxy")?,
            tls: fields.optional("tls").map(|field| TlsConfig::read(&field, base)).transpose()?,
            allowed_origins: texts("allowed_origins")?
                .iter()
                .map(|(text, field)| origin(text, field))
                .collect::<Result<_>>()?,
            allowed_hosts: fields.optional("allowed_hosts").map(|field| hosts(&field)).transpose()?,
            trusted_proxies: texts("trusted_proxies")?
                .iter()
                .map(|(text, field)| network(text, field))
                .collect::<Result<_>>()?,
        };
        if let (Some(listen), false, None, false) = (listen, config.is_loopback(), &config.tls, config.behind_tls_proxy)
        {
            return Err(listen.error(&format!(
                "`{}` is not loopback: configure `tls`, or set `behind_tls_proxy: true` when a proxy ends TLS",
                config.address
            )));
        }
        Ok(config)
    }

    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// The URL of the gateway once it listens on `bound`: `public_url`, or scheme, address and port.
    #[must_use]
    pub fn url(&self, bound: SocketAddr) -> String {
        match &self.public_url {
            Some(url) => url.clone(),
            None => format!("{}://{bound}", if self.tls.is_some() { "https" } else { "http" }),
        }
    }

    /// The accepted values of `Host` once the gateway listens on `bound`: `allowed_hosts`, or the bound address,
    /// `localhost` and the host of `public_url`.
    #[must_use]
    pub fn hosts(&self, bound: SocketAddr) -> Vec<HostPattern> {
        if let Some(hosts) = &self.allowed_hosts {
            return hosts.clone();
        }
        let address = match bound.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let port = Some(bound.port());
        let mut hosts = vec![HostPattern::new(&address, port), HostPattern::new("localhost", port)];
        if let Some(url) = self.public_url.as_deref().and_then(|url| Url::parse(url).ok()) {
            hosts.extend(url.host_str().map(|host| HostPattern::new(host, url.port())));
        }
        hosts
    }
}

fn origin(text: &str, field: &Cursor<'_>) -> Result<String> {
    let refuse = || field.error(&format!("{} is not an origin such as `https://app.example.org`", quote(text)));
    let url = Url::parse(text).map_err(|_| refuse())?;
    let origin = url.origin().ascii_serialization();
    // The parser forgives case, a default port and a trailing slash; more than those is a mistake.
    let tuple = url.origin().is_tuple() && matches!(url.scheme(), "http" | "https");
    if !tuple || url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(refuse());
    }
    Ok(origin)
}

fn hosts(field: &Cursor<'_>) -> Result<Vec<HostPattern>> {
    let entries = field.texts()?;
    if entries.is_empty() {
        return Err(field.error("is empty, so that every request would be refused; leave it out for the default"));
    }
    entries
        .iter()
        .map(|(text, field)| {
            HostPattern::parse(text).ok_or_else(|| {
                field.error(&format!("{} is not a host such as `gateway.example.org` or `10.0.0.1:8787`", quote(text)))
            })
        })
        .collect()
}

fn network(text: &str, field: &Cursor<'_>) -> Result<Network> {
    Network::parse(text)
        .ok_or_else(|| field.error(&format!("{} is not an address or a network such as `10.0.0.0/8`", quote(text))))
}
