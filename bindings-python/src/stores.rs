//! What stores hold and answer, and the stores in memory.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smcp_core::keys::PublicKey;
use smcp_core::policy::{self, MemoryRateStore, RateStore as _, ToolPattern};
use smcp_core::replay::{self, MemoryReplayStore, ReplayAnswer, ReplayStore as _};
use smcp_core::session::{self, Block, MemorySessionStore, SessionAnswer, SessionState, SessionStore as _};
use smcp_core::smcp::Dialect;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use crate::detached::detached;
use crate::envelope::dialect;
use crate::errors::{raise, raise_refusal};
use crate::moment::{moment, moment_or_now, seconds};
use crate::replay_file::ReplayFile;

pub(crate) fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidArgument, message.into()), Dialect::Smcp)
}

fn refused(py: Python<'_>) -> impl Fn(Error) -> PyErr {
    move |error| raise_refusal(py, &error, Dialect::Smcp)
}

/// What an attestation opened: an agent, its key and what it may do.
#[pyclass(frozen, module = "smcp.stores", name = "Session")]
pub(crate) struct HostSession {
    pub(crate) session: Arc<session::Session>,
}

impl From<Arc<session::Session>> for HostSession {
    fn from(session: Arc<session::Session>) -> Self {
        Self { session }
    }
}

fn state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Live => "live",
        SessionState::Revoked => "revoked",
        SessionState::Ended => "ended",
    }
}

#[pymethods]
impl HostSession {
    /// A session as a store of the host program keeps it.
    #[new]
    #[pyo3(signature = (id, agent_id, workload_id, context, key, opened_at, expires_at, *, protocol = "smcp/v1",
        state = "live", execution_id = None, tenant_id = None, allowed_tools = None))]
    #[expect(clippy::too_many_arguments, reason = "one for each member, as Python passes them")]
    fn new(
        py: Python<'_>,
        id: String,
        agent_id: String,
        workload_id: String,
        context: String,
        key: PyBackedBytes,
        opened_at: f64,
        expires_at: f64,
        protocol: &str,
        state: &str,
        execution_id: Option<String>,
        tenant_id: Option<String>,
        allowed_tools: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let fail = |error: Error| raise(py, &error, Dialect::Smcp);
        let state = match state {
            "live" => SessionState::Live,
            "revoked" => SessionState::Revoked,
            "ended" => SessionState::Ended,
            _ => return Err(invalid(py, "the state of a session is `live`, `revoked` or `ended`")),
        };
        Ok(Self {
            session: Arc::new(session::Session {
                id,
                agent_id,
                workload_id,
                context,
                key: PublicKey::parse_bytes(&key).map_err(fail)?,
                dialect: dialect(protocol)?,
                opened_at: moment(py, "opened_at", opened_at)?,
                expires_at: moment(py, "expires_at", expires_at)?,
                state,
                execution_id,
                tenant_id,
                allowed_tools: allowed_tools.map(|tools| patterns(&tools)).transpose().map_err(fail)?,
            }),
        })
    }

    /// Session id, the token's `jti`.
    #[getter]
    fn id(&self) -> &str {
        &self.session.id
    }

    /// Agent id, the token's `sub`.
    #[getter]
    fn agent_id(&self) -> &str {
        &self.session.agent_id
    }

    /// Workload id, the token's `wid`.
    #[getter]
    fn workload_id(&self) -> &str {
        &self.session.workload_id
    }

    /// Name of the security context.
    #[getter]
    fn context(&self) -> &str {
        &self.session.context
    }

    /// The 32 bytes of the agent's public key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.session.key.as_bytes())
    }

    /// `smcp/v1` or `seal/v1`, as attested.
    #[getter]
    fn protocol(&self) -> &'static str {
        self.session.dialect.protocol()
    }

    /// When it was opened, Unix seconds.
    #[getter]
    fn opened_at(&self) -> f64 {
        seconds(self.session.opened_at)
    }

    /// When it expires, Unix seconds.
    #[getter]
    fn expires_at(&self) -> f64 {
        seconds(self.session.expires_at)
    }

    /// `live`, `revoked` or `ended`.
    #[getter]
    fn state(&self) -> &'static str {
        state_name(self.session.state)
    }

    /// `exec_id` of the token.
    #[getter]
    fn execution_id(&self) -> Option<&str> {
        self.session.execution_id.as_deref()
    }

    /// `tenant_id` of the token.
    #[getter]
    fn tenant_id(&self) -> Option<&str> {
        self.session.tenant_id.as_deref()
    }

    /// Tool patterns to which the context is narrowed; None leaves it as it is.
    #[getter]
    fn allowed_tools(&self) -> Option<Vec<&str>> {
        self.session.allowed_patterns().map(|patterns| patterns.iter().map(ToolPattern::text).collect())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.session == other.session
    }

    fn __repr__(&self) -> String {
        format!("<Session {:?} of {:?}, {}>", self.session.id, self.session.workload_id, self.state())
    }
}

/// Tool patterns of a session.
pub(crate) fn patterns(texts: &[String]) -> Result<Arc<[ToolPattern]>> {
    let parse = |text: &String| {
        ToolPattern::parse(text).map_err(|error| Error::new(ErrorKind::InvalidArgument, error.to_string()))
    };
    texts.iter().map(parse).collect()
}

/// One verified message, as a replay store sees it.
#[pyclass(frozen, module = "smcp.stores", name = "ReplayEntry")]
pub(crate) struct HostReplayEntry {
    pub(crate) entry: replay::ReplayEntry,
    pub(crate) received_at: UnixTime,
}

#[pymethods]
impl HostReplayEntry {
    /// An entry, for tests of a store.
    #[new]
    #[pyo3(signature = (key, timestamp, expires_at, session, opened_at, received_at = None))]
    fn new(
        py: Python<'_>,
        key: PyBackedBytes,
        timestamp: i64,
        expires_at: i64,
        session: String,
        opened_at: f64,
        received_at: Option<f64>,
    ) -> PyResult<Self> {
        let key = <[u8; 32]>::try_from(&*key).map_err(|_| invalid(py, "the key of a replay entry has 32 bytes"))?;
        let entry =
            replay::ReplayEntry { key, timestamp, expires_at, session, opened_at: moment(py, "opened_at", opened_at)? };
        Ok(Self { entry, received_at: moment_or_now(py, received_at)? })
    }

    /// The SHA-256 of the canonical message that verified.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.entry.key)
    }

    /// The envelope's timestamp in whole Unix seconds.
    #[getter]
    fn timestamp(&self) -> i64 {
        self.entry.timestamp
    }

    /// The last second in which the envelope is fresh.
    #[getter]
    fn expires_at(&self) -> i64 {
        self.entry.expires_at
    }

    /// The session whose share the entry takes.
    #[getter]
    fn session(&self) -> &str {
        &self.entry.session
    }

    /// When the session was opened, Unix seconds.
    #[getter]
    fn opened_at(&self) -> f64 {
        seconds(self.entry.opened_at)
    }

    /// The verifier's clock at this call, Unix seconds.
    #[getter]
    fn received_at(&self) -> f64 {
        seconds(self.received_at)
    }

    fn __repr__(&self) -> String {
        format!("<ReplayEntry {} of {:?}>", self.entry.timestamp, self.entry.session)
    }
}

/// What one rate counter counts: calls of a workload under a capability of a context.
#[pyclass(frozen, eq, hash, module = "smcp.stores", name = "RateKey")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct HostRateKey {
    pub(crate) key: policy::RateKey,
}

#[pymethods]
impl HostRateKey {
    /// A key, for tests of a store.
    #[new]
    fn new(workload_id: String, context: String, capability: usize) -> Self {
        Self { key: policy::RateKey { workload_id, context, capability } }
    }

    /// The workload.
    #[getter]
    fn workload_id(&self) -> &str {
        &self.key.workload_id
    }

    /// Name of the context.
    #[getter]
    fn context(&self) -> &str {
        &self.key.context
    }

    /// Index of the capability in the context, from 0.
    #[getter]
    fn capability(&self) -> usize {
        self.key.capability
    }

    fn __repr__(&self) -> String {
        format!("<RateKey {:?} {:?} {}>", self.key.workload_id, self.key.context, self.key.capability)
    }
}

/// At most `calls` within any `per_seconds` seconds.
#[pyclass(frozen, eq, hash, module = "smcp.stores", name = "RateLimit")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct HostRateLimit {
    /// Calls.
    #[pyo3(get)]
    calls: u32,
    /// Length of the window in seconds.
    #[pyo3(get)]
    per_seconds: u32,
}

impl From<policy::RateLimit> for HostRateLimit {
    fn from(limit: policy::RateLimit) -> Self {
        Self { calls: limit.calls, per_seconds: limit.per_seconds }
    }
}

#[pymethods]
impl HostRateLimit {
    /// A limit, for tests of a store.
    #[new]
    fn new(calls: u32, per_seconds: u32) -> Self {
        Self { calls, per_seconds }
    }

    fn __repr__(&self) -> String {
        format!("<RateLimit {} in {} s>", self.calls, self.per_seconds)
    }
}

/// The name of a replay store's answer.
fn replay_answer_name(answer: ReplayAnswer) -> &'static str {
    match answer {
        ReplayAnswer::New => "new",
        ReplayAnswer::Seen => "seen",
        ReplayAnswer::Stale => "stale",
        ReplayAnswer::BeforeRestart => "before_restart",
        ReplayAnswer::Full => "full",
    }
}

pub(crate) fn parse_replay_answer(name: &str) -> Option<ReplayAnswer> {
    let all =
        [ReplayAnswer::New, ReplayAnswer::Seen, ReplayAnswer::Stale, ReplayAnswer::BeforeRestart, ReplayAnswer::Full];
    all.into_iter().find(|answer| replay_answer_name(*answer) == name)
}

/// A bounded replay store in the memory of this process.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeReplayStore {
    pub(crate) store: Arc<MemoryReplayStore>,
    pub(crate) window_seconds: u32,
}

#[pymethods]
impl NativeReplayStore {
    #[new]
    fn new(
        py: Python<'_>,
        capacity: usize,
        per_session: usize,
        window_seconds: u32,
        now: Option<f64>,
    ) -> PyResult<Self> {
        let created_at = moment_or_now(py, now)?;
        let store = MemoryReplayStore::new(capacity, per_session, window_seconds, Some(created_at));
        Ok(Self { store: Arc::new(store), window_seconds })
    }

    /// Says whether an entry is new and remembers it if so.
    fn check_and_insert(&self, py: Python<'_>, entry: &HostReplayEntry) -> PyResult<&'static str> {
        let answer = detached(py, || self.store.check_and_insert(&entry.entry, entry.received_at));
        answer.flatten().map(replay_answer_name).map_err(refused(py))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.store.len()).map_err(refused(py))
    }
}

/// A bounded replay store in a file that the processes of one host share.
#[pyclass(frozen, weakref, module = "smcp._native")]
pub(crate) struct NativeFileReplayStore {
    pub(crate) store: Arc<ReplayFile>,
}

#[pymethods]
impl NativeFileReplayStore {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, capacity: usize, per_session: usize, now: Option<f64>) -> PyResult<Self> {
        let now = moment_or_now(py, now)?;
        let store = detached(py, || ReplayFile::open(&path, capacity, per_session, now)).flatten();
        Ok(Self { store: Arc::new(store.map_err(refused(py))?) })
    }

    /// Says whether an entry is new and remembers it if so.
    fn check_and_insert(&self, py: Python<'_>, entry: &HostReplayEntry) -> PyResult<&'static str> {
        let answer = detached(py, || self.store.check_and_insert(&entry.entry, entry.received_at));
        answer.flatten().map(replay_answer_name).map_err(refused(py))
    }

    fn len(&self, py: Python<'_>, now: Option<f64>) -> PyResult<usize> {
        let now = moment_or_now(py, now)?;
        detached(py, || self.store.len(now)).flatten().map_err(refused(py))
    }

    /// Gives up the file until the next use.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.store.close()).map_err(refused(py))
    }

    /// Closes, in the child of a fork, the handle that is the parent's; called while no thread may be in the module.
    fn close_inherited(&self) {
        self.store.close();
    }
}

/// A bounded rate store in the memory of this process.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeRateStore {
    pub(crate) store: Arc<MemoryRateStore>,
}

#[pymethods]
impl NativeRateStore {
    #[new]
    fn new(capacity: usize, per_workload: usize) -> Self {
        Self { store: Arc::new(MemoryRateStore::new(capacity, per_workload)) }
    }

    /// Counts a call if it fits: the answer's name, and the seconds to wait.
    fn check_and_charge(
        &self,
        py: Python<'_>,
        key: &HostRateKey,
        limit: &HostRateLimit,
        now: Option<f64>,
    ) -> PyResult<(&'static str, u64)> {
        let now = moment_or_now(py, now)?;
        let limit = policy::RateLimit { calls: limit.calls, per_seconds: limit.per_seconds };
        let answer = detached(py, || self.store.check_and_charge(&key.key, limit, now)).flatten();
        Ok(match answer.map_err(refused(py))? {
            policy::RateAnswer::Charged => ("charged", 0),
            policy::RateAnswer::Exceeded { retry_after } => ("exceeded", retry_after),
            policy::RateAnswer::Full => ("full", 0),
        })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.store.len()).map_err(refused(py))
    }
}

pub(crate) fn parse_rate_answer(name: &str, retry_after: u64) -> Option<policy::RateAnswer> {
    match name {
        "charged" => Some(policy::RateAnswer::Charged),
        "exceeded" => Some(policy::RateAnswer::Exceeded { retry_after }),
        "full" => Some(policy::RateAnswer::Full),
        _ => None,
    }
}

/// A bounded session store in the memory of this process.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeSessionStore {
    pub(crate) store: Arc<MemorySessionStore>,
}

impl NativeSessionStore {
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        now: Option<f64>,
        ask: impl FnOnce(&MemorySessionStore, UnixTime) -> Result<T> + Send,
    ) -> PyResult<T> {
        let now = moment_or_now(py, now)?;
        detached(py, || ask(&self.store, now)).flatten().map_err(refused(py))
    }
}

#[pymethods]
impl NativeSessionStore {
    #[new]
    fn new(capacity: usize) -> Self {
        Self { store: Arc::new(MemorySessionStore::new(capacity)) }
    }

    fn open(&self, py: Python<'_>, session: &HostSession, now: Option<f64>) -> PyResult<()> {
        let session = session::Session::clone(&session.session);
        self.ask(py, now, |store, now| store.open(session, now))
    }

    fn find(&self, py: Python<'_>, session_id: &str, now: Option<f64>) -> PyResult<Option<HostSession>> {
        Ok(match self.ask(py, now, |store, now| store.find(session_id, now))? {
            SessionAnswer::Found(session) => Some(session.into()),
            SessionAnswer::NotFound | SessionAnswer::Ambiguous => None,
        })
    }

    fn find_by_agent(&self, py: Python<'_>, agent_id: &str, now: Option<f64>) -> PyResult<Option<HostSession>> {
        Ok(match self.ask(py, now, |store, now| store.find_by_agent(agent_id, now))? {
            SessionAnswer::Found(session) => Some(session.into()),
            SessionAnswer::NotFound | SessionAnswer::Ambiguous => None,
        })
    }

    fn live_key_owner(&self, py: Python<'_>, key: PyBackedBytes, now: Option<f64>) -> PyResult<Option<String>> {
        let key = PublicKey::parse_bytes(&key).map_err(|error| raise(py, &error, Dialect::Smcp))?;
        self.ask(py, now, |store, now| store.live_key_owner(&key, now))
    }

    fn blocked(&self, py: Python<'_>, workload_id: &str, key: PyBackedBytes, now: Option<f64>) -> PyResult<bool> {
        let key = PublicKey::parse_bytes(&key).map_err(|error| raise(py, &error, Dialect::Smcp))?;
        self.ask(py, now, |store, now| store.blocked(workload_id, &key, now))
    }

    /// Revokes a session; `block` also keeps workload and key from attesting, for `block_seconds` if given.
    fn revoke(
        &self,
        py: Python<'_>,
        session_id: &str,
        block: bool,
        block_seconds: Option<u32>,
        now: Option<f64>,
    ) -> PyResult<Option<HostSession>> {
        let found = self.ask(py, now, |store, now| {
            let block = block.then(|| match block_seconds {
                None => Block::UntilLifted,
                Some(seconds) => Block::Until(now.plus_seconds(i64::from(seconds))),
            });
            store.revoke(session_id, block, now)
        })?;
        Ok(found.map(HostSession::from))
    }

    fn end(&self, py: Python<'_>, session_id: &str, now: Option<f64>) -> PyResult<Option<HostSession>> {
        Ok(self.ask(py, now, |store, now| store.end(session_id, now))?.map(HostSession::from))
    }

    fn allow(&self, py: Python<'_>, workload_id: &str) -> PyResult<bool> {
        self.ask(py, None, |store, _| store.allow(workload_id))
    }

    /// The workloads that are blocked, each with the end of its block.
    fn blocks(&self, py: Python<'_>, now: Option<f64>) -> PyResult<Vec<(String, Option<f64>)>> {
        let blocks = self.ask(py, now, |store, now| store.blocks(now))?;
        let end = |block| match block {
            Block::UntilLifted => None,
            Block::Until(end) => Some(seconds(end)),
        };
        Ok(blocks.into_iter().map(|record| (record.workload_id, end(record.block))).collect())
    }

    fn list(&self, py: Python<'_>, now: Option<f64>) -> PyResult<Vec<HostSession>> {
        Ok(self.ask(py, now, |store, now| store.list(now))?.into_iter().map(HostSession::from).collect())
    }

    fn expire(&self, py: Python<'_>, now: Option<f64>) -> PyResult<Vec<HostSession>> {
        Ok(self.ask(py, now, |store, now| store.expire(now))?.into_iter().map(HostSession::from).collect())
    }
}
