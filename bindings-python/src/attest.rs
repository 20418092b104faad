//! `AttestationService`: attestation in process, with the host program as the workload verifier.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smcp_core::error::{Details, Error, ErrorKind, Result};
use smcp_core::keys::PublicKey;
use smcp_core::session::{Block, BlockRecord, MemorySessionStore, Session, SessionAnswer, SessionStore};
use smcp_core::smcp::attest::{AttemptLimits, AttestationRequest, Attestor, AttestorRules, Granted, Grants, Workload};
use smcp_core::smcp::{Dialect, reply};
use smcp_core::time::UnixTime;

use crate::detached::detached;
use crate::envelope::dialect;
use crate::errors::raise;
use crate::moment::moment_or_now;
use crate::reception::Keeper;
use crate::stores::{HostSession, NativeSessionStore, invalid};
use crate::token::{NativeTokenSigner, fill_random};

/// Decides attestations, issues tokens, opens sessions.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeAttestor {
    office: Arc<Office>,
}

struct Office {
    attestor: Attestor,
    signer: Arc<(String, smcp_core::keys::AgentKey)>,
    contexts: RwLock<HashSet<String>>,
    grants: Grants,
    sessions: Keeper<MemorySessionStore>,
}

#[pymethods]
impl NativeAttestor {
    #[new]
    #[pyo3(signature = (*, signer, issuer, audience, lifetime_seconds, compat_ctx_claim, require_proof, public_url,
        failures_per_minute, successes_per_minute, contexts, grants, sessions))]
    #[expect(clippy::too_many_arguments, reason = "one keyword for each option, as Python passes them")]
    fn new(
        py: Python<'_>,
        signer: &NativeTokenSigner,
        issuer: String,
        audience: String,
        lifetime_seconds: u32,
        compat_ctx_claim: bool,
        require_proof: bool,
        public_url: Option<String>,
        failures_per_minute: usize,
        successes_per_minute: usize,
        contexts: Vec<String>,
        grants: Vec<(String, Vec<String>)>,
        sessions: Option<&NativeSessionStore>,
    ) -> PyResult<Self> {
        if !(1..=86_400).contains(&lifetime_seconds) {
            return Err(invalid(py, "a token lives from 1 second to 24 hours"));
        }
        let rules = AttestorRules {
            issuer,
            audience,
            lifetime_seconds,
            compat_ctx_claim,
            require_proof,
            public_url,
            failures_per_minute,
            successes_per_minute,
        };
        let office = Office {
            attestor: Attestor::new(rules),
            signer: Arc::clone(&signer.signer),
            contexts: RwLock::new(contexts.into_iter().collect()),
            grants: Grants::new(grants),
            sessions: sessions.map_or(Keeper::Host, |store| Keeper::Native(Arc::clone(&store.store))),
        };
        Ok(Self { office: Arc::new(office) })
    }

    /// Shape, proof and the source's limit.
    fn begin(
        &self,
        py: Python<'_>,
        body: PyBackedBytes,
        protocol: &str,
        source: &str,
        now: Option<f64>,
    ) -> PyResult<NativeAttestation> {
        let (dialect, now) = (dialect(protocol)?, moment_or_now(py, now)?);
        let source = source.parse().map_or_else(|_| source.to_owned(), AttemptLimits::source_name);
        let office = Arc::clone(&self.office);
        let begun = detached(py, || {
            let request = AttestationRequest::parse(&body, dialect);
            let checked = match &request {
                Ok(request) => office.attestor.begin(request, &source, now),
                // A source that failed too often is told so, whatever it sends.
                Err(error) => office.attestor.check_source(&source, now).and_then(|()| Err(error.clone())),
            };
            (request.ok(), checked)
        });
        let (request, checked) = begun.unwrap_or_else(|error| (None, Err(error)));
        let attestation = NativeAttestation {
            office: Arc::clone(&self.office),
            dialect,
            source,
            now,
            request,
            state: Mutex::new(State::Begun),
        };
        if let Err(error) = checked {
            attestation.refuse_with(py, &error);
        }
        Ok(attestation)
    }

    /// The contexts that exist from now on.
    fn replace_contexts(&self, contexts: Vec<String>) {
        *self.office.contexts.write().unwrap_or_else(PoisonError::into_inner) = contexts.into_iter().collect();
    }
}

/// HTTP status and body of a refused attestation.
#[pyfunction]
pub(crate) fn attestation_refusal<'py>(
    py: Python<'py>,
    code: &str,
    message: String,
    protocol: &str,
    now: Option<f64>,
) -> PyResult<(u16, Bound<'py, PyBytes>)> {
    let kind = ErrorKind::from_name(code).ok_or_else(|| invalid(py, "unknown kind of error"))?;
    let error = Error::new(kind, message);
    let body = reply::attestation_error_body(&error, dialect(protocol)?, moment_or_now(py, now)?);
    Ok((error.http_status().unwrap_or(500), PyBytes::new(py, &body)))
}

/// A question to the host program's session store.
#[derive(Clone)]
enum Question {
    Blocked,
    LiveKeyOwner,
    Open(Box<Session>),
}

enum Answer {
    Blocked(bool),
    LiveKeyOwner(Option<String>),
    Opened,
}

/// An attestation that waits for an answer of the host program's session store. It is concluded anew with one answer more
/// each time; with the same random bytes it asks the same.
struct Pending {
    workload: Workload,
    random: [u8; 32],
    answers: Vec<Answer>,
    question: Question,
}

enum State {
    /// The workload is to be verified.
    Begun,
    Asks(Box<Pending>),
    Done(Conclusion),
    /// Another thread is at it.
    Busy,
}

struct Conclusion {
    status: u16,
    body: Vec<u8>,
    error: Option<Error>,
    session: Option<Arc<Session>>,
}

/// One attestation request on its way.
#[pyclass(frozen, module = "smcp._native")]
pub(crate) struct NativeAttestation {
    office: Arc<Office>,
    dialect: Dialect,
    source: String,
    now: UnixTime,
    request: Option<AttestationRequest>,
    state: Mutex<State>,
}

impl NativeAttestation {
    fn refuse_with(&self, py: Python<'_>, error: &Error) {
        if error.kind() != ErrorKind::PolicyViolationRateLimitExceeded {
            // Not counting is no reason to answer otherwise.
            drop(detached(py, || self.office.attestor.count_failure(&self.source, self.now)));
        }
        self.put(State::Done(Conclusion {
            status: error.http_status().unwrap_or(500),
            body: reply::attestation_error_body(error, self.dialect, self.now),
            error: Some(error.clone()),
            session: None,
        }));
    }

    fn put(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn take(&self) -> State {
        std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Busy)
    }

    fn go_on(&self, py: Python<'_>, workload: Workload, random: [u8; 32], answers: Vec<Answer>) {
        let Some(request) = &self.request else { return };
        let asked = Mutex::new(None);
        let concluded = detached(py, || {
            let granted = self.office.grants.allows(&request.workload_id, &request.scope)
                && self.office.contexts.read().unwrap_or_else(PoisonError::into_inner).contains(&request.scope);
            let recorded = Recorded { answers: &answers, next: Mutex::new(0), asked: &asked };
            let sessions: &dyn SessionStore = match &self.office.sessions {
                Keeper::Native(store) => store.as_ref(),
                Keeper::Host => &recorded,
            };
            let signer = self.office.signer.as_ref();
            self.office.attestor.conclude(request, &workload, granted, sessions, signer, &random, self.now)
        });
        let asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (asked, concluded.flatten()) {
            (Some(question), _) => self.put(State::Asks(Box::new(Pending { workload, random, answers, question }))),
            (None, Ok(granted)) => self.grant(granted),
            (None, Err(error)) => self.refuse_with(py, &error),
        }
    }

    fn grant(&self, granted: Granted) {
        let body = reply::attestation_body(&granted.token, &granted.session.id, granted.session.expires_at);
        let session = Some(Arc::new(granted.session));
        self.put(State::Done(Conclusion { status: 200, body, error: None, session }));
    }

    fn answer(&self, py: Python<'_>, answer: Answer) -> PyResult<()> {
        match self.take() {
            State::Asks(pending) => {
                let Pending { workload, random, mut answers, .. } = *pending;
                answers.push(answer);
                self.go_on(py, workload, random, answers);
                Ok(())
            }
            other @ (State::Begun | State::Done(_) | State::Busy) => {
                self.put(other);
                Err(invalid(py, "nothing was asked"))
            }
        }
    }
}

#[pymethods]
impl NativeAttestation {
    /// Whether there is an answer to the client.
    #[getter]
    fn done(&self) -> bool {
        matches!(&*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Done(_))
    }

    #[getter]
    fn workload_id(&self) -> Option<&str> {
        self.request.as_ref().map(|request| request.workload_id.as_str())
    }

    #[getter]
    fn scope(&self) -> Option<&str> {
        self.request.as_ref().map(|request| request.scope.as_str())
    }

    #[getter]
    fn public_key<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.request.as_ref().map(|request| PyBytes::new(py, request.key.as_bytes()))
    }

    /// Whether the client proved that it holds the private key.
    #[getter]
    fn has_proof(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.proof.is_some())
    }

    /// Refuses with a kind of the error table.
    fn refuse(&self, py: Python<'_>, code: &str, message: String, retry_after: Option<u64>) -> PyResult<()> {
        let kind = ErrorKind::from_name(code).ok_or_else(|| invalid(py, "unknown kind of error"))?;
        let error = Error::new(kind, message).with_details(Details { retry_after, ..Details::default() });
        match self.take() {
            State::Begun | State::Asks(_) => {
                self.refuse_with(py, &error);
                Ok(())
            }
            other @ (State::Done(_) | State::Busy) => {
                self.put(other);
                Err(invalid(py, "the attestation was concluded"))
            }
        }
    }

    /// Goes on with a workload that was verified.
    fn conclude(
        &self,
        py: Python<'_>,
        registered_key: Option<PyBackedBytes>,
        execution_id: Option<String>,
        tenant_id: Option<String>,
    ) -> PyResult<()> {
        let registered_key = registered_key.map(|key| PublicKey::parse_bytes(&key)).transpose();
        let registered_key = registered_key.map_err(|error| raise(py, &error, Dialect::Smcp))?;
        match (self.take(), &self.request) {
            (State::Begun, Some(_)) => {}
            (other, _) => {
                self.put(other);
                return Err(invalid(py, "the attestation was concluded"));
            }
        }
        let mut random = [0_u8; 32];
        match fill_random(&mut random) {
            Ok(()) => self.go_on(py, Workload { registered_key, execution_id, tenant_id }, random, Vec::new()),
            Err(error) => self.refuse_with(py, &error),
        }
        Ok(())
    }

    /// What the session store is to be asked: `blocked`, `live_key_owner`, or `open` with the session.
    fn question(&self) -> Option<(&'static str, Option<HostSession>)> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Asks(pending) => Some(match &pending.question {
                Question::Blocked => ("blocked", None),
                Question::LiveKeyOwner => ("live_key_owner", None),
                Question::Open(session) => ("open", Some(Arc::new(Session::clone(session)).into())),
            }),
            State::Begun | State::Done(_) | State::Busy => None,
        }
    }

    fn answer_blocked(&self, py: Python<'_>, blocked: bool) -> PyResult<()> {
        self.answer(py, Answer::Blocked(blocked))
    }

    fn answer_live_key_owner(&self, py: Python<'_>, workload_id: Option<String>) -> PyResult<()> {
        self.answer(py, Answer::LiveKeyOwner(workload_id))
    }

    fn answer_opened(&self, py: Python<'_>) -> PyResult<()> {
        self.answer(py, Answer::Opened)
    }

    /// HTTP status, body, seconds for `Retry-After`, and the session that was opened.
    #[expect(clippy::type_complexity, reason = "read once, by the facade")]
    fn conclusion<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(u16, Bound<'py, PyBytes>, Option<u64>, Option<HostSession>, Option<&'static str>, Option<String>)>
    {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Done(done) => {
                let retry_after = done.error.as_ref().and_then(|error| error.details().retry_after);
                let code = done.error.as_ref().map(|error| error.kind().name());
                let message = done.error.as_ref().map(|error| error.message().to_owned());
                let session = done.session.clone().map(HostSession::from);
                Ok((done.status, PyBytes::new(py, &done.body), retry_after, session, code, message))
            }
            State::Begun | State::Asks(_) | State::Busy => Err(invalid(py, "the attestation is not concluded")),
        }
    }
}

/// The answers the host program's session store gave so far; what is not among them becomes the next question.
struct Recorded<'r> {
    answers: &'r [Answer],
    next: Mutex<usize>,
    asked: &'r Mutex<Option<Question>>,
}

impl Recorded<'_> {
    fn ask(&self, question: Question) -> Result<&Answer> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = self.answers.get(*next);
        *next = next.saturating_add(1);
        answer.ok_or_else(|| {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
            Error::new(ErrorKind::Overloaded, "not answered yet")
        })
    }
}

fn mistaken<T>() -> Result<T> {
    Err(Error::new(ErrorKind::InternalError, "the session store answered another question"))
}

fn unasked<T>() -> Result<T> {
    Err(Error::new(ErrorKind::InternalError, "an attestation does not ask this"))
}

impl SessionStore for Recorded<'_> {
    fn open(&self, session: Session, _: UnixTime) -> Result<()> {
        match self.ask(Question::Open(Box::new(session)))? {
            Answer::Opened => Ok(()),
            Answer::Blocked(_) | Answer::LiveKeyOwner(_) => mistaken(),
        }
    }

    fn live_key_owner(&self, _: &PublicKey, _: UnixTime) -> Result<Option<String>> {
        match self.ask(Question::LiveKeyOwner)? {
            Answer::LiveKeyOwner(owner) => Ok(owner.clone()),
            Answer::Blocked(_) | Answer::Opened => mistaken(),
        }
    }

    fn blocked(&self, _: &str, _: &PublicKey, _: UnixTime) -> Result<bool> {
        match self.ask(Question::Blocked)? {
            Answer::Blocked(blocked) => Ok(*blocked),
            Answer::LiveKeyOwner(_) | Answer::Opened => mistaken(),
        }
    }

    fn find(&self, _: &str, _: UnixTime) -> Result<SessionAnswer> {
        unasked()
    }

    fn find_by_agent(&self, _: &str, _: UnixTime) -> Result<SessionAnswer> {
        unasked()
    }

    fn revoke(&self, _: &str, _: Option<Block>, _: UnixTime) -> Result<Option<Arc<Session>>> {
        unasked()
    }

    fn end(&self, _: &str, _: UnixTime) -> Result<Option<Arc<Session>>> {
        unasked()
    }

    fn allow(&self, _: &str) -> Result<bool> {
        unasked()
    }

    fn blocks(&self, _: UnixTime) -> Result<Vec<BlockRecord>> {
        unasked()
    }

    fn list(&self, _: UnixTime) -> Result<Vec<Arc<Session>>> {
        unasked()
    }

    fn expire(&self, _: UnixTime) -> Result<Vec<Arc<Session>>> {
        unasked()
    }
}
