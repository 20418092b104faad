//! One record of the log.

use std::borrow::Cow;

use super::hex::encode_hex;
use super::redact::without_secrets;
use super::{AuditEvent, Sanitised};
use crate::error::{Error, Executed};
use crate::json::ObjectWriter;
use crate::keys::{PublicKey, Signature, encode_base64};
use crate::policy::ContextDigest;
use crate::smcp::Dialect;
use crate::time::UnixTime;

/// The longest text of a member, in characters; senders control many of them.
const LONGEST_TEXT: usize = 512;

/// What the policy said, and which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Allowed by the capability of this index.
    AllowedByCapability(usize),
    /// Allowed without a capability: a method the gateway answers itself.
    Allowed,
    /// Denied by the deny entry of this index.
    DeniedByEntry(usize),
    /// Denied; the reported constraint is of the capability of this index.
    DeniedByCapability(usize),
    /// Denied, since no capability matches.
    DeniedByDefault,
}

/// How an allowed call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// The tool server answered with a result that is not marked as an error. What went wrong otherwise is in the
    /// record's `violation`, if it is an error of ours.
    pub ok: bool,
    /// Whether the tool ran.
    pub executed: Executed,
    /// Bytes of the compact JSON of the result.
    pub size: Option<u64>,
    /// Milliseconds from forwarding to the answer.
    pub duration_millis: u64,
}

/// One record. Every member but event and time may be unknown.
///
/// Before the signature of a call was verified its members are the sender's claims; `authenticated` says so.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditRecord {
    /// What happened.
    pub event: AuditEvent,
    /// When.
    pub time: UnixTime,
    /// Whether the call's signature held.
    pub authenticated: Option<bool>,
    /// The id of the HTTP request.
    pub request_id: Option<String>,
    /// JSON text of the payload's `id`.
    pub call_id: Option<String>,
    /// Session id.
    pub session_id: Option<String>,
    /// Agent id.
    pub agent_id: Option<String>,
    /// Workload id.
    pub workload_id: Option<String>,
    /// `exec_id` of the token.
    pub execution_id: Option<String>,
    /// `tenant_id` of the token.
    pub tenant_id: Option<String>,
    /// Name of the security context.
    pub context: Option<String>,
    /// Digest of the security context.
    pub context_digest: Option<ContextDigest>,
    /// The dialect.
    pub dialect: Option<Dialect>,
    /// JSON-RPC method.
    pub method: Option<String>,
    /// Tool as policy names it.
    pub tool: Option<String>,
    /// The tool server the call goes to.
    pub upstream: Option<String>,
    /// The arguments without secrets.
    pub arguments: Option<Sanitised>,
    /// What the policy said.
    pub decision: Option<Decided>,
    /// Why the call was refused or failed.
    pub violation: Option<Error>,
    /// How the call ended.
    pub outcome: Option<CallOutcome>,
    /// The envelope's signature.
    pub signature: Option<Signature>,
    /// The key it was checked with, or the key that was submitted.
    pub agent_key: Option<PublicKey>,
    /// SHA-256 of the canonical message.
    pub message_sha256: Option<[u8; 32]>,
    /// Where in the evidence file the canonical message stands.
    pub evidence: Option<u64>,
    /// Address of the sender.
    pub source: Option<String>,
    /// When the session or the block ends.
    pub expires_at: Option<UnixTime>,
    /// What else an operator should know, such as that a revocation blocks the workload.
    pub note: Option<Cow<'static, str>>,
}

impl AuditRecord {
    /// A record in which nothing else is known.
    #[must_use]
    pub fn new(event: AuditEvent, time: UnixTime) -> Self {
        Self {
            event,
            time,
            authenticated: None,
            request_id: None,
            call_id: None,
            session_id: None,
            agent_id: None,
            workload_id: None,
            execution_id: None,
            tenant_id: None,
            context: None,
            context_digest: None,
            dialect: None,
            method: None,
            tool: None,
            upstream: None,
            arguments: None,
            decision: None,
            violation: None,
            outcome: None,
            signature: None,
            agent_key: None,
            message_sha256: None,
            evidence: None,
            source: None,
            expires_at: None,
            note: None,
        }
    }

    /// Adds the members behind the event to a line.
    pub(super) fn write(&self, line: ObjectWriter) -> ObjectWriter {
        let mut line = line;
        if let Some(authenticated) = self.authenticated {
            line = line.boolean("authenticated", authenticated);
        }
        for (name, value) in [
            ("request_id", &self.request_id),
            ("call_id", &self.call_id),
            ("session_id", &self.session_id),
            ("agent_id", &self.agent_id),
            ("workload_id", &self.workload_id),
            ("execution_id", &self.execution_id),
            ("tenant_id", &self.tenant_id),
            ("context", &self.context),
        ] {
            line = text(line, name, value.as_deref());
        }
        line = line.optional_text("context_digest", self.context_digest.map(|digest| encode_hex(&digest.0)).as_deref());
        line = line.optional_text("protocol", self.dialect.map(Dialect::protocol));
        for (name, value) in [("method", &self.method), ("tool", &self.tool), ("upstream", &self.upstream)] {
            line = text(line, name, value.as_deref());
        }
        if let Some(arguments) = &self.arguments {
            line = line.raw("arguments", arguments.as_bytes());
        }
        line = self.write_verdict(line);
        line = line
            .optional_text("signature", self.signature.as_ref().map(|bytes| encode_base64(bytes)).as_deref())
            .optional_text("agent_key", self.agent_key.map(|key| key.to_base64()).as_deref())
            .optional_text("message_sha256", self.message_sha256.map(|digest| encode_hex(&digest)).as_deref());
        if let Some(offset) = self.evidence {
            line = line.integer("evidence", i64::try_from(offset).unwrap_or(i64::MAX));
        }
        line = text(line, "source", self.source.as_deref());
        line = line.optional_text("expires_at", self.expires_at.map(UnixTime::to_rfc3339).as_deref());
        text(line, "note", self.note.as_deref())
    }

    fn write_verdict(&self, mut line: ObjectWriter) -> ObjectWriter {
        let index = |index: usize| i64::try_from(index).unwrap_or(i64::MAX);
        line = match self.decision {
            None => line,
            Some(Decided::AllowedByCapability(by)) => line.text("decision", "allow").integer("capability", index(by)),
            Some(Decided::Allowed) => line.text("decision", "allow"),
            Some(Decided::DeniedByEntry(by)) => line.text("decision", "deny").integer("deny_entry", index(by)),
            Some(Decided::DeniedByCapability(by)) => line.text("decision", "deny").integer("capability", index(by)),
            Some(Decided::DeniedByDefault) => line.text("decision", "deny"),
        };
        if let Some(error) = &self.violation {
            let number = error.kind().number(self.dialect.unwrap_or(Dialect::Smcp));
            let violation = ObjectWriter::new().text("code", error.kind().name()).integer("number", i64::from(number));
            line = line.raw("violation", &text(violation, "message", Some(&without_secrets(error.message()))).finish());
        }
        if let Some(outcome) = &self.outcome {
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let executed = match outcome.executed {
                Executed::No => "no",
                Executed::Yes => "yes",
                Executed::Unknown => "unknown",
            };
            let mut object = ObjectWriter::new().boolean("ok", outcome.ok).text("executed", executed);
            if let Some(size) = outcome.size {
                object = object.integer("size", whole(size));
            }
            object = object.integer("duration_ms", whole(outcome.duration_millis));
            line = line.raw("outcome", &object.finish());
        }
        line
    }
}

/// A text member, cut to the longest text.
fn text(line: ObjectWriter, name: &str, value: Option<&str>) -> ObjectWriter {
    match value {
        Some(value) => line.text(name, &cut(value)),
        None => line,
    }
}

/// What a record keeps of a text.
pub(super) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests;
