//! Strings that look like paths although no name says so (section 7, "Which arguments", "Moreover").

use unicode_normalization::UnicodeNormalization as _;

use super::decoding::{Escapes, decode};
use super::reading::{begins_with_drive, begins_with_scheme, climbs, is_blank, text_climbs};

/// Rounds of percent-decoding that are looked at.
const MOST_ROUNDS: usize = 8;

/// The text to check when a one-line string could be taken for a path, without blanks before it.
///
/// A string counts when it begins with `/`, `~`, `\`, a drive or `file:`, or has a `..` component, as given or when
/// percent-decoded.
pub(in crate::policy) fn suspect_path(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(is_blank);
    if text.trim_end_matches(is_blank).contains(['\n', '\r']) {
        return None;
    }
    if points_away(text) {
        return Some(text);
    }
    let mut decoded: Option<String> = None;
    for _ in 0..MOST_ROUNDS {
        let round = decode(decoded.as_deref().unwrap_or(text), Escapes::Lax)?;
        if has_overlong_form(&round.bytes) {
            return Some(text);
        }
        let next = String::from_utf8_lossy(&round.bytes).into_owned();
        if points_away(next.trim_start_matches(is_blank)) {
            return Some(text);
        }
        decoded = Some(next);
    }
    // Encoded over and over: nothing honest is.
    Some(text)
}

fn points_away(text: &str) -> bool {
    if text.starts_with(['/', '~', '\\']) || begins_with_drive(text) || begins_with_scheme(text, "file") {
        return true;
    }
    if text_climbs(text) {
        return true;
    }
    !text.is_ascii() && (matches!(text.nfkc().next(), Some('/' | '\\')) || climbs(text.nfkc()))
}

/// Bytes that a lax UTF-8 decoder takes for a shorter character, such as `C0 AE` for a dot.
fn has_overlong_form(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F] | [0xF0, 0x80..=0x8F]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_what_could_lead_away() {
        for text in [
            "/etc/passwd",
            " /etc/passwd",
            "/etc/passwd\n",
            "\u{feff}/etc",
            "~",
            "~/.ssh",
            "\\etc",
            "C:\\x",
            "c:",
            "file:x",
            "FILE:///etc",
            "fi\nle",
            "fi\tle:/etc",
            "..",
            "../x",
            "a/../b",
            "a\\..\\b",
            ".. /x",
            "a/..;/b",
            "%2fetc",
            "%2e%2e/x",
            "%252e%252e%252fx",
            "%c0%ae%c0%ae/x",
            "%e0%80%ae./x",
            "\u{ff0e}\u{ff0e}/x",
            "\u{ff0f}etc",
            "\u{2025}/x",
            "%20/etc",
            "%66ile:///etc",
            "\u{ff0e}\u{ff0e}\u{ff0f}x",
        ] {
            let suspected = suspect_path(text).is_some();
            assert_eq!(suspected, text != "fi\nle", "{text:?}");
        }
        let deep = format!("a%{}41", "25".repeat(40));
        assert!(suspect_path(&deep).is_some());
    }

    #[test]
    fn leaves_other_text_alone() {
        for text in [
            "",
            "notes.txt",
            "see /etc/passwd and ../x",
            "a/b",
            "wait..",
            "100%",
            "50%de rabatt",
            "https://example.org/a",
            "line one\n/etc/passwd",
            "\u{5165}\u{529b}\u{ff0f}\u{51fa}\u{529b}",
            "\u{ff5e}\u{304b}\u{3089}",
            "1:30",
            "git status",
            "...",
            "a%20b",
        ] {
            assert_eq!(suspect_path(text), None, "{text:?}");
        }
    }
}
