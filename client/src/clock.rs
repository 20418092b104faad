//! The clock of this machine, and how far the gateway's is away from it (section 5, `clock_correction`).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use smcp_core::time::UnixTime;

/// Offsets beyond this are worth a warning, in milliseconds.
const WARN_BEYOND_MILLIS: i64 = 5_000;
/// Exchanges that took longer say too little about the clock.
const LONGEST_EXCHANGE_MILLIS: i64 = 2_000;

/// Now, by this machine's clock.
pub(crate) fn system_now() -> UnixTime {
    let millis = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(error) => i64::try_from(error.duration().as_millis()).map_or(i64::MIN, i64::wrapping_neg),
    };
    UnixTime::from_millis(millis)
}

/// What was learned about the gateway's clock.
#[derive(Debug, Default)]
pub(crate) struct GatewayClock {
    /// The gateway's clock minus ours in milliseconds, as near to zero as what was seen allows.
    offset: AtomicI64,
    warned_at: AtomicI64,
}

impl GatewayClock {
    /// The gateway's clock minus ours.
    pub(crate) fn offset_millis(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// `now` by the gateway's clock.
    pub(crate) fn corrected(&self, now: UnixTime) -> UnixTime {
        UnixTime::from_millis(now.millis().saturating_add(self.offset_millis()))
    }

    /// Learns from the `Date` header of an exchange between `sent` and `received`. Returns the offset in milliseconds
    /// when it is worth a warning that was not given yet.
    pub(crate) fn learn(&self, date: &str, sent: UnixTime, received: UnixTime) -> Option<i64> {
        let date = httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        self.learn_time(i64::try_from(date.as_millis()).ok()?, Duration::from_secs(1), sent, received)
    }

    /// As [`Self::learn`] from a time that the gateway's clock showed within `width`.
    fn learn_time(&self, shown: i64, width: Duration, sent: UnixTime, received: UnixTime) -> Option<i64> {
        let took = received.millis().saturating_sub(sent.millis());
        if !(0..=LONGEST_EXCHANGE_MILLIS).contains(&took) {
            return None;
        }
        let width = i64::try_from(width.as_millis()).unwrap_or(0);
        let lowest = shown.saturating_sub(received.millis());
        let highest = shown.saturating_add(width).saturating_sub(sent.millis());
        let offset = 0_i64.clamp(lowest.min(highest), highest);
        self.offset.store(offset, Ordering::Relaxed);
        let warned = self.warned_at.load(Ordering::Relaxed);
        let news = offset.saturating_sub(warned).saturating_abs() > WARN_BEYOND_MILLIS;
        if offset.saturating_abs() <= WARN_BEYOND_MILLIS || !news {
            return None;
        }
        self.warned_at.store(offset, Ordering::Relaxed);
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 17 Feb 2026 14:32:01 GMT";

    fn at(millis: i64) -> UnixTime {
        UnixTime::from_millis(millis.saturating_add(1_771_338_721_000))
    }

    #[test]
    fn learns_and_warns_once() {
        let clock = GatewayClock::default();
        assert_eq!(clock.learn(DATE, at(100), at(200)), None);
        assert_eq!(clock.offset_millis(), 0);
        assert_eq!(clock.learn(DATE, at(-40_000), at(-39_900)), Some(39_900));
        assert_eq!(clock.learn(DATE, at(-40_000), at(-39_900)), None);
        assert_eq!(clock.corrected(at(-40_000)), at(-100));
        assert_eq!(clock.learn(DATE, at(60_000), at(60_100)), Some(-59_000));
    }

    #[test]
    fn ignores_slow_answers_and_nonsense() {
        let clock = GatewayClock::default();
        assert_eq!(clock.learn(DATE, at(-40_000), at(-30_000)), None);
        assert_eq!(clock.learn("yesterday", at(-40_000), at(-40_000)), None);
        assert_eq!(clock.learn(DATE, at(5), at(0)), None);
        assert_eq!(clock.offset_millis(), 0);
    }

    #[test]
    fn the_system_clock_runs() {
        assert!(system_now() > UnixTime::from_seconds(1_700_000_000));
    }
}
