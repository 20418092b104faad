//! TOML settings, through the `toml` crate's parser with spans.

use toml::de::{DeInteger, DeTable, DeValue};

use super::limits::{Budget, check_depth};
use super::position::Positions;
use super::{Entry, Node, NodeKind, Position, Refused, quote, refuse_duplicates};

pub(super) fn read(text: &str) -> Result<Node, Refused> {
    let positions = Positions::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        // One line, since the message becomes part of one.
        let mut message = error.message().replace('\n', " ");
        if message == "duplicate key" {
            let key = error.span().and_then(|span| text.get(span)).unwrap_or_default();
            message = format!("{message} {}", quote(key));
        }
        Refused::new(positions.at(offset), message)
    })?;
    Reader { positions, budget: Budget::new() }.table(table.get_ref(), Position::START, 1)
}

struct Reader<'t> {
    positions: Positions<'t>,
    budget: Budget,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, position: Position, depth: usize) -> Result<Node, Refused> {
        check_depth(depth, position)?;
        self.budget.take(position)?;
        let mut members: Vec<_> = table.iter().collect();
        // The parser sorts by key; file order is wanted, in which a table defined in pieces stands at its first.
        members.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Vec::with_capacity(members.len());
        for (key, value) in members {
            let place = self.positions.at(key.span().start);
            let value = self.value(value.get_ref(), value.span().start, place, depth)?;
            entries.push(Entry { key: key.get_ref().clone().into_owned(), position: place, value });
        }
        // The parser refuses duplicates itself; the check keeps the promise if that ever changes.
        refuse_duplicates(&entries)?;
        Ok(Node { kind: NodeKind::Mapping(entries), position })
    }

    fn value(&mut self, value: &DeValue<'_>, offset: usize, key: Position, depth: usize) -> Result<Node, Refused> {
        let position = self.positions.at(offset);
        let deeper = depth.saturating_add(1);
        let kind = match value {
            // A table of the form `[a.b]` is best shown at its name.
            DeValue::Table(table) => return self.table(table, key, deeper),
            DeValue::Array(elements) => {
                check_depth(deeper, position)?;
                self.budget.take(position)?;
                let mut nodes = Vec::new();
                for element in elements.iter() {
                    let start = element.span().start;
                    let place = self.positions.at(start);
                    nodes.push(self.value(element.get_ref(), start, place, deeper)?);
                }
                return Ok(Node { kind: NodeKind::List(nodes), position });
            }
            DeValue::String(text) => NodeKind::Text(text.clone().into_owned()),
            DeValue::Boolean(value) => NodeKind::Boolean(*value),
            DeValue::Datetime(time) => NodeKind::Text(time.to_string()),
            DeValue::Integer(integer) => NodeKind::Integer(
                parse_integer(integer).ok_or_else(|| Refused::new(position, "number is out of range"))?,
            ),
            DeValue::Float(float) => {
                NodeKind::Float(float.as_str().parse().map_err(|_| Refused::new(position, "number is out of range"))?)
            }
        };
        self.budget.take(position)?;
        Ok(Node { kind, position })
    }
}

fn parse_integer(integer: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Syntax;
    use super::*;

    fn refusal(text: &str) -> String {
        super::super::read(text, Syntax::Toml, "x.toml").unwrap_err().message().to_owned()
    }

    #[test]
    fn refuses_with_line_and_column() {
        for (text, begin) in [
            ("name = ", "x.toml:1:8: "),
            ("a = 1\na = 2\n", "x.toml:2:1: duplicate key `a`"),
            ("[t]\na = 1\n[t]\n", "x.toml:3:2: duplicate key `t`"),
            ("a = 1\n[a.b]\n", "x.toml:2:2: "),
            ("a = 1\n\nb = 01\n", "x.toml:3:5: "),
            ("a = nope", "x.toml:1:5: "),
            ("a: 1", "x.toml:1:4: "),
        ] {
            let message = refusal(text);
            assert!(message.starts_with(begin), "{text:?}: {message}");
            assert!(!message.contains('\n'), "{message:?}");
        }
        let digits = "9".repeat(60);
        assert_eq!(refusal(&format!("a = {digits}")), "x.toml:1:5: number is out of range");
    }

    #[test]
    fn counts_depth() {
        let deep = format!("a = {}{}", "[".repeat(70), "]".repeat(70));
        assert!(refusal(&deep).contains("nesting is deeper than 64 levels"), "{}", refusal(&deep));
        let deeper = format!("a = {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(refusal(&deeper).starts_with("x.toml:1:"));
    }

    #[test]
    fn keeps_order_and_places() {
        let node = read("z = 2026-02-17T00:00:00Z\na = 1\n[[list]]\nx = 1.5\n[[list]]\n").unwrap();
        assert_eq!(node.outline(), r#"{"z": "2026-02-17T00:00:00Z", "a": 1, "list": [{"x": 1.5}, {}]}"#);
        let NodeKind::Mapping(entries) = &node.kind else { panic!("a mapping") };
        assert_eq!(entries[1].value.position, Position { line: 2, column: 5 });
        let NodeKind::List(tables) = &entries[2].value.kind else { panic!("a list") };
        assert_eq!((tables[0].position.line, tables[1].position.line), (3, 5));
    }
}
