//! Points in time and RFC 3339 text. There is no clock here: callers pass `now`.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

const MILLIS_PER_SECOND: i64 = 1000;
const SECONDS_PER_DAY: i64 = 86_400;
/// The last instant RFC 3339 can write, 9999-12-31T23:59:59.999Z.
const MAXIMUM_MILLIS: i64 = 253_402_300_799_999;
/// The first instant RFC 3339 can write, 0000-01-01T00:00:00Z.
const MINIMUM_MILLIS: i64 = -62_167_219_200_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    millis: i64,
}

impl UnixTime {
    /// The epoch.
    pub const EPOCH: Self = Self { millis: 0 };

    /// From milliseconds since the epoch; values outside the years 0000 to 9999 are clamped.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self { millis: millis.clamp(MINIMUM_MILLIS, MAXIMUM_MILLIS) }
    }

    /// From whole seconds since the epoch; values outside the years 0000 to 9999 are clamped.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self::from_millis(seconds.saturating_mul(MILLIS_PER_SECOND))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.millis
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.millis.div_euclid(MILLIS_PER_SECOND)
    }

    /// This time plus (or, negative, minus) whole seconds.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_millis(self.millis.saturating_add(seconds.saturating_mul(MILLIS_PER_SECOND)))
    }

    /// Parses RFC 3339 text with a zone (section 1).
    ///
    /// `T` and `Z` may be lower case; a fraction has one to
    /// nine digits, of which milliseconds are kept; second 60 is refused.
    ///
    /// # Errors
    /// `MALFORMED_ENVELOPE` when the text has another form or names no instant.
    pub fn parse_rfc3339(text: &str) -> Result<Self> {
        parse(text.as_bytes()).ok_or_else(|| {
            Error::new(
                ErrorKind::MalformedEnvelope,
                "timestamp is not RFC 3339 with a zone, such as `2026-02-17T14:32:01.583Z`",
            )
        })
    }

    /// Writes UTC with milliseconds: `2026-02-17T14:32:01.583Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        self.to_string()
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) =
            (second_of_day.div_euclid(3600), second_of_day.div_euclid(60).rem_euclid(60), second_of_day.rem_euclid(60));
        let millis = self.millis.rem_euclid(MILLIS_PER_SECOND);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Reads fixed-width fields off the front of a byte string.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let mut value: i64 = 0;
        for byte in head {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value.checked_mul(10)?.checked_add(i64::from(byte.wrapping_sub(b'0')))?;
        }
        self.0 = tail;
        Some(value)
    }

    fn one_of(&mut self, allowed: &[u8]) -> Option<u8> {
        let (head, tail) = self.0.split_first()?;
        if !allowed.contains(head) {
            return None;
        }
        self.0 = tail;
        Some(*head)
    }

    fn fraction_millis(&mut self) -> Option<i64> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&length) {
            return None;
        }
        let value = self.digits(length)?;
        let exponent = u32::try_from(length).ok()?;
        value.checked_mul(MILLIS_PER_SECOND)?.checked_div(10_i64.checked_pow(exponent)?)
    }

    fn zone_offset_seconds(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.digits(2)?;
        self.one_of(b":")?;
        let minutes = self.digits(2)?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)
    }
}

fn parse(text: &[u8]) -> Option<UnixTime> {
    let mut fields = Fields(text);
    let year = fields.digits(4)?;
    fields.one_of(b"-")?;
    let month = fields.digits(2)?;
    fields.one_of(b"-")?;
    let day = fields.digits(2)?;
    fields.one_of(b"Tt")?;
    let hour = fields.digits(2)?;
    fields.one_of(b":")?;
    let minute = fields.digits(2)?;
    fields.one_of(b":")?;
    let second = fields.digits(2)?;
    let millis = fields.fraction_millis()?;
    let offset = fields.zone_offset_seconds()?;
    if !fields.0.is_empty() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let seconds = days_from_civil(year, month, day)?
        .checked_mul(SECONDS_PER_DAY)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?
        .checked_sub(offset)?;
    let total = seconds.checked_mul(MILLIS_PER_SECOND)?.checked_add(millis)?;
    (MINIMUM_MILLIS..=MAXIMUM_MILLIS).contains(&total).then_some(UnixTime { millis: total })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a proleptic Gregorian date, counting years from March so that the leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_from_march = if month <= 2 { year.checked_sub(1)? } else { year };
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let month_from_march = month.checked_add(9)?.rem_euclid(12);
    let day_of_year =
        month_from_march.checked_mul(153)?.checked_add(2)?.div_euclid(5).checked_add(day)?.checked_sub(1)?;
    let day_of_era = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era.div_euclid(4))?
        .checked_sub(year_of_era.div_euclid(100))?
        .checked_add(day_of_year)?;
    era.checked_mul(146_097)?.checked_add(day_of_era)?.checked_sub(719_468)
}

/// The inverse of [`days_from_civil`], for days within the years 0000 to 9999.
#[expect(clippy::arithmetic_side_effects, reason = "the range of `UnixTime` keeps every term below 2^33")]
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_an_instant() {
        for text in [
            "",
            "2026-02-17",
            "2026-02-17T14:32:01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-17T24:00:00Z",
            "2026-02-17T14:32:60Z",
            "2026-02-17 14:32:01Z",
            "2026-02-17T14:32:01.Z",
            "2026-02-17T14:32:01.0000000001Z",
            "2026-02-17T14:32:01+0100",
            "2026-02-17T14:32:01+24:00",
            "2026-02-17T14:32:01Z ",
            "+026-02-17T14:32:01Z",
            "2026-02-17T14:32:01ZZ",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert!(UnixTime::parse_rfc3339(text).is_err(), "{text}");
        }
    }

    #[test]
    fn round_trips_every_day_of_the_range() {
        let mut day = MINIMUM_MILLIS;
        while day <= MAXIMUM_MILLIS {
            let time = UnixTime::from_millis(day.saturating_add(45_296_789));
            assert_eq!(UnixTime::parse_rfc3339(&time.to_rfc3339()).unwrap(), time);
            day = day.saturating_add(86_400_000 * 13);
        }
    }

    #[test]
    fn floors_and_applies_offsets() {
        let time = UnixTime::parse_rfc3339("2026-02-17T15:32:01.999999999+01:00").unwrap();
        assert_eq!((time.seconds(), time.millis()), (1_771_338_721, 1_771_338_721_999));
        assert_eq!(UnixTime::from_millis(-1).seconds(), -1);
    }
}
