//! The tools as `tools/list` describes them, and their arguments as Rust values.
//!
//! A test compares the two: what a schema allows is what the arguments accept.

use serde::Deserialize;
use serde_json::{Value, json};

/// Most entries or matches one call may ask for.
pub(crate) const MOST_RESULTS: u64 = 10_000;
/// Entries or matches of a call that does not say.
pub(crate) const USUAL_RESULTS: u64 = 1_000;

/// How file content is written in JSON.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As text.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// As standard base64 with padding.
    #[serde(rename = "base64")]
    Base64,
}

/// Arguments of `fs.read`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadArguments {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) encoding: Encoding,
    #[serde(default)]
    pub(crate) offset: u64,
    #[serde(default, deserialize_with = "present")]
    pub(crate) length: Option<u64>,
}

/// Arguments of `fs.list`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArguments {
    pub(crate) path: String,
    #[serde(default = "usual_results")]
    pub(crate) max_results: u64,
}

/// Arguments of `fs.search`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchArguments {
    pub(crate) path: String,
    #[serde(default, deserialize_with = "present")]
    pub(crate) pattern: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) text: Option<String>,
    #[serde(default = "usual_results")]
    pub(crate) max_results: u64,
}

/// Arguments of `fs.stat`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatArguments {
    pub(crate) path: String,
}

/// Arguments of `fs.write`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteArguments {
    pub(crate) path: String,
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) encoding: Encoding,
    #[serde(default)]
    pub(crate) mode: WriteMode,
}

/// What `fs.write` does with a file that exists.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WriteMode {
    /// Replaces it.
    #[default]
    Replace,
    /// Fails.
    Create,
}

fn usual_results() -> u64 {
    USUAL_RESULTS
}

/// An optional member may be absent, but not `null`, which its schema does not allow.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// Definitions of the tools, sorted by name.
pub(crate) fn definitions(writable: bool) -> Vec<Value> {
    let mut tools = vec![list(), read(), search(), stat()];
    if writable {
        tools.push(write());
    }
    tools
}

fn list() -> Value {
    let properties = json!({"path": path("Directory to list."), "max_results": max_results()});
    tool(
        "fs.list",
        "List a directory",
        "Lists the entries of a directory, sorted by name.",
        properties,
        &["path"],
        true,
    )
}

fn read() -> Value {
    let properties = json!({
        "path": path("File to read."),
        "encoding": encoding("`utf-8` gives text, `base64` any bytes."),
        "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "First byte to read."},
        "length": {"type": "integer", "minimum": 0, "description": "Most bytes to read; all when absent."},
    });
    tool("fs.read", "Read a file", "Reads a regular file or a part of it.", properties, &["path"], true)
}

fn search() -> Value {
    let properties = json!({
        "path": path("Directory to search, with everything below it."),
        "pattern": {"type": "string", "minLength": 1, "description": "File name, with `*` for any run and `?` for one character."},
        "text": {"type": "string", "minLength": 1, "description": "Text a line of the file must contain, exactly."},
        "max_results": max_results(),
    });
    let text = "Finds files by name, by a text they contain, or by both. Symbolic links are not followed.";
    tool("fs.search", "Search files", text, properties, &["path"], true)
}

fn stat() -> Value {
    let properties = json!({"path": path("File or directory to describe.")});
    tool(
        "fs.stat",
        "Describe a file",
        "Tells type, size, time of change and mode of a file or directory.",
        properties,
        &["path"],
        true,
    )
}

fn write() -> Value {
    let properties = json!({
        "path": path("File to write. Its directory must exist."),
        "content": {"type": "string", "description": "The whole new content."},
        "encoding": encoding("How `content` is written."),
        "mode": {"type": "string", "enum": ["replace", "create"], "default": "replace", "description": "`replace` writes a new or existing file, `create` only a new one."},
    });
    tool(
        "fs.write",
        "Write a file",
        "Writes a whole regular file in one step.",
        properties,
        &["path", "content"],
        false,
    )
}

fn path(text: &str) -> Value {
    let text = format!("{text} Absolute; without `..`.");
    json!({"type": "string", "minLength": 1, "maxLength": 4096, "description": text})
}

fn encoding(text: &str) -> Value {
    json!({"type": "string", "enum": ["utf-8", "base64"], "default": "utf-8", "description": text})
}

fn max_results() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": MOST_RESULTS, "default": USUAL_RESULTS, "description": "Most results."})
}

fn tool(name: &str, title: &str, text: &str, properties: Value, required: &[&str], is_read_only: bool) -> Value {
    json!({
        "name": name,
        "title": title,
        "description": text,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        },
        "annotations": {
            "readOnlyHint": is_read_only,
            "destructiveHint": !is_read_only,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    })
}
