//! What the log says: the messages that are remembered, and the low-water mark (section 5 step 6).

use std::collections::{BTreeMap, HashMap};

use smcp_core::replay::{ReplayAnswer, ReplayEntry};
use smcp_core::time::UnixTime;

use super::record::{Half, Header, Record, key_of, session_of};

/// The longest freshness window of any verifier in seconds. What an earlier life of the store may have let through is
/// stamped no later than this after its end.
const LONGEST_WINDOW: i64 = 60;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Messages in all.
    pub(super) capacity: usize,
    /// Messages of one session.
    pub(super) per_session: u32,
}

/// The remembered messages.
#[derive(Debug)]
pub(super) struct Window {
    created_at: UnixTime,
    low_water: Option<i64>,
    seconds: BTreeMap<i64, Second>,
    entries: usize,
    shares: HashMap<Half, u32>,
}

/// All messages stamped with one second.
#[derive(Debug, Default)]
struct Second {
    /// The session by key.
    entries: HashMap<Half, Half>,
    /// The last second in which one of them is fresh.
    expires_at: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self::new(UnixTime::EPOCH)
    }
}

impl Window {
    /// That of a store made at `created_at`.
    pub(super) fn new(created_at: UnixTime) -> Self {
        Self { created_at, low_water: None, seconds: BTreeMap::new(), entries: 0, shares: HashMap::new() }
    }

    pub(super) fn restored(header: &Header) -> Self {
        Self { low_water: header.low_water, ..Self::new(header.created_at) }
    }

    pub(super) fn header(&self, boot: Half) -> Header {
        Header { created_at: self.created_at, low_water: self.low_water, boot }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    /// The records that lead to this window.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.seconds.iter().flat_map(|(timestamp, second)| {
            second.entries.iter().map(|(key, session)| Record::Insert {
                timestamp: *timestamp,
                expires_at: second.expires_at,
                key: *key,
                session: *session,
            })
        })
    }

    /// The record that forgets the seconds all of whose messages have expired, oldest first up to one that has not.
    pub(super) fn past(&self, now: i64) -> Option<Record> {
        let past = self.seconds.iter().take_while(|(_, second)| second.expires_at < now);
        past.last().map(|(timestamp, _)| Record::Forget(*timestamp))
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match *record {
            Record::Insert { timestamp, expires_at, key, session } => {
                let second = self.seconds.entry(timestamp).or_default();
                second.expires_at = second.expires_at.max(expires_at);
                if second.entries.insert(key, session).is_none() {
                    self.entries = self.entries.saturating_add(1);
                    let share = self.shares.entry(session).or_default();
                    *share = share.saturating_add(1);
                }
            }
            Record::Forget(up_to) => {
                while let Some(oldest) = self.seconds.first_entry()
                    && *oldest.key() <= up_to
                {
                    let second = oldest.remove();
                    self.entries = self.entries.saturating_sub(second.entries.len());
                    for session in second.entries.into_values() {
                        self.give_back(&session);
                    }
                }
                self.low_water = self.low_water.max(Some(up_to));
            }
        }
    }

    fn give_back(&mut self, session: &Half) {
        if let Some(share) = self.shares.get_mut(session) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(session);
            }
        }
    }

    /// The answer about a message, once the past is forgotten; nothing is changed.
    pub(super) fn check(&self, entry: &ReplayEntry, now: UnixTime, limits: Limits) -> ReplayAnswer {
        let since_creation = self.created_at.seconds().saturating_add(LONGEST_WINDOW);
        if entry.opened_at < self.created_at && entry.timestamp <= since_creation {
            return ReplayAnswer::BeforeRestart;
        }
        if self.low_water.is_some_and(|mark| entry.timestamp <= mark) || !is_fresh(entry, now.seconds()) {
            return ReplayAnswer::Stale;
        }
        let second = self.seconds.get(&entry.timestamp);
        if second.is_some_and(|second| second.entries.contains_key(&key_of(entry))) {
            return ReplayAnswer::Seen;
        }
        let share = self.shares.get(&session_of(entry)).copied().unwrap_or_default();
        if self.entries >= limits.capacity || share >= limits.per_session {
            return ReplayAnswer::Full;
        }
        ReplayAnswer::New
    }
}

/// Whether the entry is fresh by the store's own time.
fn is_fresh(entry: &ReplayEntry, now: i64) -> bool {
    let window = entry.expires_at.saturating_sub(entry.timestamp);
    now <= entry.expires_at && entry.timestamp.saturating_sub(now) <= window
}
