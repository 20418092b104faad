//! Rate counters in the memory of one process: an exact sliding window (section 7, "Rate limit").

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use super::{RateAnswer, RateKey, RateLimit, RateStore};
use crate::error::Result;
use crate::time::UnixTime;

const MILLIS_PER_SECOND: i64 = 1000;
/// Places below which looking for past calls is not worth the while.
const FEW_PLACES: usize = 1024;
/// Least time between two looks through a store that is full.
const SWEEP_MILLIS: i64 = 100;

/// A bounded rate store in memory.
///
/// Room is counted in places: calls of one counter in the same millisecond take one. Calls that count are never
/// forgotten to make room; a call without a place is refused.
#[derive(Debug)]
pub struct MemoryRateStore {
    capacity: usize,
    per_workload: usize,
    hasher: RandomState,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<RateKey, Counter>,
    places: usize,
    /// Places per workload, under a keyed hash of its id.
    shares: HashMap<u64, usize>,
    /// With this many places the past calls of all counters are forgotten again.
    sweep_at: usize,
    swept_at: Option<i64>,
}

#[derive(Debug)]
struct Counter {
    /// Keyed hash of the workload.
    workload: u64,
    per_seconds: u32,
    /// Calls by millisecond, oldest first.
    runs: VecDeque<(i64, u32)>,
    calls: u64,
}

impl MemoryRateStore {
    /// A store of at most `capacity` places, of which one workload takes at most `per_workload`.
    #[must_use]
    pub fn new(capacity: usize, per_workload: usize) -> Self {
        Self { capacity, per_workload, hasher: RandomState::new(), counters: Mutex::default() }
    }

    /// Counters kept now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).by_key.len()
    }

    /// Whether no counter is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RateStore for MemoryRateStore {
    fn check_and_charge(&self, key: &RateKey, limit: RateLimit, now: UnixTime) -> Result<RateAnswer> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.sweep_if_due(now.millis(), self.capacity);
        let workload = self.hasher.hash_one(&key.workload_id);
        if let Some(counter) = counters.by_key.get_mut(key) {
            counter.per_seconds = limit.per_seconds;
            let freed = counter.forget_past(now.millis());
            let exceeded = counter.exceeded(limit, now.millis());
            // A second call in the same millisecond needs no place of its own.
            let joined = exceeded.is_none() && counter.join(now.millis());
            counters.give_back(workload, freed);
            if let Some(retry_after) = exceeded {
                return Ok(RateAnswer::Exceeded { retry_after });
            }
            if joined {
                return Ok(RateAnswer::Charged);
            }
        } else if limit.calls == 0 {
            return Ok(RateAnswer::Exceeded { retry_after: u64::from(limit.per_seconds).max(1) });
        }
        let share = counters.shares.get(&workload).copied().unwrap_or_default();
        if counters.places >= self.capacity || share >= self.per_workload {
            return Ok(RateAnswer::Full);
        }
        counters.take_place(workload);
        let counter = counters.by_key.entry(key.clone()).or_insert_with(|| Counter {
            workload,
            per_seconds: limit.per_seconds,
            runs: VecDeque::new(),
            calls: 0,
        });
        counter.runs.push_back((now.millis(), 1));
        counter.calls = counter.calls.saturating_add(1);
        Ok(RateAnswer::Charged)
    }
}

impl Counters {
    fn take_place(&mut self, workload: u64) {
        self.places = self.places.saturating_add(1);
        let share = self.shares.entry(workload).or_default();
        *share = share.saturating_add(1);
    }

    fn give_back(&mut self, workload: u64, freed: usize) {
        self.places = self.places.saturating_sub(freed);
        if let Some(share) = self.shares.get_mut(&workload) {
            *share = share.saturating_sub(freed);
            if *share == 0 {
                self.shares.remove(&workload);
            }
        }
    }

    /// Forgets the past of all counters whenever the places have doubled since the last time, so that idle counters go
    /// and each call pays a constant share of it; in a full store not more often than every tenth of a second.
    fn sweep_if_due(&mut self, now: i64, capacity: usize) {
        let rested = self.swept_at.is_none_or(|swept| now.abs_diff(swept) >= SWEEP_MILLIS.unsigned_abs());
        if self.places < self.sweep_at.max(FEW_PLACES.min(capacity)) || (self.places >= capacity && !rested) {
            return;
        }
        self.swept_at = Some(now);
        let mut by_key = std::mem::take(&mut self.by_key);
        by_key.retain(|_, counter| {
            let freed = counter.forget_past(now);
            self.give_back(counter.workload, freed);
            !counter.runs.is_empty()
        });
        self.by_key = by_key;
        self.sweep_at = self.places.saturating_mul(2).min(capacity);
    }
}

impl Counter {
    /// Drops the calls that count no more and says how many places that frees.
    fn forget_past(&mut self, now: i64) -> usize {
        let before = self.runs.len();
        // A call from a later time than now was charged before the clock was set back. It counts as made now: it may not
        // vanish, nor may it count until the clock gets there again.
        let mut ahead: u32 = 0;
        while let Some((_, calls)) = self.runs.pop_back_if(|(time, _)| *time > now) {
            ahead = ahead.saturating_add(calls);
        }
        if ahead > 0 {
            self.runs.push_back((now, ahead));
        }
        let window = self.window_millis();
        while let Some((_, calls)) = self.runs.pop_front_if(|(time, _)| now.saturating_sub(*time) >= window) {
            self.calls = self.calls.saturating_sub(u64::from(calls));
        }
        before.saturating_sub(self.runs.len())
    }

    fn window_millis(&self) -> i64 {
        i64::from(self.per_seconds).saturating_mul(MILLIS_PER_SECOND)
    }

    /// Seconds until a call fits, when none fits now.
    fn exceeded(&self, limit: RateLimit, now: i64) -> Option<u64> {
        let allowed = u64::from(limit.calls);
        if self.calls < allowed {
            return None;
        }
        let mut left = self.calls;
        let mut frees_at = now.saturating_add(self.window_millis());
        for (time, calls) in &self.runs {
            left = left.saturating_sub(u64::from(*calls));
            if left < allowed {
                frees_at = time.saturating_add(self.window_millis());
                break;
            }
        }
        Some(frees_at.saturating_sub(now).max(1).unsigned_abs().div_ceil(MILLIS_PER_SECOND.unsigned_abs()))
    }

    /// Counts a call in the run of this millisecond, if there is one.
    fn join(&mut self, now: i64) -> bool {
        let Some((_, calls)) = self.runs.back_mut().filter(|(time, calls)| *time == now && *calls < u32::MAX) else {
            return false;
        };
        *calls = calls.saturating_add(1);
        self.calls = self.calls.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(workload: &str) -> RateKey {
        RateKey { workload_id: workload.to_owned(), context: "context".to_owned(), capability: 0 }
    }

    fn ask(store: &MemoryRateStore, workload: &str, (calls, per_seconds): (u32, u32), millis: i64) -> RateAnswer {
        let limit = RateLimit { calls, per_seconds };
        store.check_and_charge(&key(workload), limit, UnixTime::from_millis(millis)).unwrap()
    }

    fn exceeded(retry_after: u64) -> RateAnswer {
        RateAnswer::Exceeded { retry_after }
    }

    #[test]
    fn a_call_counts_while_it_is_younger_than_the_window() {
        let store = MemoryRateStore::new(100, 100);
        let limit = (2, 10);
        assert_eq!(ask(&store, "w", limit, 0), RateAnswer::Charged);
        assert_eq!(ask(&store, "w", limit, 4_000), RateAnswer::Charged);
        assert_eq!(ask(&store, "w", limit, 4_001), exceeded(6));
        assert_eq!(ask(&store, "w", limit, 9_999), exceeded(1));
        assert_eq!(ask(&store, "w", limit, 10_000), RateAnswer::Charged);
        assert_eq!(ask(&store, "w", limit, 10_000), exceeded(4));
        assert_eq!(ask(&store, "other", limit, 10_000), RateAnswer::Charged);
    }

    #[test]
    fn a_refused_call_is_not_counted() {
        let store = MemoryRateStore::new(100, 100);
        assert_eq!(ask(&store, "w", (1, 10), 0), RateAnswer::Charged);
        for millis in (1..10_000).step_by(500) {
            assert!(matches!(ask(&store, "w", (1, 10), millis), RateAnswer::Exceeded { .. }));
        }
        assert_eq!(ask(&store, "w", (1, 10), 10_000), RateAnswer::Charged);
    }

    #[test]
    fn a_clock_stepped_back_neither_frees_nor_locks() {
        let store = MemoryRateStore::new(100, 100);
        assert_eq!(ask(&store, "w", (1, 10), 9_000_000), RateAnswer::Charged);
        assert_eq!(ask(&store, "w", (1, 10), 1_000), exceeded(10));
        assert_eq!(ask(&store, "w", (1, 10), 10_999), exceeded(1));
        assert_eq!(ask(&store, "w", (1, 10), 11_000), RateAnswer::Charged);
    }

    #[test]
    fn room_is_bounded_and_shared() {
        let store = MemoryRateStore::new(3, 2);
        assert_eq!(ask(&store, "a", (9, 10), 0), RateAnswer::Charged);
        assert_eq!(ask(&store, "a", (9, 10), 0), RateAnswer::Charged, "the same millisecond takes no new place");
        assert_eq!(ask(&store, "a", (9, 10), 1), RateAnswer::Charged);
        assert_eq!(ask(&store, "a", (9, 10), 2), RateAnswer::Full);
        assert_eq!(ask(&store, "b", (9, 10), 2), RateAnswer::Charged);
        assert_eq!(ask(&store, "c", (9, 10), 3), RateAnswer::Full);
        assert_eq!(ask(&store, "c", (9, 10), 10_001), RateAnswer::Charged, "idle counters make room");
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn idle_counters_are_forgotten_before_the_store_is_full() {
        let store = MemoryRateStore::new(1_000_000, 1_000_000);
        for number in 0..10_000_i64 {
            assert_eq!(ask(&store, &number.to_string(), (1, 1), number * 10), RateAnswer::Charged);
        }
        assert!(store.len() <= 2 * FEW_PLACES, "{}", store.len());
    }

    #[test]
    fn check_and_charge_is_one_step() {
        let store = MemoryRateStore::new(1000, 1000);
        let charged = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, charged) = (&store, &charged);
                scope.spawn(move || {
                    for round in 0..50 {
                        if ask(store, "w", (20, 60), thread * 50 + round) == RateAnswer::Charged {
                            charged.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(charged.into_inner(), 20);
    }

    #[test]
    fn a_limit_that_changed_is_used_at_once() {
        let store = MemoryRateStore::new(100, 100);
        for millis in 0..5 {
            assert_eq!(ask(&store, "w", (5, 10), millis), RateAnswer::Charged);
        }
        assert_eq!(ask(&store, "w", (2, 10), 5), exceeded(10));
        assert_eq!(ask(&store, "w", (6, 10), 5), RateAnswer::Charged);
        assert_eq!(ask(&store, "w", (1, 1), 5_000), RateAnswer::Charged);
    }
}
