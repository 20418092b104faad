//! What a client reports beside its results, for hosts with a logging system of their own.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Events kept until somebody drains them; older ones are dropped.
const CAPACITY: usize = 64;

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Of interest when something is looked for.
    Debug,
    /// A session began or was renewed.
    Info,
    /// Something an operator should look at.
    Warning,
}

/// One line without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How much it matters.
    pub level: Level,
    /// What happened.
    pub message: String,
}

/// A bounded queue of events; each goes to `tracing` as well.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<VecDeque<Event>>);

impl Events {
    pub(crate) fn report(&self, level: Level, message: String) {
        match level {
            Level::Debug => tracing::debug!(target: "smcp::client", "{message}"),
            Level::Info => tracing::info!(target: "smcp::client", "{message}"),
            Level::Warning => tracing::warn!(target: "smcp::client", "{message}"),
        }
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= CAPACITY {
            events.pop_front();
        }
        events.push_back(Event { level, message });
    }

    pub(crate) fn drain(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_events() {
        let events = Events::default();
        for number in 0..CAPACITY + 3 {
            events.report(Level::Debug, number.to_string());
        }
        let drained = events.drain();
        assert_eq!(drained.len(), CAPACITY);
        assert_eq!(drained[0].message, "3");
        assert!(events.drain().is_empty());
    }
}
