//! One runtime for a command's few requests.

use std::future::Future;

use smcp_core::{Error, ErrorKind};

use super::failure::{Failure, Outcome};

/// Runs `future` to its end on the calling thread.
pub(super) fn block_on<F: Future>(future: F) -> Outcome<F::Output> {
    Ok(runtime(1)?.block_on(future))
}

/// A runtime with `threads` worker threads; with one, everything runs on the calling thread.
pub(super) fn runtime(threads: usize) -> Outcome<tokio::runtime::Runtime> {
    let mut builder = if threads > 1 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build().map_err(|error| {
        Failure::from(Error::new(ErrorKind::InternalError, format!("the runtime cannot be started: {error}")))
    })
}
