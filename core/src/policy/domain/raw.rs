//! The text of a URL before any parser touched it.

use crate::policy::path::{begins_with_scheme, is_blank};
use crate::policy::quote::Quoted;

/// The schemes under which a host is looked for.
pub(super) const WEB_SCHEMES: [&str; 5] = ["https", "http", "wss", "ws", "ftp"];

/// Removes what tools remove around a URL, or a reader does not see: white space, control and invisible characters.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Whether `text` begins with a web scheme and `:`, in any case and with the tabs and newlines parsers skip.
pub(super) fn has_web_scheme(text: &str) -> bool {
    WEB_SCHEMES.iter().any(|scheme| begins_with_scheme(text, scheme))
}

/// Whether a text without scheme has a `:` with nothing behind it before its path.
pub(super) fn has_empty_port(text: &str) -> bool {
    text.split(['/', '?', '#']).next().is_some_and(|authority| authority.ends_with(':'))
}

/// What stands before the first `:`, if it has the form of a scheme.
pub(super) fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

/// Whether `rest` is digits up to its end, `/`, `?` or `#`.
pub(super) fn is_port(rest: &str) -> bool {
    let digits = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Refuses a URL that needs repair, or in which parsers could disagree about where the host stands.
pub(super) fn check(url: &str) -> Result<(), &'static str> {
    if url.contains(['\t', '\n', '\r']) {
        return Err("has a tab or newline in it");
    }
    if url.split(['?', '#']).next().is_some_and(|before| before.contains('\\')) {
        return Err("has a backslash in it");
    }
    let slashes = "has not exactly two slashes after its scheme";
    let (_, rest) = url.split_once(':').ok_or("has no scheme")?;
    let authority = rest.strip_prefix("//").ok_or(slashes)?;
    if authority.starts_with('/') {
        return Err(slashes);
    }
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains(|character: char| character.is_control() || character.is_whitespace()) {
        return Err("has a space or control character before its path");
    }
    if authority.matches('@').count() > 1 {
        return Err("has more than one `@` before its path");
    }
    Ok(())
}

/// Shows a URL without user, password, query and fragment.
pub(super) fn show(text: &str) -> String {
    let (before, is_cut) = match text.split_once(['?', '#']) {
        Some((before, _)) => (before, true),
        None => (text, false),
    };
    let after_user = before.rsplit_once('@').map(|(_, after)| format!("…@{after}"));
    let mut shown = after_user.unwrap_or_else(|| before.to_owned());
    if is_cut {
        shown.push('…');
    }
    Quoted(&shown).to_string()
}
