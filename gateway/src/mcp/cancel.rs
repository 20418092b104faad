//! Calls under way, so that an agent can cancel its own (section 5, `notifications/cancelled`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Session id and JSON text of the request id.
type CallKey = (String, String);

/// The calls that can be cancelled.
#[derive(Debug, Clone)]
pub struct RunningCalls {
    calls: Arc<Mutex<Calls>>,
    /// Most calls of one session at once, so that an agent with slow tools leaves room for the others.
    per_session: usize,
}

#[derive(Debug, Default)]
struct Calls {
    tokens: HashMap<CallKey, CancellationToken>,
    by_session: HashMap<String, usize>,
}

impl RunningCalls {
    /// Calls of which one session may have `per_session` under way.
    #[must_use]
    pub fn new(per_session: usize) -> Self {
        Self { calls: Arc::default(), per_session }
    }

    /// Registers a call until the guard is dropped; `None` when the session has its share under way. A second call with
    /// the id of a running one is not cancellable: ids that collide are the agent's own confusion, and the first keeps its
    /// handle.
    #[must_use]
    pub fn register(&self, session: &str, request_id: &str) -> Option<RunningCall> {
        let key = (session.to_owned(), request_id.to_owned());
        let token = CancellationToken::new();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.by_session.entry(session.to_owned()).or_default();
        if *count >= self.per_session {
            return None;
        }
        *count = count.saturating_add(1);
        let owns_token = !calls.tokens.contains_key(&key);
        if owns_token {
            calls.tokens.insert(key.clone(), token.clone());
        }
        Some(RunningCall { token, running: self.clone(), key, owns_token })
    }

    /// Cancels a call of the session; says whether there was one.
    #[must_use]
    pub fn cancel(&self, session: &str, request_id: &str) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.tokens.get(&(session.to_owned(), request_id.to_owned())) {
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
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).by_session.values().sum()
    }
}

/// A registered call.
#[derive(Debug)]
pub struct RunningCall {
    token: CancellationToken,
    running: RunningCalls,
    key: CallKey,
    owns_token: bool,
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
        let mut calls = self.running.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if self.owns_token {
            calls.tokens.remove(&self.key);
        }
        if let Some(count) = calls.by_session.get_mut(&self.key.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                calls.by_session.remove(&self.key.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_session_cancels() {
        let running = RunningCalls::new(2);
        let call = running.register("s1", "\"1\"").unwrap();
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
        let running = RunningCalls::new(2);
        let first = running.register("s1", "1").unwrap();
        drop(running.register("s1", "1").unwrap());
        assert!(running.cancel("s1", "1"));
        assert!(first.token().is_cancelled());
    }

    #[test]
    fn one_session_has_its_share_only() {
        let running = RunningCalls::new(2);
        let first = running.register("s1", "1").unwrap();
        let second = running.register("s1", "2").unwrap();
        assert!(running.register("s1", "3").is_none());
        let other = running.register("s2", "1").unwrap();
        assert_eq!(running.count(), 3);
        drop(first);
        assert!(running.register("s1", "3").is_some());
        drop((second, other));
        assert_eq!(running.count(), 0);
    }
}
