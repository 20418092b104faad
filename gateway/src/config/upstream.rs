//! How one tool server is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One tool server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Name in logs, metrics and errors; unique.
    pub name: String,
    /// Put before the names of its tools and prompts, so that several servers can share one gateway.
    pub prefix: Option<String>,
    /// How it is reached.
    pub transport: TransportConfig,
    /// Longest time for one call, default 30 s.
    pub call_timeout: Duration,
    /// Longest line or event accepted from it in bytes, default 16 MiB.
    pub max_message_size: usize,
}

/// The ways to reach a tool server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportConfig {
    /// The built-in filesystem connector.
    Filesystem(FilesystemConfig),
    /// A child process that speaks MCP on its standard input and output.
    Stdio(StdioConfig),
    /// Streamable HTTP.
    Http(HttpConfig),
}

/// Settings of the built-in filesystem connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemConfig {
    /// Absolute directories it is limited to.
    pub roots: Vec<PathBuf>,
    /// Whether `fs.write` is offered.
    pub writable: bool,
    /// Largest file read or written in bytes, default 8 MiB.
    pub max_file_size: u64,
}

/// Settings of a child process. Its `Debug` form shows no values of the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioConfig {
    /// Program, looked up in `PATH` when it has no separator.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment beside `PATH`, `HOME`, `LANG`, `TMPDIR` of the gateway.
    pub env: BTreeMap<String, String>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
}

/// Settings of a Streamable HTTP server. Its `Debug` form shows no values of headers.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `https` URL, or `http` on loopback.
    pub url: String,
    /// Headers sent with each request, such as an API key.
    pub headers: BTreeMap<String, String>,
    /// PEM file of the only certificate authorities to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with client certificate and key, for mutual TLS.
    pub client_cert: Option<PathBuf>,
}

impl fmt::Debug for StdioConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StdioConfig")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .finish()
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpConfig")
            .field("url", &self.url)
            .field("headers", &self.headers.keys())
            .field("ca_file", &self.ca_file)
            .field("client_cert", &self.client_cert)
            .finish()
    }
}
