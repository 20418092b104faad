//! Sessions, revocations and blocks in a file, written through behind the store in memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::{
    Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction,
};
use smcp_core::keys::PublicKey;
use smcp_core::session::{Block, BlockRecord, MemorySessionStore, Session, SessionAnswer, SessionStore};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::record::{parse_block, parse_session, write_block, write_session};
use crate::private_file::open_read_write;

const SESSIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("sessions");
const BLOCKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("blocks");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: u64 = 1;
/// Memory for the database's pages in bytes; everything is read once, at the start.
const CACHE_BYTES: usize = 4 << 20;

/// A session store whose content survives a restart.
///
/// Look-ups are answered from memory. A revocation or a block is on disk before it is reported done; a new session is
/// on disk at the next [`SessionStore::expire`] or [`RedbSessionStore::flush`] at the latest, since one that is lost in
/// a crash is merely unknown and its agent attests again.
pub struct RedbSessionStore {
    path: PathBuf,
    memory: MemorySessionStore,
    /// Held over each change of memory and file, so that both see the changes in one order.
    file: Mutex<SessionFile>,
}

struct SessionFile {
    path: PathBuf,
    /// `None` after a write failed: the database library then wants to be opened anew.
    database: Option<Database>,
    /// Whether something is committed that is not on disk yet.
    pending: bool,
}

impl RedbSessionStore {
    /// Opens or creates the file (mode 0600), which belongs to this process until the store is dropped.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the file is a symlink, not ours or open to others, in use, corrupted, or holds more blocks
    /// than `capacity`.
    pub fn open(path: &Path, capacity: usize, now: UnixTime) -> Result<Self> {
        let refuse = |reason: String| {
            Error::new(ErrorKind::ConfigInvalid, format!("session store `{}` {reason}", path.display()))
        };
        let database = open_database(path).map_err(refuse)?;
        let memory = MemorySessionStore::new(capacity);
        let (sessions, blocks) = read_all(&database).map_err(|reason| refuse(corrupted(&reason)))?;
        for record in &blocks {
            memory
                .restore_block(record, now)
                .map_err(|_| refuse(format!("holds more blocks than the capacity of `{capacity}`")))?;
        }
        let mut file = SessionFile { path: path.to_owned(), database: Some(database), pending: false };
        let forgotten = restore(&memory, sessions);
        if !forgotten.is_empty() {
            // A session that is not known is refused, so forgetting is the safe side.
            tracing::warn!(sessions = forgotten.len(), capacity, "sessions beyond the capacity are forgotten");
        }
        let over: Vec<&BlockRecord> = blocks.iter().filter(|record| is_long_over(record.block, now)).collect();
        file.commit(&memory, now, Sync::Now, |transaction| {
            remove_sessions(transaction, &forgotten)?;
            let mut table = transaction.open_table(BLOCKS).map_err(text)?;
            over.iter().try_for_each(|record| table.remove(record.workload_id.as_str()).map_err(text).map(drop))
        })
        .map_err(|reason| refuse(format!("cannot be written: {reason}")))?;
        Ok(Self { path: path.to_owned(), memory, file: Mutex::new(file) })
    }

    /// Brings everything to disk; for shutdown.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` when the disk refuses.
    pub fn flush(&self) -> Result<()> {
        self.lock().flush(&self.memory).map_err(|reason| self.failed(&reason))
    }

    /// A change is committed whole or not at all, so a panic elsewhere leaves nothing half-written behind.
    fn lock(&self) -> MutexGuard<'_, SessionFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, reason: &str) -> Error {
        tracing::error!(path = %self.path.display(), reason, "the session store cannot be written");
        Error::new(ErrorKind::InternalError, "the session store cannot be written")
    }

    /// Writes a session as it is in memory now, with the block of its workload.
    fn write_through(&self, file: &mut SessionFile, id: &str, now: UnixTime) -> Result<()> {
        let SessionAnswer::Found(session) = self.memory.find(id, now)? else { return Ok(()) };
        let blocks = self.memory.blocks(now)?;
        let block = blocks.into_iter().find(|record| record.workload_id == session.workload_id);
        file.commit(&self.memory, now, Sync::Now, |transaction| {
            write_sessions(transaction, std::slice::from_ref(&session))?;
            write_blocks(transaction, block.as_slice())
        })
        .map_err(|reason| self.failed(&reason))
    }
}

impl Drop for RedbSessionStore {
    fn drop(&mut self) {
        if let Err(reason) = self.lock().flush(&self.memory) {
            tracing::error!(path = %self.path.display(), reason, "the session store could not be brought to disk");
        }
    }
}

impl std::fmt::Debug for RedbSessionStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RedbSessionStore({})", self.path.display())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn corrupted(reason: &str) -> String {
    format!("is corrupted ({reason}); restore it, or remove it, which forgets all sessions, revocations and blocks")
}

fn open_database(path: &Path) -> std::result::Result<Database, String> {
    let file = open_read_write(path).map_err(|error| format!("is refused: {}", error.message()))?;
    // The database library checks what it reads, but not everywhere without a panic.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut database = Database::builder().set_cache_size(CACHE_BYTES).create_file(file)?;
        // After a crash, opening has already gone back to the last commit. What is found wrong behind that is damage,
        // and a repair could bring back a state from before a revocation.
        let sound = database.check_integrity()?;
        Ok::<_, DatabaseError>(sound.then_some(database))
    }));
    let database = match opened {
        Ok(Ok(Some(database))) => database,
        Ok(Ok(None)) => return Err(corrupted("its checksums do not fit")),
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => return Err("is in use by another process".to_owned()),
        Ok(Err(error)) => return Err(corrupted(&text(error))),
        Err(_) => return Err(corrupted("its structure is broken")),
    };
    prepare(&database).map_err(|reason| corrupted(&reason))?;
    Ok(database)
}

/// Makes the tables and checks the format.
fn prepare(database: &Database) -> std::result::Result<(), String> {
    let transaction = database.begin_write().map_err(text)?;
    {
        transaction.open_table(SESSIONS).map_err(text)?;
        transaction.open_table(BLOCKS).map_err(text)?;
        let mut meta = transaction.open_table(META).map_err(text)?;
        let format = meta.get("format").map_err(text)?.map(|format| format.value());
        match format {
            None => drop(meta.insert("format", FORMAT).map_err(text)?),
            Some(FORMAT) => {}
            Some(other) => return Err(format!("format `{other}` is not `{FORMAT}`")),
        }
    }
    transaction.commit().map_err(text)
}

fn read_all(database: &Database) -> std::result::Result<(Vec<Session>, Vec<BlockRecord>), String> {
    let read = || {
        let transaction = database.begin_read().map_err(text)?;
        let (mut sessions, mut blocks) = (Vec::new(), Vec::new());
        for row in transaction.open_table(SESSIONS).map_err(text)?.iter().map_err(text)? {
            let (id, record) = row.map_err(text)?;
            sessions.push(parse_session(id.value(), record.value()).map_err(text)?);
        }
        for row in transaction.open_table(BLOCKS).map_err(text)?.iter().map_err(text)? {
            let (workload, record) = row.map_err(text)?;
            blocks.push(parse_block(workload.value(), record.value()).map_err(text)?);
        }
        Ok((sessions, blocks))
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err("its structure is broken".to_owned()))
}

/// Puts the sessions that expire last into memory, expired ones included (their expiry is still to be audited), and
/// returns the ids of those for which there is no room.
fn restore(memory: &MemorySessionStore, mut sessions: Vec<Session>) -> Vec<String> {
    sessions.sort_by_key(|session| std::cmp::Reverse(session.expires_at));
    let mut forgotten = Vec::new();
    for session in sessions {
        let id = session.id.clone();
        if memory.restore(session).is_err() {
            forgotten.push(id);
        }
    }
    forgotten
}

fn write_sessions(transaction: &WriteTransaction, sessions: &[Arc<Session>]) -> std::result::Result<(), String> {
    let mut table = transaction.open_table(SESSIONS).map_err(text)?;
    for session in sessions {
        table.insert(session.id.as_str(), write_session(session).as_slice()).map_err(text)?;
    }
    Ok(())
}

fn remove_sessions(transaction: &WriteTransaction, ids: &[String]) -> std::result::Result<(), String> {
    let mut table = transaction.open_table(SESSIONS).map_err(text)?;
    for id in ids {
        table.remove(id.as_str()).map_err(text)?;
    }
    Ok(())
}

fn write_blocks(transaction: &WriteTransaction, blocks: &[BlockRecord]) -> std::result::Result<(), String> {
    let mut table = transaction.open_table(BLOCKS).map_err(text)?;
    for record in blocks {
        table.insert(record.workload_id.as_str(), write_block(record).as_slice()).map_err(text)?;
    }
    Ok(())
}

/// Whether a block may be forgotten for good: a clock that is ahead by less than a day must not do that.
fn is_long_over(block: Block, now: UnixTime) -> bool {
    !block.holds(now.plus_seconds(-86_400))
}

/// When a change has to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Now,
    Later,
}

impl SessionFile {
    /// Commits a change. After a failure, what is in memory is written first: it may be ahead of the file.
    fn commit(
        &mut self,
        memory: &MemorySessionStore,
        now: UnixTime,
        sync: Sync,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        let (database, behind) = match self.database.take() {
            Some(database) => (database, false),
            None => (open_database(&self.path)?, true),
        };
        let attempt = || {
            let mut transaction = database.begin_write().map_err(text)?;
            let durability = if sync == Sync::Now { Durability::Immediate } else { Durability::None };
            transaction.set_durability(durability).map_err(text)?;
            if behind {
                write_sessions(&transaction, &memory.list(now).map_err(text)?)?;
                write_blocks(&transaction, &memory.blocks(now).map_err(text)?)?;
            }
            // Dropping an uncommitted transaction undoes it.
            change(&transaction)?;
            transaction.commit().map_err(text)
        };
        attempt()?;
        self.database = Some(database);
        self.pending = sync == Sync::Later;
        Ok(())
    }

    /// The epoch stands for now: at it nothing has expired, so that nothing is left out.
    fn flush(&mut self, memory: &MemorySessionStore) -> std::result::Result<(), String> {
        if self.pending { self.commit(memory, UnixTime::EPOCH, Sync::Now, |_| Ok(())) } else { Ok(()) }
    }
}

impl SessionStore for RedbSessionStore {
    fn open(&self, session: Session, now: UnixTime) -> Result<()> {
        let mut file = self.lock();
        let id = session.id.clone();
        let record = Arc::new(session.clone());
        self.memory.open(session, now)?;
        let written = file.commit(&self.memory, now, Sync::Later, |transaction| write_sessions(transaction, &[record]));
        written.map_err(|reason| {
            // Its token is not handed out; that it cannot be used either is belt and braces.
            drop(self.memory.revoke(&id, None, now));
            self.failed(&reason)
        })
    }

    fn find(&self, id: &str, now: UnixTime) -> Result<SessionAnswer> {
        self.memory.find(id, now)
    }

    fn find_by_agent(&self, agent_id: &str, now: UnixTime) -> Result<SessionAnswer> {
        self.memory.find_by_agent(agent_id, now)
    }

    fn live_key_owner(&self, key: &PublicKey, now: UnixTime) -> Result<Option<String>> {
        self.memory.live_key_owner(key, now)
    }

    /// In memory the revocation takes effect even when it cannot be written; the error then says that a restart would
    /// forget it.
    fn revoke(&self, id: &str, block: Option<Block>, now: UnixTime) -> Result<Option<Arc<Session>>> {
        let mut file = self.lock();
        let revoked = self.memory.revoke(id, block, now);
        let written = self.write_through(&mut file, id, now);
        let revoked = revoked?;
        written.map_err(|_| {
            Error::new(ErrorKind::InternalError, "the session is revoked until a restart, but this cannot be written")
        })?;
        Ok(revoked)
    }

    fn end(&self, id: &str, now: UnixTime) -> Result<Option<Arc<Session>>> {
        let mut file = self.lock();
        let ended = self.memory.end(id, now)?;
        self.write_through(&mut file, id, now)?;
        Ok(ended)
    }

    fn blocked(&self, workload_id: &str, key: &PublicKey, now: UnixTime) -> Result<bool> {
        self.memory.blocked(workload_id, key, now)
    }

    /// The file first: a block that cannot be removed from it stays in force.
    fn allow(&self, workload_id: &str) -> Result<bool> {
        let mut file = self.lock();
        file.commit(&self.memory, UnixTime::EPOCH, Sync::Now, |transaction| {
            transaction.open_table(BLOCKS).map_err(text)?.remove(workload_id).map_err(text).map(drop)
        })
        .map_err(|reason| self.failed(&reason))?;
        self.memory.allow(workload_id)
    }

    fn blocks(&self, now: UnixTime) -> Result<Vec<BlockRecord>> {
        self.memory.blocks(now)
    }

    fn list(&self, now: UnixTime) -> Result<Vec<Arc<Session>>> {
        self.memory.list(now)
    }

    /// Also brings new sessions to disk.
    fn expire(&self, now: UnixTime) -> Result<Vec<Arc<Session>>> {
        let mut file = self.lock();
        let expired = self.memory.expire(now)?;
        let ids: Vec<String> = expired.iter().map(|session| session.id.clone()).collect();
        let written = if ids.is_empty() {
            file.flush(&self.memory)
        } else {
            file.commit(&self.memory, now, Sync::Now, |transaction| remove_sessions(transaction, &ids))
        };
        if let Err(reason) = written {
            // The sessions have expired either way and are to be audited now; a restart reports them once more.
            drop(self.failed(&reason));
        }
        Ok(expired)
    }
}

#[cfg(test)]
mod tests;
