//! What all tool servers together offer, under names that are unique in the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::server::ListKind;
use super::template;

/// Longest tool name (section 7).
const LONGEST_TOOL_NAME: usize = 128;
/// Longest name of anything else, in bytes.
const LONGEST_KEY: usize = 8 * 1024;

/// One tool, resource, template or prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexEntry {
    /// Its name (with the server's prefix), URI or URI template, unique among its kind.
    pub key: String,
    /// The server that has it.
    pub server: Arc<str>,
    /// Its description as the server wrote it, except for a prefixed `name`.
    pub definition: Value,
    /// Its name at the server.
    pub(crate) own_key: String,
    /// Position of the server in the configuration.
    pub(crate) position: usize,
}

/// The lists of one server, as last fetched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub(crate) server: Arc<str>,
    pub(crate) prefix: Option<String>,
    pub(crate) lists: Arc<Lists>,
}

/// The four lists of one server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Lists(pub(crate) [Vec<Value>; 4]);

/// Two servers that offer the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) kind: ListKind,
    pub(crate) key: String,
    pub(crate) kept: Arc<str>,
    pub(crate) refused: Arc<str>,
}

/// The merged lists of all servers, each sorted by key. Immutable; a change makes a new one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    tools: Vec<IndexEntry>,
    resources: Vec<IndexEntry>,
    templates: Vec<IndexEntry>,
    prompts: Vec<IndexEntry>,
}

impl Index {
    /// The entries of one kind, sorted by key.
    #[must_use]
    pub fn entries(&self, kind: ListKind) -> &[IndexEntry] {
        match kind {
            ListKind::Tools => &self.tools,
            ListKind::Resources => &self.resources,
            ListKind::Templates => &self.templates,
            ListKind::Prompts => &self.prompts,
        }
    }

    /// Finds an entry by its key.
    #[must_use]
    pub fn find(&self, kind: ListKind, key: &str) -> Option<&IndexEntry> {
        let entries = self.entries(kind);
        entries.binary_search_by(|entry| entry.key.as_str().cmp(key)).ok().and_then(|found| entries.get(found))
    }

    /// Finds the resource with this URI, or else the first template it fits.
    #[must_use]
    pub fn find_uri(&self, uri: &str) -> Option<&IndexEntry> {
        self.find(ListKind::Resources, uri)
            .or_else(|| self.templates.iter().find(|entry| entry.key == uri || template::matches(&entry.key, uri)))
    }

    /// Merges the offers, in order of the configuration.
    ///
    /// Who had a key in `previous` keeps it as long as it offers it, so that no server can take over
    /// another one's tool later on; a new key goes to the first in order.
    pub(crate) fn merge(offers: &[Offer], previous: &Self) -> (Self, Vec<Conflict>) {
        let mut conflicts = Vec::new();
        let mut merged = |kind| merge_kind(kind, offers, previous.entries(kind), &mut conflicts);
        let index = Self {
            tools: merged(ListKind::Tools),
            resources: merged(ListKind::Resources),
            templates: merged(ListKind::Templates),
            prompts: merged(ListKind::Prompts),
        };
        (index, conflicts)
    }
}

fn merge_kind(
    kind: ListKind,
    offers: &[Offer],
    previous: &[IndexEntry],
    conflicts: &mut Vec<Conflict>,
) -> Vec<IndexEntry> {
    let owners: BTreeMap<&str, &Arc<str>> = previous.iter().map(|entry| (entry.key.as_str(), &entry.server)).collect();
    let mut merged: BTreeMap<String, IndexEntry> = BTreeMap::new();
    for entry in offers.iter().enumerate().flat_map(|(position, offer)| entries(kind, position, offer)) {
        let Some(other) = merged.get(&entry.key) else {
            merged.insert(entry.key.clone(), entry);
            continue;
        };
        if other.server == entry.server {
            tracing::warn!(upstream = %entry.server, list = kind.member(), key = %entry.key, "offered twice by one tool server");
            continue;
        }
        let takes_back = owners.get(entry.key.as_str()).is_some_and(|owner| **owner == entry.server);
        let (kept, refused) = if takes_back { (&entry, other) } else { (other, &entry) };
        conflicts.push(Conflict {
            kind,
            key: entry.key.clone(),
            kept: Arc::clone(&kept.server),
            refused: Arc::clone(&refused.server),
        });
        if takes_back {
            merged.insert(entry.key.clone(), entry);
        }
    }
    merged.into_values().collect()
}

fn entries(kind: ListKind, position: usize, offer: &Offer) -> impl Iterator<Item = IndexEntry> {
    offer.lists.of(kind).iter().filter_map(move |definition| {
        let entry = entry(kind, position, offer, definition);
        if entry.is_none() {
            let key = definition.get(kind.key()).map(|key| super::wire::excerpt(&key.to_string()));
            tracing::warn!(upstream = %offer.server, list = kind.member(), ?key, "left out, its name cannot be used");
        }
        entry
    })
}

fn entry(kind: ListKind, position: usize, offer: &Offer, definition: &Value) -> Option<IndexEntry> {
    let own_key = definition.get(kind.key())?.as_str()?.to_owned();
    let is_named = matches!(kind, ListKind::Tools | ListKind::Prompts);
    let key = match &offer.prefix {
        Some(prefix) if is_named => format!("{prefix}{own_key}"),
        Some(_) | None => own_key.clone(),
    };
    let usable = match kind {
        ListKind::Tools => key.len() <= LONGEST_TOOL_NAME && key.bytes().all(|byte| byte.is_ascii_graphic()),
        ListKind::Resources | ListKind::Templates | ListKind::Prompts => {
            key.len() <= LONGEST_KEY && !key.chars().any(char::is_control)
        }
    };
    if own_key.is_empty() || !usable {
        return None;
    }
    let mut definition = definition.clone();
    definition.as_object_mut()?.insert(kind.key().to_owned(), Value::String(key.clone()));
    Some(IndexEntry { key, server: Arc::clone(&offer.server), definition, own_key, position })
}

impl Lists {
    pub(crate) fn of(&self, kind: ListKind) -> &[Value] {
        let [tools, resources, templates, prompts] = &self.0;
        match kind {
            ListKind::Tools => tools,
            ListKind::Resources => resources,
            ListKind::Templates => templates,
            ListKind::Prompts => prompts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offer(server: &str, prefix: Option<&str>, tools: &[&str]) -> Offer {
        let tools = tools.iter().map(|name| json!({"name": name, "x-unknown": {"kept": true}})).collect();
        let lists = Lists([tools, vec![json!({"uri": "a://1"})], vec![json!({"uriTemplate": "t://{x}"})], Vec::new()]);
        Offer { server: server.into(), prefix: prefix.map(str::to_owned), lists: Arc::new(lists) }
    }

    fn keys(index: &Index, kind: ListKind) -> Vec<(&str, &str)> {
        index.entries(kind).iter().map(|entry| (entry.key.as_str(), &*entry.server)).collect()
    }

    #[test]
    fn tools_are_sorted_and_prefixed() {
        let (index, conflicts) =
            Index::merge(&[offer("one", Some("b."), &["y", "x"]), offer("two", Some("a."), &["x"])], &Index::default());
        assert_eq!(keys(&index, ListKind::Tools), [("a.x", "two"), ("b.x", "one"), ("b.y", "one")]);
        let found = index.find(ListKind::Tools, "b.x").unwrap();
        assert_eq!((found.own_key.as_str(), found.position), ("x", 0));
        assert_eq!(found.definition, json!({"name": "b.x", "x-unknown": {"kept": true}}));
        assert!(index.find(ListKind::Tools, "x").is_none());
        assert!(conflicts.iter().all(|conflict| conflict.kind != ListKind::Tools));
    }

    #[test]
    fn an_owner_keeps_its_tool() {
        let (first, conflicts) =
            Index::merge(&[offer("one", None, &[]), offer("two", None, &["x"])], &Index::default());
        assert!(conflicts.iter().all(|conflict| conflict.kind != ListKind::Tools));
        let offers = [offer("one", None, &["x", "y"]), offer("two", None, &["x"])];
        let (second, conflicts) = Index::merge(&offers, &first);
        assert_eq!(keys(&second, ListKind::Tools), [("x", "two"), ("y", "one")]);
        assert_eq!(&*conflicts.iter().find(|conflict| conflict.key == "x").unwrap().refused, "one");
        let (fresh, _) = Index::merge(&offers, &Index::default());
        assert_eq!(keys(&fresh, ListKind::Tools), [("x", "one"), ("y", "one")]);
    }

    #[test]
    fn unusable_names_are_left_out() {
        let long = "x".repeat(LONGEST_TOOL_NAME + 1);
        let (index, _) =
            Index::merge(&[offer("one", None, &["", "a b", "é", "a\u{7f}", &long, "ok"])], &Index::default());
        assert_eq!(keys(&index, ListKind::Tools), [("ok", "one")]);
    }

    #[test]
    fn a_uri_is_found_directly_or_through_a_template() {
        let (index, _) = Index::merge(&[offer("one", None, &[])], &Index::default());
        assert_eq!(index.find_uri("a://1").unwrap().key, "a://1");
        assert_eq!(index.find_uri("t://z").unwrap().key, "t://{x}");
        assert!(index.find_uri("u://z").is_none());
    }
}
