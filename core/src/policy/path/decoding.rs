//! Percent-decoding, one round at a time (section 7, "Paths").

/// What one round of decoding gave.
pub(super) struct Decoded {
    /// The bytes, which need not be UTF-8.
    pub(super) bytes: Vec<u8>,
    /// An escape of this round stood for a dot, a separator or NUL.
    pub(super) structural: bool,
}

/// Which escapes are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// `%XX`.
    Standard,
    /// Also `%uXXXX`, which some script engines decode.
    Lax,
}

/// Decodes every escape once, other percent signs stay; `None` when there is nothing to decode.
pub(super) fn decode(text: &str, escapes: Escapes) -> Option<Decoded> {
    if !text.contains('%') {
        return None;
    }
    let mut decoded = Decoded { bytes: Vec::new(), structural: false };
    let mut rest = text;
    let mut any = false;
    while let Some((plain, behind)) = rest.split_once('%') {
        decoded.bytes.extend_from_slice(plain.as_bytes());
        if let Some(byte) = behind.as_bytes().first_chunk::<2>().and_then(|digits| hex(digits)) {
            any = true;
            decoded.structural |= byte < 0x80 && is_structural(char::from(u8::try_from(byte).unwrap_or_default()));
            decoded.bytes.push(u8::try_from(byte).unwrap_or_default());
            rest = behind.get(2..).unwrap_or_default();
        } else if let Some(character) = Some(behind).filter(|_| escapes == Escapes::Lax).and_then(unicode_escape) {
            any = true;
            decoded.structural |= is_structural(character);
            decoded.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            rest = behind.get(5..).unwrap_or_default();
        } else {
            decoded.bytes.push(b'%');
            rest = behind;
        }
    }
    decoded.bytes.extend_from_slice(rest.as_bytes());
    any.then_some(decoded)
}

fn is_structural(character: char) -> bool {
    matches!(character, '.' | '/' | '\\' | '\0')
}

fn unicode_escape(behind: &str) -> Option<char> {
    let digits = behind.strip_prefix(['u', 'U'])?.as_bytes().first_chunk::<4>()?;
    char::from_u32(hex(digits)?)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, digit| {
        let nibble = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(nibble)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &str) -> Option<String> {
        decode(input, Escapes::Lax).map(|decoded| String::from_utf8(decoded.bytes).unwrap())
    }

    #[test]
    fn leaves_what_is_no_escape() {
        for input in ["", "/a/b", "100%", "100%.txt", "%", "%%", "%g0", "%0g", "%u12g4", "%ud800", "% 41", "%+1", "é%é"]
        {
            assert_eq!(text(input), None, "{input}");
        }
    }

    #[test]
    fn decodes_one_round() {
        for (input, output) in [
            ("%41", "A"),
            ("%252e", "%2e"),
            ("%%32%65", "%2e"),
            ("a%2Fb%5cc", "a/b\\c"),
            ("caf%C3%A9", "café"),
            ("%u002e%U002E", ".."),
            ("100%25%20", "100% "),
        ] {
            assert_eq!(text(input).as_deref(), Some(output), "{input}");
        }
    }

    #[test]
    fn notices_structure() {
        for input in ["%2e", "%2F", "%5c", "%00", "%u005c"] {
            assert!(decode(input, Escapes::Lax).unwrap().structural, "{input}");
        }
        assert!(decode("%u002e", Escapes::Standard).is_none());
        assert!(!decode("./%41", Escapes::Standard).unwrap().structural);
    }
}
