//! Telling what happens, act by act, and noting whether it is what should happen.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use smcp_core::ErrorKind;
use smcp_core::json::ObjectWriter;

use super::super::ExitStatus;
use super::super::failure::Outcome;
use super::super::output::{Output, Style, one_line};

/// What one act came to.
struct Act {
    title: &'static str,
    facts: Vec<(String, String)>,
    checks: Vec<Check>,
}

struct Check {
    what: String,
    holds: bool,
    /// Code of the refusal, when one was expected or came.
    code: Option<&'static str>,
    message: String,
}

/// A refusal as the agent saw it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) http_status: Option<u16>,
    pub(super) message: String,
}

/// Prints as it goes, or keeps everything for one JSON document.
pub(super) struct Narrator<'o> {
    output: &'o Output,
    json: bool,
    acts: Vec<Act>,
}

impl<'o> Narrator<'o> {
    pub(super) fn new(output: &'o Output, json: bool) -> Self {
        Self { output, json, acts: Vec::new() }
    }

    /// Opens the next act.
    pub(super) fn act(&mut self, title: &'static str) -> Outcome<()> {
        self.acts.push(Act { title, facts: Vec::new(), checks: Vec::new() });
        if self.json {
            return Ok(());
        }
        if self.acts.len() > 1 {
            self.output.line("")?;
        }
        let title = format!("{}  {title}", self.acts.len());
        self.output.line(self.output.paint(Style::Title, title))
    }

    /// Says something by name.
    pub(super) fn fact(&mut self, name: &str, value: impl Display) -> Outcome<()> {
        let value = value.to_string();
        if !self.json {
            self.output.line(format_args!("   {name:<20} {}", one_line(&value)))?;
        }
        if let Some(act) = self.acts.last_mut() {
            act.facts.push((name.to_owned(), value));
        }
        Ok(())
    }

    /// Notes whether something holds; what does not is shown, and fails the demo.
    pub(super) fn check(&mut self, what: &str, holds: bool, message: impl Display) -> Outcome<()> {
        let message = message.to_string();
        if !self.json {
            let mark =
                if holds { self.output.paint(Style::Good, "ok") } else { self.output.paint(Style::Bad, "UNEXPECTED") };
            self.output.line(format_args!("   {what:<20} {mark}  {}", one_line(&message)))?;
        }
        self.note(Check { what: what.to_owned(), holds, code: None, message });
        Ok(())
    }

    /// Notes a refusal, which must be of the expected kind.
    pub(super) fn refusal(&mut self, what: &str, expected: ErrorKind, found: Result<(), Refusal>) -> Outcome<()> {
        let (holds, code, status, message) = match found {
            Ok(()) => (false, None, None, "was not refused".to_owned()),
            Err(refusal) => (refusal.kind == expected, Some(refusal.kind.name()), refusal.http_status, refusal.message),
        };
        if !self.json {
            let status = status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            let code = code.unwrap_or("NOT REFUSED");
            let verdict = if holds {
                self.output.paint(Style::Good, code)
            } else {
                format!("{} instead of {}", self.output.paint(Style::Bad, code), expected.name())
            };
            self.output.line(format_args!("   {what:<20} {status:>3} {verdict}"))?;
            let message = self.output.paint(Style::Faint, one_line(&message));
            self.output.line(format_args!("   {:<20}     {message}", ""))?;
        }
        self.note(Check { what: what.to_owned(), holds, code, message });
        Ok(())
    }

    fn note(&mut self, check: Check) {
        if let Some(act) = self.acts.last_mut() {
            act.checks.push(check);
        }
    }

    /// The last word.
    pub(super) fn end(&self, elapsed: Duration, kept: Option<&Path>) -> Outcome<ExitStatus> {
        let checks = || self.acts.iter().flat_map(|act| &act.checks);
        let (all, wrong) = (checks().count(), checks().filter(|check| !check.holds).count());
        if self.json {
            self.output.json(&self.to_json(wrong == 0, elapsed))?;
        } else {
            self.output.line("")?;
            let seconds = elapsed.as_secs_f64();
            if wrong == 0 {
                let all = format!("all {all} checks hold");
                self.output.line(format_args!("{} ({seconds:.1} s)", self.output.paint(Style::Good, all)))?;
            } else {
                let some = format!("{wrong} of {all} checks do not hold");
                self.output.line(self.output.paint(Style::Bad, some))?;
            }
            if let Some(folder) = kept {
                let folder = folder.display();
                self.output.line(format_args!(
                    "kept in {folder}; try: smcp audit verify {folder}/state/audit.jsonl --key {folder}/state/audit.key"
                ))?;
            }
        }
        Ok(if wrong == 0 { ExitStatus::Done } else { ExitStatus::Failed })
    }

    fn to_json(&self, holds: bool, elapsed: Duration) -> Vec<u8> {
        let mut acts = vec![b'['];
        for (index, act) in self.acts.iter().enumerate() {
            if index > 0 {
                acts.push(b',');
            }
            let number = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1);
            let facts = act.facts.iter().fold(ObjectWriter::new(), |object, (name, value)| object.text(name, value));
            let object = ObjectWriter::new().integer("act", number).text("title", act.title);
            let object = object.raw("facts", &facts.finish()).raw("checks", &checks_array(&act.checks));
            acts.extend_from_slice(&object.finish());
        }
        acts.push(b']');
        ObjectWriter::new()
            .text("status", if holds { "ok" } else { "failed" })
            .integer("duration_ms", i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
            .raw("acts", &acts)
            .finish()
    }
}

fn checks_array(checks: &[Check]) -> Vec<u8> {
    let mut array = vec![b'['];
    for (index, check) in checks.iter().enumerate() {
        if index > 0 {
            array.push(b',');
        }
        let object = ObjectWriter::new()
            .text("what", &check.what)
            .boolean("holds", check.holds)
            .optional_text("code", check.code)
            .text("message", &check.message);
        array.extend_from_slice(&object.finish());
    }
    array.push(b']');
    array
}
