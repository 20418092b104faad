//! Finds the id of a JSON-RPC message too large or too broken to be parsed.

/// Longest id text that can be one of ours (an `i64`).
const LONGEST: usize = 20;

/// Reads bytes of one message and remembers only the number in its top-level member `id`.
///
/// A call whose answer is thrown away must still end at once and not at its deadline. The scan
/// follows strings and nesting, so text inside an answer cannot pass for the id of another call.
#[derive(Debug, Default)]
pub(crate) struct MessageId {
    depth: u64,
    place: Place,
    in_string: bool,
    escaped: bool,
    key_is_id: bool,
    text: Vec<u8>,
    id: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Elsewhere,
    Key,
    Value,
}

impl MessageId {
    /// Finds the id in the bytes of a whole message.
    pub(crate) fn of(message: &[u8]) -> Option<i64> {
        let mut scan = Self::default();
        scan.feed(message);
        scan.finish()
    }

    /// Takes the next bytes of the message.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.in_string { self.string_byte(*byte) } else { self.plain_byte(*byte) }
        }
    }

    /// The id, if the message had one that is a number or a text holding a number.
    pub(crate) fn finish(mut self) -> Option<i64> {
        self.end_number();
        self.id
    }

    fn string_byte(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
            self.keep(byte);
        } else if byte == b'\\' {
            self.escaped = true;
            self.keep(byte);
        } else if byte == b'"' {
            self.in_string = false;
            self.end_string();
        } else {
            self.keep(byte);
        }
    }

    fn end_string(&mut self) {
        if self.depth != 1 {
            return;
        }
        match self.place {
            Place::Key => self.key_is_id = self.text == b"id",
            Place::Value if self.key_is_id => self.id = parsed(&self.text),
            Place::Value | Place::Elsewhere => {}
        }
        self.text.clear();
    }

    fn plain_byte(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.text.clear();
            }
            b'{' | b'[' => {
                self.depth = self.depth.saturating_add(1);
                self.place = if self.depth == 1 && byte == b'{' { Place::Key } else { self.place };
            }
            b'}' | b']' => {
                self.end_number();
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.depth == 1 => {
                self.end_number();
                self.place = Place::Key;
                self.key_is_id = false;
            }
            b':' if self.depth == 1 => {
                self.place = Place::Value;
                self.text.clear();
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' => self.keep(byte),
            _ => {}
        }
    }

    fn end_number(&mut self) {
        if self.depth == 1 && self.place == Place::Value && self.key_is_id && !self.text.is_empty() {
            self.id = parsed(&self.text);
            self.text.clear();
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.depth == 1 && self.text.len() <= LONGEST {
            self.text.push(byte);
        }
    }
}

fn parsed(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_level_id_is_found_wherever_it_stands() {
        for message in [
            r#"{"jsonrpc":"2.0","id":42,"result":{"content":[]}}"#,
            r#"{"result":{"id":7,"x":"\"id\":8,"},"jsonrpc":"2.0", "id" : 42 }"#,
            r#"{"result":[{"id":7},"}","{\"id\":9"],"id":"42"}"#,
            r#"{"id":42,"result":"cut"#,
            "\t{\"id\":42",
        ] {
            assert_eq!(MessageId::of(message.as_bytes()), Some(42), "{message}");
        }
    }

    #[test]
    fn an_id_below_the_top_does_not_count() {
        for message in [
            r#"{"result":{"id":42}}"#,
            r#"{"result":"\"id\":42"}"#,
            r#"[{"id":42}]"#,
            r#"{"ID":42,"id":null}"#,
            r#"{"id":"x42"}"#,
            r#"{"id":99999999999999999999999999}"#,
            r#"{"id":{"id":42}}"#,
            r#"{"id":4.2}"#,
            r#"{"id":4e2}"#,
            "",
        ] {
            assert_eq!(MessageId::of(message.as_bytes()), None, "{message}");
        }
    }

    #[test]
    fn pieces_give_the_same_id() {
        let message = br#"{"result":{"text":"a\\\"b"},"id":1234567,"x":[1,2]}"#;
        for size in 1..message.len() {
            let mut scan = MessageId::default();
            message.chunks(size).for_each(|chunk| scan.feed(chunk));
            assert_eq!(scan.finish(), Some(1_234_567), "{size}");
        }
    }
}
