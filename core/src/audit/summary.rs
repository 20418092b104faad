//! Refusals that can come from anyone: counted per source and minute, a few of them in full (section 10).

use std::collections::BTreeMap;

use crate::error::ErrorKind;
use crate::json::ObjectWriter;
use crate::time::UnixTime;

const MINUTE_SECONDS: i64 = 60;
/// The longest name of a source, in characters.
const LONGEST_SOURCE: usize = 64;

/// Bounds of the counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryRules {
    /// Refusals of one source written in full in a minute.
    pub in_full: u32,
    /// Sources told apart in a minute; refusals of further ones are counted together and never written in full.
    pub sources: usize,
}

impl Default for SummaryRules {
    /// 10 in full, 1024 sources.
    fn default() -> Self {
        Self { in_full: 10, sources: 1024 }
    }
}

/// Counts the refusals of one minute.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    rules: SummaryRules,
    minute: i64,
    sources: BTreeMap<String, u32>,
    codes: BTreeMap<ErrorKind, u64>,
    others: u64,
    total: u64,
    in_full: u64,
}

impl Refusals {
    pub(super) fn new(rules: SummaryRules) -> Self {
        Self { rules, minute: 0, sources: BTreeMap::new(), codes: BTreeMap::new(), others: 0, total: 0, in_full: 0 }
    }

    /// Whether a minute has passed in which something was counted. Any other minute is another one, so a clock stepped
    /// back ends the minute as well.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        self.total > 0 && minute_of(now) != self.minute
    }

    /// Counts a refusal and says whether it is to be written in full.
    pub(super) fn count(&mut self, source: &str, kind: Option<ErrorKind>, now: UnixTime) -> bool {
        if self.total == 0 {
            self.minute = minute_of(now);
        }
        self.total = self.total.saturating_add(1);
        if let Some(kind) = kind {
            let codes = self.codes.entry(kind).or_default();
            *codes = codes.saturating_add(1);
        }
        let name: String = source.chars().take(LONGEST_SOURCE).collect();
        if self.sources.len() >= self.rules.sources && !self.sources.contains_key(&name) {
            self.others = self.others.saturating_add(1);
            return false;
        }
        let counted = self.sources.entry(name).or_default();
        *counted = counted.saturating_add(1);
        let in_full = *counted <= self.rules.in_full;
        self.in_full = self.in_full.saturating_add(u64::from(in_full));
        in_full
    }

    /// Adds the counts to a summary's line.
    pub(super) fn write(&self, line: ObjectWriter) -> ObjectWriter {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let minute = UnixTime::from_seconds(self.minute.saturating_mul(MINUTE_SECONDS));
        let codes = self
            .codes
            .iter()
            .fold(ObjectWriter::new(), |object, (kind, count)| object.integer(kind.name(), whole(*count)));
        let sources = self
            .sources
            .iter()
            .fold(ObjectWriter::new(), |object, (source, count)| object.integer(source, i64::from(*count)));
        line.text("minute", &minute.to_rfc3339())
            .integer("refused", whole(self.total))
            .integer("in_full", whole(self.in_full))
            .raw("codes", &codes.finish())
            .raw("sources", &sources.finish())
            .integer("other_sources", whole(self.others))
    }

    /// Whether nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Takes the counts and begins anew.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.rules))
    }
}

fn minute_of(time: UnixTime) -> i64 {
    time.seconds().div_euclid(MINUTE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_first_few_of_each_source_in_full() {
        let mut refusals = Refusals::new(SummaryRules { in_full: 2, sources: 2 });
        let now = UnixTime::from_seconds(61);
        assert!(!refusals.is_due(UnixTime::from_seconds(9999)));
        let mut count = |source| refusals.count(source, Some(ErrorKind::MalformedEnvelope), now);
        assert_eq!([count("a"), count("a"), count("a"), count("b")], [true, true, false, true]);
        assert_eq!([count("c"), count("c"), count("b")], [false, false, true]);
        assert!(!refusals.is_due(UnixTime::from_seconds(119)));
        assert!(refusals.is_due(UnixTime::from_seconds(120)));
        assert!(refusals.is_due(UnixTime::from_seconds(59)));
        let line = String::from_utf8(refusals.write(ObjectWriter::new()).finish()).unwrap();
        assert_eq!(
            line,
            r#"{"minute":"1970-01-01T00:01:00.000Z","refused":7,"in_full":4,"codes":{"MALFORMED_ENVELOPE":7},"sources":{"a":3,"b":2},"other_sources":2}"#
        );
        assert_eq!(refusals.take().total, 7);
        assert!(refusals.is_empty() && !refusals.is_due(UnixTime::from_seconds(120)));
    }

    #[test]
    fn a_long_name_of_a_source_is_cut() {
        let mut refusals = Refusals::new(SummaryRules::default());
        refusals.count(&"é".repeat(1000), None, UnixTime::EPOCH);
        assert!(refusals.write(ObjectWriter::new()).finish().len() < 300);
    }
}
