//! The pages of a `tools/list`, followed within bounds.

use std::collections::HashSet;

use smcp_core::error::Executed;
use smcp_core::json::{self, Kind, Limits, ObjectWriter, Value};
use smcp_core::{Error, ErrorKind, Result};

/// A server that gives more pages than this is not followed.
const MAXIMUM_PAGES: usize = 1_000;

/// Tools collected so far, as the JSON text of an array under construction.
pub(crate) struct ToolPages {
    text: Vec<u8>,
    cursor: Option<String>,
    cursors: HashSet<String>,
    maximum_bytes: usize,
}

impl ToolPages {
    pub(crate) fn new(maximum_bytes: usize) -> Self {
        Self { text: vec![b'['], cursor: None, cursors: HashSet::new(), maximum_bytes }
    }

    /// The parameters of the next request.
    pub(crate) fn params(&self) -> Option<Vec<u8>> {
        self.cursor.as_ref().map(|cursor| ObjectWriter::new().text("cursor", cursor).finish())
    }

    /// Takes one result; whether there is another page.
    pub(crate) fn add(&mut self, result: &[u8]) -> Result<bool> {
        let limits = Limits { bytes: self.maximum_bytes, ..Limits::default() };
        let document = json::scan_with(result, limits).map_err(|_| bad("the list of tools is not strict JSON"))?;
        let root = document.root();
        let tools = root.get("tools").filter(|tools| tools.kind() == Kind::Array);
        for tool in tools.ok_or_else(|| bad("the answer has no list of tools"))?.elements() {
            if self.text.len() > 1 {
                self.text.push(b',');
            }
            self.text.extend_from_slice(tool.raw().as_bytes());
            if self.text.len() > self.maximum_bytes {
                return Err(bad("the list of tools is larger than an answer may be"));
            }
        }
        let next = root.get("nextCursor").and_then(Value::as_str).map(std::borrow::Cow::into_owned);
        self.cursor = next;
        let Some(cursor) = &self.cursor else { return Ok(false) };
        if !self.cursors.insert(cursor.clone()) {
            return Err(bad("the list of tools goes in a circle"));
        }
        if self.cursors.len() >= MAXIMUM_PAGES {
            return Err(bad("the list of tools has too many pages"));
        }
        Ok(true)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.text.push(b']');
        self.text
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::BadResponse, message).with_executed(Executed::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_cursors_to_the_end() {
        let mut pages = ToolPages::new(1000);
        assert_eq!(pages.params(), None);
        assert!(pages.add(br#"{"tools":[{"name":"a"},{"name":"b"}],"nextCursor":"\"1\""}"#).unwrap());
        assert_eq!(pages.params().unwrap(), br#"{"cursor":"\"1\""}"#);
        assert!(pages.add(br#"{"tools":[],"nextCursor":"2"}"#).unwrap());
        assert!(!pages.add(br#"{"tools":[{"name":"c"}]}"#).unwrap());
        assert_eq!(pages.finish(), br#"[{"name":"a"},{"name":"b"},{"name":"c"}]"#);
    }

    #[test]
    fn is_bounded() {
        let mut circle = ToolPages::new(1000);
        assert!(circle.add(br#"{"tools":[],"nextCursor":"1"}"#).unwrap());
        assert!(circle.add(br#"{"tools":[],"nextCursor":"1"}"#).unwrap_err().message().contains("circle"));
        let mut large = ToolPages::new(40);
        assert!(large.add(br#"{"tools":[1,2,3,4,5],"nextCursor":"1"}"#).unwrap());
        assert!(large.add(br#"{"tools":["xxxxxxxxxxxxxxxxxxxxxxxxx"]}"#).is_ok_and(|more| !more));
        assert!(large.add(br#"{"tools":["xxxxxxxxxxxxxxxxxxxxxxxxx"]}"#).is_err());
        let mut many = ToolPages::new(1000);
        let mut page = 0;
        while many.add(format!(r#"{{"tools":[],"nextCursor":"{page}"}}"#).as_bytes()).is_ok() {
            page += 1;
        }
        assert_eq!(page, MAXIMUM_PAGES - 1);
        for wrong in [&b"{}"[..], b"[]", br#"{"tools":{}}"#, b"x"] {
            assert!(ToolPages::new(1000).add(wrong).is_err());
        }
    }
}
