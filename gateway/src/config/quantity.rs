//! Durations and sizes as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, NodeKind, quote};

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// One second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// One hour.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// One day.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// A duration: whole seconds, or text such as `500ms`, `30s`, `5m`, `24h`, `7d`.
pub(super) fn duration(field: &Cursor<'_>, range: RangeInclusive<Duration>) -> Result<Duration> {
    let found = match &field.node().kind {
        NodeKind::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        NodeKind::Text(text) => quantity(text, &DURATIONS).map(Duration::from_millis),
        NodeKind::Null | NodeKind::Boolean(_) | NodeKind::Float(_) | NodeKind::List(_) | NodeKind::Mapping(_) => None,
    };
    found.filter(|found| range.contains(found)).ok_or_else(|| {
        let (low, high) = (show_duration(*range.start()), show_duration(*range.end()));
        field.error(&format!("expected a duration from {low} to {high} such as `30s`, found {}", found_text(field)))
    })
}

/// A duration in whole seconds.
pub(super) fn seconds(field: &Cursor<'_>, range: RangeInclusive<u32>) -> Result<u32> {
    let bounds = Duration::from_secs((*range.start()).into())..=Duration::from_secs((*range.end()).into());
    let found = duration(field, bounds)?;
    if found.subsec_nanos() != 0 {
        return Err(field.error("expected whole seconds"));
    }
    u32::try_from(found.as_secs()).map_err(|_| field.error("is out of range"))
}

/// A number of bytes, or text such as `64 KiB`, `4 MiB`.
pub(super) fn size(field: &Cursor<'_>, range: RangeInclusive<u64>) -> Result<u64> {
    let found = match &field.node().kind {
        NodeKind::Integer(bytes) => u64::try_from(*bytes).ok(),
        NodeKind::Text(text) => quantity(text, &SIZES),
        NodeKind::Null | NodeKind::Boolean(_) | NodeKind::Float(_) | NodeKind::List(_) | NodeKind::Mapping(_) => None,
    };
    found.filter(|found| range.contains(found)).ok_or_else(|| {
        let (low, high) = (show_size(*range.start()), show_size(*range.end()));
        field.error(&format!("expected a size from {low} to {high} such as `4 MiB`, found {}", found_text(field)))
    })
}

/// A size that counts something in memory.
pub(super) fn memory_size(field: &Cursor<'_>, range: RangeInclusive<u64>) -> Result<usize> {
    usize::try_from(size(field, range)?).map_err(|_| field.error("is out of range"))
}

/// A count of things in memory.
pub(super) fn count(field: &Cursor<'_>, range: RangeInclusive<u64>) -> Result<usize> {
    usize::try_from(field.integer(range)?).map_err(|_| field.error("is out of range"))
}

fn found_text(field: &Cursor<'_>) -> String {
    match &field.node().kind {
        NodeKind::Integer(number) => format!("`{number}`"),
        NodeKind::Float(number) => format!("`{number:?}`"),
        NodeKind::Text(text) => quote(text),
        NodeKind::Null | NodeKind::Boolean(_) | NodeKind::List(_) | NodeKind::Mapping(_) => {
            field.node().describe().to_owned()
        }
    }
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A duration in the largest unit that shows it whole.
pub(super) fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS, "").unwrap_or_else(|| "0s".to_owned())
}

fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES, " ").unwrap_or_else(|| format!("{bytes} bytes"))
}

fn show(value: u64, units: &[(&str, u64)], space: &str) -> Option<String> {
    units
        .iter()
        .rev()
        .find(|(_, factor)| value != 0 && value.checked_rem(*factor) == Some(0))
        .and_then(|(unit, factor)| Some(format!("{}{space}{unit}", value.checked_div(*factor)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use smcp_core::settings::{Syntax, read};

    fn with<T>(text: &str, get: impl FnOnce(&Cursor<'_>) -> Result<T>) -> std::result::Result<T, String> {
        let message = |error: smcp_core::Error| error.message().to_owned();
        let node = read(text, Syntax::Yaml, "f").map_err(message)?;
        get(&Cursor::root("f", &node)).map_err(message)
    }

    #[test]
    fn refuses_what_is_no_quantity() {
        for text in [
            "-1",
            "1.5",
            "s",
            "1 x",
            "1  s",
            "1S",
            "1h30m",
            "''",
            "true",
            "[]",
            "null",
            "99999999999999999999h",
            "0",
            "25h",
        ] {
            let message = with(text, |field| duration(field, SECOND..=DAY)).unwrap_err();
            assert!(message.contains("expected a duration from 1s to 1d such as `30s`, found "), "{text}: {message}");
        }
        for text in ["-1", "4 MB", "4mib", "k", "1e3", "2 GiB", "0"] {
            let message = with(text, |field| size(field, 1..=1 << 30)).unwrap_err();
            assert!(message.contains("expected a size from 1 bytes to 1 GiB such as `4 MiB`, found "), "{message}");
        }
        assert!(with("1500ms", |field| seconds(field, 1..=60)).is_err());
        assert_eq!(
            with("61", |field| seconds(field, 1..=60)).unwrap_err(),
            "f:1:1: expected a duration from 1s to 1m such as `30s`, found `61`"
        );
    }

    #[test]
    fn reads_units() {
        for (text, millis) in [("1", 1000), ("500ms", 500), ("30 s", 30_000), ("5m", 300_000), ("1d", 86_400_000)] {
            let range = Duration::from_millis(1)..=DAY;
            assert_eq!(with(text, |field| duration(field, range)).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for (text, bytes) in [("1", 1), ("64 KiB", 65_536), ("4MiB", 4 << 20)] {
            assert_eq!(with(text, |field| size(field, 1..=1 << 30)).unwrap(), bytes, "{text}");
        }
        assert_eq!(show_duration(Duration::from_secs(5400)), "90m");
        assert_eq!(show_duration(Duration::ZERO), "0s");
    }
}
