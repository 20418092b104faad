//! A parsed document: a flat list of nodes over the wire bytes, read through cheap handles.

use std::borrow::Cow;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number; its lexeme is kept as it stands on the wire.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The string has at least one escape.
pub(super) const ESCAPED: u8 = 1;
/// The bytes of the whole subtree are the canonical ones already, in code point order.
pub(super) const CANONICAL: u8 = 1 << 1;
/// The members of the object do not stand in ascending code point order.
pub(super) const UNSORTED: u8 = 1 << 2;
/// The subtree has an object whose code point order and UTF-16 order may differ.
pub(super) const ORDERS_DIFFER: u8 = 1 << 3;

/// One value or member name. Offsets fit `u32` because the scanner refuses larger input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// First byte of the value's text.
    pub(super) start: u32,
    /// One past the last byte of the value's text.
    pub(super) end: u32,
    /// Index of the first node behind this value's subtree.
    pub(super) next: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
}

/// A JSON text that passed the strict scanner.
///
/// Nothing is copied out of the wire bytes; every accessor is a view. Two readers of one `Document`
/// cannot disagree about what it says, which is why nothing in this project parses the text again.
pub struct Document<'a> {
    pub(super) source: &'a [u8],
    pub(super) nodes: Vec<Node>,
}

impl<'a> Document<'a> {
    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value { source: self.source, nodes: &self.nodes, index: 0 }
    }

    /// The exact bytes the document was scanned from.
    #[must_use]
    pub fn source(&self) -> &'a [u8] {
        self.source
    }
}

/// The text may hold a token, which is a secret.
impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Document({} bytes)", self.source.len())
    }
}

/// A handle to one value of a [`Document`]; copying it is free.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    pub(super) source: &'d [u8],
    pub(super) nodes: &'d [Node],
    pub(super) index: usize,
}

impl<'d> Value<'d> {
    pub(super) fn node(self) -> Node {
        // A handle is only ever made for an index that exists; the fallback keeps the accessor total.
        self.nodes.get(self.index).copied().unwrap_or(Node {
            start: 0,
            end: 0,
            next: u32::MAX,
            kind: Kind::Null,
            flags: 0,
        })
    }

    /// What the value is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Byte offset of the value's first byte in the document, for error messages.
    #[must_use]
    pub fn offset(self) -> usize {
        widen(self.node().start)
    }

    /// The value's text exactly as it stands on the wire.
    #[must_use]
    pub fn raw(self) -> &'d str {
        let node = self.node();
        let bytes = self.source.get(widen(node.start)..widen(node.end)).unwrap_or_default();
        // The scanner checked the whole input; a value's text starts and ends at ASCII bytes.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn raw_bytes(self) -> &'d [u8] {
        let node = self.node();
        self.source.get(widen(node.start)..widen(node.end)).unwrap_or_default()
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.node().flags & flag != 0
    }

    /// The text of a string, unescaped; `None` for another kind.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'d, str>> {
        let node = self.node();
        if node.kind != Kind::String {
            return None;
        }
        let raw = self.raw();
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        Some(if node.flags & ESCAPED == 0 { Cow::Borrowed(inner) } else { Cow::Owned(super::scan::unescape(inner)) })
    }

    /// The truth value of a boolean; `None` for another kind.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Boolean).then(|| self.raw() == "true")
    }

    /// The characters of a number as they stand on the wire; `None` for another kind.
    #[must_use]
    pub fn as_number(self) -> Option<&'d str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The value of a number written as a plain integer that fits; `None` otherwise (also for `1.0` and `1e3`).
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        self.as_number()?.parse().ok()
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The members of an object in wire order; nothing for another kind.
    #[must_use]
    pub fn members(self) -> Members<'d> {
        let (next, end) = self.children(Kind::Object);
        Members { parent: self, next, end }
    }

    /// The members of an object as handles of name and value, for readers that need the place of a name.
    pub(crate) fn member_nodes(self) -> impl Iterator<Item = (Self, Self)> {
        let mut members = self.members();
        std::iter::from_fn(move || members.next_nodes())
    }

    /// The elements of an array in wire order; nothing for another kind.
    #[must_use]
    pub fn elements(self) -> Elements<'d> {
        let (next, end) = self.children(Kind::Array);
        Elements { parent: self, next, end }
    }

    fn children(self, kind: Kind) -> (usize, usize) {
        let node = self.node();
        if node.kind == kind { (self.index.saturating_add(1), widen(node.next)) } else { (0, 0) }
    }

    /// The value of the member called `name` (names are unique); `None` without one or for another kind.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        let mut members = self.members();
        while let Some((key, value)) = members.next_nodes() {
            if key.is_text(name) {
                return Some(value);
            }
        }
        None
    }

    /// Whether a string is `text`. Nothing is unescaped that is too short or too long for it, since one byte of text takes
    /// at most the six of `\u0000`: a body of escaped names must not cost an allocation for each name and look-up.
    fn is_text(self, text: &str) -> bool {
        let raw = self.raw_bytes();
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if !self.has(ESCAPED) {
            return inner == text.as_bytes();
        }
        (text.len()..=text.len().saturating_mul(6)).contains(&inner.len()) && self.as_str().as_deref() == Some(text)
    }

    /// Whether an object or array has nothing in it; false for another kind.
    #[must_use]
    pub fn is_empty_container(self) -> bool {
        let node = self.node();
        matches!(node.kind, Kind::Object | Kind::Array) && widen(node.next) == self.index.saturating_add(1)
    }

    /// Whether sorting names by UTF-16 unit may give another text than sorting by code point.
    #[must_use]
    pub fn orders_differ(self) -> bool {
        self.has(ORDERS_DIFFER)
    }

    pub(super) fn at(self, index: usize) -> Self {
        Self { index, ..self }
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.raw())
    }
}

/// Iterator over the members of an object, made by [`Value::members`].
#[derive(Debug)]
pub struct Members<'d> {
    parent: Value<'d>,
    next: usize,
    end: usize,
}

impl<'d> Members<'d> {
    /// The next member with its name as a handle, without unescaping.
    pub(super) fn next_nodes(&mut self) -> Option<(Value<'d>, Value<'d>)> {
        if self.next >= self.end {
            return None;
        }
        let key = self.parent.at(self.next);
        let value = self.parent.at(self.next.saturating_add(1));
        self.next = widen(value.node().next);
        Some((key, value))
    }
}

impl<'d> Iterator for Members<'d> {
    type Item = (Cow<'d, str>, Value<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.next_nodes()?;
        Some((key.as_str().unwrap_or_default(), value))
    }
}

/// Iterator over the elements of an array, made by [`Value::elements`].
#[derive(Debug)]
pub struct Elements<'d> {
    parent: Value<'d>,
    next: usize,
    end: usize,
}

impl<'d> Iterator for Elements<'d> {
    type Item = Value<'d>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let value = self.parent.at(self.next);
        self.next = widen(value.node().next);
        Some(value)
    }
}

/// `u32` to `usize`, which is lossless on every platform this crate is built for.
pub(super) fn widen(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::scan;

    #[test]
    fn debug_shows_no_text() {
        let document = scan(br#"{"security_token":"abc"}"#).unwrap();
        assert_eq!(format!("{document:?}"), "Document(24 bytes)");
    }

    #[test]
    fn finds_members_by_escaped_names() {
        let text = r#"{"\u0061\u0062":1,"a":2,"\ud83d\ude00":3,"\"":4,"":5,"\u0000":6,"ab\u0063d":7}"#;
        let document = scan(text.as_bytes()).unwrap();
        for (name, value) in [("ab", "1"), ("a", "2"), ("😀", "3"), ("\"", "4"), ("", "5"), ("\0", "6"), ("abcd", "7")]
        {
            assert_eq!(document.root().get(name).unwrap().raw(), value, "{name:?}");
        }
        for name in ["b", "abc", "\\u0061", "\\\"", "ab\\u0063d"] {
            assert!(document.root().get(name).is_none(), "{name:?}");
        }
    }
}
