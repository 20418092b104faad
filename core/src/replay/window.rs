//! The entries of a replay store, one table per second of their timestamps, with the low-water mark.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use super::{ReplayAnswer, ReplayEntry};
use crate::time::UnixTime;

/// Entries by timestamp. Not shared between threads; its owner locks.
#[derive(Debug)]
pub(super) struct Window {
    capacity: usize,
    per_session: u32,
    window_seconds: i64,
    created_at: Option<UnixTime>,
    seconds: BTreeMap<i64, Second>,
    entries: usize,
    /// Entries per session, under a keyed hash of the session's id: should two ids ever meet, they share a share.
    shares: HashMap<u64, u32>,
    /// Entries stamped up to here may have been forgotten.
    low_water: Option<i64>,
    hasher: RandomState,
}

/// All entries stamped with one second.
#[derive(Debug, Default)]
struct Second {
    /// The session's hash by digest: 24 bytes an entry, at most 57 with the table's free places.
    entries: HashMap<Digest, u64>,
    /// The last second in which one of them is fresh.
    expires_at: i64,
}

/// Half of the SHA-256. Two messages that agree in it make the second be refused, never accepted, and to find one that
/// agrees with another agent's message costs 2^128 attempts.
type Digest = [u64; 2];

impl Window {
    pub(super) fn new(capacity: usize, per_session: usize, window_seconds: u32, created_at: Option<UnixTime>) -> Self {
        Self {
            capacity,
            per_session: u32::try_from(per_session).unwrap_or(u32::MAX),
            window_seconds: i64::from(window_seconds),
            created_at,
            seconds: BTreeMap::new(),
            entries: 0,
            shares: HashMap::new(),
            low_water: None,
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn check_and_insert(&mut self, entry: &ReplayEntry, now: UnixTime) -> ReplayAnswer {
        let second = now.seconds();
        self.forget_past(second);
        if self.is_from_before(entry) {
            return ReplayAnswer::BeforeRestart;
        }
        if self.low_water.is_some_and(|mark| entry.timestamp <= mark) || !is_fresh(entry, second) {
            return ReplayAnswer::Stale;
        }
        let digest = digest_of(&entry.key);
        if self.seconds.get(&entry.timestamp).is_some_and(|known| known.entries.contains_key(&digest)) {
            return ReplayAnswer::Seen;
        }
        let session = self.hasher.hash_one(&entry.session);
        if self.entries >= self.capacity || self.shares.get(&session).copied().unwrap_or_default() >= self.per_session {
            return ReplayAnswer::Full;
        }
        let known = self.seconds.entry(entry.timestamp).or_default();
        known.expires_at = known.expires_at.max(entry.expires_at);
        known.entries.insert(digest, session);
        self.entries = self.entries.saturating_add(1);
        let share = self.shares.entry(session).or_default();
        *share = share.saturating_add(1);
        ReplayAnswer::New
    }

    /// Whether an envelope stamped like this one may have been accepted by this session before the store existed:
    /// what was accepted before C is stamped no later than C plus the window.
    fn is_from_before(&self, entry: &ReplayEntry) -> bool {
        self.created_at.is_some_and(|created| {
            entry.opened_at < created && entry.timestamp <= created.seconds().saturating_add(self.window_seconds)
        })
    }

    /// Forgets the seconds all of whose entries have expired, oldest first, and raises the mark to the last of them.
    ///
    /// The mark rises only to what was really forgotten: a clock that ran far ahead for a moment costs the agents one
    /// window, not the time until the clock gets there again.
    fn forget_past(&mut self, now: i64) {
        while let Some(oldest) = self.seconds.first_entry()
            && oldest.get().expires_at < now
        {
            let (timestamp, second) = oldest.remove_entry();
            self.low_water = Some(timestamp);
            self.entries = self.entries.saturating_sub(second.entries.len());
            for session in second.entries.into_values() {
                self.give_back(session);
            }
        }
    }

    fn give_back(&mut self, session: u64) {
        if let Some(share) = self.shares.get_mut(&session) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(&session);
            }
        }
    }
}

/// Whether the entry is fresh by the store's own time: one that is past would be forgotten at once and could come
/// again, one from the far future would hold its place for too long.
fn is_fresh(entry: &ReplayEntry, now: i64) -> bool {
    let window = entry.expires_at.saturating_sub(entry.timestamp);
    now <= entry.expires_at && entry.timestamp.saturating_sub(now) <= window
}

fn digest_of(key: &[u8; 32]) -> Digest {
    let (first, rest) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let second = rest.first_chunk::<8>().unwrap_or(&[0; 8]);
    [u64::from_ne_bytes(*first), u64::from_ne_bytes(*second)]
}
