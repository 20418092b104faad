//! Names under which requests may address the gateway.

/// A host, with a port or for any port, compared with the `Host` header of each request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Parses `host`, `host:port`, `[address]` or `[address]:port`; `None` for another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = if text.starts_with('[') {
            let end = text.find(']')?.checked_add(1)?;
            let (host, rest) = text.split_at_checked(end)?;
            let inner = host.strip_prefix('[')?.strip_suffix(']')?;
            let address: std::net::Ipv6Addr = inner.parse().ok()?;
            (format!("[{address}]"), rest)
        } else {
            let end = text.find(':').unwrap_or(text.len());
            let (host, rest) = text.split_at_checked(end)?;
            let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            if host.is_empty() || !host.bytes().all(name) {
                return None;
            }
            (host.to_ascii_lowercase(), rest)
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// A host of this gateway's own making.
    pub(super) fn new(host: &str, port: Option<u16>) -> Self {
        Self { host: host.to_ascii_lowercase(), port }
    }

    /// Whether a request with this `Host` header is meant for the gateway.
    #[must_use]
    pub fn matches(&self, header: &str) -> bool {
        Self::parse(header)
            .is_some_and(|given| given.host == self.host && (self.port.is_none() || given.port == self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_host() {
        for text in [
            "",
            ":80",
            "a b",
            "*",
            "*.example.org",
            "a:b",
            "a:99999",
            "a:1:2",
            "[::1",
            "[x]",
            "[::1]x",
            "user@a",
            "a/b",
            "a:+1",
        ] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn compares_whole_names() {
        for (pattern, header, matches) in [
            ("example.org", "EXAMPLE.org", true),
            ("example.org", "example.org:8443", true),
            ("example.org:8443", "example.org:8443", true),
            ("example.org:8443", "example.org", false),
            ("example.org", "evil.example.org", false),
            ("example.org", "example.org.evil.test", false),
            ("example.org", "example.org:80:80", false),
            ("example.org", "", false),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]:80", true),
            ("127.0.0.1", "127.0.0.1:1", true),
        ] {
            assert_eq!(HostPattern::parse(pattern).unwrap().matches(header), matches, "{pattern} {header}");
        }
    }
}
