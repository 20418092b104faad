//! Writing objects member by member, for answers and records whose members are known.

use super::canonical::write_string;

/// Builds one JSON object. Members are written in the order they are given.
#[derive(Debug)]
pub struct ObjectWriter {
    bytes: Vec<u8>,
}

impl Default for ObjectWriter {
    fn default() -> Self {
        Self { bytes: vec![b'{'] }
    }
}

impl ObjectWriter {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn name(&mut self, name: &str) {
        if self.bytes.len() > 1 {
            self.bytes.push(b',');
        }
        write_string(name, &mut self.bytes);
        self.bytes.push(b':');
    }

    /// A string member.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        write_string(value, &mut self.bytes);
        self
    }

    /// A string member, or nothing.
    #[must_use]
    pub fn optional_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// An integer member.
    #[must_use]
    pub fn integer(mut self, name: &str, value: i64) -> Self {
        self.name(name);
        self.bytes.extend_from_slice(value.to_string().as_bytes());
        self
    }

    /// A boolean member.
    #[must_use]
    pub fn boolean(mut self, name: &str, value: bool) -> Self {
        self.name(name);
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// A member whose value is JSON text already; the caller vouches for it.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &[u8]) -> Self {
        self.name(name);
        self.bytes.extend_from_slice(json);
        self
    }

    /// A list of strings.
    #[must_use]
    pub fn list<'v>(mut self, name: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        self.name(name);
        self.bytes.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            write_string(value, &mut self.bytes);
        }
        self.bytes.push(b']');
        self
    }

    /// The finished text.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'}');
        self.bytes
    }
}
