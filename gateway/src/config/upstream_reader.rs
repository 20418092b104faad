//! Reading `upstreams`.

use std::collections::BTreeMap;
use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, Fields, quote};

use super::address::secure_url;
use super::base::Base;
use super::limits::LimitsConfig;
use super::quantity::{HOUR, duration, memory_size, show_duration, size};
use super::upstream::{FilesystemConfig, HttpConfig, StdioConfig, TransportConfig, UpstreamConfig};

/// Headers the transport writes itself.
const OWN_HEADERS: [&str; 11] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Reads `upstreams`; their names are unique.
pub(super) fn read(root: &Fields<'_>, base: &Base<'_>, limits: &LimitsConfig) -> Result<Vec<UpstreamConfig>> {
    let mut upstreams: Vec<UpstreamConfig> = Vec::new();
    for field in root.optional("upstreams").map_or(Ok(Vec::new()), |field| field.list())? {
        let upstream = read_upstream(&field, base, limits)?;
        if upstreams.iter().any(|other| other.name == upstream.name) {
            return Err(field.error(&format!("the upstream {} stands here twice", quote(&upstream.name))));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

fn read_upstream(field: &Cursor<'_>, base: &Base<'_>, limits: &LimitsConfig) -> Result<UpstreamConfig> {
    let fields =
        field.fields(&["name", "prefix", "filesystem", "stdio", "http", "call_timeout", "max_message_size"])?;
    let transport = match (fields.optional("filesystem"), fields.optional("stdio"), fields.optional("http")) {
        (Some(filesystem), None, None) => TransportConfig::Filesystem(read_filesystem(&filesystem, base)?),
        (None, Some(stdio), None) => TransportConfig::Stdio(read_stdio(&stdio, base)?),
        (None, None, Some(http)) => TransportConfig::Http(read_http(&http, base)?),
        (_, _, _) => return Err(field.error("expected exactly one of `filesystem`, `stdio` and `http`")),
    };
    let call_timeout = match fields.optional("call_timeout") {
        Some(field) => duration(&field, Duration::from_millis(100)..=HOUR)?,
        None => Duration::from_secs(30).min(limits.request_timeout),
    };
    if let (Some(field), true) = (fields.optional("call_timeout"), call_timeout > limits.request_timeout) {
        return Err(field.error(&format!(
            "`{}` is longer than `limits.request_timeout` (`{}`), which would cut the call off",
            show_duration(call_timeout),
            show_duration(limits.request_timeout)
        )));
    }
    Ok(UpstreamConfig {
        name: read_name(&fields.required("name")?)?,
        prefix: fields.optional("prefix").map(|field| read_prefix(&field)).transpose()?,
        transport,
        call_timeout,
        max_message_size: match fields.optional("max_message_size") {
            Some(field) => memory_size(&field, 1 << 10..=1 << 30)?,
            None => 16 << 20,
        },
    })
}

fn read_name(field: &Cursor<'_>) -> Result<String> {
    let name = field.non_empty_text()?;
    if name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
        return Err(field.error(&format!("{} is not up to 64 letters, digits, `-`, `_` and `.`", quote(name))));
    }
    Ok(name.to_owned())
}

fn read_prefix(field: &Cursor<'_>) -> Result<String> {
    let prefix = field.non_empty_text()?;
    if prefix.len() > 64 || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        let prefix = quote(prefix);
        return Err(field.error(&format!("{prefix} is not up to 64 printable ASCII characters without space")));
    }
    Ok(prefix.to_owned())
}

fn read_filesystem(field: &Cursor<'_>, base: &Base<'_>) -> Result<FilesystemConfig> {
    let fields = field.fields(&["roots", "writable", "max_file_size"])?;
    let roots = fields.required("roots")?;
    let mut folders = Vec::new();
    for (_, root) in roots.texts()? {
        let folder = base.folder(&root)?;
        // An agent that can read the state folder can read the keys that sign tokens.
        if base.state.starts_with(&folder) {
            return Err(root.error("holds the gateway's own state folder; choose another root or `state_folder`"));
        }
        folders.push(folder);
    }
    let config = FilesystemConfig {
        roots: folders,
        writable: fields.optional("writable").map_or(Ok(false), |field| field.boolean())?,
        max_file_size: match fields.optional("max_file_size") {
            Some(field) => size(&field, 1..=1 << 30)?,
            None => 8 << 20,
        },
    };
    if config.roots.is_empty() { Err(roots.error("is empty")) } else { Ok(config) }
}

fn read_stdio(field: &Cursor<'_>, base: &Base<'_>) -> Result<StdioConfig> {
    let fields = field.fields(&["command", "args", "env", "cwd"])?;
    let command = fields.required("command")?;
    let program = command.non_empty_text()?;
    let args = match fields.optional("args") {
        // An empty argument is an argument.
        Some(field) => field.list()?.iter().map(|arg| arg.text().map(str::to_owned)).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let mut env = BTreeMap::new();
    for (name, value) in texts_or_files(&fields, "env", base)? {
        let known = fields.required("env")?;
        if name.contains('=') {
            return Err(known.error(&format!("{} is not a name of a variable", quote(&name))));
        }
        env.insert(name, value);
    }
    Ok(StdioConfig {
        command: if program.contains('/') { base.file(&command)?.display().to_string() } else { program.to_owned() },
        args,
        env,
        cwd: fields.optional("cwd").map(|field| base.folder(&field)).transpose()?,
    })
}

fn read_http(field: &Cursor<'_>, base: &Base<'_>) -> Result<HttpConfig> {
    let fields = field.fields(&["url", "headers", "ca_file", "client_cert"])?;
    let mut headers = BTreeMap::new();
    for (name, value) in texts_or_files(&fields, "headers", base)? {
        let place = fields.required("headers")?;
        let name = name.to_ascii_lowercase();
        if !name.bytes().all(is_header_byte) {
            return Err(place.error(&format!("{} is not a name of a header", quote(&name))));
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(place.error(&format!("`{name}` is set by the gateway itself")));
        }
        if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(place.error(&format!("the value of `{name}` holds characters other than printable ASCII")));
        }
        if headers.insert(name.clone(), value).is_some() {
            return Err(place.error(&format!("`{name}` stands here twice")));
        }
    }
    Ok(HttpConfig {
        url: secure_url(&fields.required("url")?)?.into(),
        headers,
        ca_file: fields.optional("ca_file").map(|field| base.file(&field)).transpose()?,
        client_cert: fields.optional("client_cert").map(|field| base.private_file(&field)).transpose()?,
    })
}

fn is_header_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A mapping from name to text, or to `{file: path}` for secrets that should not stand in the configuration.
fn texts_or_files(fields: &Fields<'_>, name: &str, base: &Base<'_>) -> Result<Vec<(String, String)>> {
    let Some(field) = fields.optional(name) else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for (entry, value) in field.entries()? {
        let text = if value.is_mapping() {
            base.secret_in_file(&value.fields(&["file"])?.required("file")?)?
        } else {
            base.has_inline_secrets.set(true);
            value.text()?.to_owned()
        };
        texts.push((entry.key.clone(), text));
    }
    Ok(texts)
}
