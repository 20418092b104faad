//! `EnvelopeVerifier`: the receive pipeline with the stores of a service.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smcp_core::audit::{AuditEvent, RedactionKey};
use smcp_core::error::Details;
use smcp_core::json::Limits;
use smcp_core::keys::encode_base64;
use smcp_core::policy::ContextSet;
use smcp_core::replay::{MemoryReplayStore, ReplayStore};
use smcp_core::session::SessionAnswer;
use smcp_core::smcp::receive::{CallFacts, Refusal};
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::detached::detached;
use crate::envelope::dialect;
use crate::errors::{raise, raise_refusal};
use crate::moment::moment_or_now;
use crate::policy::{Decision, NativeContext, class_name};
use crate::reception::{Answer, Desk, Keeper, Progress, Question, Received, Reception, SessionKeeper, receive_at_once};
use crate::replay_file::ReplayFile;
use crate::stores::{
    HostRateKey, HostRateLimit, HostReplayEntry, HostSession, NativeFileReplayStore, NativeRateStore,
    NativeReplayStore, NativeSessionStore, invalid, parse_rate_answer, parse_replay_answer,
};
use crate::token::{HostClaims, NativeKeys, fill_random};

/// The deepest nesting of an envelope.
const MAXIMUM_DEPTH: usize = 128;
/// The longest freshness window in seconds.
const MAXIMUM_WINDOW_SECONDS: u32 = 60;

fn contexts(contexts: &[PyRef<'_, NativeContext>]) -> Result<Arc<ContextSet>> {
    let mut set = ContextSet::new();
    for context in contexts {
        set.insert(smcp_core::policy::SecurityContext::clone(&context.context))?;
    }
    Ok(Arc::new(set))
}

fn redaction_key() -> Result<RedactionKey> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    fill_random(&mut *bytes)?;
    Ok(RedactionKey::new(bytes))
}

/// The receive pipeline of one service.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeVerifier {
    desk: Arc<Desk>,
    asks_host: bool,
    dialect: Dialect,
}

#[pymethods]
impl NativeVerifier {
    #[new]
    #[pyo3(signature = (*, keys, contexts, sessions, replay, replay_file, rates, issuer, audience, window_seconds, leeway_seconds,
        lenient_claims, max_body_bytes, protocol, foreign_protocol, forwardable, audited))]
    #[expect(clippy::too_many_arguments, reason = "one keyword for each option, as Python passes them")]
    fn new(
        py: Python<'_>,
        keys: &NativeKeys,
        contexts: Option<Vec<PyRef<'_, NativeContext>>>,
        sessions: Option<&NativeSessionStore>,
        replay: Option<&NativeReplayStore>,
        replay_file: Option<&NativeFileReplayStore>,
        rates: Option<&NativeRateStore>,
        issuer: Option<String>,
        audience: Option<String>,
        window_seconds: u32,
        leeway_seconds: u32,
        lenient_claims: bool,
        max_body_bytes: usize,
        protocol: Option<&str>,
        foreign_protocol: Option<&str>,
        forwardable: bool,
        audited: bool,
    ) -> PyResult<Self> {
        let fail = |error: Error| raise(py, &error, Dialect::Smcp);
        if !(1..=MAXIMUM_WINDOW_SECONDS).contains(&window_seconds) {
            return Err(invalid(py, "the freshness window is 1 to 60 seconds"));
        }
        if replay.is_some_and(|replay| replay.window_seconds < window_seconds) {
            return Err(invalid(py, "the replay store was made for a shorter freshness window"));
        }
        let rules = TokenRules { issuer, audience, leeway_seconds, lenient_claims, ..TokenRules::default() };
        let only = protocol.map(dialect).transpose()?;
        let sessions = match (sessions, foreign_protocol) {
            (Some(store), _) => SessionKeeper::Store(Keeper::Native(Arc::clone(&store.store))),
            (None, None) => SessionKeeper::Store(Keeper::Host),
            (None, Some(protocol)) => SessionKeeper::Token(dialect(protocol)?),
        };
        let replay = match (replay, replay_file) {
            (Some(memory), _) => {
                let store: Arc<dyn ReplayStore> = Arc::<MemoryReplayStore>::clone(&memory.store);
                Keeper::Native(store)
            }
            (None, Some(file)) => {
                let store: Arc<dyn ReplayStore> = Arc::<ReplayFile>::clone(&file.store);
                Keeper::Native(store)
            }
            (None, None) => Keeper::Host,
        };
        let asks_host = !matches!(sessions, SessionKeeper::Store(Keeper::Native(_)))
            || matches!(replay, Keeper::Host)
            || rates.is_none();
        let payload = if forwardable { PayloadRule::Forwardable } else { PayloadRule::JsonRpc };
        let desk = Desk {
            tokens: TokenVerifier::new(keys.keys.clone(), rules).map_err(fail)?,
            contexts: Mutex::new(contexts.map(|list| self::contexts(&list)).transpose().map_err(fail)?),
            sessions,
            replay,
            rates: rates.map_or(Keeper::Host, |rates| Keeper::Native(Arc::clone(&rates.store))),
            rules: EnvelopeRules {
                limits: Limits { bytes: max_body_bytes, depth: MAXIMUM_DEPTH },
                dialect: only,
                payload,
            },
            window_seconds,
            redaction: audited.then(redaction_key).transpose().map_err(fail)?,
        };
        Ok(Self { desk: Arc::new(desk), asks_host, dialect: only.unwrap_or(Dialect::Smcp) })
    }

    /// Whether `receive` is not enough, because stores of the host program are to be asked.
    #[getter]
    fn asks_host(&self) -> bool {
        self.asks_host
    }

    /// Runs every step at once.
    fn receive(&self, py: Python<'_>, body: PyBackedBytes, now: Option<f64>) -> PyResult<NativeReceived> {
        let now = moment_or_now(py, now)?;
        let desk = Arc::clone(&self.desk);
        let outcome = detached(py, || receive_at_once(desk, body, now));
        match outcome.unwrap_or_else(|error| Err(Refusal::unparsed(error))) {
            Ok(received) => Ok(received.into()),
            Err(refusal) => Err(raise_refusal(py, &refusal.error, refusal.facts.dialect.unwrap_or(self.dialect))),
        }
    }

    /// Begins, up to the first question.
    fn begin(&self, py: Python<'_>, body: PyBackedBytes, now: Option<f64>) -> PyResult<NativeReception> {
        let now = moment_or_now(py, now)?;
        let desk = Arc::clone(&self.desk);
        let progress = detached(py, || Reception::begin(desk, body, now)).unwrap_or_else(defect);
        Ok(NativeReception { state: Mutex::new(State::from(progress)), now, dialect: self.dialect })
    }

    fn replace_keys(&self, py: Python<'_>, keys: &NativeKeys) -> PyResult<()> {
        if keys.keys.keys().is_empty() {
            return Err(invalid(py, "a verifier needs at least one key"));
        }
        let keys = keys.keys.clone();
        detached(py, || self.desk.tokens.replace_keys(keys)).map_err(|error| raise(py, &error, Dialect::Smcp))
    }

    fn replace_contexts(&self, py: Python<'_>, contexts: Vec<PyRef<'_, NativeContext>>) -> PyResult<()> {
        let contexts = self::contexts(&contexts).map_err(|error| raise(py, &error, Dialect::Smcp))?;
        let replaced = detached(py, || {
            let mut current = self.desk.contexts.lock().unwrap_or_else(PoisonError::into_inner);
            if current.is_none() {
                return Err(Error::new(ErrorKind::InvalidArgument, "this verifier was made without policy"));
            }
            *current = Some(contexts);
            Ok(())
        });
        replaced.flatten().map_err(|error| raise(py, &error, Dialect::Smcp))
    }
}

fn defect(error: Error) -> Progress {
    Progress::Done(Box::new(Err(Refusal::unparsed(error))))
}

enum State {
    Asks(Reception, Question),
    Done(NativeReceived),
    Refused(Refusal),
    /// The result was taken, or another thread is at it.
    Gone,
}

impl From<Progress> for State {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Asks(reception, question) => Self::Asks(reception, question),
            Progress::Done(outcome) => match *outcome {
                Ok(received) => Self::Done(received.into()),
                Err(refusal) => Self::Refused(refusal),
            },
        }
    }
}

/// An envelope on its way through the pipeline. Python asks its stores what `question` wants to know, answers, and takes
/// the result when there is no question left.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeReception {
    state: Mutex<State>,
    now: UnixTime,
    dialect: Dialect,
}

impl NativeReception {
    fn take(&self) -> State {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Gone)
    }

    fn put(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn answer(&self, py: Python<'_>, answer: Result<Answer>) -> PyResult<()> {
        match self.take() {
            State::Asks(reception, _) => {
                let progress = detached(py, || reception.answer(answer)).unwrap_or_else(defect);
                self.put(State::from(progress));
                Ok(())
            }
            other @ (State::Done(_) | State::Refused(_) | State::Gone) => {
                self.put(other);
                Err(invalid(py, "nothing was asked"))
            }
        }
    }
}

/// A question to a store of the host program; `kind` says which of the members are set.
#[pyclass(frozen, get_all, module = "smcp._native")]
pub(crate) struct NativeQuestion {
    /// `session`, `agent`, `revoked`, `replay` or `rate`.
    kind: &'static str,
    /// Session id, or agent id for `agent`.
    id: Option<String>,
    workload_id: Option<String>,
    replay: Option<Py<HostReplayEntry>>,
    rate: Option<(Py<HostRateKey>, Py<HostRateLimit>)>,
}

impl NativeQuestion {
    fn new(kind: &'static str, id: Option<String>, workload_id: Option<String>) -> Self {
        Self { kind, id, workload_id, replay: None, rate: None }
    }
}

#[pymethods]
impl NativeReception {
    /// What a store is to be asked now; None when there is a result.
    fn question(&self, py: Python<'_>) -> PyResult<Option<NativeQuestion>> {
        let question = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Asks(_, question) => question.clone(),
            State::Done(_) | State::Refused(_) | State::Gone => return Ok(None),
        };
        Ok(Some(match question {
            Question::Session(id) => NativeQuestion::new("session", Some(id), None),
            Question::Agent(id) => NativeQuestion::new("agent", Some(id), None),
            Question::Revoked(id, workload) => NativeQuestion::new("revoked", id, Some(workload)),
            Question::Replay(entry) => {
                let entry = Py::new(py, HostReplayEntry { entry, received_at: self.now })?;
                NativeQuestion { replay: Some(entry), ..NativeQuestion::new("replay", None, None) }
            }
            Question::Rate(key, limit) => {
                let rate = (Py::new(py, HostRateKey { key })?, Py::new(py, HostRateLimit::from(limit))?);
                NativeQuestion { rate: Some(rate), ..NativeQuestion::new("rate", None, None) }
            }
        }))
    }

    /// Answers `session` and `agent`.
    fn answer_session(&self, py: Python<'_>, session: Option<&HostSession>) -> PyResult<()> {
        let answer =
            session.map_or(SessionAnswer::NotFound, |session| SessionAnswer::Found(Arc::clone(&session.session)));
        self.answer(py, Ok(Answer::Session(answer)))
    }

    fn answer_revoked(&self, py: Python<'_>, revoked: bool) -> PyResult<()> {
        self.answer(py, Ok(Answer::Revoked(revoked)))
    }

    fn answer_replay(&self, py: Python<'_>, answer: &str) -> PyResult<()> {
        let answer = parse_replay_answer(answer).ok_or_else(|| invalid(py, "unknown answer of a replay store"))?;
        self.answer(py, Ok(Answer::Replay(answer)))
    }

    fn answer_rate(&self, py: Python<'_>, answer: &str, retry_after: u64) -> PyResult<()> {
        let answer =
            parse_rate_answer(answer, retry_after).ok_or_else(|| invalid(py, "unknown answer of a rate store"))?;
        self.answer(py, Ok(Answer::Rate(answer)))
    }

    /// Refuses the call, since a store has no answer.
    fn fail(&self, py: Python<'_>, code: &str, message: String, retry_after: Option<u64>) -> PyResult<()> {
        let kind = ErrorKind::from_name(code).ok_or_else(|| invalid(py, "unknown kind of error"))?;
        self.answer(py, Err(Error::new(kind, message).with_details(Details { retry_after, ..Details::default() })))
    }

    /// What is known of the call for an audit, whatever became of it.
    fn facts(&self) -> Option<NativeFacts> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Done(received) => Some(NativeFacts { facts: received.received.facts.clone() }),
            State::Refused(refusal) => Some(NativeFacts { facts: CallFacts::clone(&refusal.facts) }),
            State::Asks(..) | State::Gone => None,
        }
    }

    /// Takes the result.
    fn result(&self, py: Python<'_>) -> PyResult<NativeReceived> {
        match self.take() {
            State::Done(received) => Ok(received),
            State::Refused(refusal) => {
                Err(raise_refusal(py, &refusal.error, refusal.facts.dialect.unwrap_or(self.dialect)))
            }
            other @ (State::Asks(..) | State::Gone) => {
                self.put(other);
                Err(invalid(py, "there is no result"))
            }
        }
    }
}

/// A call that passed every step.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeReceived {
    received: Box<Received>,
}

impl From<Received> for NativeReceived {
    fn from(received: Received) -> Self {
        Self { received: Box::new(received) }
    }
}

#[pymethods]
impl NativeReceived {
    #[getter]
    fn tool(&self) -> &str {
        &self.received.tool
    }

    #[getter]
    fn method(&self) -> &str {
        &self.received.method
    }

    /// JSON text of the id.
    #[getter]
    fn id_text(&self) -> Option<&str> {
        self.received.id.as_deref()
    }

    /// `gateway`, `tool_call`, `tool_list`, `as_tool` or `not_allowed`.
    #[getter]
    fn method_class(&self) -> &'static str {
        class_name(self.received.class).0
    }

    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.received.payload)
    }

    #[getter]
    fn claims(&self) -> HostClaims {
        self.received.claims.clone().into()
    }

    #[getter]
    fn decision(&self) -> Option<Decision> {
        self.received.decision.clone().map(Decision::from)
    }

    #[getter]
    fn facts(&self) -> NativeFacts {
        NativeFacts { facts: self.received.facts.clone() }
    }

    /// JSON text of the arguments without secrets.
    #[getter]
    fn sanitised_arguments<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.received.arguments.as_ref().map(|text| PyBytes::new(py, text))
    }

    /// The tools of `tools` that `tools/list` shows to this agent.
    fn list_tools(&self, py: Python<'_>, tools: Vec<String>) -> PyResult<Vec<String>> {
        let listed = detached(py, || tools.into_iter().filter(|tool| self.received.lists_tool(tool)).collect());
        listed.map_err(|error| raise(py, &error, Dialect::Smcp))
    }
}

/// What an audit may say of a call. Before `authenticated` everything is only claimed.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeFacts {
    facts: CallFacts,
}

/// The audit event of a call refused with this kind.
#[pyfunction]
pub(crate) fn audit_event(code: &str) -> &'static str {
    ErrorKind::from_name(code).map_or(AuditEvent::EnvelopeRefused, AuditEvent::of_refused_call).name()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[pymethods]
impl NativeFacts {
    #[getter]
    fn authenticated(&self) -> bool {
        self.facts.authenticated
    }

    #[getter]
    fn protocol(&self) -> Option<&'static str> {
        self.facts.dialect.map(Dialect::protocol)
    }

    /// JSON text of the id.
    #[getter]
    fn request_id(&self) -> Option<&str> {
        self.facts.request_id.as_deref()
    }

    #[getter]
    fn method(&self) -> Option<&str> {
        self.facts.method.as_deref()
    }

    #[getter]
    fn tool(&self) -> Option<&str> {
        self.facts.tool.as_deref()
    }

    #[getter]
    fn session_id(&self) -> Option<&str> {
        self.facts.session_id.as_deref()
    }

    #[getter]
    fn agent_id(&self) -> Option<&str> {
        self.facts.agent_id.as_deref()
    }

    #[getter]
    fn workload_id(&self) -> Option<&str> {
        self.facts.workload_id.as_deref()
    }

    #[getter]
    fn context(&self) -> Option<&str> {
        self.facts.context.as_deref()
    }

    #[getter]
    fn execution_id(&self) -> Option<&str> {
        self.facts.execution_id.as_deref()
    }

    #[getter]
    fn tenant_id(&self) -> Option<&str> {
        self.facts.tenant_id.as_deref()
    }

    /// Standard base64.
    #[getter]
    fn signature(&self) -> Option<String> {
        self.facts.signature.map(|signature| encode_base64(&signature))
    }

    /// Standard base64.
    #[getter]
    fn agent_key(&self) -> Option<String> {
        self.facts.agent_key.map(|key| key.to_base64())
    }

    /// Hexadecimal.
    #[getter]
    fn message_sha256(&self) -> Option<String> {
        self.facts.message_sha256.map(|digest| hexadecimal(&digest))
    }

    #[getter]
    fn decision(&self) -> Option<Decision> {
        self.facts.decision.clone().map(Decision::from)
    }
}
