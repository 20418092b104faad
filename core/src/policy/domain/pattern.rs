//! Entries of a domain allowlist.

use std::net::Ipv6Addr;

use super::host::Host;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::quote::Quoted;

/// An allowed host, or a wildcard over its subdomains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainPattern {
    text: String,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// `*`: any name, but no address.
    EveryName,
    /// `*.name`: any proper subdomain; holds `.name`.
    Below(String),
    /// A name or an address.
    Exact(Host),
}

impl DomainPattern {
    /// Parses the text of an entry and brings it into the spelling of [`Host`].
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the entry is empty, is no host, has a scheme, user, port or path, or a wildcard anywhere but in
    /// place of the whole first label of a name.
    pub fn parse(text: &str) -> Result<Self> {
        let shape = read(text).map_err(|reason| {
            Error::new(ErrorKind::ConfigInvalid, format!("domain entry {} {reason}", Quoted(text)))
        })?;
        Ok(Self { text: text.to_owned(), shape })
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the entry covers `host`.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match &self.shape {
            Shape::EveryName => !host.is_address(),
            Shape::Below(parent) => !host.is_address() && host.text().ends_with(parent.as_str()),
            Shape::Exact(wanted) => wanted == host,
        }
    }
}

fn read(text: &str) -> std::result::Result<Shape, &'static str> {
    if text == "*" {
        return Ok(Shape::EveryName);
    }
    match text.strip_prefix("*.") {
        None => read_host(text).map(Shape::Exact),
        Some(parent) => {
            let parent = read_host(parent)?;
            if parent.is_address() {
                return Err("has a wildcard before an address");
            }
            // A host has no empty label, so whatever stands before the dot is at least one label.
            Ok(Shape::Below(format!(".{}", parent.text())))
        }
    }
}

fn read_host(text: &str) -> std::result::Result<Host, &'static str> {
    if text.is_empty() {
        return Err("has no host");
    }
    if text.contains('*') {
        return Err("has a wildcard that does not stand for the whole first label");
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Host::of(&url::Host::Ipv6(address));
    }
    if text.contains("://") {
        return Err("has a scheme; write the host alone");
    }
    if text.contains(['/', '\\', '?', '#']) {
        return Err("has a path or query; write the host alone");
    }
    if text.contains('@') {
        return Err("has a user; write the host alone");
    }
    if text.contains(|character: char| character.is_control() || character.is_whitespace()) {
        return Err("has a space or control character in it");
    }
    if !text.starts_with('[') && text.contains(':') || text.contains("]:") {
        return Err("has a scheme or port; write the host alone");
    }
    let host = url::Host::parse(text).map_err(|_error| "is no host")?;
    Host::of(&host)
}
