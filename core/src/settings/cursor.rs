//! Reading typed values out of the tree, with errors that name place and field.

use std::ops::RangeInclusive;

use super::suggest::closest;
use super::{Entry, Node, NodeKind, Position, error_at, quote};
use crate::error::{Error, Result};

/// A value under a name such as `capabilities[0].rate_limit.calls`.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    origin: &'a str,
    path: String,
    node: &'a Node,
}

impl<'a> Cursor<'a> {
    /// The outermost value of the file called `origin`.
    #[must_use]
    pub fn root(origin: &'a str, node: &'a Node) -> Self {
        Self { origin, path: String::new(), node }
    }

    /// The file's name.
    #[must_use]
    pub fn origin(&self) -> &'a str {
        self.origin
    }

    /// The name of the value, empty for the outermost one.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value itself.
    #[must_use]
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Where the value stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.node.position
    }

    /// An error at this value: `origin:line:column: `name`: message`.
    #[must_use]
    pub fn error(&self, message: &str) -> Error {
        self.error_at(self.node.position, message)
    }

    /// An error about this value at another place of the same file, such as one of its keys.
    #[must_use]
    pub fn error_at(&self, position: Position, message: &str) -> Error {
        if self.path.is_empty() {
            error_at(self.origin, position, message)
        } else {
            error_at(self.origin, position, &format!("`{}`: {message}", self.path))
        }
    }

    /// Says where an error of a parser without positions lies; the kind becomes `CONFIG_INVALID`.
    #[must_use]
    pub fn locate(&self, error: &Error) -> Error {
        self.error(error.message())
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        Err(self.error(&format!("expected {what}, found {}", self.node.describe())))
    }

    /// Whether the value is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.node.kind, NodeKind::Null)
    }

    /// Whether the value is a mapping.
    #[must_use]
    pub fn is_mapping(&self) -> bool {
        matches!(self.node.kind, NodeKind::Mapping(_))
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.node.kind, NodeKind::List(_))
    }

    /// A string, possibly empty.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type or a string with a NUL character.
    pub fn text(&self) -> Result<&'a str> {
        match &self.node.kind {
            NodeKind::Text(text) if text.contains('\0') => Err(self.error("contains a NUL character")),
            NodeKind::Text(text) => Ok(text),
            NodeKind::Null
            | NodeKind::Boolean(_)
            | NodeKind::Integer(_)
            | NodeKind::Float(_)
            | NodeKind::List(_)
            | NodeKind::Mapping(_) => self.expected("a string"),
        }
    }

    /// A string that is not empty.
    ///
    /// # Errors
    /// As [`Cursor::text`], and for an empty string.
    pub fn non_empty_text(&self) -> Result<&'a str> {
        let text = self.text()?;
        if text.is_empty() { Err(self.error("is empty")) } else { Ok(text) }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type, also for the strings `yes`, `no`, `on` and `off`.
    pub fn boolean(&self) -> Result<bool> {
        match self.node.kind {
            NodeKind::Boolean(value) => Ok(value),
            NodeKind::Null
            | NodeKind::Integer(_)
            | NodeKind::Float(_)
            | NodeKind::Text(_)
            | NodeKind::List(_)
            | NodeKind::Mapping(_) => self.expected("`true` or `false`"),
        }
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type, a number with point or exponent, or one outside the range.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Result<u64> {
        let what = || {
            if *range.end() == u64::MAX {
                format!("a whole number from {}", range.start())
            } else {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
        };
        match self.node.kind {
            NodeKind::Integer(value) => match u64::try_from(value) {
                Ok(value) if range.contains(&value) => Ok(value),
                Ok(_) | Err(_) => Err(self.error(&format!("expected {}, found `{value}`", what()))),
            },
            NodeKind::Float(value) => Err(self.error(&format!("expected {}, found `{value:?}`", what()))),
            NodeKind::Null | NodeKind::Boolean(_) | NodeKind::Text(_) | NodeKind::List(_) | NodeKind::Mapping(_) => {
                self.expected(&what())
            }
        }
    }

    /// One of a few words.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type or another word.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        Err(self.error(&format!("expected {}, found {}", known.join(" or "), quote(text))))
    }

    /// The elements of a list.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type.
    pub fn list(&self) -> Result<Vec<Self>> {
        self.list_of("a list")
    }

    /// The elements of a list whose elements are strings that are not empty.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type, and for an element that is not a string or is empty.
    pub fn texts(&self) -> Result<Vec<(&'a str, Self)>> {
        self.list_of("a list of strings")?.into_iter().map(|element| Ok((element.non_empty_text()?, element))).collect()
    }

    fn list_of(&self, what: &str) -> Result<Vec<Self>> {
        let NodeKind::List(nodes) = &self.node.kind else { return self.expected(what) };
        Ok(nodes
            .iter()
            .enumerate()
            .map(|(index, node)| Self { origin: self.origin, path: format!("{}[{index}]", self.path), node })
            .collect())
    }

    /// The entries of a mapping with arbitrary keys.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type, and for an empty key.
    pub fn entries(&self) -> Result<Vec<(&'a Entry, Self)>> {
        let NodeKind::Mapping(entries) = &self.node.kind else { return self.expected("a mapping") };
        if let Some(entry) = entries.iter().find(|entry| entry.key.is_empty()) {
            return Err(self.error_at(entry.position, "has an empty key"));
        }
        Ok(entries.iter().map(|entry| (entry, self.member(entry))).collect())
    }

    /// A mapping that knows only the fields `known`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` for another type, and for a field that is not in `known`, with the one that was probably
    /// meant.
    pub fn fields(&self, known: &'static [&'static str]) -> Result<Fields<'a>> {
        let NodeKind::Mapping(entries) = &self.node.kind else { return self.expected("a mapping") };
        if let Some(entry) = entries.iter().find(|entry| !known.contains(&entry.key.as_str())) {
            return Err(self.unknown_field(entry, known));
        }
        Ok(Fields { cursor: self.clone(), entries })
    }

    fn unknown_field(&self, entry: &Entry, known: &'static [&'static str]) -> Error {
        let field = quote(&entry.key);
        let advice = match closest(&entry.key, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        self.error_at(entry.position, &format!("unknown field {field}; {advice}"))
    }

    fn member(&self, entry: &'a Entry) -> Self {
        Self { origin: self.origin, path: join(&self.path, &entry.key), node: &entry.value }
    }
}

/// The fields of a mapping all of which are known.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// The mapping itself.
    #[must_use]
    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// The field `name`, if it is there.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<Cursor<'a>> {
        self.entry(name).map(|entry| self.cursor.member(entry))
    }

    /// The field `name`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` at the mapping when the field is missing.
    pub fn required(&self, name: &str) -> Result<Cursor<'a>> {
        self.optional(name).ok_or_else(|| self.cursor.error(&format!("missing field `{name}`")))
    }

    /// Where the key `name` stands, if it is there.
    #[must_use]
    pub fn key_position(&self, name: &str) -> Option<Position> {
        self.entry(name).map(|entry| entry.position)
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }
}

/// The name of a member; keys that are no plain words are quoted.
fn join(path: &str, key: &str) -> String {
    let plain = key.len() <= 80 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => {
            let shown: String =
                quote(key).chars().map(|character| if character == '`' { '"' } else { character }).collect();
            format!("{path}[{shown}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Syntax, read};
    use super::*;

    fn with<T>(text: &str, test: impl FnOnce(Cursor<'_>) -> T) -> T {
        let node = read(text, Syntax::Yaml, "f.yaml").unwrap();
        test(Cursor::root("f.yaml", &node))
    }

    #[test]
    fn refuses_other_types_by_name() {
        let refusal = |text: &str, get: &dyn Fn(&Cursor<'_>) -> Option<Error>| {
            with(text, |root| {
                let field = root.fields(&["a"]).unwrap().required("a").unwrap();
                get(&field).unwrap().message().to_owned()
            })
        };
        assert_eq!(refusal("a: 5", &|field| field.text().err()), "f.yaml:1:4: `a`: expected a string, found a number");
        assert_eq!(refusal("a: ''", &|field| field.non_empty_text().err()), "f.yaml:1:4: `a`: is empty");
        assert_eq!(refusal("a: \"x\\0\"", &|field| field.text().err()), "f.yaml:1:4: `a`: contains a NUL character");
        assert_eq!(
            refusal("a: no", &|field| field.boolean().err()),
            "f.yaml:1:4: `a`: expected `true` or `false`, found a string"
        );
        assert_eq!(
            refusal("a: 61", &|field| field.integer(1..=60).err()),
            "f.yaml:1:4: `a`: expected a whole number from 1 to 60, found `61`"
        );
        assert_eq!(
            refusal("a: -1", &|field| field.integer(1..=u64::MAX).err()),
            "f.yaml:1:4: `a`: expected a whole number from 1, found `-1`"
        );
        assert_eq!(
            refusal("a: 1.0", &|field| field.integer(1..=60).err()),
            "f.yaml:1:4: `a`: expected a whole number from 1 to 60, found `1.0`"
        );
        assert_eq!(
            refusal("a: '1'", &|field| field.integer(1..=60).err()),
            "f.yaml:1:4: `a`: expected a whole number from 1 to 60, found a string"
        );
        assert_eq!(
            refusal("a: 5", &|field| field.texts().err()),
            "f.yaml:1:4: `a`: expected a list of strings, found a number"
        );
        assert_eq!(
            refusal("a:\n- x\n- 5", &|field| field.texts().err()),
            "f.yaml:3:3: `a[1]`: expected a string, found a number"
        );
        assert_eq!(
            refusal("a:", &|field| field.list().err()),
            "f.yaml:1:1: `a`: expected a list, found nothing (null)"
        );
        assert_eq!(
            refusal("a: no", &|field| field.choice(&[("off", 0), ("full", 1)]).err()),
            "f.yaml:1:4: `a`: expected `off` or `full`, found `no`"
        );
        assert_eq!(refusal("a: {'': 1}", &|field| field.entries().err()), "f.yaml:1:5: `a`: has an empty key");
    }

    #[test]
    fn refuses_unknown_and_missing_fields() {
        with("x:\n  - path_alowlist: []\n", |root| {
            let item = root.fields(&["x"]).unwrap().required("x").unwrap().list().unwrap().remove(0);
            let error = item.fields(&["name", "path_allowlist"]).unwrap_err();
            assert_eq!(
                error.message(),
                "f.yaml:2:5: `x[0]`: unknown field `path_alowlist`; did you mean `path_allowlist`?"
            );
            let fields = item.fields(&["path_alowlist", "name"]).unwrap();
            assert_eq!(fields.required("name").unwrap_err().message(), "f.yaml:2:5: `x[0]`: missing field `name`");
        });
        with("burst: 1", |root| {
            let error = root.fields(&["calls", "per_seconds"]).unwrap_err();
            assert_eq!(error.message(), "f.yaml:1:1: unknown field `burst`; known here: calls, per_seconds");
        });
        with("[]", |root| {
            let error = root.fields(&["a"]).unwrap_err();
            assert_eq!(error.message(), "f.yaml:1:1: expected a mapping, found a list");
        });
    }

    #[test]
    fn quotes_keys_that_are_no_words() {
        with("grants: {'agent-*': 1, 'a`b': 2}", |root| {
            let grants = root.fields(&["grants"]).unwrap().required("grants").unwrap();
            let paths: Vec<_> = grants.entries().unwrap().into_iter().map(|(_, field)| field.path).collect();
            assert_eq!(paths, ["grants[\"agent-*\"]", "grants[\"a\"b\"]"]);
        });
    }
}
