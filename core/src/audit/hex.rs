//! Lower-case hex, as digests are written in the log.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits for each byte.
pub(super) fn encode_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

/// Reads exactly `N` bytes of lower-case digits; `None` for any other text, so that each value has one text.
pub(super) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let nibble = |digit: &u8| u8::try_from(DIGITS.iter().position(|known| known == digit)?).ok();
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_each_value() {
        for text in ["", "0", "0A", "0g", "000", " 0", "é"] {
            assert_eq!(decode_hex::<1>(text), None, "{text}");
        }
        for byte in 0..=u8::MAX {
            assert_eq!(decode_hex(&encode_hex(&[byte, !byte])), Some([byte, !byte]));
        }
    }
}
