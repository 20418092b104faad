//! Work outside the interpreter: the GIL released, kept apart from forks, panics turned into errors.
//!
//! A fork copies locks as they are. One that another thread holds at that moment would stay locked in the child for
//! ever, so [`before_fork`] waits until no thread is inside [`detached`], where all locks of the stores are taken and
//! given back.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use pyo3::prelude::*;
use smcp_core::{Error, ErrorKind, Result};

static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    /// The closed gate, held by the thread that forks; it is the one that goes on in the child.
    static CLOSED: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Runs `work` with the GIL released. It must not call into Python.
///
/// # Errors
/// `INTERNAL_ERROR` when `work` panics; what it panicked with may hold input and is not repeated.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> Result<T> {
    py.detach(|| {
        let _open = GATE.read().unwrap_or_else(PoisonError::into_inner);
        // Whatever `work` changed halfway belongs to stores that are whole between their steps, or is thrown away.
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|_| Error::new(ErrorKind::InternalError, "a defect of the native module"))
    })
}

/// Waits until no thread is inside the native module and keeps it so.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    // Released, since another thread that is about to fork may hold the gate and wait for the interpreter.
    py.detach(|| {
        CLOSED.with_borrow_mut(|closed| {
            if closed.is_none() {
                *closed = Some(GATE.write().unwrap_or_else(PoisonError::into_inner));
            }
        });
    });
}

/// Lets threads in again, in parent and child.
#[pyfunction]
pub(crate) fn after_fork() {
    CLOSED.with_borrow_mut(|closed| drop(closed.take()));
}
