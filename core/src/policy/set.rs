//! All contexts of a gateway or verifier, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SecurityContext;
use super::load::read_context;
use crate::error::{Error, ErrorKind, Result};
use crate::settings::{self, Cursor, Position, Syntax};

/// Contexts with unique names.
#[derive(Clone, Debug, Default)]
pub struct ContextSet {
    contexts: BTreeMap<String, Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    context: Arc<SecurityContext>,
    /// `file:line:column` of the name, for the message about a second context of that name.
    place: Option<String>,
}

impl ContextSet {
    /// A set without contexts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads one context and adds it.
    ///
    /// # Errors
    /// As [`load_context`](super::load_context), and `CONFIG_INVALID` at the name when the set has a context of that name already.
    pub fn load(&mut self, text: &str, syntax: Syntax, origin: &str) -> Result<()> {
        let node = settings::read(text, syntax, origin)?;
        self.read(&Cursor::root(origin, &node))
    }

    /// Reads a context that stands inside another file and adds it.
    ///
    /// # Errors
    /// As [`ContextSet::load`].
    pub fn read(&mut self, cursor: &Cursor<'_>) -> Result<()> {
        let context = read_context(cursor)?;
        let name = cursor.fields(&["name", "description", "capabilities", "deny_list"])?.required("name")?;
        let position: Position = name.position();
        if let Some(first) = self.contexts.get(&*context.name) {
            let message = match &first.place {
                Some(place) => format!("there is a context `{}` already, at {place}", context.name),
                None => format!("there is a context `{}` already", context.name),
            };
            return Err(name.error(&message));
        }
        let place = Some(format!("{}:{position}", cursor.origin()));
        self.contexts.insert(context.name.to_string(), Loaded { context: Arc::new(context), place });
        Ok(())
    }

    /// Adds a context that was loaded before.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the set has a context of that name already.
    pub fn insert(&mut self, context: SecurityContext) -> Result<()> {
        if self.contexts.contains_key(&*context.name) {
            return Err(Error::new(ErrorKind::ConfigInvalid, format!("there is a context `{}` already", context.name)));
        }
        self.contexts.insert(context.name.to_string(), Loaded { context: Arc::new(context), place: None });
        Ok(())
    }

    /// The context called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<SecurityContext>> {
        self.contexts.get(name).map(|loaded| &loaded.context)
    }

    /// All contexts, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SecurityContext>> {
        self.contexts.values().map(|loaded| &loaded.context)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }
}

/// Loads several files, given as text, syntax and origin, into one set.
///
/// # Errors
/// As [`ContextSet::load`].
pub fn load_contexts<'a>(files: impl IntoIterator<Item = (&'a str, Syntax, &'a str)>) -> Result<ContextSet> {
    let mut set = ContextSet::new();
    for (text, syntax, origin) in files {
        set.load(text, syntax, origin)?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::super::load_context;
    use super::*;

    #[test]
    fn refuses_two_of_one_name() {
        let error = load_contexts([
            ("name: a\ncapabilities: []\n", Syntax::Yaml, "one.yaml"),
            ("name: b\ncapabilities: []\n", Syntax::Yaml, "two.yaml"),
            ("{\"capabilities\": [],\n \"name\": \"a\"}", Syntax::Json, "three.json"),
        ])
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert_eq!(error.message(), "three.json:2:10: `name`: there is a context `a` already, at one.yaml:1:7");

        let mut set = ContextSet::new();
        let context = load_context("name: a\ncapabilities: []\n", Syntax::Yaml, "one.yaml").unwrap();
        set.insert(context.clone()).unwrap();
        assert_eq!(set.insert(context).unwrap_err().message(), "there is a context `a` already");
        let error = set.load("name: a\ncapabilities: []\n", Syntax::Yaml, "x.yaml").unwrap_err();
        assert_eq!(error.message(), "x.yaml:1:7: `name`: there is a context `a` already");
    }

    #[test]
    fn finds_by_whole_name() {
        let set = load_contexts([("name: a\ncapabilities: []\n", Syntax::Yaml, "one.yaml")]).unwrap();
        assert_eq!(&*set.get("a").unwrap().name, "a");
        assert!(set.get("A").is_none() && set.get("").is_none() && set.get("a ").is_none());
        assert_eq!((set.len(), set.is_empty(), set.iter().count()), (1, false, 1));
    }
}
