//! Calls under way, so that an agent can cancel its own (section 5, `notifications/cancelled`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Session id and JSON text of the request id.
type CallKey = (String, String);

/// The calls that can be cancelled.
#[derive(Debug, Default, Clone)]
pub struct RunningCalls {
    calls: Arc<Mutex<HashMap<CallKey, CancellationToken>>>,
}

impl RunningCalls {
    /// Registers a call until the guard is dropped. A second call with the id of a running one is not cancellable: ids
    /// that collide are the agent's own confusion, and the first keeps its handle.
    #[must_use]
    pub fn register(&self, session: &str, request_id: &str) -> RunningCall {
        let key = (session.to_owned(), request_id.to_owned());
        let token = CancellationToken::new();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let registered = !calls.contains_key(&key);
        if registered {
            calls.insert(key.clone(), token.clone());
        }
        RunningCall { token, entry: registered.then(|| (Self { calls: Arc::clone(&self.calls) }, key)) }
    }

    /// Cancels a call of the session; says whether there was one.
    #[must_use]
    pub fn cancel(&self, session: &str, request_id: &str) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get(&(session.to_owned(), request_id.to_owned())) {
            Some(token) => {
                token.cancel();
                true
            }
            None => false,
        }
    }

    /// How many calls are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A registered call.
#[derive(Debug)]
pub struct RunningCall {
    token: CancellationToken,
    entry: Option<(RunningCalls, CallKey)>,
}

impl RunningCall {
    /// Fires when the agent cancels the call.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        if let Some((running, key)) = self.entry.take() {
            running.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_session_cancels() {
        let running = RunningCalls::default();
        let call = running.register("s1", "\"1\"");
        assert!(!running.cancel("s2", "\"1\""));
        assert!(!running.cancel("s1", "1"));
        assert!(!call.token().is_cancelled());
        assert!(running.cancel("s1", "\"1\""));
        assert!(call.token().is_cancelled());
        drop(call);
        assert_eq!(running.count(), 0);
    }

    #[test]
    fn a_second_call_of_the_same_id_leaves_the_first_in_place() {
        let running = RunningCalls::default();
        let first = running.register("s1", "1");
        drop(running.register("s1", "1"));
        assert!(running.cancel("s1", "1"));
        assert!(first.token().is_cancelled());
    }
}
