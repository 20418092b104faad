//! Fetches whole lists page by page, within bounds.

use std::collections::HashSet;

use rmcp::model::{ListToolsResult, ServerCapabilities};
use serde_json::{Map, Value};
use smcp_core::Result;
use tokio::time::Instant;

use super::request::{METHOD_NOT_FOUND, UpstreamAnswer};
use super::server::ListKind;
use super::session::Session;
use super::wire::{excerpt, protocol_error};

/// Most pages read of one list.
const MAX_PAGES: usize = 1_000;
/// Most entries read of one list.
const MAX_ENTRIES: usize = 10_000;
/// Most bytes of one list, as compact JSON.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// Longest cursor in bytes.
const MAX_CURSOR: usize = 64 * 1024;

/// Fetches a list from a server; one it does not have is empty.
///
/// # Errors
///
/// As a call, and `UPSTREAM_PROTOCOL_ERROR` for a list that is malformed or beyond the bounds.
pub(crate) async fn fetch(session: &Session, kind: ListKind, deadline: Instant) -> Result<Vec<Value>> {
    if !offers(&session.capabilities, kind) {
        return Ok(Vec::new());
    }
    let mut list = List { kind, entries: Vec::new(), bytes: 0 };
    let mut cursor: Option<String> = None;
    for _page in 0..MAX_PAGES {
        let params = cursor.take().map(|cursor| ("cursor".to_owned(), Value::String(cursor))).into_iter().collect();
        match session.page(kind.method(), params, deadline).await? {
            (UpstreamAnswer::Result(Value::Object(page)), seen) => cursor = list.take(page, seen)?,
            (UpstreamAnswer::Error { code: METHOD_NOT_FOUND, .. }, _) => return Ok(Vec::new()),
            (UpstreamAnswer::Error { code, message, .. }, _) => {
                let text = format!("`{}` failed with {code}: {}", kind.method(), excerpt(&message));
                return Err(protocol_error(text));
            }
            (UpstreamAnswer::Result(_), _) => return Err(malformed(kind)),
        }
        if cursor.is_none() {
            return Ok(list.entries);
        }
    }
    Err(unbounded(kind))
}

fn offers(capabilities: &ServerCapabilities, kind: ListKind) -> bool {
    match kind {
        ListKind::Tools => capabilities.tools.is_some(),
        ListKind::Resources | ListKind::Templates => capabilities.resources.is_some(),
        ListKind::Prompts => capabilities.prompts.is_some(),
    }
}

struct List {
    kind: ListKind,
    entries: Vec<Value>,
    bytes: usize,
}

impl List {
    /// Adds a page and returns the cursor of the next one.
    fn take(&mut self, mut page: Map<String, Value>, seen: Option<ListToolsResult>) -> Result<Option<String>> {
        let Some(Value::Array(entries)) = page.remove(self.kind.member()) else { return Err(malformed(self.kind)) };
        let seen: Option<HashSet<String>> =
            seen.map(|list| list.tools.into_iter().map(|tool| tool.name.into_owned()).collect());
        for entry in entries {
            let key = entry.get(self.kind.key()).and_then(Value::as_str);
            if seen.as_ref().is_some_and(|seen| !key.is_some_and(|key| seen.contains(key))) {
                continue;
            }
            self.bytes = self.bytes.saturating_add(entry.to_string().len());
            self.entries.push(entry);
        }
        if self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(unbounded(self.kind));
        }
        match page.remove("nextCursor") {
            None | Some(Value::Null) => Ok(None),
            // Some servers say so when there is no next page.
            Some(Value::String(cursor)) if cursor.is_empty() => Ok(None),
            Some(Value::String(cursor)) if cursor.len() <= MAX_CURSOR => Ok(Some(cursor)),
            Some(_) => Err(malformed(self.kind)),
        }
    }
}

fn malformed(kind: ListKind) -> smcp_core::Error {
    protocol_error(format!("the tool server's answer to `{}` is malformed", kind.method()))
}

fn unbounded(kind: ListKind) -> smcp_core::Error {
    protocol_error(format!("the tool server's list of `{}` is too long", kind.member()))
}
