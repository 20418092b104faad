//! `cargo xtask rules`: disables one rule of the core at a time and expects a red test.
//!
//! Each [`Mutation`] is a change of a few characters that makes the core accept what a rule of `sdk-tests/coverage.md`
//! refuses. The tests run in a copy of the repository with a target folder of its own. A mutation under which they stay
//! green shows a rule that nothing proves.

mod envelope;
mod invoke;
mod policy;
mod scratch;
mod token;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use scratch::{Scratch, Verdict};

/// One disabled rule.
struct Mutation {
    /// Its name in `sdk-tests/coverage.md`.
    rule: &'static str,
    /// What is accepted now.
    what: &'static str,
    file: &'static str,
    /// Text that stands in the file exactly once.
    old: &'static str,
    /// What takes its place.
    new: &'static str,
}

const TABLES: [&[Mutation]; 4] = [envelope::MUTATIONS, token::MUTATIONS, invoke::MUTATIONS, policy::MUTATIONS];

/// Rules of the coverage table that are enforced outside the core, or that refuse nothing, and so have no mutation.
const ELSEWHERE: [&str; 36] = [
    "ATT-KEY",
    "ATT-LIMIT",
    "ATT-LOOPBACK",
    "ATT-OIDC",
    "ATT-SOURCE",
    "ATT-STATIC",
    "AUD-CHAIN",
    "AUD-COMPLETE",
    "AUD-EVIDENCE",
    "AUD-REDACT",
    "AUD-REQUIRED",
    "AUD-SIGNED",
    "CLI-RETRY",
    "CLI-SURFACE",
    "CLI-TLS",
    "ENV-UNKNOWN",
    "ERR-BODY",
    "ERR-TABLE",
    "FS-BENEATH",
    "FS-KIND",
    "HTTP-DRAIN",
    "HTTP-FRONT",
    "HTTP-SLOW",
    "HTTP-TLS",
    "INV-CANCEL",
    "INV-META",
    "INV-REVOKE",
    "KEY-FILE",
    "KEY-OVERLAP",
    "KEY-SECRET",
    "MSG-FIXED-POINT",
    "MSG-SPELLING",
    "OP-TOKEN",
    "UP-ONCE",
    "UP-OWN-ID",
    "UP-TLS",
];

fn mutations() -> impl Iterator<Item = &'static Mutation> {
    TABLES.iter().flat_map(|table| table.iter())
}

/// What is wrong with the tables themselves: a text that is not there, a rule that nobody disables.
fn faults(root: &Path) -> Result<Vec<String>, String> {
    let coverage = fs::read_to_string(root.join("sdk-tests/coverage.md")).map_err(|error| error.to_string())?;
    let rules: Vec<&str> = coverage
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|name| {
            name.contains('-') && name.bytes().all(|byte| byte.is_ascii_uppercase() || b"-0123456789".contains(&byte))
        })
        .filter(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()))
        .collect();
    let mut faults = Vec::new();
    for mutation in mutations() {
        let text =
            fs::read_to_string(root.join(mutation.file)).map_err(|error| format!("{}: {error}", mutation.file))?;
        let count = text.matches(mutation.old).count();
        if count != 1 {
            faults.push(format!(
                "{} ({}): its text stands {count} times in {}",
                mutation.rule, mutation.what, mutation.file
            ));
        }
        if mutation.old == mutation.new {
            faults.push(format!("{} ({}): it changes nothing", mutation.rule, mutation.what));
        }
        if !rules.contains(&mutation.rule) {
            faults.push(format!("{} ({}): no rule of sdk-tests/coverage.md", mutation.rule, mutation.what));
        }
    }
    for rule in rules {
        let is_disabled = mutations().any(|mutation| mutation.rule == rule);
        match (is_disabled, ELSEWHERE.contains(&rule)) {
            (false, false) => faults.push(format!("{rule}: no mutation disables it")),
            (true, true) => faults.push(format!("{rule}: stands among those without mutation, and has one")),
            (true, false) | (false, true) => {}
        }
    }
    Ok(faults)
}

/// Checks that every mutation still applies, without running anything.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let faults = faults(root)?;
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    say(&format!("{} mutations of {} rules apply", mutations().count(), rule_count()))
}

fn rule_count() -> usize {
    let mut names: Vec<&str> = mutations().map(|mutation| mutation.rule).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// Disables the rules whose names begin with one of `wanted` (all when it is empty) and runs the tests for each.
pub(crate) fn run(root: &Path, wanted: &[&str]) -> Result<(), String> {
    let faults = faults(root)?;
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let chosen: Vec<&Mutation> = mutations()
        .filter(|mutation| wanted.is_empty() || wanted.iter().any(|name| mutation.rule.starts_with(name)))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no rule begins with {}", wanted.join(" or ")));
    }
    let scratch = Scratch::new(root)?;
    say("the tests without any change")?;
    match scratch.test()? {
        Verdict::Green => {}
        Verdict::Red(test) => return Err(format!("the tests are red without any change: {test}")),
        Verdict::Broken(error) => return Err(format!("the tests do not compile without any change:\n{error}")),
    }
    let mut survivors = Vec::new();
    for (number, mutation) in chosen.iter().enumerate() {
        let started = Instant::now();
        let verdict = scratch.test_with(mutation.file, mutation.old, mutation.new)?;
        let outcome = match &verdict {
            Verdict::Red(test) => format!("red: {test}"),
            Verdict::Green => "GREEN: nothing proves it".to_owned(),
            Verdict::Broken(error) => format!("DOES NOT COMPILE: {error}"),
        };
        let (rule, what, seconds) = (mutation.rule, mutation.what, started.elapsed().as_secs());
        let place = number.saturating_add(1);
        say(&format!("{place:3}/{} {rule} ({what}): {outcome} [{seconds} s]", chosen.len()))?;
        if !matches!(verdict, Verdict::Red(_)) {
            survivors.push(format!("{rule} ({what}): {outcome}"));
        }
    }
    say(&format!(
        "{} of {} disabled rules turned a test red",
        chosen.len().saturating_sub(survivors.len()),
        chosen.len()
    ))?;
    if survivors.is_empty() { Ok(()) } else { Err(survivors.join("\n")) }
}

fn say(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_applies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(faults(root).unwrap(), Vec::<String>::new());
    }
}
