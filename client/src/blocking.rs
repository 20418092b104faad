//! The client for callers without an async runtime.

use std::future::Future;
use std::sync::Arc;

use smcp_core::smcp::send::SessionRecord;

use crate::{Client, ClientError, ClientOptions, Result, runtime};

/// A [`Client`] whose calls block the calling thread. Clones share session and connections.
#[derive(Clone, Debug)]
pub struct BlockingClient {
    client: Client,
}

impl BlockingClient {
    /// As [`Client::new`].
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        Self { client: Client::new(options) }
    }

    /// The async client behind it, with the same session; for everything that does not wait.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// As [`Client::attest`].
    ///
    /// # Errors
    /// As there; `INVALID_ARGUMENT` within an async runtime.
    pub fn attest(&self) -> Result<Arc<SessionRecord>> {
        self.wait(self.client.attest())
    }

    /// As [`Client::call_tool`].
    ///
    /// # Errors
    /// As there; `INVALID_ARGUMENT` within an async runtime.
    pub fn call_tool(&self, name: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        self.wait(self.client.call_tool(name, arguments))
    }

    /// As [`Client::list_tools`].
    ///
    /// # Errors
    /// As there; `INVALID_ARGUMENT` within an async runtime.
    pub fn list_tools(&self) -> Result<Vec<u8>> {
        self.wait(self.client.list_tools())
    }

    /// As [`Client::send`].
    ///
    /// # Errors
    /// As there; `INVALID_ARGUMENT` within an async runtime.
    pub fn send(&self, payload: &[u8]) -> Result<Option<Vec<u8>>> {
        self.wait(self.client.send(payload))
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let dialect = self.client.options().dialect;
        runtime::block_on(future).map_err(|error| ClientError::local(error, dialect)).and_then(|result| result)
    }
}
