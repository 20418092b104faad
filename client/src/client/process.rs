//! What belongs to one process and is made anew in a forked child: connections, locks, events.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use smcp_core::smcp::send::SessionRecord;
use smcp_core::{Error, ErrorKind};
use tokio::sync::Mutex;

use super::Client;
use crate::Result;
use crate::event::Events;
use crate::http::Http;

/// What belongs to one process: connections and locks. A forked child makes its own.
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) http: Http,
    /// The last attestation's number and result; held while one is under way.
    pub(super) attesting: Mutex<Option<(u64, Result<Arc<SessionRecord>>)>>,
    /// Attestations finished.
    pub(super) finished: AtomicU64,
    /// Until when early renewals are not tried again, in Unix milliseconds.
    pub(super) renewal_pause: AtomicI64,
    pub(super) events: Events,
}

impl Client {
    /// The state of this process, made at the first use and after a fork.
    pub(super) fn process(&self) -> Result<Arc<Process>> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(self.local(Error::new(ErrorKind::InvalidArgument, "the client is closed")));
        }
        let pid = std::process::id();
        loop {
            let current = self.inner.process.load_full();
            if let Some(process) = current.as_ref().filter(|process| process.pid == pid) {
                return Ok(Arc::clone(process));
            }
            let process = Arc::new(Process {
                pid,
                http: Http::new(&self.inner.options).map_err(|error| self.local(error))?,
                attesting: Mutex::new(None),
                finished: AtomicU64::new(0),
                renewal_pause: AtomicI64::new(i64::MIN),
                events: Events::default(),
            });
            drop(self.inner.process.compare_and_swap(&current, Some(process)));
            // What the parent left is not dropped here: its locks and its runtime's may be held for ever.
            mem::forget(current);
        }
    }
}
