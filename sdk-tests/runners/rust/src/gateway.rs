//! `smcp-gateway.json`: envelope, token, session, replay and policy together, through the receive pipeline.

use std::sync::Arc;

use serde_json::Value;
use smcp_core::ErrorKind;
use smcp_core::json::Limits;
use smcp_core::keys::{KeyMaterial, KeySet, PublicKey, TokenKey};
use smcp_core::policy::{MemoryRateStore, RateStore as _, SecurityContext, load_context};
use smcp_core::replay::{MemoryReplayStore, ReplayStore as _};
use smcp_core::session::{MemorySessionStore, Session, SessionState, SessionStore as _};
use smcp_core::settings::Syntax;
use smcp_core::smcp::receive::{self, ContextEvidence, Refusal, SessionEvidence, SessionQuery};
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, WireEnvelope};
use smcp_core::time::UnixTime;

use crate::{VectorFile, bytes, text};

const WINDOW: u32 = 30;

struct Stores {
    tokens: TokenVerifier,
    sessions: MemorySessionStore,
    replay: MemoryReplayStore,
    rates: MemoryRateStore,
    context: Arc<SecurityContext>,
}

fn key(file: &VectorFile, id: &Value) -> PublicKey {
    let encoded = file.document["public_keys"][id.as_str().expect("a key id")].as_str().expect("a key");
    PublicKey::parse_base64(encoded).expect("a key")
}

/// Stores as the file's description asks for: a replay store created 120 s before the clock, sessions opened later.
fn stores(file: &VectorFile, now: UnixTime) -> Stores {
    let gateway = TokenKey::new(None, KeyMaterial::Ed25519(key(file, &file.document["gateway_key"])));
    let sessions = MemorySessionStore::new(16);
    for entry in file.document["sessions"].as_array().expect("sessions") {
        let agent = entry["sub"].as_str().expect("sub");
        let session = Session {
            id: format!("session-of-{agent}"),
            agent_id: agent.to_owned(),
            workload_id: "docker://8a9f7b3c".to_owned(),
            context: "read-only-research".to_owned(),
            key: key(file, &entry["key"]),
            dialect: Dialect::Smcp,
            opened_at: now.plus_seconds(-60),
            expires_at: now.plus_seconds(3600),
            state: if entry["state"] == "active" { SessionState::Live } else { SessionState::Revoked },
            execution_id: None,
            tenant_id: None,
            allowed_tools: None,
        };
        sessions.open(session, now).expect("room");
    }
    let context = "name: read-only-research\ncapabilities:\n  - tool_pattern: \"*\"\n";
    Stores {
        tokens: TokenVerifier::new(KeySet::new(vec![gateway]).expect("a set"), TokenRules::default())
            .expect("a verifier"),
        sessions,
        replay: MemoryReplayStore::new(64, 64, WINDOW, Some(now.plus_seconds(-120))),
        rates: MemoryRateStore::new(16, 16),
        context: Arc::new(load_context(context, Syntax::Yaml, "context.yaml").expect("a context")),
    }
}

fn receive_once(wire: &[u8], stores: &Stores, now: UnixTime) -> Result<Vec<u8>, Refusal> {
    let rules =
        EnvelopeRules { limits: Limits::default(), dialect: Some(Dialect::Smcp), payload: PayloadRule::Forwardable };
    let envelope = WireEnvelope::parse(wire, &rules).map_err(Refusal::unparsed)?;
    let opened = receive::open(envelope, &stores.tokens, WINDOW, now)?;
    let found = match opened.session_query() {
        SessionQuery::Id(id) => stores.sessions.find(id, now),
        SessionQuery::Agent(agent) => stores.sessions.find_by_agent(agent, now),
    };
    let session = found.map_err(|error| opened.refuse(error))?;
    let context = if opened.claims().scope == stores.context.name.as_ref() {
        ContextEvidence::Known(Arc::clone(&stores.context))
    } else {
        ContextEvidence::Unknown
    };
    let verified = receive::verify(opened, SessionEvidence::Stored(session), context, now)?;
    let answer =
        stores.replay.check_and_insert(&verified.replay_entry(WINDOW), now).map_err(|error| verified.refuse(error))?;
    let admitted = receive::admit(verified, answer, now)?;
    let call = receive::authorize(admitted, &mut |key, limit| stores.rates.check_and_charge(key, limit, now))?;
    Ok(call.admitted().payload_bytes().to_vec())
}

/// The vector's name of a kind.
fn outcome(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StaleTimestamp => "rejected-stale",
        ErrorKind::ReplayDetected => "rejected-replay",
        other => other.name(),
    }
}

/// Shows the envelope as often as the vector says; a second showing is always refused as a replay.
pub fn check_gateway(file: &VectorFile, vector: &Value) -> Result<(), String> {
    let now = UnixTime::from_millis(vector["now_ms"].as_i64().expect("a clock"));
    let stores = stores(file, now);
    let wire = bytes(vector, "wire");
    let acceptable: Vec<&str> =
        vector["outcome"].as_array().expect("outcomes").iter().filter_map(Value::as_str).collect();
    for showing in 0..vector["repeat"].as_u64().unwrap_or(1) {
        let result = receive_once(&wire, &stores, now);
        let name = result.as_ref().map_or_else(|refusal| outcome(refusal.error.kind()), |_| "ok");
        if showing > 0 && name != "rejected-replay" {
            return Err(format!("showing {showing} gave `{name}`"));
        }
        if !acceptable.contains(&name) {
            return Err(format!("{acceptable:?} expected, got `{name}` for {}", text(vector, "note")));
        }
    }
    Ok(())
}
