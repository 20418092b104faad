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
