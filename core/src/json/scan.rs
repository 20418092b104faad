//! The strict scanner: one pass over the bytes, no allocation per member (section 1).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::document::{CANONICAL, Document, ESCAPED, Kind, Node, ORDERS_DIFFER, UNSORTED, Value, widen};

/// How much the scanner takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest input in bytes; never more than `u32::MAX`.
    pub bytes: usize,
    /// Deepest nesting of arrays and objects.
    pub depth: usize,
}

impl Default for Limits {
    /// 4 MiB and 128 levels, the limits of section 1.
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 128 }
    }
}

/// Why a text is not strict JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanError {
    offset: usize,
    reason: &'static str,
    too_large: bool,
}

impl ScanError {
    /// Byte offset at which the scanner stopped.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// Whether the input is beyond the size limit.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }
}

impl fmt::Display for ScanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} at byte `{}`", self.reason, self.offset)
    }
}

impl std::error::Error for ScanError {}

/// Scans `source` with the default [`Limits`].
///
/// # Errors
/// When the text is not RFC 8259 JSON in UTF-8, has a byte order mark, a duplicate name at any depth, a lone
/// surrogate or trailing bytes, or is beyond a limit.
pub fn scan(source: &[u8]) -> Result<Document<'_>, ScanError> {
    scan_with(source, Limits::default())
}

/// Scans `source` with limits of the caller's.
///
/// # Errors
/// As [`scan`].
pub fn scan_with(source: &[u8], limits: Limits) -> Result<Document<'_>, ScanError> {
    if source.len() > limits.bytes || u32::try_from(source.len()).is_err() {
        return Err(ScanError { offset: limits.bytes, reason: "text is larger than the limit", too_large: true });
    }
    if let Err(error) = simdutf8::compat::from_utf8(source) {
        return Err(ScanError { offset: error.valid_up_to(), reason: "invalid UTF-8", too_large: false });
    }
    let mut scanner =
        Scanner { source, position: 0, nodes: Vec::with_capacity(initial_capacity(source.len())), limits };
    scanner.document()?;
    Ok(Document { source, nodes: scanner.nodes })
}

/// A guess that spares most documents a second allocation and is bounded by a small multiple of the input.
fn initial_capacity(bytes: usize) -> usize {
    (bytes / 12).saturating_add(8)
}

/// A container that is still open.
struct Frame {
    /// Its node.
    node: usize,
    /// Node of the last member name, for the order check.
    last_key: Option<usize>,
    /// Everything so far stands as the canonical writer would write it.
    canonical: bool,
    unsorted: bool,
    orders_differ: bool,
    /// A name with a character beyond U+FFFF, and one with a character in U+E000 to U+FFFF.
    astral_key: bool,
    private_key: bool,
}

struct Scanner<'a> {
    source: &'a [u8],
    position: usize,
    nodes: Vec<Node>,
    limits: Limits,
}

type Scan<T> = Result<T, ScanError>;

impl Scanner<'_> {
    fn fail<T>(&self, reason: &'static str) -> Scan<T> {
        Err(ScanError { offset: self.position, reason, too_large: false })
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.position).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.position = self.position.saturating_add(bytes);
    }

    /// Passes white space; says whether there was any, since a canonical text has none.
    fn skip_space(&mut self) -> bool {
        let start = self.position;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.advance(1);
        }
        self.position != start
    }

    fn document(&mut self) -> Scan<()> {
        if self.source.starts_with(&[0xEF, 0xBB, 0xBF]) {
            return self.fail("byte order mark");
        }
        let mut frames: Vec<Frame> = Vec::with_capacity(16);
        self.skip_space();
        let mut open = self.value(&mut frames)?;
        loop {
            // `open` says that a container was just opened and may be empty.
            if !open {
                let Some(frame) = frames.last() else { break };
                let object = self.kind_of(frame.node) == Kind::Object;
                let spaced = self.skip_space();
                match self.peek() {
                    Some(b',') => {
                        self.advance(1);
                        self.note_space(&mut frames, spaced);
                        open = self.child(&mut frames, object)?;
                        continue;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    Some(_) if object => return self.fail("expected `,` or `}`"),
                    Some(_) => return self.fail("expected `,` or `]`"),
                    None => return self.fail("unexpected end of text"),
                }
                self.note_space(&mut frames, spaced);
                self.close(&mut frames)?;
                continue;
            }
            let Some(frame) = frames.last() else { break };
            let object = self.kind_of(frame.node) == Kind::Object;
            let spaced = self.skip_space();
            self.note_space(&mut frames, spaced);
            let closer = if object { b'}' } else { b']' };
            if self.peek() == Some(closer) {
                self.close(&mut frames)?;
                open = false;
            } else {
                open = self.child(&mut frames, object)?;
            }
        }
        self.skip_space();
        if self.position != self.source.len() {
            return self.fail("trailing bytes after the value");
        }
        Ok(())
    }

    fn kind_of(&self, node: usize) -> Kind {
        self.nodes.get(node).map_or(Kind::Null, |node| node.kind)
    }

    fn note_space(&self, frames: &mut [Frame], spaced: bool) {
        if let (true, Some(frame)) = (spaced, frames.last_mut()) {
            frame.canonical = false;
        }
    }

    /// One element, or one member with its name.
    fn child(&mut self, frames: &mut Vec<Frame>, object: bool) -> Scan<bool> {
        let mut spaced = self.skip_space();
        if object {
            if self.peek() != Some(b'"') {
                return self.fail("expected a member name in double quotes");
            }
            let key = self.string()?;
            self.key(frames, key);
            spaced |= self.skip_space();
            if self.peek() != Some(b':') {
                return self.fail("expected `:`");
            }
            self.advance(1);
            spaced |= self.skip_space();
        }
        self.note_space(frames, spaced);
        self.value(frames)
    }

    /// One value; `true` when it is a container that is now open.
    fn value(&mut self, frames: &mut Vec<Frame>) -> Scan<bool> {
        match self.peek() {
            Some(b'{') => self.open(frames, Kind::Object),
            Some(b'[') => self.open(frames, Kind::Array),
            Some(b'"') => {
                let node = self.string()?;
                if !self.view(node).has(CANONICAL) {
                    Self::spoil(frames);
                }
                Ok(false)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", Kind::Boolean),
            Some(b'f') => self.literal(b"false", Kind::Boolean),
            Some(b'n') => self.literal(b"null", Kind::Null),
            Some(_) => self.fail("expected a value"),
            None => self.fail("unexpected end of text"),
        }
    }

    fn spoil(frames: &mut [Frame]) {
        if let Some(frame) = frames.last_mut() {
            frame.canonical = false;
        }
    }

    fn push(&mut self, start: usize, kind: Kind, flags: u8) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node {
            start: narrow(start),
            end: narrow(self.position),
            next: narrow(index.saturating_add(1)),
            kind,
            flags,
        });
        index
    }

    fn open(&mut self, frames: &mut Vec<Frame>, kind: Kind) -> Scan<bool> {
        if frames.len() >= self.limits.depth {
            return self.fail("nesting is deeper than the limit");
        }
        let node = self.push(self.position, kind, 0);
        self.advance(1);
        frames.push(Frame {
            node,
            last_key: None,
            canonical: true,
            unsorted: false,
            orders_differ: false,
            astral_key: false,
            private_key: false,
        });
        Ok(true)
    }

    fn close(&mut self, frames: &mut Vec<Frame>) -> Scan<()> {
        let Some(frame) = frames.pop() else { return self.fail("unexpected end of a container") };
        if frame.unsorted {
            self.refuse_duplicates(frame.node)?;
        }
        self.advance(1);
        let orders_differ = frame.orders_differ || (frame.astral_key && frame.private_key);
        let canonical = frame.canonical && !frame.unsorted;
        let (end, next) = (narrow(self.position), narrow(self.nodes.len()));
        if let Some(node) = self.nodes.get_mut(frame.node) {
            node.end = end;
            node.next = next;
            node.flags =
                flag(canonical, CANONICAL) | flag(frame.unsorted, UNSORTED) | flag(orders_differ, ORDERS_DIFFER);
        }
        if let Some(parent) = frames.last_mut() {
            parent.canonical &= canonical;
            parent.orders_differ |= orders_differ;
        }
        Ok(())
    }

    /// Notes a member name: names that ascend need no further duplicate check.
    fn key(&mut self, frames: &mut [Frame], key: usize) {
        let Some(frame) = frames.last_mut() else { return };
        let current = self.view(key);
        frame.canonical &= current.has(CANONICAL);
        let name = current.as_str().unwrap_or_default();
        if let Some(last) = frame.last_key {
            let previous = self.view(last).as_str().unwrap_or_default();
            frame.unsorted |= previous.as_bytes() >= name.as_bytes();
        }
        if !name.is_ascii() {
            // In UTF-8, U+E000 to U+FFFF begin with 0xEE or 0xEF and everything beyond U+FFFF with 0xF0 or more.
            frame.astral_key |= name.bytes().any(|byte| byte >= 0xF0);
            frame.private_key |= name.bytes().any(|byte| byte == 0xEE || byte == 0xEF);
        }
        frame.last_key = Some(key);
    }

    fn refuse_duplicates(&self, object: usize) -> Scan<()> {
        let end = self.nodes.len();
        let mut names: Vec<(Cow<'_, str>, usize)> = Vec::new();
        let mut index = object.saturating_add(1);
        while index < end {
            let key = self.view(index);
            names.push((key.as_str().unwrap_or_default(), key.offset()));
            let value = index.saturating_add(1);
            index = self.nodes.get(value).map_or(end, |node| widen(node.next));
        }
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [(left, _), (right, offset)] if left.cmp(right) == Ordering::Equal => Some(*offset),
            _ => None,
        });
        match twice {
            Some(offset) => Err(ScanError { offset, reason: "duplicate member name", too_large: false }),
            None => Ok(()),
        }
    }

    fn view(&self, index: usize) -> Value<'_> {
        Value { source: self.source, nodes: &self.nodes, index }
    }

    fn literal(&mut self, text: &'static [u8], kind: Kind) -> Scan<bool> {
        let rest = self.source.get(self.position..).unwrap_or_default();
        if !rest.starts_with(text) {
            return self.fail("expected a value");
        }
        let start = self.position;
        self.advance(text.len());
        self.push(start, kind, CANONICAL);
        Ok(false)
    }

    /// A string; canonical when every escape is the one the canonical writer would choose.
    fn string(&mut self) -> Scan<usize> {
        let start = self.position;
        self.advance(1);
        let mut flags = CANONICAL;
        loop {
            let rest = self.source.get(self.position..).unwrap_or_default();
            let Some(run) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') else {
                self.position = self.source.len();
                return self.fail("unterminated string");
            };
            self.advance(run);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    flags |= ESCAPED;
                    if !self.escape()? {
                        flags &= !CANONICAL;
                    }
                }
                _ => return self.fail("control character in a string"),
            }
        }
        self.advance(1);
        Ok(self.push(start, Kind::String, flags))
    }

    /// Passes one escape and says whether it is the canonical one.
    fn escape(&mut self) -> Scan<bool> {
        self.advance(1);
        let letter = self.peek();
        match letter {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.advance(1);
                Ok(true)
            }
            Some(b'/') => {
                self.advance(1);
                Ok(false)
            }
            Some(b'u') => {
                self.advance(1);
                let digits = self.source.get(self.position..).and_then(|rest| rest.first_chunk::<4>()).copied();
                let Some(unit) = digits.as_ref().and_then(hex_unit) else { return self.fail("invalid `\\u` escape") };
                match unit {
                    0xD800..=0xDBFF => self.low_surrogate(),
                    0xDC00..=0xDFFF => self.fail("lone surrogate"),
                    _ => {
                        self.advance(4);
                        let short = matches!(unit, 8 | 9 | 10 | 12 | 13);
                        let lower = digits.is_some_and(|digits| !digits.iter().any(u8::is_ascii_uppercase));
                        Ok(unit < 0x20 && !short && lower)
                    }
                }
            }
            _ => self.fail("invalid escape"),
        }
    }

    /// The second half of a surrogate pair; never canonical, since astral characters are written raw.
    fn low_surrogate(&mut self) -> Scan<bool> {
        let rest = self.source.get(self.position.saturating_add(4)..).unwrap_or_default();
        let low = match rest.first_chunk::<6>() {
            Some([b'\\', b'u', a, b, c, d]) => hex_unit(&[*a, *b, *c, *d]),
            _ => None,
        };
        if !low.is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit)) {
            return self.fail("lone surrogate");
        }
        self.advance(10);
        Ok(false)
    }

    fn number(&mut self) -> Scan<bool> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.advance(1);
        }
        match self.peek() {
            Some(b'0') => {
                self.advance(1);
                if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    return self.fail("number with a leading zero");
                }
            }
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail("invalid number"),
        }
        if self.peek() == Some(b'.') {
            self.advance(1);
            self.required_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.advance(1);
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.advance(1);
            }
            self.required_digits()?;
        }
        self.push(start, Kind::Number, CANONICAL);
        Ok(false)
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.advance(1);
        }
    }

    fn required_digits(&mut self) -> Scan<()> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail("invalid number");
        }
        self.digits();
        Ok(())
    }
}

/// Unescapes the inside of a string that the scanner accepted.
pub(super) fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut characters = escape.chars();
        match characters.next() {
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('u') => {
                let (character, tail) = unescape_unit(characters.as_str());
                text.push(character);
                rest = tail;
                continue;
            }
            Some(itself) => text.push(itself),
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text
}

/// Reads the digits behind `\u`, and the second half of a pair.
fn unescape_unit(text: &str) -> (char, &str) {
    let unit = |text: &str| text.as_bytes().first_chunk::<4>().and_then(hex_unit).unwrap_or(0xFFFD);
    let first = unit(text);
    let rest = text.get(4..).unwrap_or_default();
    if !(0xD800..=0xDBFF).contains(&first) {
        return (char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER), rest);
    }
    let second = unit(rest.get(2..).unwrap_or_default());
    let mut pair = char::decode_utf16([first, second]);
    let character = pair.next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER);
    (character, rest.get(6..).unwrap_or_default())
}

fn hex_unit(digits: &[u8; 4]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |value, digit| {
        let nibble = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u16::try_from(nibble).ok()?)
    })
}

/// Offsets fit because the scanner refused longer input.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_strict_json() {
        let cases: &[(&str, &str)] = &[
            ("", "unexpected end of text"),
            ("\u{feff}{}", "byte order mark"),
            ("{\"a\":1,\"\\u0061\":2}", "duplicate member name"),
            ("{\"b\":1,\"a\":1,\"b\":2}", "duplicate member name"),
            ("[{\"a\":1,\"a\":1}]", "duplicate member name"),
            ("\"\\ud800\"", "lone surrogate"),
            ("\"\\udc00\"", "lone surrogate"),
            ("\"\\udc00\\ud800\"", "lone surrogate"),
            ("\"\\ud800\\u0041\"", "lone surrogate"),
            ("1 2", "trailing bytes after the value"),
            ("01", "number with a leading zero"),
            ("-", "invalid number"),
            ("1.", "invalid number"),
            ("1e", "invalid number"),
            (".5", "expected a value"),
            ("+1", "expected a value"),
            ("NaN", "expected a value"),
            ("nul", "expected a value"),
            ("[1,]", "expected a value"),
            ("[1 2]", "expected `,` or `]`"),
            ("{\"a\":1,}", "expected a member name in double quotes"),
            ("{\"a\" 1}", "expected `:`"),
            ("{a:1}", "expected a member name in double quotes"),
            ("{\"a\":1]", "expected `,` or `}`"),
            ("[", "unexpected end of text"),
            ("\"\n\"", "control character in a string"),
            ("\"\\x41\"", "invalid escape"),
            ("\"\\u12g4\"", "invalid `\\u` escape"),
            ("\"abc", "unterminated string"),
            ("\u{a0}1", "expected a value"),
        ];
        for (text, reason) in cases {
            assert_eq!(scan(text.as_bytes()).unwrap_err().reason(), *reason, "{text:?}");
        }
        assert_eq!(scan(b"\"\xff\"").unwrap_err().reason(), "invalid UTF-8");
    }

    #[test]
    fn counts_depth_and_size() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(scan(nested(128).as_bytes()).is_ok());
        assert!(scan(nested(129).as_bytes()).is_err());
        let limits = Limits { bytes: 4, depth: 8 };
        assert!(scan_with(b"1234", limits).is_ok());
        assert!(scan_with(b"12345", limits).unwrap_err().is_too_large());
    }

    #[test]
    fn reads_values_back() {
        let document = scan(br#" { "b" : [1.50, true, null], "a\n" : "\ud83d\ude00\/x" } "#).unwrap();
        let root = document.root();
        assert_eq!(root.get("a\n").unwrap().as_str().unwrap(), "😀/x");
        let elements: Vec<_> = root.get("b").unwrap().elements().map(Value::raw).collect();
        assert_eq!(elements, ["1.50", "true", "null"]);
        assert_eq!(root.members().count(), 2);
        assert!(root.get("c").is_none());
    }
}
