//! Pauses between attempts to reach a tool server.

use std::time::Duration;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// The pause after `failures` failures in a row: doubling, at most 30 s, of which `random` (0 to 255)
/// takes away up to half, so that many gateways do not come back in step.
pub(crate) fn pause(failures: u32, random: u8) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let full = FIRST.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST);
    let taken = full.checked_div(2).unwrap_or_default().saturating_mul(u32::from(random)).checked_div(255);
    full.saturating_sub(taken.unwrap_or_default())
}

/// A random number for [`pause`].
pub(crate) fn random() -> u8 {
    let mut byte = [0_u8];
    match getrandom::fill(&mut byte) {
        Ok(()) => byte[0],
        // Without randomness the pauses are only less spread out.
        Err(_unavailable) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pause(0, 9), Duration::ZERO);
        assert_eq!(pause(1, 0), FIRST);
        assert_eq!(pause(3, 0), Duration::from_millis(400));
        assert_eq!(pause(3, 255), Duration::from_millis(200));
        assert_eq!(pause(u32::MAX, 0), LONGEST);
    }
}
