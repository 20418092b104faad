//! The host that a URL or a bare host names.

use url::Url;

use super::raw;
use crate::policy::quote::Quoted;

/// A host in its one canonical spelling: lower case, ASCII, without trailing dot; IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    text: String,
    is_address: bool,
}

impl Host {
    /// Reads the value of an argument that is named like a URL or host.
    ///
    /// # Errors
    /// Why no host can be read, to be put behind the value: another scheme than http, https, ws, wss and ftp, nothing at
    /// all, or what [`Self::read_url`] refuses.
    pub fn read_named(text: &str) -> Result<Self, String> {
        let trimmed = raw::trim(text);
        if Self::is_absolute_url(trimmed) {
            return Self::read_url(trimmed);
        }
        if trimmed.is_empty() || trimmed.starts_with(['/', '\\']) {
            return Err("names no host".to_owned());
        }
        if let Some((scheme, rest)) = raw::scheme(trimmed)
            && !raw::is_port(rest)
        {
            return Err(format!("has the scheme {}, which is not one of the web", Quoted(scheme)));
        }
        if raw::has_empty_port(trimmed) {
            return Err("has a `:` without a port behind it".to_owned());
        }
        Self::read_url(&format!("https://{trimmed}"))
    }

    /// Reads an absolute URL, wherever it was found.
    ///
    /// # Errors
    /// Why no host can be read, to be put behind the value: it needs repair (a tab or newline, a backslash before the
    /// query, not exactly two slashes, a space or a second `@` before the path), is no URL, or its host is no name and no
    /// address.
    pub fn read_url(text: &str) -> Result<Self, String> {
        let trimmed = raw::trim(text);
        raw::check(trimmed)?;
        let url = Url::parse(trimmed).map_err(|error| format!("is no URL: {error}").to_lowercase())?;
        if !raw::WEB_SCHEMES.contains(&url.scheme()) {
            return Err("is not a URL of the web".to_owned());
        }
        let host = url.host().ok_or("names no host")?;
        Ok(Self::of(&host.to_owned())?)
    }

    /// Whether `text`, after removing control characters and spaces around it, begins with one of the schemes http, https,
    /// ws, wss, ftp and `:`, in any case.
    #[must_use]
    pub fn is_absolute_url(text: &str) -> bool {
        raw::has_web_scheme(text)
    }

    /// Shows the text of a URL or host in a message, without what may be secret: user and password, query and fragment.
    #[must_use]
    pub fn show(text: &str) -> String {
        raw::show(text)
    }

    /// The canonical spelling.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is an IP address.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.is_address
    }

    /// Takes a host a URL parser has lower-cased and converted to ASCII.
    pub(super) fn of(host: &url::Host<String>) -> Result<Self, &'static str> {
        let name = match host {
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => return Ok(Self { text: host.to_string(), is_address: true }),
            url::Host::Domain(name) => name.strip_suffix('.').unwrap_or(name),
        };
        if name.split('.').any(str::is_empty) {
            return Err("has an empty label in its host");
        }
        // The URL standard lets more through (`;`, `,`, `*`, quotes), which no resolver knows and weak parsers stop at.
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
            return Err("has a character in its host that no host name has");
        }
        Ok(Self { text: name.to_owned(), is_address: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(read: fn(&str) -> Result<Host, String>, text: &str) -> Option<String> {
        read(text).ok().map(|host| host.text().to_owned())
    }

    #[test]
    fn refuses_urls_that_need_repair() {
        for url in [
            "https:example.org/",
            "https:/example.org/",
            "https:///example.org/",
            "https:////example.org",
            "http:\\\\example.org",
            "http:/\\example.org",
            "http:\\/example.org",
            "https://example.org\\",
            "https://example.org\\@evil.test/",
            "https://evil.test\\@example.org/",
            "https://example.org/a\\b",
            "https://example.org/\\..\\?x",
            "https://\\example.org",
            "https://exam\tple.org/",
            "https://exam\nple.org/",
            "https://example.org/\r/x",
            "https://example.org/?a\tb",
            "https://example.org/#a\nb",
            "ht\ttps://example.org/",
            "https\n://example.org/",
            "https:\t//example.org",
            "http:",
            "http:/",
            "http://",
            "http:///",
            "http:80/",
            "https:0x7f000001",
        ] {
            assert_eq!(read_as(Host::read_url, url), None, "{url:?}");
            assert_eq!(read_as(Host::read_named, url), None, "{url:?}");
        }
    }

    #[test]
    fn refuses_authorities_parsers_disagree_about() {
        for url in [
            "https://a@evil.test@example.org/",
            "https://evil.test @example.org/",
            "https://evil.test\u{a0}@example.org/",
            "https://evil.test\u{0}@example.org/",
            "https://example.org evil.test/",
            "https://exa\u{2003}mple.org/",
            "https://example.org:80:90/",
            "https://example.org:x/",
            "https://example.org:99999/",
            "https://example.org: 80/",
            "https://@/",
            "https://:80/",
            "https://user@/",
            "https://[::1",
            "https://::1]/",
            "https://[::1]x/",
            "https://[fe80::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            "https://[127.0.0.1]/",
            "https://::1/",
            "https://[]/",
            "https://[::g]/",
        ] {
            assert_eq!(read_as(Host::read_url, url), None, "{url:?}");
        }
    }

    #[test]
    fn refuses_hosts_that_are_none() {
        for host in [
            ".",
            "..",
            "a..b",
            ".example.org",
            "example.org..",
            "a\u{3002}\u{3002}b",
            "example.org%2f.evil.test",
            "a%00b",
            "%ff.test",
            "a%2eb..c",
            "256.0.0.1",
            "1.2.3.4.5",
            "0x100000000",
            "example.1",
            "xn--a",
            "xn--.test",
            "evil.test;.example.org",
            "evil.test,x.example.org",
            "*.example.org",
            "a'b.test",
            "a\"b.test",
            "a(b).test",
            "a!b.test",
            "a$b.test",
            "a&b.test",
            "a+b.test",
            "{a}.test",
            "~a.test",
            "a=b.test",
            "a`b.test",
            "a<b.test",
            "a|b.test",
            "a^b.test",
            "%2525.test",
            "\u{ad}",
            "\u{fffd}.test",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(read_as(Host::read_url, &url), None, "{url}");
        }
    }

    #[test]
    fn refuses_other_schemes_under_a_domain_name() {
        for text in [
            "file:///etc/passwd",
            "file:/etc",
            "gopher://example.org/",
            "javascript:alert(1)",
            "data:text/html,x",
            "ssh://example.org",
            "mailto:a@example.org",
            "user:pw@example.org",
            "git+ssh://example.org",
            "blob:https://example.org/x",
            "view-source:https://a",
            "example.org:80x",
            "example.org:",
            "b\u{fc}cher.example:",
            "127.0.0.1:/",
            "[::1]:",
            "ht\u{ad}tp://127.0.0.1/",
            "ht\u{200b}tps://example.org/",
            "example.org:/x",
            "example.org:80:90",
            "FILE:80:x",
            "",
            " ",
            "\t\n",
            "/",
            "/example.org",
            "//example.org/",
            "\\\\example.org\\x",
            " //example.org",
            "\u{feff}//example.org",
            "::1",
            "2001:db8::1",
            "http:443",
            "HTTP:443/",
            "wss:1",
        ] {
            assert_eq!(read_as(Host::read_named, text), None, "{text:?}");
        }
        for text in ["file://example.org/", "gopher://example.org/", "example.org", "", "mailto:a@b"] {
            assert_eq!(read_as(Host::read_url, text), None, "{text:?}");
        }
    }

    #[test]
    fn reads_bare_hosts() {
        for (text, host) in [
            ("example.org", "example.org"),
            ("EXAMPLE.org.", "example.org"),
            ("example.org:8080", "example.org"),
            ("example.org:8080/x:y", "example.org"),
            ("example.org:1?x", "example.org"),
            ("example.org:1#x", "example.org"),
            ("example.org/a:b", "example.org"),
            ("example.org?a:b", "example.org"),
            ("example.org#a:b", "example.org"),
            (" example.org\n", "example.org"),
            ("https", "https"),
            ("[::1]:80", "[::1]"),
            ("127.1:80", "127.0.0.1"),
            ("user@example.org", "example.org"),
            ("b\u{fc}cher.example:80", "xn--bcher-kva.example"),
            ("localhost:3000", "localhost"),
            ("example.org/https://evil.test/", "example.org"),
        ] {
            assert_eq!(read_as(Host::read_named, text).as_deref(), Some(host), "{text:?}");
        }
    }

    #[test]
    fn brings_hosts_into_one_spelling() {
        for (url, host) in [
            ("HTTPS://EXAMPLE.org.:443/x y", "example.org"),
            ("ws://user:p%40w@example.org?@evil.test", "example.org"),
            ("wss://evil.test#@example.org", "evil.test"),
            ("ftp://example.org?\\x", "example.org"),
            ("http://example.org#\\x", "example.org"),
            ("https://example%2Eorg/", "example.org"),
            ("https://%65xample.org/", "example.org"),
            ("https://e\u{ad}xample.org/", "example.org"),
            ("https://\u{ff45}xample\u{ff0e}org/", "example.org"),
            ("https://example\u{3002}org\u{ff61}/", "example.org"),
            ("https://BU\u{308}CHER.example", "xn--bcher-kva.example"),
            ("https://stra\u{df}e.example", "xn--strae-oqa.example"),
            ("https://a_b.example", "a_b.example"),
            ("https://-a.example", "-a.example"),
            ("https://example.org:/", "example.org"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("http://2130706433/", "127.0.0.1"),
            ("http://0177.0.0.01/", "127.0.0.1"),
            ("http://127.0.0.1./", "127.0.0.1"),
            ("http://\u{ff11}27.1/", "127.0.0.1"),
            ("http://%31%32%37.1/", "127.0.0.1"),
            ("http://0/", "0.0.0.0"),
            ("http://1.2.3.0x/", "1.2.3.0"),
            ("https://example.org/x\n", "example.org"),
            ("http://[::FFFF:127.0.0.1]/", "[::ffff:7f00:1]"),
            ("http://[2001:DB8:0:0::1]:80/", "[2001:db8::1]"),
            ("\u{0}\u{1f} \u{a0}https://example.org\u{85}", "example.org"),
            ("http://127.0.0.1.evil.test", "127.0.0.1.evil.test"),
        ] {
            assert_eq!(read_as(Host::read_url, url).as_deref(), Some(host), "{url:?}");
        }
    }

    #[test]
    fn finds_absolute_urls_in_any_dress() {
        for text in [
            "http:",
            "HTTPS://x",
            " \u{0}wss:x",
            "\u{feff}ftp://x",
            "\u{a0}\u{2003}ws://x",
            "h\tt\nt\rp:x",
            "http:x y z",
        ] {
            assert!(Host::is_absolute_url(text), "{text:?}");
        }
        for text in [
            "",
            "http",
            "http status codes: explained",
            "xhttp://x",
            "see https://x",
            "https //x",
            "httpsx:",
            "file:///x",
            "https\u{ff1a}//x",
        ] {
            assert!(!Host::is_absolute_url(text), "{text:?}");
        }
    }

    #[test]
    fn shows_no_secret() {
        assert_eq!(Host::show("https://user:pw@example.org/x?token=y#z"), "`…@example.org/x…`");
        assert_eq!(Host::show("https://example.org/x"), "`https://example.org/x`");
    }
}
