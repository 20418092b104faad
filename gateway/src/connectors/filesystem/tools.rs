//! The five tools: arguments in, MCP result out.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::file::{self, Existing, Range};
use super::roots::Roots;
use super::schema::{
    Encoding, ListArguments, MOST_RESULTS, ReadArguments, SearchArguments, StatArguments, WriteArguments, WriteMode,
};
use super::walk::{self, Query};

/// A call that does not fit the tool's schema; the agent gets JSON-RPC −32602.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidArguments(pub(crate) String);

/// What the tools work on.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) roots: Roots,
    pub(crate) writable: bool,
    pub(crate) max_file_size: u64,
}

impl Tools {
    /// Runs a tool; blocks on files, until `until` at most where it can stop between two steps.
    ///
    /// # Errors
    ///
    /// [`InvalidArguments`] for an unknown tool and arguments outside its schema. Whatever fails
    /// after that is a result with `isError`.
    pub(crate) fn call(&self, name: &str, arguments: Value, until: Instant) -> Result<Value, InvalidArguments> {
        let outcome = match name {
            "fs.list" => self.list(&parsed(arguments)?, until)?,
            "fs.read" => self.read(&parsed(arguments)?),
            "fs.search" => self.search(parsed(arguments)?, until)?,
            "fs.stat" => self.stat(&parsed(arguments)?),
            "fs.write" if self.writable => self.write(&parsed(arguments)?)?,
            _ => return Err(InvalidArguments(format!("unknown tool `{name}`"))),
        };
        Ok(outcome.unwrap_or_else(|failure| json!({"content": [text(failure.to_string())], "isError": true})))
    }

    fn read(&self, arguments: &ReadArguments) -> Result<Value, Failure> {
        let location = self.roots.place(&arguments.path)?;
        let range = Range { offset: arguments.offset, length: arguments.length };
        let bytes = file::read(&location, range, self.max_file_size)?;
        let content = match arguments.encoding {
            Encoding::Base64 => STANDARD.encode(bytes),
            Encoding::Utf8 => String::from_utf8(bytes).map_err(|_not_text| {
                Failure::new(format!("`{}` is not UTF-8 text, read it with `encoding`: `base64`", arguments.path))
            })?,
        };
        Ok(json!({"content": [text(content)], "isError": false}))
    }

    fn list(&self, arguments: &ListArguments, until: Instant) -> Result<Result<Value, Failure>, InvalidArguments> {
        let most = bounded(arguments.max_results)?;
        Ok(self.roots.place(&arguments.path).and_then(|location| {
            let (entries, truncated) = walk::list(&location, most, until)?;
            let entries: Vec<Value> = entries
                .iter()
                .map(|entry| {
                    let mut described = name("name", Path::new(&entry.name));
                    described.insert("type".to_owned(), file::kind_name(entry.kind).into());
                    if let Some(size) = entry.size {
                        described.insert("size".to_owned(), size.into());
                    }
                    Value::Object(described)
                })
                .collect();
            Ok(structured(json!({"entries": entries, "truncated": truncated})))
        }))
    }

    fn search(&self, arguments: SearchArguments, until: Instant) -> Result<Result<Value, Failure>, InvalidArguments> {
        let most = bounded(arguments.max_results)?;
        let SearchArguments { path, pattern, text, .. } = arguments;
        if [&pattern, &text].iter().any(|given| given.as_ref().is_some_and(String::is_empty)) {
            return Err(InvalidArguments("`pattern` and `text` must not be empty".to_owned()));
        }
        let query = Query { pattern, text, most, max_file_size: self.max_file_size, until };
        Ok(self.roots.place(&path).and_then(|location| {
            let (matches, truncated) = walk::search(&location, &query)?;
            let matches: Vec<Value> = matches
                .into_iter()
                .map(|found| {
                    let mut described = name("path", &found.path);
                    described.insert("type".to_owned(), file::kind_name(found.kind).into());
                    if let Some((number, line)) = found.line {
                        described.insert("line".to_owned(), number.into());
                        described.insert("text".to_owned(), line.into());
                    }
                    Value::Object(described)
                })
                .collect();
            Ok(structured(json!({"matches": matches, "truncated": truncated})))
        }))
    }

    fn stat(&self, arguments: &StatArguments) -> Result<Value, Failure> {
        let location = self.roots.place(&arguments.path)?;
        let described = file::describe(&location)?;
        let mut result = name("path", &location.absolute());
        result.insert("type".to_owned(), file::kind_name(described.kind).into());
        result.insert("size".to_owned(), described.size.into());
        result.insert("modified".to_owned(), described.modified.to_rfc3339().into());
        result.insert("mode".to_owned(), format!("{:04o}", described.mode).into());
        result.insert("links".to_owned(), described.links.into());
        Ok(structured(Value::Object(result)))
    }

    fn write(&self, arguments: &WriteArguments) -> Result<Result<Value, Failure>, InvalidArguments> {
        let decoded;
        let content = match arguments.encoding {
            Encoding::Utf8 => arguments.content.as_bytes(),
            Encoding::Base64 => {
                decoded = STANDARD
                    .decode(&arguments.content)
                    .map_err(|_malformed| InvalidArguments("`content` is not base64 with padding".to_owned()))?;
                &decoded
            }
        };
        let existing = match arguments.mode {
            WriteMode::Replace => Existing::Replace,
            WriteMode::Create => Existing::Keep,
        };
        Ok(self.roots.place(&arguments.path).and_then(|location| {
            if u64::try_from(content.len()).unwrap_or(u64::MAX) > self.max_file_size {
                let text =
                    format!("the content has {} bytes, at most {} are written", content.len(), self.max_file_size);
                return Err(Failure::new(text));
            }
            let created = file::write(&location, content, existing)?;
            let mut result = name("path", &location.absolute());
            result.insert("bytes".to_owned(), content.len().into());
            result.insert("created".to_owned(), created.into());
            Ok(structured(Value::Object(result)))
        }))
    }
}

fn parsed<T: DeserializeOwned>(arguments: Value) -> Result<T, InvalidArguments> {
    serde_json::from_value(arguments).map_err(|error| InvalidArguments(format!("invalid arguments: {error}")))
}

fn bounded(results: u64) -> Result<usize, InvalidArguments> {
    usize::try_from(results)
        .ok()
        .filter(|_| (1..=MOST_RESULTS).contains(&results))
        .ok_or_else(|| InvalidArguments(format!("`max_results` must be from 1 to {MOST_RESULTS}")))
}

/// A name for JSON. One that is not UTF-8 cannot be used in a call, so its bytes are given beside it.
fn name(member: &str, path: &Path) -> Map<String, Value> {
    let mut described = Map::new();
    described.insert(member.to_owned(), path.to_string_lossy().into());
    if path.to_str().is_none() {
        described.insert(format!("{member}_base64"), STANDARD.encode(path.as_os_str().as_bytes()).into());
    }
    described
}

fn text(text: String) -> Value {
    json!({"type": "text", "text": text})
}

/// A result for programs and, as the same JSON in a text, for models and older clients.
fn structured(result: Value) -> Value {
    json!({"content": [text(result.to_string())], "structuredContent": result, "isError": false})
}
