//! Caseless comparison for deny entries and argument names (section 7: "after NFC and case folding").

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// A form two texts share when they differ only in case or in Unicode composition.
///
/// The result is NFC. Case is folded by lower, upper, lower mapping of every character, which joins everything
/// Unicode's full folding joins (`ß` and `ss`, `ſ` and `s`, the Kelvin sign and `k`) and, on the safe side for a deny entry, a
/// little more (`ı` and `i`).
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    Cow::Owned(text.nfd().flat_map(fold_character).nfc().collect())
}

/// The case folding of one character, without normalisation.
pub(super) fn fold_character(character: char) -> impl Iterator<Item = char> {
    character.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_unicode_folding_joins() {
        for (left, right) in [
            ("/ETC/Hosts", "/etc/hosts"),
            ("CAF\u{c9}", "cafe\u{301}"),
            ("CAFE\u{301}", "caf\u{e9}"),
            ("Straße", "STRASSE"),
            ("ẞ", "ss"),
            ("\u{212a}ey", "key"),
            ("ſource", "SOURCE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ﬁle", "FILE"),
            ("\u{390}", "\u{1fd3}"),
            ("\u{1f80}", "\u{1f88}"),
        ] {
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        assert_ne!(fold("/etc"), fold("/еtc"));
    }
}
