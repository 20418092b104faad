//! Domains: no URL gets by, under whatever name it stands, whose host is not on the list, and no two ways of reading a
//! URL that passes disagree about its host.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use smcp_core::policy::SecurityContext;
use smcp_fuzz::{allows, load, without_blanks};
use url::Url;

static CONTEXT: LazyLock<SecurityContext> = LazyLock::new(|| {
    load("{name: a, capabilities: [{tool_pattern: get, domain_allowlist: [example.org, '*.example.com', 192.0.2.1]}]}")
});
const SCHEMES: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for name in ["url", "host", "endpoint"] {
        if allows(&CONTEXT, "get", &json!({ name: text })) {
            let host = host_of(text).unwrap_or_else(|| panic!("allowed as `{name}`, but there is no host: {text:?}"));
            assert!(is_listed(&host), "allowed as `{name}`: {text:?} goes to `{host}`");
            if let Some(naive) = naive_host(text) {
                assert_eq!(naive, host, "two readings of {text:?}");
            }
        }
    }
    // A URL is a URL wherever it stands.
    let place = json!({ "query": [{ "anything": text }] });
    let key = json!({ text: 1 });
    if let Some(host) = embedded_host(text).filter(|host| !is_listed(host)) {
        assert!(!allows(&CONTEXT, "get", &place), "allowed inside: {text:?} goes to `{host}`");
        assert!(!allows(&CONTEXT, "get", &key), "allowed as a name: {text:?} goes to `{host}`");
    }
});

fn is_listed(host: &str) -> bool {
    host == "example.org"
        || host == "192.0.2.1"
        || host.strip_suffix(".example.com").is_some_and(|name| !name.is_empty())
}

/// The host of a URL or of a bare host, as a browser reads it.
fn host_of(text: &str) -> Option<String> {
    let text = without_blanks(text);
    let url = match Url::parse(text) {
        Ok(url) if SCHEMES.contains(&url.scheme()) => url,
        Ok(_) | Err(_) => Url::parse(&format!("https://{text}")).ok()?,
    };
    normal_host(&url)
}

/// The host of text that is a URL by itself, whatever name it stands under.
fn embedded_host(text: &str) -> Option<String> {
    let url = Url::parse(without_blanks(text)).ok().filter(|url| SCHEMES.contains(&url.scheme()))?;
    normal_host(&url)
}

fn normal_host(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(host.strip_suffix('.').unwrap_or(&host).to_owned())
}

/// What a program that splits at slashes and the last `@` takes for the host, where that is an ordinary name.
fn naive_host(text: &str) -> Option<String> {
    let text = without_blanks(text);
    let scheme = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let rest = text.split_once("://").filter(|(before, _)| scheme(before)).map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
    let ordinary = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    (host.bytes().all(ordinary) && host.bytes().any(|byte| byte.is_ascii_lowercase()) && !host.contains("0x"))
        .then_some(host)
}
