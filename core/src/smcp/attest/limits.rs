//! Attempts per source and per workload, counted over a minute (section 4).

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::time::UnixTime;

const WINDOW_MILLIS: i64 = 60_000;
/// Names remembered at once; beyond that those whose last attempts are oldest are forgotten.
const MAXIMUM_NAMES: usize = 65_536;
/// Names forgotten together, so that a flood of new names does not search the table for each of them.
const FORGOTTEN_NAMES: usize = MAXIMUM_NAMES / 16;

/// Counts attempts by name within the last minute.
#[derive(Debug)]
pub struct AttemptLimits {
    per_minute: usize,
    attempts: Mutex<HashMap<String, VecDeque<i64>>>,
}

impl AttemptLimits {
    /// At most `per_minute` attempts of one name.
    #[must_use]
    pub fn new(per_minute: usize) -> Self {
        Self { per_minute, attempts: Mutex::default() }
    }

    /// The name under which an address is counted: IPv6 by its /64, since one client owns all of it.
    #[must_use]
    pub fn source_name(address: IpAddr) -> String {
        match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, VecDeque<i64>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `name` still has an attempt free at `now`; nothing is counted.
    ///
    /// # Errors
    /// `POLICY_VIOLATION_RATE_LIMIT_EXCEEDED` with the seconds to wait.
    pub fn check(&self, name: &str, now: UnixTime) -> Result<()> {
        let mut attempts = self.lock();
        let Some(times) = attempts.get_mut(name) else { return Ok(()) };
        times.retain(|time| now.millis().abs_diff(*time) < WINDOW_MILLIS.unsigned_abs());
        if times.len() < self.per_minute {
            return Ok(());
        }
        let oldest = times.front().copied().unwrap_or_default();
        let wait = oldest.saturating_add(WINDOW_MILLIS).saturating_sub(now.millis()).clamp(1, WINDOW_MILLIS);
        let seconds = wait.unsigned_abs().div_ceil(1000);
        Err(Error::new(ErrorKind::PolicyViolationRateLimitExceeded, "too many attestations, try again later")
            .with_retry_after(seconds))
    }

    /// Counts an attempt of `name`.
    pub fn count(&self, name: &str, now: UnixTime) {
        let mut attempts = self.lock();
        if attempts.len() >= MAXIMUM_NAMES && !attempts.contains_key(name) {
            forget_oldest(&mut attempts);
        }
        let times = attempts.entry(name.to_owned()).or_default();
        if times.len() >= self.per_minute {
            times.pop_front();
        }
        times.push_back(now.millis());
    }
}

fn forget_oldest(attempts: &mut HashMap<String, VecDeque<i64>>) {
    let age = |times: &VecDeque<i64>| times.back().copied();
    let mut ages: Vec<Option<i64>> = attempts.values().map(age).collect();
    let index = FORGOTTEN_NAMES.min(ages.len()).saturating_sub(1);
    let (older, last, _) = ages.select_nth_unstable(index);
    let last = *last;
    let mut ties = FORGOTTEN_NAMES.saturating_sub(older.iter().filter(|age| **age < last).count());
    attempts.retain(|_, times| {
        let tie = age(times) == last && ties > 0;
        ties = ties.saturating_sub(usize::from(tie));
        !tie && age(times) >= last
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_is_bounded_and_forgets_the_oldest_first() {
        let limits = AttemptLimits::new(1);
        limits.count("early", UnixTime::from_seconds(0));
        for index in 0..MAXIMUM_NAMES {
            limits.count(&format!("n{index}"), UnixTime::from_seconds(if index % 2 == 0 { 10 } else { 20 }));
        }
        assert!(limits.lock().len() <= MAXIMUM_NAMES);
        assert!(limits.lock().len() > MAXIMUM_NAMES - FORGOTTEN_NAMES);
        limits.check("early", UnixTime::from_seconds(20)).unwrap();
        let newest = format!("n{}", MAXIMUM_NAMES - 1);
        assert!(limits.check(&newest, UnixTime::from_seconds(20)).is_err());
        for index in (1..MAXIMUM_NAMES).step_by(2) {
            assert!(limits.check(&format!("n{index}"), UnixTime::from_seconds(20)).is_err());
        }
    }

    #[test]
    fn counts_within_a_minute() {
        let limits = AttemptLimits::new(2);
        let at = |second| UnixTime::from_seconds(second);
        limits.count("a", at(0));
        limits.check("a", at(1)).unwrap();
        limits.count("a", at(30));
        assert_eq!(limits.check("a", at(59)).unwrap_err().details().retry_after, Some(1));
        limits.check("b", at(59)).unwrap();
        limits.check("a", at(60)).unwrap();
    }

    #[test]
    fn ipv6_counts_by_its_network() {
        let name = |text: &str| AttemptLimits::source_name(text.parse().unwrap());
        assert_eq!(name("2001:db8:1:2:3::4"), name("2001:db8:1:2::9"));
        assert_ne!(name("2001:db8:1:2::1"), name("2001:db8:1:3::1"));
        assert_eq!(name("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
