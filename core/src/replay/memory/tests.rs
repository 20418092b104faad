use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const WINDOW: u32 = 30;

fn at(second: i64) -> UnixTime {
    UnixTime::from_seconds(second)
}

fn entry(number: u32, timestamp: i64) -> ReplayEntry {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    ReplayEntry {
        key,
        timestamp,
        expires_at: timestamp.saturating_add(i64::from(WINDOW)),
        session: "session".to_owned(),
        opened_at: at(500),
    }
}

fn store() -> MemoryReplayStore {
    MemoryReplayStore::new(100, 100, WINDOW, Some(at(100)))
}

fn ask(store: &MemoryReplayStore, entry: &ReplayEntry, second: i64) -> ReplayAnswer {
    store.check_and_insert(entry, at(second)).unwrap()
}

#[test]
fn an_entry_is_new_once_while_it_is_fresh() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1000), 1000), ReplayAnswer::New);
    for second in [970, 1000, 1001, 1029, 1030] {
        assert_eq!(ask(&store, &entry(1, 1000), second), ReplayAnswer::Seen, "{second}");
    }
    assert_eq!(ask(&store, &entry(1, 1000), 1031), ReplayAnswer::Stale);
}

#[test]
fn a_repetition_under_another_session_name_is_seen() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1000), 1000), ReplayAnswer::New);
    let other = ReplayEntry { session: "other".to_owned(), ..entry(1, 1000) };
    assert_eq!(ask(&store, &other, 1000), ReplayAnswer::Seen);
}

#[test]
fn an_entry_from_the_future_lives_until_its_own_time_has_passed() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1030), 1000), ReplayAnswer::New);
    assert_eq!(ask(&store, &entry(1, 1030), 1060), ReplayAnswer::Seen);
    assert_eq!(ask(&store, &entry(1, 1030), 1061), ReplayAnswer::Stale);
    assert_eq!(ask(&store, &entry(2, 1093), 1061), ReplayAnswer::Stale, "32 seconds ahead");
}

#[test]
fn a_clock_stepped_back_opens_nothing_again() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1000), 1000), ReplayAnswer::New);
    assert_eq!(ask(&store, &entry(2, 1010), 1010), ReplayAnswer::New);
    // The clock runs past both, so they are forgotten; then it is set back.
    assert_eq!(ask(&store, &entry(3, 1041), 1041), ReplayAnswer::New);
    for (number, stamp) in [(1, 1000), (2, 1010), (4, 990), (4, 1010)] {
        assert_eq!(ask(&store, &entry(number, stamp), 1005), ReplayAnswer::Stale, "{number} {stamp}");
    }
    assert_eq!(ask(&store, &entry(4, 1011), 1005), ReplayAnswer::New);
    assert_eq!(ask(&store, &entry(3, 1041), 1015), ReplayAnswer::Seen);
}

#[test]
fn a_clock_that_ran_ahead_for_a_moment_does_not_lock_the_agents_out() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1000), 1000), ReplayAnswer::New);
    assert_eq!(ask(&store, &entry(2, 1001), 9_000_000), ReplayAnswer::Stale);
    assert_eq!(ask(&store, &entry(1, 1000), 1002), ReplayAnswer::Stale);
    assert_eq!(ask(&store, &entry(2, 1001), 1002), ReplayAnswer::New);
}

#[test]
fn a_stale_entry_is_never_remembered() {
    let store = store();
    assert_eq!(ask(&store, &entry(1, 1000), 1031), ReplayAnswer::Stale);
    assert!(store.is_empty());
    // Nothing was accepted, so nothing was forgotten, and the clock may be corrected.
    assert_eq!(ask(&store, &entry(1, 1000), 1030), ReplayAnswer::New);
}

#[test]
fn a_restart_opens_nothing_again() {
    let old = |number, stamp| ReplayEntry { opened_at: UnixTime::from_millis(99_999), ..entry(number, stamp) };
    let young = |number, stamp| ReplayEntry { opened_at: at(100), ..entry(number, stamp) };
    let store = store();
    for stamp in [70, 100, 130] {
        assert_eq!(ask(&store, &old(1, stamp), 100), ReplayAnswer::BeforeRestart, "{stamp}");
        assert_eq!(ask(&store, &young(u32::try_from(stamp).unwrap(), stamp), 100), ReplayAnswer::New, "{stamp}");
    }
    assert_eq!(ask(&store, &old(1, 131), 101), ReplayAnswer::New);
    assert_eq!(ask(&store, &old(1, 131), 101), ReplayAnswer::Seen);
    let restored = MemoryReplayStore::new(10, 10, WINDOW, None);
    assert_eq!(ask(&restored, &old(1, 100), 100), ReplayAnswer::New);
}

#[test]
fn a_restart_within_a_second_counts_the_milliseconds() {
    let store = MemoryReplayStore::new(10, 10, WINDOW, Some(UnixTime::from_millis(100_500)));
    let opened = |millis| ReplayEntry { opened_at: UnixTime::from_millis(millis), ..entry(1, 130) };
    assert_eq!(ask(&store, &opened(100_499), 101), ReplayAnswer::BeforeRestart);
    assert_eq!(ask(&store, &opened(100_500), 101), ReplayAnswer::New);
}

#[test]
fn a_full_store_refuses_and_forgets_nothing_fresh() {
    let store = MemoryReplayStore::new(3, 3, WINDOW, None);
    for number in 0..3 {
        assert_eq!(ask(&store, &entry(number, 1000), 1000), ReplayAnswer::New);
    }
    assert_eq!(ask(&store, &entry(3, 1000), 1030), ReplayAnswer::Full);
    assert_eq!(ask(&store, &entry(2, 1000), 1030), ReplayAnswer::Seen, "a repetition is named as such also when full");
    assert_eq!(ask(&store, &entry(3, 1001), 1031), ReplayAnswer::New);
    assert_eq!(store.len(), 1);
}

#[test]
fn a_session_takes_no_more_than_its_share() {
    let store = MemoryReplayStore::new(100, 2, WINDOW, None);
    let of = |session: &str, number, stamp| ReplayEntry { session: session.to_owned(), ..entry(number, stamp) };
    assert_eq!(ask(&store, &of("a", 1, 1000), 1000), ReplayAnswer::New);
    assert_eq!(ask(&store, &of("a", 2, 1001), 1001), ReplayAnswer::New);
    assert_eq!(ask(&store, &of("a", 3, 1001), 1001), ReplayAnswer::Full);
    assert_eq!(ask(&store, &of("b", 3, 1001), 1001), ReplayAnswer::New);
    // One of the two has passed.
    assert_eq!(ask(&store, &of("a", 4, 1031), 1031), ReplayAnswer::New);
    assert_eq!(ask(&store, &of("a", 5, 1031), 1031), ReplayAnswer::Full);
}

#[test]
fn of_many_threads_exactly_one_gets_in() {
    const THREADS: usize = 8;
    const ROUNDS: u32 = 200;
    let store = MemoryReplayStore::new(10_000, 10_000, WINDOW, None);
    let admitted = AtomicUsize::new(0);
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    barrier.wait();
                    if ask(&store, &entry(round, 1000), 1000) == ReplayAnswer::New {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), usize::try_from(ROUNDS).unwrap());
    assert_eq!(store.len(), usize::try_from(ROUNDS).unwrap());
}

#[test]
fn the_window_never_takes_an_entry_twice_whatever_the_clock_does() {
    use proptest::prelude::*;
    use std::collections::HashSet;
    proptest!(|(steps in prop::collection::vec((0_u32..6, 0_i64..40, 0_i64..120), 1..200))| {
        let store = MemoryReplayStore::new(20, 20, 5, None);
        let mut accepted = HashSet::new();
        for (number, stamp, clock) in steps {
            let asked = ReplayEntry { expires_at: stamp.saturating_add(5), ..entry(number, stamp) };
            if ask(&store, &asked, clock) == ReplayAnswer::New {
                prop_assert!(accepted.insert((number, stamp)), "{number} {stamp} twice");
            }
            prop_assert!(store.len() <= 20);
        }
    });
}
