//! The gateway's configuration as typed values.

mod upstream;

pub use upstream::{FilesystemConfig, HttpConfig, StdioConfig, TransportConfig, UpstreamConfig};
