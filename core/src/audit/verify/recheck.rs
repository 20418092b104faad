//! The agents' own signatures, checked again over the kept messages.

use super::report::{EvidenceReport, Finding, Proof};
use crate::audit::AuditEvent;
use crate::audit::evidence::parse_evidence_line;
use crate::audit::hex::decode_hex;
use crate::audit::record::cut;
use crate::json::{self, Value};
use crate::keys::{PublicKey, decode_base64};

/// Gives the line (without newline) that begins at a byte offset of the evidence file; `None` when there is none.
pub type EvidenceSource<'e> = Box<dyn FnMut(u64) -> Option<Vec<u8>> + 'e>;

/// The events behind the verified signature, which must have evidence where evidence is kept.
const SIGNED_EVENTS: [AuditEvent; 3] =
    [AuditEvent::ToolCallAuthorized, AuditEvent::PolicyViolationBlocked, AuditEvent::ReplayBlocked];

#[derive(Default)]
pub(super) struct Rechecker<'e> {
    source: Option<EvidenceSource<'e>>,
    verified: u64,
    missing: u64,
    first_missing: Option<Finding>,
    failed: Option<Finding>,
}

impl<'e> Rechecker<'e> {
    pub(super) fn new(source: EvidenceSource<'e>) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    /// Checks one record of the log.
    pub(super) fn check(&mut self, record: Value<'_>, event: &str, seq: u64, line: u64) {
        let Some(source) = &mut self.source else { return };
        let offset = record.get("evidence").and_then(Value::as_i64).and_then(|offset| u64::try_from(offset).ok());
        let authenticated = record.get("authenticated").and_then(Value::as_bool) == Some(true);
        if offset.is_none() && !(authenticated && SIGNED_EVENTS.iter().any(|signed| signed.name() == event)) {
            return;
        }
        let finding = |reason: &str| Finding { record: Some(seq), line, reason: reason.to_owned() };
        match offset.and_then(source) {
            None => {
                self.missing = self.missing.saturating_add(1);
                self.first_missing.get_or_insert_with(|| finding("there is no evidence for this record"));
            }
            Some(evidence) => match recheck(record, &evidence) {
                Ok(()) => self.verified = self.verified.saturating_add(1),
                Err(reason) => {
                    self.failed.get_or_insert_with(|| finding(reason));
                }
            },
        }
    }

    pub(super) fn finish(self) -> Option<EvidenceReport> {
        self.source.as_ref()?;
        let proof = match (self.failed, self.first_missing) {
            (Some(failed), _) => Proof::Fails(failed),
            (None, Some(missing)) => Proof::Unproven(missing),
            (None, None) => Proof::Holds,
        };
        Some(EvidenceReport { verified: self.verified, missing: self.missing, proof })
    }
}

/// Whether the agent of the record signed this message, and whether the record says what the message says.
fn recheck(record: Value<'_>, evidence: &[u8]) -> Result<(), &'static str> {
    let text = |name: &str| record.get(name).and_then(Value::as_str);
    let (message, digest) = parse_evidence_line(evidence).map_err(|_| "its evidence was changed")?;
    if text("message_sha256").and_then(|digits| decode_hex(&digits)) != Some(digest) {
        return Err("its evidence is of another message");
    }
    let key = text("agent_key").and_then(|key| PublicKey::parse_base64(&key).ok()).ok_or("it has no agent key")?;
    let signature = text("signature").and_then(|signature| decode_base64(&signature)?.try_into().ok());
    let signature = signature.ok_or("it has no signature of the agent")?;
    key.verify(&message, &signature).map_err(|_| "the agent's signature does not verify over its evidence")?;
    let document = json::scan(&message).map_err(|_| "its evidence is no canonical message")?;
    let payload = document.root().get("payload").ok_or("its evidence is no canonical message")?;
    let method = payload.get("method").and_then(Value::as_str).unwrap_or_default();
    let tool = match payload.get("params") {
        Some(params) if method == "tools/call" => params.get("name").and_then(Value::as_str).unwrap_or_default(),
        _ => method.clone(),
    };
    let says = |name: &str, value: &str| text(name).is_none_or(|said| said == cut(value) || is_cut(&said, value));
    if !says("method", &method) || !says("tool", &tool) {
        return Err("it names another method or tool than the agent signed");
    }
    Ok(())
}

/// Whether the record keeps only the beginning of a text, as the pipeline does with what it has not verified yet.
fn is_cut(said: &str, value: &str) -> bool {
    said.chars().count() >= 256 && value.starts_with(said.trim_end_matches('…'))
}
