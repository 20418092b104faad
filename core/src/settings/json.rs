//! JSON settings, through the strict scanner.

use super::limits::{Budget, DEPTH_LIMIT, SIZE_LIMIT};
use super::position::Positions;
use super::{Entry, Node, NodeKind, Refused, quote};
use crate::json::{self, Kind, Value};

pub(super) fn read(text: &str) -> Result<Node, Refused> {
    let positions = Positions::new(text);
    let limits = json::Limits { bytes: SIZE_LIMIT, depth: DEPTH_LIMIT };
    let document = json::scan_with(text.as_bytes(), limits)
        .map_err(|error| Refused::new(positions.at(error.offset()), reason(text, error)))?;
    Reader { positions, budget: Budget::new() }.node(document.root())
}

/// The scanner's reason, with the name of a duplicate member.
fn reason(text: &str, error: json::ScanError) -> String {
    const DUPLICATE: &str = "duplicate member name";
    let name = text.get(error.offset().saturating_add(1)..).and_then(|rest| rest.split('"').next());
    match name {
        Some(name) if error.reason() == DUPLICATE => format!("{DUPLICATE} {}", quote(name)),
        Some(_) | None => error.reason().to_owned(),
    }
}

struct Reader<'t> {
    positions: Positions<'t>,
    budget: Budget,
}

impl Reader<'_> {
    fn node(&mut self, value: Value<'_>) -> Result<Node, Refused> {
        let position = self.positions.at(value.offset());
        self.budget.take(position)?;
        let kind = match value.kind() {
            Kind::Null => NodeKind::Null,
            Kind::Boolean => NodeKind::Boolean(value.as_bool().unwrap_or_default()),
            Kind::String => NodeKind::Text(value.as_str().unwrap_or_default().into_owned()),
            Kind::Number => number(value.as_number().unwrap_or_default())
                .ok_or_else(|| Refused::new(position, "number is out of range"))?,
            Kind::Array => {
                NodeKind::List(value.elements().map(|element| self.node(element)).collect::<Result<_, _>>()?)
            }
            Kind::Object => {
                let mut entries = Vec::new();
                for (key, value) in value.member_nodes() {
                    let position = self.positions.at(key.offset());
                    let key = key.as_str().unwrap_or_default().into_owned();
                    entries.push(Entry { key, position, value: self.node(value)? });
                }
                NodeKind::Mapping(entries)
            }
        };
        Ok(Node { kind, position })
    }
}

fn number(lexeme: &str) -> Option<NodeKind> {
    if lexeme.contains(['.', 'e', 'E']) {
        return lexeme.parse().ok().filter(|value: &f64| value.is_finite()).map(NodeKind::Float);
    }
    lexeme.parse().ok().map(NodeKind::Integer)
}

#[cfg(test)]
mod tests {
    use super::super::{NODE_LIMIT, Position, Syntax};
    use super::*;

    fn refusal(text: &str) -> String {
        super::super::read(text, Syntax::Json, "x.json").unwrap_err().message().to_owned()
    }

    #[test]
    fn refuses_with_line_and_column() {
        for (text, message) in [
            ("", "x.json:1:1: unexpected end of text"),
            ("{\n  \"a\": 1,\n  \"a\": 2\n}", "x.json:3:3: duplicate member name `a`"),
            ("{\n  \"é\": 01\n}", "x.json:2:9: number with a leading zero"),
            ("{} {}", "x.json:1:4: trailing bytes after the value"),
            ("[1e400]", "x.json:1:2: number is out of range"),
            ("# comment\n{}", "x.json:1:1: expected a value"),
        ] {
            assert_eq!(refusal(text), message, "{text}");
        }
        let digits = "9".repeat(60);
        assert_eq!(refusal(&digits), "x.json:1:1: number is out of range");
    }

    #[test]
    fn counts_depth_and_values() {
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(refusal(&deep), "x.json:1:65: nesting is deeper than the limit");
        let many = format!("[{}0]", "0,".repeat(NODE_LIMIT));
        assert!(refusal(&many).ends_with(": the file holds more than 50000 values"));
    }

    #[test]
    fn keeps_order_and_places() {
        let node = read("{\n \"b\": null,\n \"a\": [1]\n}").unwrap();
        let NodeKind::Mapping(entries) = &node.kind else { panic!("a mapping") };
        let places: Vec<_> = entries.iter().map(|entry| (entry.key.as_str(), entry.position)).collect();
        assert_eq!(places, [("b", Position { line: 2, column: 2 }), ("a", Position { line: 3, column: 2 })]);
        assert_eq!(entries[1].value.position, Position { line: 3, column: 7 });
    }
}
