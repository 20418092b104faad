//! Tool servers that are child processes and speak MCP on their standard input and output.

mod child;
mod lines;
mod stderr;
mod transport;

pub(crate) use child::start;
pub(crate) use transport::{StdioTransport, oversized_error};
