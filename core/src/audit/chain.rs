//! Links of the chain: identity of a log, head, line heads and checkpoints.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::hex::{decode_hex, encode_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Document, Kind, ObjectWriter, Value};
use crate::keys::{PublicKey, Signature, decode_base64, encode_base64};
use crate::time::UnixTime;

/// The `format` of record 0, and with a zero byte the domain of checkpoint signatures.
pub(super) const FORMAT: &str = "smcp-audit-v1";
/// Event of record 0.
pub(super) const OPENED: &str = "LogOpened";
/// Event of the first record after a restart.
pub(super) const RESUMED: &str = "LogResumed";
/// Event of the last record before an orderly end.
pub(super) const CLOSED: &str = "LogClosed";
/// Event of a checkpoint.
pub(super) const CHECKPOINT: &str = "Checkpoint";
/// Event of the counted refusals of a minute.
pub(super) const SUMMARY: &str = "RefusalSummary";

/// 16 random bytes that tell logs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 16]);

impl fmt::Display for LogId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encode_hex(&self.0))
    }
}

/// The last record of a log, written `SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Number of the record.
    pub seq: u64,
    /// SHA-256 of its line.
    pub hash: [u8; 32],
}

impl Head {
    /// Reads `SEQ:HASH`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for another form.
    pub fn parse(text: &str) -> Result<Self> {
        let parse = || {
            let (seq, hash) = text.split_once(':')?;
            Some(Self { seq: seq.parse().ok()?, hash: decode_hex(&hash.to_ascii_lowercase())? })
        };
        parse().ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "a head is written `SEQ:HASH` with 64 hex digits in the hash")
        })
    }
}

impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.seq, encode_hex(&self.hash))
    }
}

/// What record 0 says of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// Fresh random bytes.
    pub log_id: LogId,
    /// SHA-256 of the configuration under which the log is written.
    pub config_digest: [u8; 32],
    /// The log before this one, closed with this head.
    pub continues: Option<(LogId, Head)>,
}

/// SHA-256 of a line, without its newline.
pub(super) fn line_hash(line: &[u8]) -> [u8; 32] {
    Sha256::digest(line).into()
}

/// Begins a line.
pub(super) fn begin_line(seq: u64, prev: &[u8; 32], time: &str, event: &str) -> ObjectWriter {
    ObjectWriter::new()
        .raw("seq", seq.to_string().as_bytes())
        .text("prev", &encode_hex(prev))
        .text("time", time)
        .text("event", event)
}

/// The line of record 0.
pub(super) fn opening_line(identity: &LogIdentity, key: &PublicKey, now: UnixTime) -> Vec<u8> {
    let line = begin_line(0, &[0; 32], &now.to_rfc3339(), OPENED)
        .text("format", FORMAT)
        .text("log_id", &identity.log_id.to_string())
        .text("config_sha256", &encode_hex(&identity.config_digest))
        .text("public_key", &key.to_base64());
    match &identity.continues {
        None => line.finish(),
        Some((log, head)) => {
            let before = ObjectWriter::new().text("log_id", &log.to_string()).text("head", &head.to_string());
            line.raw("continues", &before.finish()).finish()
        }
    }
}

/// The bytes a checkpoint signs.
pub(super) fn checkpoint_message(log_id: LogId, head: &Head) -> Vec<u8> {
    let mut message = Vec::with_capacity(70);
    message.extend_from_slice(FORMAT.as_bytes());
    message.push(0);
    message.extend_from_slice(&log_id.0);
    message.extend_from_slice(&head.seq.to_be_bytes());
    message.extend_from_slice(&head.hash);
    message
}

/// The line of a checkpoint.
pub(super) fn checkpoint_line(seq: u64, prev: &[u8; 32], time: &str, signature: &Signature) -> Vec<u8> {
    begin_line(seq, prev, time, CHECKPOINT).text("signature", &encode_base64(signature)).finish()
}

/// The members of a line that make up the chain.
#[derive(Debug)]
pub(super) struct LineHead {
    pub(super) seq: u64,
    pub(super) prev: [u8; 32],
    pub(super) time: String,
    pub(super) event: String,
}

impl LineHead {
    /// Reads them, or says what is wrong with the line.
    pub(super) fn parse(root: Value<'_>) -> std::result::Result<Self, &'static str> {
        if root.kind() != Kind::Object {
            return Err("the line is no JSON object");
        }
        let text = |name: &str| root.get(name).and_then(Value::as_str);
        let number = root.get("seq").and_then(Value::as_number);
        let seq = number.and_then(|digits| digits.parse().ok()).ok_or("the line has no sequence number")?;
        let prev =
            text("prev").and_then(|digits| decode_hex(&digits)).ok_or("the line has no hash of the line before")?;
        Ok(Self {
            seq,
            prev,
            time: text("time").ok_or("the line has no time")?.into_owned(),
            event: text("event").ok_or("the line has no event")?.into_owned(),
        })
    }
}

/// The signature of a checkpoint line.
pub(super) fn checkpoint_signature(root: Value<'_>) -> Option<Signature> {
    decode_base64(&root.get("signature")?.as_str()?)?.try_into().ok()
}

/// What record 0 says, as far as the chain needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) log_id: LogId,
    pub(super) key: PublicKey,
}

impl Opening {
    pub(super) fn parse(root: Value<'_>) -> std::result::Result<Self, &'static str> {
        let text = |name: &str| root.get(name).and_then(Value::as_str);
        if text("event").as_deref() != Some(OPENED) || text("format").as_deref() != Some(FORMAT) {
            return Err("the log does not begin with a record that opens an `smcp-audit-v1` log");
        }
        let log_id = text("log_id").and_then(|digits| decode_hex(&digits)).ok_or("the first record has no log id")?;
        let key = text("public_key").and_then(|key| PublicKey::parse_base64(&key).ok());
        Ok(Self { log_id: LogId(log_id), key: key.ok_or("the first record has no usable public key")? })
    }
}

/// Scans a line under the limits of a log's lines.
pub(super) fn scan_line(line: &[u8]) -> std::result::Result<Document<'_>, String> {
    json::scan(line).map_err(|error| format!("the line is not strict JSON: {error}"))
}
