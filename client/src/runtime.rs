//! One lazily created tokio runtime for everything that blocks, which survives `fork`.
//!
//! Threads do not exist in a forked child, so the child gets a runtime of its own and the parent's is left alone: it is
//! neither used nor dropped there. Nothing here takes a lock, since a lock held at the time of the fork stays held.

use std::future::Future;
use std::mem;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use smcp_core::{Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};

struct Owned {
    pid: u32,
    runtime: Runtime,
}

static CURRENT: ArcSwapOption<Owned> = ArcSwapOption::const_empty();

/// A handle to this process's runtime, which is made at the first call.
///
/// # Errors
/// `INTERNAL_ERROR` when the operating system gives no threads.
pub fn handle() -> Result<Handle> {
    let pid = std::process::id();
    loop {
        let current = CURRENT.load_full();
        if let Some(owned) = current.as_ref().filter(|owned| owned.pid == pid) {
            return Ok(owned.runtime.handle().clone());
        }
        let fresh = Arc::new(Owned { pid, runtime: build()? });
        let previous = CURRENT.compare_and_swap(&current, Some(Arc::clone(&fresh)));
        let won = match (&*previous, &current) {
            (None, None) => true,
            (Some(previous), Some(current)) => Arc::ptr_eq(previous, current),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if won {
            // Dropping the parent's runtime would wait for threads that are not here.
            mem::forget(current);
        } else if let Some(owned) = Arc::into_inner(fresh) {
            owned.runtime.shutdown_background();
        }
    }
}

fn build() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("smcp-client")
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::InternalError, format!("the runtime cannot be started: {error}")))
}

/// Runs `future` to its end on the calling thread.
///
/// # Errors
/// `INVALID_ARGUMENT` on a thread that already drives a runtime; there the async client is the right one.
pub fn block_on<F: Future>(future: F) -> Result<F::Output> {
    if Handle::try_current().is_ok() {
        let message = "a blocking call within an async runtime; use the async client there";
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Ok(handle()?.block_on(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_share_one_runtime() {
        let ids: Vec<_> = (0..8)
            .map(|_| std::thread::spawn(|| handle().unwrap().id()))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]));
        assert_eq!(block_on(async { 7 }).unwrap(), 7);
    }

    #[tokio::test]
    async fn refuses_to_block_an_async_thread() {
        assert_eq!(block_on(async {}).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
}
