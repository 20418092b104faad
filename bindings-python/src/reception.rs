//! One envelope on its way through steps 1 to 7, stopping wherever a store of the host program is asked.
//!
//! The way is one `async fn` that awaits nothing but answers: it is polled by hand, without a runtime. So a verifier
//! whose stores are all in memory is one call, and for other stores Python asks them between two polls, blocking or
//! awaiting as it likes, while one text says in which order everything is checked.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pyo3::pybacked::PyBackedBytes;
use smcp_core::audit::RedactionKey;
use smcp_core::policy::{ContextSet, MemoryRateStore, MethodClass, RateAnswer, RateKey, RateLimit, RateStore as _};
use smcp_core::replay::{ReplayAnswer, ReplayEntry, ReplayStore};
use smcp_core::session::{MemorySessionStore, Session, SessionAnswer, SessionStore as _};
use smcp_core::smcp::receive::{
    self, AdmittedEnvelope, CallFacts, ContextEvidence, OpenedEnvelope, Refusal, SessionEvidence, SessionQuery,
    VerifiedEnvelope,
};
use smcp_core::smcp::token::{Claims, TokenVerifier};
use smcp_core::smcp::{Dialect, EnvelopeRules, WireEnvelope};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, policy};

/// Who answers the questions of a step.
pub(crate) enum Keeper<S: ?Sized> {
    /// A store of the native module.
    Native(Arc<S>),
    /// The host program.
    Host,
}

/// Who knows about sessions.
pub(crate) enum SessionKeeper {
    /// A store.
    Store(Keeper<MemorySessionStore>),
    /// The token itself, and the host program's list of revocations. The dialect is that of tokens that name none.
    Token(Dialect),
}

/// Everything a verifier decides with.
pub(crate) struct Desk {
    pub(crate) tokens: TokenVerifier,
    /// `None`: the host program decides by itself what an admitted call may do.
    pub(crate) contexts: Mutex<Option<Arc<ContextSet>>>,
    pub(crate) sessions: SessionKeeper,
    pub(crate) replay: Keeper<dyn ReplayStore>,
    pub(crate) rates: Keeper<MemoryRateStore>,
    pub(crate) rules: EnvelopeRules,
    pub(crate) window_seconds: u32,
    /// The key under which secrets of arguments stand in an audit; `None` without audit.
    pub(crate) redaction: Option<RedactionKey>,
}

impl Desk {
    fn context(&self, name: &str) -> ContextEvidence {
        match self.contexts.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => ContextEvidence::WithoutPolicy,
            Some(contexts) => match contexts.get(name) {
                Some(context) => ContextEvidence::Known(Arc::clone(context)),
                None => ContextEvidence::Unknown,
            },
        }
    }
}

/// What the host program is asked.
#[derive(Clone)]
pub(crate) enum Question {
    /// The session with this id.
    Session(String),
    /// The only session of this agent.
    Agent(String),
    /// Whether the session or the workload was revoked.
    Revoked(Option<String>, String),
    /// Whether the message is new.
    Replay(ReplayEntry),
    /// Whether the call fits the limit.
    Rate(RateKey, RateLimit),
}

/// What the host program answers.
pub(crate) enum Answer {
    Session(SessionAnswer),
    Revoked(bool),
    Replay(ReplayAnswer),
    Rate(RateAnswer),
}

/// Where questions and answers change hands.
#[derive(Default)]
struct Counter {
    question: Mutex<Option<Question>>,
    answer: Mutex<Option<Result<Answer, Error>>>,
}

impl Counter {
    /// The host program's answer, or why it has none.
    async fn ask(&self, question: Question) -> Result<Answer, Error> {
        *self.question.lock().unwrap_or_else(PoisonError::into_inner) = Some(question);
        std::future::poll_fn(|_| match self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}

/// A call that passed every step the verifier has.
pub(crate) struct Received {
    pub(crate) tool: String,
    pub(crate) method: String,
    /// JSON text of the id.
    pub(crate) id: Option<String>,
    /// The canonical payload that was verified.
    pub(crate) payload: Vec<u8>,
    pub(crate) claims: Claims,
    pub(crate) class: MethodClass,
    pub(crate) decision: Option<policy::Decision>,
    pub(crate) facts: CallFacts,
    /// What the agent may see of the tools; `None` without policy.
    pub(crate) context: Option<Arc<policy::SecurityContext>>,
    pub(crate) session: Option<Arc<Session>>,
    /// JSON text of the arguments without secrets, for an audit.
    pub(crate) arguments: Option<Vec<u8>>,
}

impl Received {
    fn new(admitted: &AdmittedEnvelope<'_>, facts: CallFacts, session: Option<Arc<Session>>, desk: &Desk) -> Self {
        let call = admitted.call();
        let redaction = desk.redaction.as_ref().zip(call.arguments());
        Self {
            tool: call.tool().into_owned(),
            method: call.method().into_owned(),
            id: call.id().map(str::to_owned),
            payload: admitted.payload_bytes().to_vec(),
            claims: admitted.claims().clone(),
            class: policy::policy_target(&call.method()),
            decision: facts.decision.clone(),
            facts,
            context: None,
            session,
            arguments: redaction.map(|(key, arguments)| key.sanitise(arguments).as_bytes().to_vec()),
        }
    }

    /// Whether `tools/list` shows a tool to this agent.
    pub(crate) fn lists_tool(&self, tool: &str) -> bool {
        let narrowing = self.session.as_deref().and_then(Session::allowed_patterns);
        self.context.as_deref().is_none_or(|context| policy::lists_tool(context, narrowing, tool))
    }
}

pub(crate) type Outcome = Result<Received, Refusal>;

/// Steps 1 to 7.
async fn steps(desk: Arc<Desk>, body: PyBackedBytes, now: UnixTime, counter: Arc<Counter>) -> Outcome {
    let envelope = WireEnvelope::parse(&body, &desk.rules).map_err(Refusal::unparsed)?;
    let opened = receive::open(envelope, &desk.tokens, desk.window_seconds, now)?;
    let session = find_session(&desk, &opened, now, &counter).await?;
    let found = match &session {
        SessionEvidence::Stored(SessionAnswer::Found(session)) => Some(Arc::clone(session)),
        SessionEvidence::Stored(SessionAnswer::NotFound | SessionAnswer::Ambiguous) => None,
        SessionEvidence::Unstored { .. } => None,
    };
    let context = desk.context(&opened.claims().scope);
    let with_policy = !matches!(context, ContextEvidence::WithoutPolicy);
    let verified = receive::verify(opened, session, context.clone(), now)?;
    let answer = remember(&desk, &verified, now, &counter).await?;
    let admitted = receive::admit(verified, answer, now)?;
    if !with_policy {
        let facts = admitted.facts();
        return Ok(Received::new(&admitted, facts, found, &desk));
    }
    let rates = match (&desk.rates, &context) {
        (Keeper::Native(_), _) | (Keeper::Host, ContextEvidence::Unknown | ContextEvidence::WithoutPolicy) => None,
        (Keeper::Host, ContextEvidence::Known(context)) => {
            let asked = ask_rates(&admitted, context, found.as_deref(), &counter).await;
            Some(asked.map_err(|error| admitted.refuse(error))?)
        }
    };
    let mut given = rates.unwrap_or_default().into_iter();
    let authorized = receive::authorize(admitted, &mut |key, limit| match &desk.rates {
        Keeper::Native(store) => store.check_and_charge(key, limit, now),
        Keeper::Host => {
            given.next().ok_or_else(|| Error::new(ErrorKind::InternalError, "a limit nobody was asked about"))
        }
    })?;
    let received = Received::new(authorized.admitted(), authorized.facts(), found, &desk);
    Ok(Received { context: Some(Arc::clone(authorized.context())), ..received })
}

async fn find_session(
    desk: &Desk,
    opened: &OpenedEnvelope<'_>,
    now: UnixTime,
    counter: &Counter,
) -> Result<SessionEvidence, Refusal> {
    let mistaken = || opened.refuse(Error::new(ErrorKind::InternalError, "another question was answered"));
    let query = opened.session_query();
    match &desk.sessions {
        SessionKeeper::Store(Keeper::Native(store)) => {
            let found = match query {
                SessionQuery::Id(id) => store.find(id, now),
                SessionQuery::Agent(agent) => store.find_by_agent(agent, now),
            };
            found.map(SessionEvidence::Stored).map_err(|error| opened.refuse(error))
        }
        SessionKeeper::Store(Keeper::Host) => {
            let question = match query {
                SessionQuery::Id(id) => Question::Session(id.to_owned()),
                SessionQuery::Agent(agent) => Question::Agent(agent.to_owned()),
            };
            match counter.ask(question).await.map_err(|error| opened.refuse(error))? {
                Answer::Session(answer) => Ok(SessionEvidence::Stored(checked(opened.session_query(), answer, now))),
                Answer::Revoked(_) | Answer::Replay(_) | Answer::Rate(_) => Err(mistaken()),
            }
        }
        SessionKeeper::Token(dialect) => {
            let claims = opened.claims();
            let question = Question::Revoked(claims.session_id.clone(), claims.workload_id.clone());
            match counter.ask(question).await.map_err(|error| opened.refuse(error))? {
                Answer::Revoked(revoked) => Ok(SessionEvidence::Unstored { revoked, dialect: *dialect }),
                Answer::Session(_) | Answer::Replay(_) | Answer::Rate(_) => Err(mistaken()),
            }
        }
    }
}

/// A session that is not the one asked for is none: a store with a mistaken query must not lend one agent the session
/// of another.
fn checked(query: SessionQuery<'_>, answer: SessionAnswer, now: UnixTime) -> SessionAnswer {
    match &answer {
        SessionAnswer::Found(session) => {
            let fits = match query {
                SessionQuery::Id(id) => session.id == id,
                SessionQuery::Agent(agent) => session.agent_id == agent && !session.is_expired(now),
            };
            if fits { answer } else { SessionAnswer::NotFound }
        }
        SessionAnswer::NotFound | SessionAnswer::Ambiguous => answer,
    }
}

async fn remember(
    desk: &Desk,
    verified: &VerifiedEnvelope<'_>,
    now: UnixTime,
    counter: &Counter,
) -> Result<ReplayAnswer, Refusal> {
    let entry = verified.replay_entry(desk.window_seconds);
    match &desk.replay {
        Keeper::Native(store) => store.check_and_insert(&entry, now).map_err(|error| verified.refuse(error)),
        Keeper::Host => match counter.ask(Question::Replay(entry)).await.map_err(|error| verified.refuse(error))? {
            Answer::Replay(answer) => Ok(answer),
            Answer::Session(_) | Answer::Revoked(_) | Answer::Rate(_) => {
                Err(verified.refuse(Error::new(ErrorKind::InternalError, "another question was answered")))
            }
        },
    }
}

/// Finds out which limits the decision asks about and has each answered once. The decision is a function of the call, the
/// context and these answers, so the real one asks the same in the same order.
async fn ask_rates(
    admitted: &AdmittedEnvelope<'_>,
    context: &policy::SecurityContext,
    session: Option<&Session>,
    counter: &Counter,
) -> Result<Vec<RateAnswer>, Error> {
    let mut answers: Vec<RateAnswer> = Vec::new();
    match policy::policy_target(&admitted.call().method()) {
        MethodClass::ToolCall | MethodClass::AsTool(_) => {}
        MethodClass::Gateway | MethodClass::ToolList | MethodClass::NotAllowed => return Ok(answers),
    }
    loop {
        let Some((key, limit)) = next_rate(admitted, context, session, &answers) else { return Ok(answers) };
        match counter.ask(Question::Rate(key, limit)).await? {
            Answer::Rate(answer) => answers.push(answer),
            // The decision then misses an answer and refuses.
            Answer::Session(_) | Answer::Revoked(_) | Answer::Replay(_) => return Ok(answers),
        }
    }
}

/// The first limit that `answers` do not cover.
fn next_rate(
    admitted: &AdmittedEnvelope<'_>,
    context: &policy::SecurityContext,
    session: Option<&Session>,
    answers: &[RateAnswer],
) -> Option<(RateKey, RateLimit)> {
    let mut given = answers.iter().copied();
    let mut asked = None;
    let narrowing = session.and_then(Session::allowed_patterns);
    let workload = &admitted.claims().workload_id;
    // Only the question matters here; `authorize` decides.
    drop(receive::decide_call(&admitted.call(), context, workload, narrowing, &mut |key, limit| {
        given.next().ok_or_else(|| {
            asked = Some((key.clone(), limit));
            Error::new(ErrorKind::Overloaded, "not answered yet")
        })
    }));
    asked
}

/// Runs all steps at once; for a desk that asks the host program nothing.
pub(crate) fn receive_at_once(desk: Arc<Desk>, body: PyBackedBytes, now: UnixTime) -> Outcome {
    let counter = Arc::new(Counter::default());
    let mut steps = pin!(steps(desk, body, now, counter));
    match steps.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            Err(Refusal::unparsed(Error::new(ErrorKind::InternalError, "a store of the host was not asked")))
        }
    }
}

/// An envelope that is under way.
pub(crate) struct Reception {
    steps: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    counter: Arc<Counter>,
}

/// Where a reception stands.
pub(crate) enum Progress {
    /// It waits for an answer.
    Asks(Reception, Question),
    /// It is through.
    Done(Box<Outcome>),
}

impl Reception {
    pub(crate) fn begin(desk: Arc<Desk>, body: PyBackedBytes, now: UnixTime) -> Progress {
        let counter = Arc::new(Counter::default());
        let steps = Box::pin(steps(desk, body, now, Arc::clone(&counter)));
        Self { steps, counter }.go_on()
    }

    /// Goes on with what the host program says; an error refuses the call.
    pub(crate) fn answer(self, answer: Result<Answer, Error>) -> Progress {
        *self.counter.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.go_on()
    }

    fn go_on(mut self) -> Progress {
        match self.steps.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Progress::Done(Box::new(outcome)),
            Poll::Pending => {
                let question = self.counter.question.lock().unwrap_or_else(PoisonError::into_inner).take();
                match question {
                    Some(question) => Progress::Asks(self, question),
                    None => Progress::Done(Box::new(Err(Refusal::unparsed(Error::new(
                        ErrorKind::InternalError,
                        "the pipeline waits for nothing",
                    ))))),
                }
            }
        }
    }
}
