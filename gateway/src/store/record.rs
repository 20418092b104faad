//! How sessions and blocks are written into a store: strict JSON, one object per record.

use std::sync::Arc;

use smcp_core::json::{self, Limits, ObjectWriter, Value};
use smcp_core::keys::PublicKey;
use smcp_core::policy::ToolPattern;
use smcp_core::session::{Block, BlockRecord, Session, SessionState};
use smcp_core::smcp::Dialect;
use smcp_core::time::UnixTime;

/// The largest record in bytes; a block grows by one key with every revocation of its workload.
const LIMITS: Limits = Limits { bytes: 16 << 20, depth: 8 };

/// Why a record cannot be read.
pub(super) type Broken = &'static str;

const STATES: [(SessionState, &str); 3] =
    [(SessionState::Live, "live"), (SessionState::Revoked, "revoked"), (SessionState::Ended, "ended")];

pub(super) fn write_session(session: &Session) -> Vec<u8> {
    let state = STATES.iter().find(|(state, _)| *state == session.state).map_or("", |(_, name)| *name);
    let object = ObjectWriter::new()
        .text("agent", &session.agent_id)
        .text("context", &session.context)
        .optional_text("execution", session.execution_id.as_deref())
        .integer("expires", session.expires_at.millis())
        .text("id", &session.id)
        .text("key", &session.key.to_base64())
        .integer("opened", session.opened_at.millis())
        .text("protocol", session.dialect.protocol())
        .text("state", state)
        .optional_text("tenant", session.tenant_id.as_deref());
    let object = match session.allowed_patterns() {
        None => object,
        Some(patterns) => object.list("tools", patterns.iter().map(ToolPattern::text)),
    };
    object.text("workload", &session.workload_id).finish()
}

pub(super) fn parse_session(id: &str, bytes: &[u8]) -> Result<Session, Broken> {
    read(bytes, |record| {
        if text(record, "id")? != id {
            return Err("a session has another id than its place");
        }
        let state = text(record, "state")?;
        let state = STATES.iter().find(|(_, name)| *name == state).ok_or("a session has an unknown state")?.0;
        Ok(Session {
            id: id.to_owned(),
            agent_id: text(record, "agent")?,
            workload_id: text(record, "workload")?,
            context: text(record, "context")?,
            key: PublicKey::parse_base64(&text(record, "key")?).map_err(|_| "a key is broken")?,
            dialect: Dialect::from_protocol(&text(record, "protocol")?).ok_or("a session has an unknown protocol")?,
            opened_at: time(record, "opened")?,
            expires_at: time(record, "expires")?,
            state,
            execution_id: optional_text(record, "execution")?,
            tenant_id: optional_text(record, "tenant")?,
            allowed_tools: record.get("tools").map(parse_patterns).transpose()?,
        })
    })
}

fn parse_patterns(list: Value<'_>) -> Result<Arc<[ToolPattern]>, Broken> {
    // A list that is none would read as an empty one, which allows nothing: the safe side.
    let parse = |one: Value<'_>| {
        let text = one.as_str().ok_or("a tool pattern is no text")?;
        ToolPattern::parse(&text).map_err(|_| "a tool pattern is broken")
    };
    list.elements().map(parse).collect()
}

pub(super) fn write_block(record: &BlockRecord) -> Vec<u8> {
    let keys: Vec<String> = record.keys.iter().map(PublicKey::to_base64).collect();
    let object = ObjectWriter::new().list("keys", keys.iter().map(String::as_str));
    let object = match record.block {
        Block::UntilLifted => object,
        Block::Until(end) => object.integer("until", end.millis()),
    };
    object.text("workload", &record.workload_id).finish()
}

pub(super) fn parse_block(workload_id: &str, bytes: &[u8]) -> Result<BlockRecord, Broken> {
    read(bytes, |record| {
        if text(record, "workload")? != workload_id {
            return Err("a block has another workload than its place");
        }
        let parse = |one: Value<'_>| {
            let text = one.as_str().ok_or("a key is no text")?;
            PublicKey::parse_base64(&text).map_err(|_| "a key is broken")
        };
        let keys: Vec<PublicKey> =
            record.get("keys").ok_or("a block has no keys")?.elements().map(parse).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err("a block has no keys");
        }
        let block = match record.get("until") {
            None => Block::UntilLifted,
            Some(_) => Block::Until(time(record, "until")?),
        };
        Ok(BlockRecord { workload_id: workload_id.to_owned(), keys, block })
    })
}

fn read<T>(bytes: &[u8], parse: impl FnOnce(Value<'_>) -> Result<T, Broken>) -> Result<T, Broken> {
    let document = json::scan_with(bytes, LIMITS).map_err(|_| "a record is not strict JSON")?;
    parse(document.root())
}

fn optional_text(record: Value<'_>, name: &str) -> Result<Option<String>, Broken> {
    record.get(name).map(|_| text(record, name)).transpose()
}

fn text(record: Value<'_>, name: &str) -> Result<String, Broken> {
    let text = record.get(name).and_then(Value::as_str).ok_or("a member of a record is missing or no text")?;
    Ok(text.into_owned())
}

fn time(record: Value<'_>, name: &str) -> Result<UnixTime, Broken> {
    let millis = record.get(name).and_then(Value::as_i64).ok_or("a time of a record is missing or no integer")?;
    Ok(UnixTime::from_millis(millis))
}
