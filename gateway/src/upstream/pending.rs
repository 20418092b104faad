//! Requests in flight on one connection, and the way their answers take around rmcp's types.
//!
//! rmcp reads an answer into the first of its result types that fits and drops what that type does
//! not know. The gateway must hand answers on unchanged, so its transports keep the JSON value of an
//! answer to one of our requests, put it into the request's [`ReplySlot`], and show rmcp a stub that
//! only ends its bookkeeping.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, NumberOrString};
use smcp_core::error::Error;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::request::UpstreamAnswer;

/// How a request ended: with the server's answer or with a failure on the way.
pub(crate) type Reply = Result<UpstreamAnswer, Error>;

/// Where the reply to one request goes; travels to the transport inside the request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct ReplySlot(Arc<Slot>);

#[derive(Debug)]
struct Slot {
    sender: Mutex<Option<oneshot::Sender<Reply>>>,
    max_response_size: Option<u64>,
    shown_to_rmcp: bool,
    has_left: AtomicBool,
}

impl ReplySlot {
    /// Makes a slot and the end the caller waits at.
    ///
    /// With `shown_to_rmcp` rmcp gets the answer itself too, not only a stub.
    pub(crate) fn new(max_response_size: Option<u64>, shown_to_rmcp: bool) -> (Self, oneshot::Receiver<Reply>) {
        let (sender, receiver) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let slot = Slot { sender, max_response_size, shown_to_rmcp, has_left: AtomicBool::new(false) };
        (Self(Arc::new(slot)), receiver)
    }

    /// The slot inside a message, with the id rmcp gave it.
    pub(crate) fn of(message: &ClientJsonRpcMessage) -> Option<(i64, Self)> {
        let JsonRpcMessage::Request(request) = message else { return None };
        let ClientRequest::CustomRequest(custom) = &request.request else { return None };
        let NumberOrString::Number(id) = request.id else { return None };
        custom.extensions.get::<Self>().map(|slot| (id, slot.clone()))
    }

    /// Largest accepted answer of the request in bytes.
    pub(crate) fn max_response_size(&self) -> Option<u64> {
        self.0.max_response_size
    }

    /// Whether rmcp is to see the answer itself.
    pub(crate) fn is_shown_to_rmcp(&self) -> bool {
        self.0.shown_to_rmcp
    }

    /// Whether a transport may have begun to send the request. If not, no tool can have run.
    pub(crate) fn has_left(&self) -> bool {
        self.0.has_left.load(Ordering::Acquire)
    }

    /// Ends the request; only the first reply counts.
    pub(crate) fn fill(&self, reply: Reply) {
        if let Some(sender) = locked(&self.0.sender).take() {
            // A caller that is gone has given the call up already.
            let _unclaimed = sender.send(reply);
        }
    }
}

/// The requests in flight on one connection, by the id rmcp gave them.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Mutex<HashMap<i64, ReplySlot>>,
    lost: CancellationToken,
}

impl Pending {
    /// Notes a request before its bytes leave.
    pub(crate) fn register(&self, id: i64, slot: ReplySlot) {
        slot.0.has_left.store(true, Ordering::Release);
        locked(&self.slots).insert(id, slot);
    }

    /// Takes the slot of a request out, if it still waits.
    pub(crate) fn take(&self, id: i64) -> Option<ReplySlot> {
        locked(&self.slots).remove(&id)
    }

    /// Cancelled when the connection cannot be used any more, which rmcp may find out later.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Ends every request with a closed slot, which its caller reads as a lost connection.
    pub(crate) fn abandon_all(&self) {
        self.lost.cancel();
        let all = std::mem::take(&mut *locked(&self.slots));
        for slot in all.into_values() {
            drop(locked(&slot.0.sender).take());
        }
    }
}

/// A panic elsewhere cannot leave these maps half changed, so a poisoned lock is still good.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
