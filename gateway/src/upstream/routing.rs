//! Which tool server a request belongs to, and what it looks like there.

use serde_json::{Map, Value};

use super::index::{Index, IndexEntry};
use super::request::{INVALID_PARAMS, METHOD_NOT_FOUND, RESOURCE_NOT_FOUND, UpstreamAnswer};
use super::server::ListKind;

/// Finds the entry a request is about.
///
/// # Errors
///
/// The JSON-RPC error the agent gets: nobody offers it, or the parameters do not name it.
pub(crate) fn find<'a>(
    index: &'a Index,
    method: &str,
    params: &Map<String, Value>,
) -> Result<&'a IndexEntry, UpstreamAnswer> {
    match method {
        "tools/call" => named(index, ListKind::Tools, params),
        "prompts/get" => named(index, ListKind::Prompts, params),
        "resources/read" => {
            let uri = text(params, "uri")?;
            index
                .find_uri(uri)
                .ok_or_else(|| UpstreamAnswer::error(RESOURCE_NOT_FOUND, format!("unknown resource `{uri}`")))
        }
        "completion/complete" => completed(index, params),
        _ => Err(UpstreamAnswer::error(METHOD_NOT_FOUND, format!("method `{method}` is not served"))),
    }
}

fn named<'a>(index: &'a Index, kind: ListKind, params: &Map<String, Value>) -> Result<&'a IndexEntry, UpstreamAnswer> {
    let name = text(params, "name")?;
    index.find(kind, name).ok_or_else(|| {
        let what = if kind == ListKind::Tools { "tool" } else { "prompt" };
        UpstreamAnswer::error(INVALID_PARAMS, format!("unknown {what} `{name}`"))
    })
}

fn completed<'a>(index: &'a Index, params: &Map<String, Value>) -> Result<&'a IndexEntry, UpstreamAnswer> {
    let reference = params.get("ref").and_then(Value::as_object).ok_or_else(|| missing("ref"))?;
    match text(reference, "type")? {
        "ref/prompt" => named(index, ListKind::Prompts, reference),
        "ref/resource" => {
            let uri = text(reference, "uri")?;
            index
                .find_uri(uri)
                .ok_or_else(|| UpstreamAnswer::error(RESOURCE_NOT_FOUND, format!("unknown resource `{uri}`")))
        }
        other => Err(UpstreamAnswer::error(INVALID_PARAMS, format!("unknown reference type `{other}`"))),
    }
}

/// Puts the server's own name into the parameters.
pub(crate) fn rename(method: &str, params: &mut Map<String, Value>, entry: &IndexEntry) {
    let own = || Value::String(entry.own_key.clone());
    match method {
        "tools/call" | "prompts/get" => {
            params.insert("name".to_owned(), own());
        }
        "completion/complete" => {
            let reference = params.get_mut("ref").and_then(Value::as_object_mut);
            if let Some(reference) = reference.filter(|reference| reference.contains_key("name")) {
                reference.insert("name".to_owned(), own());
            }
        }
        // A URI means the same everywhere.
        _ => {}
    }
}

fn text<'a>(params: &'a Map<String, Value>, member: &str) -> Result<&'a str, UpstreamAnswer> {
    params.get(member).and_then(Value::as_str).ok_or_else(|| missing(member))
}

fn missing(member: &str) -> UpstreamAnswer {
    UpstreamAnswer::error(INVALID_PARAMS, format!("`{member}` is missing or of the wrong type"))
}
