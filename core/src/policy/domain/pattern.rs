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

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str) -> bool {
        DomainPattern::parse(pattern).unwrap().matches(&Host::read_named(host).unwrap())
    }

    #[test]
    fn refuses_entries_that_are_no_host() {
        for entry in [
            "",
            " ",
            "example.org ",
            " example.org",
            "exam ple.org",
            "example.org\n",
            "https://example.org",
            "//example.org",
            "example.org/",
            "example.org/x",
            "example.org?x",
            "example.org#x",
            "example.org:80",
            "127.0.0.1:80",
            "[::1]:80",
            "https:",
            "user@example.org",
            "a.*.org",
            "example.*",
            "*example.org",
            "**.example.org",
            "*.*.org",
            "*.*",
            "*.",
            "**",
            "*.1.2.3.4",
            "*.1",
            "*.[::1]",
            "*.::1",
            "a..b",
            ".example.org",
            "example.org..",
            ".",
            "256.0.0.1",
            "[::1",
            "[fe80::1%25eth0]",
            "a;b",
            "a%2fb",
            "%2a.example.org",
            "\\\\host",
            "xn--a",
            "*\u{3002}example.org",
        ] {
            let error = DomainPattern::parse(entry).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{entry:?}");
        }
    }

    #[test]
    fn matches_a_host_only_as_a_whole() {
        for host in [
            "www.example.org",
            "evilexample.org",
            "example.org.evil.test",
            "example.orgx",
            "example",
            "org",
            "xample.org",
        ] {
            assert!(!matches("example.org", host), "{host}");
        }
        for host in ["example.org", "EXAMPLE.org.", "https://u:p@example.org:1/x"] {
            assert!(matches("Example.ORG.", host), "{host}");
        }
        assert!(matches("stra\u{df}e.example", "xn--strae-oqa.example"));
        assert!(!matches("stra\u{df}e.example", "strasse.example"));
        assert!(!matches("example.org", "\u{435}xample.org"));
        assert!(matches("localhost", "localhost:3000"));
    }

    #[test]
    fn matches_proper_subdomains() {
        for host in ["example.org", "evilexample.org", "example.org.evil.test", "a.example.orgx", "127.0.0.1"] {
            assert!(!matches("*.example.org", host), "{host}");
        }
        for host in ["a.example.org", "a.b.EXAMPLE.org.", "xn--bcher-kva.example.org"] {
            assert!(matches("*.example.org.", host), "{host}");
        }
        assert!(matches("*.b\u{fc}cher.example", "a.xn--bcher-kva.example"));
    }

    #[test]
    fn matches_addresses_only_with_identical_ones() {
        for (pattern, host) in [
            ("127.0.0.1", "127.0.0.2"),
            ("127.0.0.1", "[::ffff:127.0.0.1]"),
            ("127.0.0.1", "[::1]"),
            ("[::1]", "127.0.0.1"),
            ("::1", "[::2]"),
            ("*", "127.0.0.1"),
            ("*", "[::1]"),
            ("*", "2130706433"),
            ("*", "0x7f.1"),
            ("127.0.0.1", "127.0.0.1.evil.test"),
            ("*.0x", "1.0x"),
        ] {
            let allowed =
                DomainPattern::parse(pattern).is_ok_and(|parsed| parsed.matches(&Host::read_named(host).unwrap()));
            assert!(!allowed, "{pattern} {host}");
        }
        for (pattern, host) in [
            ("127.0.0.1", "0x7f.1"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1."),
            ("[2001:DB8:0::1]", "[2001:db8::1]:80"),
            ("2001:db8::1", "http://[2001:db8:0:0::1]/"),
            ("*", "example.org"),
            ("*", "localhost"),
        ] {
            assert!(matches(pattern, host), "{pattern} {host}");
        }
    }
}
