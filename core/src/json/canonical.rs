//! The canonical writer: sorted keys, least escaping, no white space, numbers as they stand (section 2).

use std::borrow::Cow;

use super::document::{CANONICAL, Kind, ORDERS_DIFFER, UNSORTED, Value};

/// How the names of an object are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOrder {
    /// By Unicode code point, which is UTF-8 byte order: the order of the specification.
    CodePoint,
    /// By UTF-16 code unit, as the published TypeScript SDK sorts.
    Utf16,
}

/// The canonical bytes of `value`.
#[must_use]
pub fn write_canonical(value: Value<'_>, order: KeyOrder) -> Vec<u8> {
    let mut output = Vec::with_capacity(value.raw_bytes().len());
    write_canonical_into(value, order, &mut output);
    output
}

/// Appends the canonical bytes of `value`; text that is canonical already is copied whole.
pub fn write_canonical_into(value: Value<'_>, order: KeyOrder, output: &mut Vec<u8>) {
    if value.has(CANONICAL) && (order == KeyOrder::CodePoint || !value.has(ORDERS_DIFFER)) {
        output.extend_from_slice(value.raw_bytes());
        return;
    }
    match value.kind() {
        Kind::Null | Kind::Boolean | Kind::Number => output.extend_from_slice(value.raw_bytes()),
        Kind::String => write_string(&value.as_str().unwrap_or_default(), output),
        Kind::Array => {
            output.push(b'[');
            for (index, element) in value.elements().enumerate() {
                if index > 0 {
                    output.push(b',');
                }
                write_canonical_into(element, order, output);
            }
            output.push(b']');
        }
        Kind::Object => write_object(value, order, output),
    }
}

fn write_object(object: Value<'_>, order: KeyOrder, output: &mut Vec<u8>) {
    output.push(b'{');
    let mut members = object.members();
    if object.has(UNSORTED) || (order == KeyOrder::Utf16 && object.has(ORDERS_DIFFER)) {
        let mut sorted: Vec<(Cow<'_, str>, Value<'_>, Value<'_>)> = Vec::new();
        while let Some((key, value)) = members.next_nodes() {
            sorted.push((key.as_str().unwrap_or_default(), key, value));
        }
        match order {
            KeyOrder::CodePoint => sorted.sort_unstable_by(|left, right| left.0.cmp(&right.0)),
            KeyOrder::Utf16 => sorted.sort_unstable_by(|left, right| left.0.encode_utf16().cmp(right.0.encode_utf16())),
        }
        for (index, (_, key, value)) in sorted.into_iter().enumerate() {
            write_member(index, key, value, order, output);
        }
    } else {
        let mut index: usize = 0;
        while let Some((key, value)) = members.next_nodes() {
            write_member(index, key, value, order, output);
            index = index.saturating_add(1);
        }
    }
    output.push(b'}');
}

fn write_member(index: usize, key: Value<'_>, value: Value<'_>, order: KeyOrder, output: &mut Vec<u8>) {
    if index > 0 {
        output.push(b',');
    }
    write_canonical_into(key, order, output);
    output.push(b':');
    write_canonical_into(value, order, output);
}

/// Appends `text` as a JSON string with the least escaping.
pub fn write_string(text: &str, output: &mut Vec<u8>) {
    output.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(run) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        let (plain, tail) = rest.split_at(run);
        output.extend_from_slice(plain);
        if let Some((special, tail)) = tail.split_first() {
            write_escape(*special, output);
            rest = tail;
        }
    }
    output.extend_from_slice(rest);
    output.push(b'"');
}

fn write_escape(byte: u8, output: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0A => b'n',
        0x0C => b'f',
        0x0D => b'r',
        _ => {
            output.extend_from_slice(b"\\u00");
            for nibble in [byte >> 4, byte & 0xF] {
                output.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
            return;
        }
    };
    output.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    fn canonical(text: &str, order: KeyOrder) -> String {
        String::from_utf8(write_canonical(scan(text.as_bytes()).unwrap().root(), order)).unwrap()
    }

    #[test]
    fn sorts_escapes_and_keeps_lexemes() {
        let text = "{ \"b\\u0041\" : [1.0, 1E5, -0, \"\\/\\u007f\\u0007\\u000a\\u2028\"], \"a\": {} }";
        let expected = "{\"a\":{},\"bA\":[1.0,1E5,-0,\"/\u{7f}\\u0007\\n\u{2028}\"]}";
        assert_eq!(canonical(text, KeyOrder::CodePoint), expected);
    }

    #[test]
    fn both_key_orders() {
        let text = "{\"\u{ffff}\":1,\"\u{1f600}\":2}";
        assert_eq!(canonical(text, KeyOrder::CodePoint), text);
        assert_eq!(canonical(text, KeyOrder::Utf16), "{\"\u{1f600}\":2,\"\u{ffff}\":1}");
        let nested = "[{\"\\uffff\":1,\"\\ud83d\\ude00\":2},{\"a\":1}]";
        assert_eq!(canonical(nested, KeyOrder::Utf16), "[{\"\u{1f600}\":2,\"\u{ffff}\":1},{\"a\":1}]");
    }

    #[test]
    fn canonical_text_is_a_fixed_point() {
        for text in [
            "{\"a\":\"\\u001f\\\"\\\\\\b\",\"b\":[{},[]]}",
            "\"\\u001F\"",
            "\"\\u0008\"",
            "[1 ,2]",
            "{\"b\":{\"d\":1,\"c\":2}}",
        ] {
            let once = canonical(text, KeyOrder::CodePoint);
            assert_eq!(canonical(&once, KeyOrder::CodePoint), once);
            assert!(scan(once.as_bytes()).unwrap().root().has(CANONICAL), "{once}");
        }
    }
}
