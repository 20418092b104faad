//! Paths: whatever text passes an allowlist stays inside by every reading of it, and whatever passes a deny entry stays
//! outside. The readings are made here anew, by the text of the specification.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use smcp_core::policy::SecurityContext;
use smcp_fuzz::{allows, load, without_blanks};

static ALLOWING: LazyLock<SecurityContext> = LazyLock::new(|| {
    load("{name: a, capabilities: [{tool_pattern: fs.read, path_allowlist: [/workspace, /data/*.csv]}]}")
});
static BASED: LazyLock<SecurityContext> = LazyLock::new(|| {
    load("{name: b, capabilities: [{tool_pattern: fs.read, path_allowlist: [/workspace/in], base_path: /workspace}]}")
});
static DENYING: LazyLock<SecurityContext> =
    LazyLock::new(|| load("{name: c, capabilities: [{tool_pattern: '*'}], deny_list: ['fs.*:/etc']}"));

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if allows(&ALLOWING, "fs.read", &json!({ "path": text })) {
        for reading in readings(text) {
            assert!(is_absolute(&reading), "allowed, read as `{reading}`");
            assert!(is_allowed(&components(&reading)), "allowed, read as `{reading}`");
        }
    }
    if allows(&BASED, "fs.read", &json!({ "path": text })) {
        for reading in readings(text) {
            let place = if is_absolute(&reading) { reading.clone() } else { format!("/workspace/{reading}") };
            let found = components(&place);
            assert!(found.starts_with(&["workspace", "in"]) && !climbs(&found), "allowed, read as `{reading}`");
        }
    }
    // A path under a name that nobody knows, beside one that is fine.
    let one_line = !text.chars().any(char::is_control);
    let hidden = json!({ "path": "/workspace/a", "elsewhere": [text] });
    if one_line && text.starts_with('/') && allows(&ALLOWING, "fs.read", &hidden) {
        // Blanks at its ends are removed before a text that is only suspected to be a path is read as one.
        for reading in readings(without_blanks(text)) {
            assert!(is_allowed(&components(&reading)), "allowed under another name, read as `{reading}`");
        }
    }
    if allows(&DENYING, "fs.read", &json!({ "path": text })) {
        for reading in readings(text) {
            let found = components(&reading);
            assert!(!climbs(&found), "not denied, read as `{reading}`");
            assert!(found.first().is_none_or(|first| !first.eq_ignore_ascii_case("etc")), "not denied: `{reading}`");
        }
    }
});

fn is_absolute(reading: &str) -> bool {
    reading.starts_with('/') && !reading.starts_with("//")
}

fn is_allowed(components: &[&str]) -> bool {
    let inside = match components {
        ["workspace", ..] => true,
        ["data", name] => name.ends_with(".csv"),
        _ => false,
    };
    inside && !climbs(components)
}

fn climbs(components: &[&str]) -> bool {
    components.iter().any(|component| component.trim_end() == "..")
}

fn components(reading: &str) -> Vec<&str> {
    reading.split('/').filter(|component| !component.is_empty() && *component != ".").collect()
}

/// The text and each round of its percent-decoding, with the backslash as it is and as a separator.
fn readings(text: &str) -> Vec<String> {
    let mut rounds = vec![strip_file_scheme(text)];
    while let Some(last) = rounds.last() {
        let decoded = percent_decode(last);
        assert!(!decoded.contains('\0'), "passed with a NUL: {text:?}");
        if decoded == *last {
            break;
        }
        rounds.push(decoded);
    }
    rounds.iter().flat_map(|round| [round.clone(), round.replace('\\', "/")]).collect()
}

/// The path of a `file:` URI.
fn strip_file_scheme(text: &str) -> String {
    let Some(rest) = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("file:")).and(text.get(5..)) else {
        return text.to_owned();
    };
    let Some(rest) = rest.strip_prefix("//") else { return rest.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    assert!(host.is_empty() || host.eq_ignore_ascii_case("localhost"), "passed with the host `{host}`");
    path.to_owned()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair =
            bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        let value = pair.filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match value.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| panic!("passed with a decoding that is no UTF-8: {text:?}"))
}
