//! The tree all syntaxes are read into.

use super::Position;
use super::limits::Cost;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: NodeKind,
    /// Its first character; for a YAML value that is not there (`key:`) that of its key.
    pub position: Position,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// Null, or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number written without point and exponent.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping with unique keys, in file order.
    Mapping(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// First character of the key.
    pub position: Position,
    /// The value.
    pub value: Node,
}

impl Node {
    /// What the value is, for messages: `a string`, `a list`, …
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing (null)",
            NodeKind::Boolean(_) => "a boolean",
            NodeKind::Integer(_) | NodeKind::Float(_) => "a number",
            NodeKind::Text(_) => "a string",
            NodeKind::List(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
        }
    }

    /// What a copy of this tree takes.
    pub(super) fn cost(&self) -> Cost {
        let sum = |parts: Vec<Cost>, own: Cost| {
            parts.into_iter().fold(own, |sum, part| Cost {
                nodes: sum.nodes.saturating_add(part.nodes),
                bytes: sum.bytes.saturating_add(part.bytes),
            })
        };
        let one = |bytes| Cost { nodes: 1, bytes };
        match &self.kind {
            NodeKind::Null | NodeKind::Boolean(_) | NodeKind::Integer(_) | NodeKind::Float(_) => one(0),
            NodeKind::Text(text) => one(text.len()),
            NodeKind::List(nodes) => sum(nodes.iter().map(Self::cost).collect(), one(0)),
            NodeKind::Mapping(entries) => {
                let keys = entries.iter().map(|entry| entry.key.len()).fold(0_usize, usize::saturating_add);
                sum(entries.iter().map(|entry| entry.value.cost()).collect(), one(keys))
            }
        }
    }

    /// Levels of lists and mappings: 0 for a scalar, 1 for `[]`.
    pub(super) fn depth(&self) -> usize {
        let deepest = match &self.kind {
            NodeKind::Null | NodeKind::Boolean(_) | NodeKind::Integer(_) | NodeKind::Float(_) | NodeKind::Text(_) => {
                return 0;
            }
            NodeKind::List(nodes) => nodes.iter().map(Self::depth).max(),
            NodeKind::Mapping(entries) => entries.iter().map(|entry| entry.value.depth()).max(),
        };
        deepest.unwrap_or(0).saturating_add(1)
    }

    /// The tree without positions.
    #[cfg(test)]
    pub(super) fn outline(&self) -> String {
        match &self.kind {
            NodeKind::Null => "null".to_owned(),
            NodeKind::Boolean(value) => value.to_string(),
            NodeKind::Integer(value) => value.to_string(),
            NodeKind::Float(value) => format!("{value:?}"),
            NodeKind::Text(text) => format!("{text:?}"),
            NodeKind::List(nodes) => {
                let items: Vec<_> = nodes.iter().map(Self::outline).collect();
                format!("[{}]", items.join(", "))
            }
            NodeKind::Mapping(entries) => {
                let items: Vec<_> =
                    entries.iter().map(|entry| format!("{:?}: {}", entry.key, entry.value.outline())).collect();
                format!("{{{}}}", items.join(", "))
            }
        }
    }
}
