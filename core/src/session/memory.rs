//! Sessions in the memory of one process.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::blocks::Blocks;
use super::{Block, BlockRecord, Session, SessionAnswer, SessionState, SessionStore};
use crate::error::{Error, ErrorKind, Result};
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// A bounded session store in memory.
///
/// A session is forgotten only after it has expired, so a clock that is stepped back finds either the same session or
/// none, never one in a better state.
#[derive(Debug)]
pub struct MemorySessionStore {
    capacity: usize,
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    by_agent: HashMap<String, Vec<Arc<str>>>,
    by_key: HashMap<PublicKey, Vec<Arc<str>>>,
    /// Ids in the order in which their sessions expire.
    by_expiry: BTreeSet<(i64, Arc<str>)>,
    /// Sessions that were forgotten to make room and are still to be reported.
    unreported: VecDeque<Arc<Session>>,
    blocks: Blocks,
}

impl MemorySessionStore {
    /// A store of at most `capacity` sessions and as many blocks.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity, tables: RwLock::default() }
    }

    /// Puts a session back as it was kept elsewhere, without the checks of a new one; for stores that write through.
    ///
    /// # Errors
    /// `OVERLOADED` when the store is full, `INTERNAL_ERROR` when there is a session of this id already.
    pub fn restore(&self, session: Session) -> Result<()> {
        let mut tables = self.write();
        if tables.sessions.len() >= self.capacity {
            return Err(full());
        }
        tables.insert(session)
    }

    /// Puts a block back as it was kept elsewhere; for stores that write through.
    ///
    /// # Errors
    /// `OVERLOADED` when there is no room.
    pub fn restore_block(&self, record: &BlockRecord, now: UnixTime) -> Result<()> {
        let mut tables = self.write();
        for key in &record.keys {
            if !tables.blocks.add(&record.workload_id, *key, record.block, self.capacity, now) {
                return Err(Error::new(ErrorKind::Overloaded, "no room for another block"));
            }
        }
        Ok(())
    }

    // Each operation leaves the tables whole before it can fail, so a lock poisoned by a caller's panic is still good.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full() -> Error {
    Error::new(ErrorKind::Overloaded, "the session store is full").with_retry_after(60)
}

impl SessionStore for MemorySessionStore {
    fn open(&self, session: Session, now: UnixTime) -> Result<()> {
        let mut tables = self.write();
        if tables.blocks.holds(&session.workload_id, &session.key, now) {
            return Err(Error::new(ErrorKind::WorkloadVerificationFailed, "the workload or its key is blocked"));
        }
        if session.state == SessionState::Live {
            let mut owners = tables.live_with_key(&session.key, now);
            if owners.any(|other| other.workload_id != session.workload_id) {
                return Err(Error::new(
                    ErrorKind::KeypairMismatch,
                    "the public key is bound to a live session of another workload",
                ));
            }
        }
        if tables.sessions.len() >= self.capacity {
            let expired = tables.take_expired(now);
            tables.unreported.extend(expired);
            // The reports are bounded like the sessions; the oldest are dropped if nobody asks for them.
            let surplus = tables.unreported.len().saturating_sub(self.capacity);
            tables.unreported.drain(..surplus);
            if tables.sessions.len() >= self.capacity {
                return Err(full());
            }
        }
        tables.insert(session)
    }

    fn find(&self, id: &str, _now: UnixTime) -> Result<SessionAnswer> {
        Ok(self
            .read()
            .sessions
            .get(id)
            .map_or(SessionAnswer::NotFound, |session| SessionAnswer::Found(Arc::clone(session))))
    }

    fn find_by_agent(&self, agent_id: &str, now: UnixTime) -> Result<SessionAnswer> {
        let tables = self.read();
        let ids = tables.by_agent.get(agent_id).map(Vec::as_slice).unwrap_or_default();
        let mut found = tables.with_ids(ids).filter(|session| !session.is_expired(now));
        Ok(match (found.next(), found.next()) {
            (None, _) => SessionAnswer::NotFound,
            (Some(only), None) => SessionAnswer::Found(Arc::clone(only)),
            (Some(_), Some(_)) => SessionAnswer::Ambiguous,
        })
    }

    fn live_key_owner(&self, key: &PublicKey, now: UnixTime) -> Result<Option<String>> {
        Ok(self.read().live_with_key(key, now).next().map(|session| session.workload_id.clone()))
    }

    fn revoke(&self, id: &str, block: Option<Block>, now: UnixTime) -> Result<Option<Arc<Session>>> {
        let mut tables = self.write();
        let Some(session) = tables.change_state(id, |_| SessionState::Revoked) else { return Ok(None) };
        if let Some(block) = block
            && !tables.blocks.add(&session.workload_id, session.key, block, self.capacity, now)
        {
            return Err(Error::new(
                ErrorKind::Overloaded,
                "the session is revoked, but there is no room to block its workload",
            ));
        }
        Ok(Some(session))
    }

    fn end(&self, id: &str, _now: UnixTime) -> Result<Option<Arc<Session>>> {
        Ok(self.write().change_state(id, |state| match state {
            SessionState::Live | SessionState::Ended => SessionState::Ended,
            SessionState::Revoked => SessionState::Revoked,
        }))
    }

    fn blocked(&self, workload_id: &str, key: &PublicKey, now: UnixTime) -> Result<bool> {
        Ok(self.read().blocks.holds(workload_id, key, now))
    }

    fn allow(&self, workload_id: &str) -> Result<bool> {
        Ok(self.write().blocks.lift(workload_id))
    }

    fn blocks(&self, now: UnixTime) -> Result<Vec<BlockRecord>> {
        Ok(self.read().blocks.list(now))
    }

    fn list(&self, now: UnixTime) -> Result<Vec<Arc<Session>>> {
        let tables = self.read();
        let ids = tables.by_expiry.iter().map(|(_, id)| id);
        let sessions = ids.filter_map(|id| tables.sessions.get(id));
        Ok(sessions.filter(|session| !session.is_expired(now)).map(Arc::clone).collect())
    }

    fn expire(&self, now: UnixTime) -> Result<Vec<Arc<Session>>> {
        let mut tables = self.write();
        let mut expired: Vec<_> = tables.unreported.drain(..).collect();
        expired.extend(tables.take_expired(now));
        Ok(expired)
    }
}

impl Tables {
    fn with_ids<'t>(&'t self, ids: &'t [Arc<str>]) -> impl Iterator<Item = &'t Arc<Session>> {
        ids.iter().filter_map(|id| self.sessions.get(id))
    }

    fn live_with_key(&self, key: &PublicKey, now: UnixTime) -> impl Iterator<Item = &Arc<Session>> {
        let ids = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        self.with_ids(ids).filter(move |session| session.is_live(now))
    }

    fn insert(&mut self, session: Session) -> Result<()> {
        let id: Arc<str> = Arc::from(session.id.as_str());
        if self.sessions.contains_key(&id) {
            return Err(Error::new(ErrorKind::InternalError, "there is a session of this id already"));
        }
        self.by_agent.entry(session.agent_id.clone()).or_default().push(Arc::clone(&id));
        self.by_key.entry(session.key).or_default().push(Arc::clone(&id));
        self.by_expiry.insert((session.expires_at.millis(), Arc::clone(&id)));
        self.sessions.insert(id, Arc::new(session));
        Ok(())
    }

    fn change_state(&mut self, id: &str, state: impl FnOnce(SessionState) -> SessionState) -> Option<Arc<Session>> {
        let session = self.sessions.get_mut(id)?;
        let state = state(session.state);
        if state != session.state {
            // Whoever holds the old record finishes with it; the next look-up sees the new one.
            *session = Arc::new(Session { state, ..Session::clone(session) });
        }
        Some(Arc::clone(session))
    }

    fn take_expired(&mut self, now: UnixTime) -> Vec<Arc<Session>> {
        let mut expired = Vec::new();
        while let Some((expires_at, _)) = self.by_expiry.first()
            && UnixTime::from_millis(*expires_at).seconds() <= now.seconds()
        {
            let Some((_, id)) = self.by_expiry.pop_first() else { break };
            let Some(session) = self.sessions.remove(&id) else { continue };
            forget(&mut self.by_agent, &session.agent_id, &id);
            forget(&mut self.by_key, &session.key, &id);
            expired.push(session);
        }
        expired
    }
}

fn forget<K, Q>(index: &mut HashMap<K, Vec<Arc<str>>>, key: &Q, id: &Arc<str>)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
