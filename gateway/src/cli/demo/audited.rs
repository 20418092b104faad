//! Act 7: what the audit log proves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use smcp_core::audit::{AuditReport, Head, Proof, VerifierKeys};
use smcp_core::json::{self, Value};
use smcp_core::keys::KeyMaterial;

use super::super::ExitStatus;
use super::super::audit::{status, verify_log};
use super::super::failure::{Failure, Outcome};
use super::super::input::{reason, shown};
use super::narrator::Narrator;
use super::world::World;
use crate::signer::load_public_key;

/// The event whose record is changed.
const CHANGED: &str = "PolicyViolationBlocked";

pub(super) async fn play(world: &mut World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("The gateway stops; its audit log is verified, then one byte of a copy is changed")?;
    let stopped = world.stop().await.ok_or_else(|| Failure::check("the gateway has stopped before"))?;
    let head = Head::parse(&stopped.audit_head)?;
    let unreadable =
        |path: &Path, error: std::io::Error| Failure::check(format!("{}: {}", shown(path), reason(&error)));
    let log = fs::read(&world.audit_file).map_err(|error| unreadable(&world.audit_file, error))?;
    for (event, count) in events(&log) {
        narrator.fact(&event, count)?;
    }
    let report = verify_log(&world.audit_file, keys(world)?, Some(head), None)?;
    let verdict = format!("intact, complete and signed up to the head {}", short(&stopped.audit_head));
    let holds = status(&report) == ExitStatus::Done;
    narrator.check("log", holds, if holds { verdict } else { format!("{:?}", report.overall()) })?;

    let (record, changed) = change_a_byte(&log)?;
    fs::write(&world.scratch, changed).map_err(|error| unreadable(&world.scratch, error))?;
    let report = verify_log(&world.scratch, keys(world)?, Some(head), None)?;
    narrator.fact("changed", format!("one letter of a tool's name in record {record}, in a copy"))?;
    let (named, finding) = broken_record(&report);
    let holds = status(&report) == ExitStatus::Failed && named == Some(record);
    narrator.check("changed copy", holds, format!("refused: {finding}"))
}

fn keys(world: &World) -> Outcome<VerifierKeys> {
    match load_public_key(&world.audit_key)?.material() {
        KeyMaterial::Ed25519(key) => Ok(VerifierKeys::Trusted(vec![*key])),
        KeyMaterial::Rsa(_) => Err(Failure::check("the audit key is no Ed25519 key")),
    }
}

/// How often each event stands in the log.
fn events(log: &[u8]) -> BTreeMap<String, usize> {
    let mut events = BTreeMap::new();
    for line in log.split(|byte| *byte == b'\n') {
        let document = json::scan(line).ok();
        let event = document.as_ref().and_then(|document| document.root().get("event")).and_then(Value::as_str);
        if let Some(event) = event {
            let count: &mut usize = events.entry(event.into_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    events
}

/// The number of a record of a refusal, and the log with another letter in it.
fn change_a_byte(log: &[u8]) -> Outcome<(u64, Vec<u8>)> {
    let mut changed = log.to_vec();
    let (event, tool) = (format!("\"event\":\"{CHANGED}\""), b"\"tool\":\"");
    let mut start = 0_usize;
    for (number, line) in (0_u64..).zip(log.split_inclusive(|byte| *byte == b'\n')) {
        let is_refusal = line.windows(event.len()).any(|window| window == event.as_bytes());
        if let (true, Some(place)) = (is_refusal, line.windows(tool.len()).position(|window| window == tool)) {
            let letter = start.saturating_add(place).saturating_add(tool.len());
            if let Some(byte) = changed.get_mut(letter) {
                *byte ^= 1;
                return Ok((number, changed));
            }
        }
        start = start.saturating_add(line.len());
    }
    Err(Failure::check(format!("the log has no record `{CHANGED}` with a tool")))
}

/// The record that the verifier names.
fn broken_record(report: &AuditReport) -> (Option<u64>, String) {
    match &report.intact {
        Proof::Fails(finding) | Proof::Unproven(finding) => (finding.record, finding.to_string()),
        Proof::Holds => (None, "nothing is wrong".to_owned()),
    }
}

/// The beginning of a head.
fn short(head: &str) -> String {
    let mut text: String = head.chars().take(24).collect();
    text.push('…');
    text
}
