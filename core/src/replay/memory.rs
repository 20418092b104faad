//! A replay store in the memory of one process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::window::Window;
use super::{ReplayAnswer, ReplayEntry, ReplayStore};
use crate::error::Result;
use crate::time::UnixTime;

/// A bounded replay store in memory.
///
/// It is not shared between processes and does not survive a restart; the creation time makes up for the latter.
#[derive(Debug)]
pub struct MemoryReplayStore {
    window: Mutex<Window>,
}

impl MemoryReplayStore {
    /// A store of at most `capacity` entries, of which one session takes at most `per_session`.
    ///
    /// `created_at` is now: envelopes of sessions opened before it are refused if they are stamped no later than
    /// `window_seconds` after it, because another life of the store may have seen them. `None` is only for a service
    /// that can rule out such a life, or for one that restores the entries it had.
    #[must_use]
    pub fn new(capacity: usize, per_session: usize, window_seconds: u32, created_at: Option<UnixTime>) -> Self {
        Self { window: Mutex::new(Window::new(capacity, per_session, window_seconds, created_at)) }
    }

    /// Entries remembered now, some of which may be past.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // A window has no step between whole states in which it could panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayStore for MemoryReplayStore {
    fn check_and_insert(&self, entry: &ReplayEntry, now: UnixTime) -> Result<ReplayAnswer> {
        Ok(self.lock().check_and_insert(entry, now))
    }
}

#[cfg(test)]
mod tests;
