//! URLs and socket addresses in a configuration.

use std::net::SocketAddr;

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, quote};
use url::{Host, Url};

/// An IP address with a port, as a socket is bound to.
pub(super) fn socket(field: &Cursor<'_>) -> Result<SocketAddr> {
    let text = field.text()?;
    text.parse().map_err(|_| {
        field.error(&format!("expected an address with a port such as `127.0.0.1:8787`, found {}", quote(text)))
    })
}

/// An `https` URL, or `http` on loopback; without user, query and fragment.
pub(super) fn secure_url(field: &Cursor<'_>) -> Result<Url> {
    let text = field.non_empty_text()?;
    let url = Url::parse(text).map_err(|error| field.error(&format!("{} is not a URL: {error}", quote(text))))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(field.error("a URL with user or password is not accepted"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(field.error("a URL with query or fragment is not accepted"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(field.error("plain `http` is accepted for loopback only; use `https`")),
        _ => Err(field.error(&format!("expected an `https` URL, found {}", quote(text)))),
    }
}

/// A secure URL as text without a trailing slash.
pub(super) fn base_url(field: &Cursor<'_>) -> Result<String> {
    Ok(secure_url(field)?.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
