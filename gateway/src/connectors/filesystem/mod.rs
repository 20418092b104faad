//! The built-in filesystem connector: read, list, search, describe and write files below some roots.
//!
//! What keeps a call below a root is the way files are opened ([`Resolution`]), not a check of the
//! path, so it also holds while somebody swaps directories for symbolic links. FIFOs, devices,
//! sockets and files with several names are refused. What it cannot see: a directory that another
//! process moves out of a root between opening and writing, and mounts below a root, which are
//! followed like directories.

mod beneath;
mod failure;
mod file;
mod roots;
mod schema;
#[cfg(test)]
mod tests;
mod tools;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use smcp_core::error::{Error, ErrorKind, Executed, Result};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::config::FilesystemConfig;
use crate::upstream::{
    Health, HealthState, INVALID_PARAMS, ListKind, METHOD_NOT_FOUND, ToolServer, UpstreamAnswer, UpstreamRequest,
};
pub use beneath::Resolution;
use roots::Roots;
use tools::Tools;

/// Calls that work on files at once; they block threads of the runtime.
const MAX_CALLS: usize = 64;

/// The connector as a tool server.
#[derive(Debug)]
pub struct Filesystem {
    name: Arc<str>,
    tools: Arc<Tools>,
    call_timeout: Duration,
    calls: Arc<Semaphore>,
    changed: watch::Sender<u64>,
}

impl Filesystem {
    /// Opens the roots.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` for a root that cannot be used.
    pub fn open(name: Arc<str>, config: &FilesystemConfig, call_timeout: Duration) -> Result<Self> {
        Self::open_with(name, config, call_timeout, None)
    }

    /// As [`Filesystem::open`], with a given way to resolve paths in place of the kernel's best.
    ///
    /// # Errors
    ///
    /// As [`Filesystem::open`].
    pub fn open_with(
        name: Arc<str>,
        config: &FilesystemConfig,
        call_timeout: Duration,
        resolution: Option<Resolution>,
    ) -> Result<Self> {
        let roots = Roots::open(&config.roots, resolution)?;
        let tools = Arc::new(Tools { roots, writable: config.writable, max_file_size: config.max_file_size });
        let calls = Arc::new(Semaphore::new(MAX_CALLS));
        Ok(Self { name, tools, call_timeout, calls, changed: watch::Sender::new(0) })
    }

    async fn run(&self, request: UpstreamRequest) -> Result<UpstreamAnswer> {
        let UpstreamRequest { method, mut params, deadline, cancel, max_response_size: _ } = request;
        if method != "tools/call" {
            return Ok(UpstreamAnswer::error(METHOD_NOT_FOUND, format!("method `{method}` is not served")));
        }
        let Some(Value::String(name)) = params.remove("name") else {
            return Ok(UpstreamAnswer::error(INVALID_PARAMS, "`name` is missing or of the wrong type"));
        };
        let arguments = params.remove("arguments").unwrap_or_else(|| Value::Object(Map::new()));
        if !arguments.is_object() {
            return Ok(UpstreamAnswer::error(INVALID_PARAMS, "`arguments` must be an object"));
        }
        let now = Instant::now();
        let own = now.checked_add(self.call_timeout).unwrap_or(now);
        let until = deadline.map_or(own, |deadline| deadline.min(own));
        let late =
            |executed| Err(Error::new(ErrorKind::UpstreamTimeout, "the call was given up").with_executed(executed));
        let permit = tokio::select! {
            permit = Arc::clone(&self.calls).acquire_owned() => permit,
            () = tokio::time::sleep_until(until) => {
                return Err(Error::new(ErrorKind::Overloaded, "too many calls work on files").with_executed(Executed::No));
            }
            () = cancel.cancelled() => return late(Executed::No),
        };
        let tools = Arc::clone(&self.tools);
        let work = tokio::task::spawn_blocking(move || {
            // Held until the work is really done, also when nobody waits for it any more.
            let _permit = permit;
            tools.call(&name, arguments, until.into_std())
        });
        tokio::select! {
            done = work => match done {
                Ok(Ok(result)) => Ok(UpstreamAnswer::Result(result)),
                Ok(Err(invalid)) => Ok(UpstreamAnswer::error(INVALID_PARAMS, invalid.0)),
                Err(_defect) => Err(Error::new(ErrorKind::InternalError, "the filesystem connector failed").with_executed(Executed::Unknown)),
            },
            () = tokio::time::sleep_until(until) => late(Executed::Unknown),
            () = cancel.cancelled() => late(Executed::Unknown),
        }
    }
}

#[async_trait]
impl ToolServer for Filesystem {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    async fn call(&self, request: UpstreamRequest) -> Result<UpstreamAnswer> {
        self.run(request).await
    }

    async fn list(&self, kind: ListKind) -> Result<Vec<Value>> {
        Ok(match kind {
            ListKind::Tools => schema::definitions(self.tools.writable),
            ListKind::Resources | ListKind::Templates | ListKind::Prompts => Vec::new(),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn health(&self) -> Health {
        Health { state: HealthState::Ready, protocol_version: None, restarts: 0 }
    }

    async fn shutdown(&self) {}
}
