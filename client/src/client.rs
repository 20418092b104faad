//! The async client: attestation, signed calls, renewal of sessions (sections 4, 5 and 11).

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use smcp_core::error::Executed;
use smcp_core::json::{self, Kind, Limits, ObjectWriter};
use smcp_core::keys::Signer;
use smcp_core::smcp::send::{
    AttestAnswer, CallAnswer, ClientSession, GatewayError, SessionRecord, attest_body, compose_request, read_response,
};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};
use tokio::sync::Mutex;
use tokio::task;
use tokio::time;
use zeroize::Zeroizing;

use crate::clock::GatewayClock;
use crate::credential::bearer;
use crate::event::Events;
use crate::http::Http;
use crate::{
    ClientError, ClientOptions, EphemeralKey, Event, HttpAnswer, Level, Result, Stage, ToolFailure, pages, retry,
};

/// A clock difference that one more try with the corrected clock is worth, in milliseconds.
const WORTH_CORRECTING_MILLIS: i64 = 2_000;
/// Milliseconds without a new try after an early renewal failed while the old token still works.
const RENEWAL_PAUSE_MILLIS: i64 = 5_000;

/// A signer, and whether it may block.
#[derive(Clone)]
pub struct SessionSigner {
    signer: Arc<dyn Signer>,
    blocking: bool,
}

impl SessionSigner {
    /// A key in memory.
    #[must_use]
    pub fn memory(key: Arc<EphemeralKey>) -> Self {
        Self { signer: key, blocking: false }
    }

    /// A signer that asks another device or program, and is therefore never called on an async thread.
    #[must_use]
    pub fn foreign(signer: Arc<dyn Signer>) -> Self {
        Self { signer, blocking: true }
    }
}

/// A client of one gateway for one workload. Clones share session and connections.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ClientOptions,
    session: ClientSession,
    /// The key of the current session when this client made it.
    own_key: ArcSwapOption<EphemeralKey>,
    clock: GatewayClock,
    closed: AtomicBool,
    fresh: ArcSwapOption<Fresh>,
}

/// What belongs to one process: connections and locks. A forked child makes its own.
struct Fresh {
    pid: u32,
    http: Http,
    /// The last attestation's number and result; held while one is under way.
    attesting: Mutex<Option<(u64, Result<Arc<SessionRecord>>)>>,
    /// Attestations finished.
    finished: AtomicU64,
    /// Until when early renewals are not tried again, in Unix milliseconds.
    renewal_pause: std::sync::atomic::AtomicI64,
    events: Events,
}

/// What to send in one try.
#[derive(Clone, Copy)]
enum Message<'m> {
    /// A request with an id of its own for each try.
    Request { method: &'m str, params: Option<&'m [u8]> },
    /// A payload of the caller.
    Payload(&'m [u8]),
}

impl Client {
    /// Makes a client. Nothing is opened, read or sent before the first use.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        let inner = Inner {
            options,
            session: ClientSession::default(),
            own_key: ArcSwapOption::empty(),
            clock: GatewayClock::default(),
            closed: AtomicBool::new(false),
            fresh: ArcSwapOption::empty(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// The current session's record.
    #[must_use]
    pub fn record(&self) -> Option<Arc<SessionRecord>> {
        self.inner.session.record()
    }

    /// The current session's key, when this client made it.
    #[must_use]
    pub fn key(&self) -> Option<Arc<EphemeralKey>> {
        self.inner.own_key.load_full()
    }

    /// The gateway's clock minus this machine's in milliseconds, as far as answers showed it.
    #[must_use]
    pub fn clock_offset_millis(&self) -> i64 {
        self.inner.clock.offset_millis()
    }

    /// Events since the last call, for hosts with a logging system of their own. They go to `tracing` anyway.
    #[must_use]
    pub fn drain_events(&self) -> Vec<Event> {
        let pid = std::process::id();
        self.inner
            .fresh
            .load()
            .as_ref()
            .filter(|fresh| fresh.pid == pid)
            .map(|fresh| fresh.events.drain())
            .unwrap_or_default()
    }

    /// Uses a session that somebody else attested; it is never renewed. `None` forgets the session.
    pub fn provision(&self, session: Option<(SessionSigner, String)>) {
        let record = session.map(|(signer, token)| {
            Arc::new(SessionRecord::provisioned(signer.signer, signer.blocking, Zeroizing::new(token)))
        });
        self.inner.own_key.store(None);
        self.inner.session.replace(record);
    }

    /// Attests and swaps the new session in. Calls at the same time share one attestation; when it fails, the old
    /// session stays.
    ///
    /// # Errors
    /// Whatever the gateway refuses with, `CONNECTION_FAILED`, `TIMEOUT`, `BAD_RESPONSE` or `CONFIG_INVALID`.
    pub async fn attest(&self) -> Result<Arc<SessionRecord>> {
        let fresh = self.fresh()?;
        let seen = fresh.finished.load(Ordering::Acquire);
        self.attest_once(&fresh, seen, None).await
    }

    /// Calls a tool; `arguments` is the JSON text of an object. Returns the JSON text of the `result` as it came.
    ///
    /// # Errors
    /// `NOT_ATTESTED`, the gateway's refusal, the tool server's error ([`Stage::Tool`]), or what the network did. The
    /// details say whether the tool may have run.
    pub async fn call_tool(&self, name: &str, arguments: &[u8]) -> Result<Vec<u8>> {
        let mut encoded = Vec::new();
        json::write_string(name, &mut encoded);
        // Scanned here, since what is pasted into the parameters must be one JSON object and nothing more.
        let limits = Limits { bytes: usize::MAX, ..Limits::default() };
        match json::scan_with(arguments, limits) {
            Ok(document) if document.root().kind() == Kind::Object => {}
            Ok(_) => return Err(self.local(Error::new(ErrorKind::InvalidArgument, "the arguments are no JSON object"))),
            Err(error) => {
                let message = format!("the arguments are not strict JSON: {error}");
                return Err(self.local(Error::new(ErrorKind::InvalidArgument, message)));
            }
        }
        let params = ObjectWriter::new().raw("arguments", arguments).raw("name", &encoded).finish();
        self.request("tools/call", Some(&params)).await
    }

    /// The tools the context allows, as the JSON text of an array; follows pagination within bounds.
    ///
    /// # Errors
    /// As [`Client::call_tool`].
    pub async fn list_tools(&self) -> Result<Vec<u8>> {
        let mut collected = pages::ToolPages::new(self.inner.options.max_response_bytes);
        loop {
            let params = collected.params();
            let result = self.request("tools/list", params.as_deref()).await?;
            match collected.add(&result) {
                Ok(true) => {}
                Ok(false) => return Ok(collected.finish()),
                Err(error) => return Err(ClientError::at(Stage::Gateway, error, self.inner.options.dialect)),
            }
        }
    }

    /// Signs and sends a JSON-RPC message as it is. Returns the JSON text of the JSON-RPC response, which may be an
    /// error of the tool server; `None` when a notification was accepted.
    ///
    /// # Errors
    /// As [`Client::call_tool`], without [`Stage::Tool`].
    pub async fn send(&self, payload: &[u8]) -> Result<Option<Vec<u8>>> {
        self.invoke(Message::Payload(payload)).await
    }

    /// Ends the session on this side: erases the key this client made, forgets the token and closes the connections.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.forget_session();
        self.inner.drop_fresh();
    }

    async fn request(&self, method: &str, params: Option<&[u8]>) -> Result<Vec<u8>> {
        let response = self.invoke(Message::Request { method, params }).await?;
        let dialect = self.inner.options.dialect;
        let missing =
            || Error::new(ErrorKind::BadResponse, "the answer has no `payload`").with_executed(Executed::Unknown);
        let response = response.ok_or_else(|| ClientError::at(Stage::Gateway, missing(), dialect))?;
        match CallAnswer::parse(&response, self.limits()) {
            Ok(CallAnswer::Result(result)) => Ok(result),
            Ok(CallAnswer::ToolError { code, message, data }) => {
                Err(ClientError::tool(message, ToolFailure { code, data }, dialect))
            }
            Err(refused) => {
                Err(ClientError::at(Stage::Gateway, refused.error.with_executed(Executed::Unknown), dialect))
            }
        }
    }

    /// Sends one message under the current session, with the retries, renewals and corrections that are safe.
    async fn invoke(&self, message: Message<'_>) -> Result<Option<Vec<u8>>> {
        let fresh = self.fresh()?;
        let options = &self.inner.options;
        let mut record = self.current_record(&fresh).await?;
        let (mut renewed, mut corrected, mut attempt) = (false, false, 0_u32);
        loop {
            let offset = self.inner.clock.offset_millis();
            let error = match self.try_invoke(&fresh, &record, message).await {
                Ok(response) => return Ok(response),
                Err(error) => error.without(&record.token),
            };
            let said = error.is_said_by_gateway();
            if said && !renewed && options.reattest && record.cured_by_attestation(error.kind()) {
                renewed = true;
                fresh.events.report(Level::Info, format!("attesting anew after {}", error.kind().name()));
                let seen = fresh.finished.load(Ordering::Acquire);
                record = self.attest_once(&fresh, seen, Some(&record)).await?;
                continue;
            }
            if said && !corrected && error.kind() == ErrorKind::StaleTimestamp && self.is_worth_correcting(offset) {
                corrected = true;
                continue;
            }
            let Some(delay) = retry::delay(&error, attempt, options.max_retries, jitter()) else {
                fresh.events.report(Level::Debug, format!("call failed: {}", error.kind().name()));
                return Err(error);
            };
            attempt = attempt.saturating_add(1);
            let kind = error.kind().name();
            fresh.events.report(Level::Info, format!("trying again after {kind}, attempt {attempt}"));
            time::sleep(self.spread(message, delay)).await;
        }
    }

    async fn try_invoke(
        &self,
        fresh: &Fresh,
        record: &Arc<SessionRecord>,
        message: Message<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let options = &self.inner.options;
        let dialect = options.dialect;
        let (payload, notification) = match message {
            Message::Request { method, params } => {
                let payload = request_id().and_then(|id| compose_request(&id, method, params));
                (payload.map_err(|error| self.local(error))?, false)
            }
            Message::Payload(payload) => (payload.to_vec(), is_notification(payload)),
        };
        let now = self.signing_time();
        let owned = Arc::clone(record);
        let compose = move || owned.compose(&payload, dialect, now);
        let envelope = on_the_right_thread(record.blocking, compose).await.map_err(|error| self.local(error))?;
        let answer = self.exchange(fresh, dialect.invoke_path(), envelope, None, options.timeout).await;
        let answer = answer.map_err(|error| ClientError::at(Stage::Gateway, error, dialect))?;
        let response = redirected(&answer)
            .and_then(|()| read_response(answer.status, &answer.body, dialect, notification, self.limits()));
        match response {
            Ok(response) => Ok(response),
            Err(refused) => Err(ClientError::answered(false, refused, answer, dialect)),
        }
    }

    /// The record to call with, renewed when its end is near.
    async fn current_record(&self, fresh: &Arc<Fresh>) -> Result<Arc<SessionRecord>> {
        let record = self.inner.session.require().map_err(|error| self.local(error))?;
        let now = self.inner.clock.corrected((self.inner.options.clock)());
        if !self.inner.options.reattest || !record.needs_renewal(now) {
            return Ok(record);
        }
        let expired = record.expires_at.is_some_and(|expires_at| expires_at <= now);
        if !expired && now.millis() < fresh.renewal_pause.load(Ordering::Relaxed) {
            return Ok(record);
        }
        let seen = fresh.finished.load(Ordering::Acquire);
        match self.attest_once(fresh, seen, Some(&record)).await {
            Ok(renewed) => Ok(renewed),
            // The old token still has a few seconds; the gateway judges it, not this clock.
            Err(error) if !expired => {
                fresh.renewal_pause.store(now.millis().saturating_add(RENEWAL_PAUSE_MILLIS), Ordering::Relaxed);
                fresh
                    .events
                    .report(Level::Warning, format!("the session could not be renewed: {}", error.kind().name()));
                Ok(record)
            }
            Err(error) => Err(error),
        }
    }

    /// One attestation for everybody who asks at the same time. `seen` is the number of attestations finished when the
    /// caller asked; `instead_of` the record the caller found wanting.
    async fn attest_once(
        &self,
        fresh: &Fresh,
        seen: u64,
        instead_of: Option<&Arc<SessionRecord>>,
    ) -> Result<Arc<SessionRecord>> {
        let mut last = fresh.attesting.lock().await;
        if let Some((_, result)) = last.as_ref().filter(|(number, _)| *number > seen) {
            return result.clone();
        }
        if let (Some(old), Some(current)) = (instead_of, self.inner.session.record())
            && !Arc::ptr_eq(old, &current)
        {
            return Ok(current);
        }
        let result = self.attest_with_retries(fresh).await;
        let number = fresh.finished.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        *last = Some((number, result.clone()));
        result
    }

    async fn attest_with_retries(&self, fresh: &Fresh) -> Result<Arc<SessionRecord>> {
        let (mut corrected, mut attempt) = (false, 0_u32);
        loop {
            let offset = self.inner.clock.offset_millis();
            let error = match self.try_attest(fresh).await {
                Ok(record) => return Ok(record),
                Err(error) => error,
            };
            let skewed = matches!(error.kind(), ErrorKind::AttestationFailed | ErrorKind::StaleTimestamp);
            if error.is_said_by_gateway() && !corrected && skewed && self.is_worth_correcting(offset) {
                corrected = true;
                continue;
            }
            let Some(delay) = retry::delay(&error, attempt, self.inner.options.max_retries, jitter()) else {
                fresh.events.report(Level::Warning, format!("attestation failed: {}", error.kind().name()));
                return Err(error);
            };
            attempt = attempt.saturating_add(1);
            let kind = error.kind().name();
            fresh.events.report(Level::Info, format!("attesting again after {kind}, attempt {attempt}"));
            time::sleep(delay).await;
        }
    }

    async fn try_attest(&self, fresh: &Fresh) -> Result<Arc<SessionRecord>> {
        let options = &self.inner.options;
        let dialect = options.dialect;
        let fail = |error: Error| ClientError::at(Stage::Attest, error, dialect);
        let (signer, own_key) = match &options.key {
            Some(key) => (key.clone(), None),
            None => {
                let key = Arc::new(EphemeralKey::generate().map_err(fail)?);
                (SessionSigner::memory(Arc::clone(&key)), Some(key))
            }
        };
        let credential = self.fetch_credential().await.map_err(fail)?;
        let (now, identity, own) = (self.signing_time(), options.clone(), Arc::clone(&signer.signer));
        let compose = move || {
            let ClientOptions { workload_id, security_scope, gateway_url, .. } = &identity;
            attest_body(dialect, workload_id, security_scope, gateway_url, own.as_ref(), now)
        };
        let body = on_the_right_thread(signer.blocking, compose).await.map_err(fail)?;
        let bearer = credential.as_ref().map(|credential| credential.as_str());
        let answer = self.exchange(fresh, dialect.attest_path(), body, bearer, options.attest_timeout).await;
        let mut answer = answer.map_err(fail)?;
        let granted =
            redirected(&answer).and_then(|()| AttestAnswer::parse(answer.status, &answer.body, dialect, self.limits()));
        let granted = match granted {
            Ok(granted) => granted,
            Err(refused) => {
                let error = ClientError::answered(true, refused, answer, dialect);
                let secret = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
                return Err(error.without(secret.unwrap_or_default()));
            }
        };
        zeroize::Zeroize::zeroize(&mut answer.body);
        let received = self.inner.clock.corrected((options.clock)());
        let record = Arc::new(SessionRecord::attested(signer.signer, signer.blocking, granted, received));
        self.inner.own_key.store(own_key);
        self.inner.session.replace(Some(Arc::clone(&record)));
        if self.inner.closed.load(Ordering::Acquire) {
            self.inner.forget_session();
            return Err(self.local(Error::new(ErrorKind::InvalidArgument, "the client is closed")));
        }
        let session = record.session_id.as_deref().unwrap_or("without id").escape_debug().take(64).collect::<String>();
        fresh.events.report(Level::Info, format!("attested, session `{session}`"));
        Ok(record)
    }

    async fn fetch_credential(&self) -> smcp_core::Result<Option<Zeroizing<String>>> {
        let Some(credential) = self.inner.options.credential() else { return Ok(None) };
        let deadline = self.inner.options.attest_timeout;
        let fetching = task::spawn_blocking(move || credential.fetch());
        match time::timeout(deadline, fetching).await {
            Ok(Ok(fetched)) => bearer(&fetched?).map(Some),
            Ok(Err(_)) => Err(Error::new(ErrorKind::InternalError, "the workload credential's source panicked")),
            Err(_) => {
                let message =
                    format!("the workload credential did not come within `{}` seconds", deadline.as_secs_f64());
                Err(Error::new(ErrorKind::Timeout, message).with_executed(Executed::No))
            }
        }
    }

    /// One POST; learns the gateway's clock.
    async fn exchange(
        &self,
        fresh: &Fresh,
        path: &str,
        body: Vec<u8>,
        bearer: Option<&str>,
        deadline: Duration,
    ) -> smcp_core::Result<HttpAnswer> {
        let clock = &self.inner.options.clock;
        let sent = clock();
        let answer = fresh.http.post(path, body, bearer, deadline).await?;
        if let Some(offset) = answer.header("date").and_then(|date| self.inner.clock.learn(date, sent, clock())) {
            let direction = if offset > 0 { "ahead of" } else { "behind" };
            let seconds = offset.unsigned_abs() / 1000;
            let message = format!("the gateway's clock is {seconds} seconds {direction} this machine's");
            fresh.events.report(Level::Warning, message);
        }
        Ok(answer)
    }

    fn signing_time(&self) -> UnixTime {
        let now = (self.inner.options.clock)();
        if self.inner.options.clock_correction { self.inner.clock.corrected(now) } else { now }
    }

    /// Whether the last answer taught a clock so different from the one just used that it is worth another try.
    fn is_worth_correcting(&self, used_offset: i64) -> bool {
        let learned = self.inner.clock.offset_millis().saturating_sub(used_offset).saturating_abs();
        self.inner.options.clock_correction && learned >= WORTH_CORRECTING_MILLIS
    }

    /// The same payload signed in the same second is a replay, so a caller's own payload waits for the next one.
    fn spread(&self, message: Message<'_>, delay: Duration) -> Duration {
        match message {
            Message::Request { .. } => delay,
            Message::Payload(_) => delay.max(Duration::from_millis(1_000)),
        }
    }

    fn limits(&self) -> Limits {
        Limits { bytes: self.inner.options.max_response_bytes, ..Limits::default() }
    }

    fn local(&self, error: Error) -> ClientError {
        ClientError::local(error, self.inner.options.dialect)
    }

    /// The state of this process, made at the first use and after a fork.
    fn fresh(&self) -> Result<Arc<Fresh>> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(self.local(Error::new(ErrorKind::InvalidArgument, "the client is closed")));
        }
        let pid = std::process::id();
        loop {
            let current = self.inner.fresh.load_full();
            if let Some(fresh) = current.as_ref().filter(|fresh| fresh.pid == pid) {
                return Ok(Arc::clone(fresh));
            }
            let fresh = Arc::new(Fresh {
                pid,
                http: Http::new(&self.inner.options).map_err(|error| self.local(error))?,
                attesting: Mutex::new(None),
                finished: AtomicU64::new(0),
                renewal_pause: std::sync::atomic::AtomicI64::new(i64::MIN),
                events: Events::default(),
            });
            drop(self.inner.fresh.compare_and_swap(&current, Some(fresh)));
            // What the parent left is not dropped here: its locks and its runtime's may be held for ever.
            mem::forget(current);
        }
    }
}

impl Inner {
    fn forget_session(&self) {
        self.session.replace(None);
        if let Some(key) = self.own_key.swap(None) {
            key.erase();
        }
    }

    fn drop_fresh(&self) {
        let fresh = self.fresh.swap(None);
        if fresh.as_ref().is_some_and(|fresh| fresh.pid != std::process::id()) {
            mem::forget(fresh);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.forget_session();
        self.drop_fresh();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Client").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// Runs `work` here, or where it may block.
async fn on_the_right_thread<T: Send + 'static>(
    blocking: bool,
    work: impl FnOnce() -> smcp_core::Result<T> + Send + 'static,
) -> smcp_core::Result<T> {
    if !blocking {
        return work();
    }
    let panicked = |_| Error::new(ErrorKind::InternalError, "the foreign signer panicked");
    task::spawn_blocking(work).await.map_err(panicked).and_then(|result| result)
}

/// Redirects are not followed: where they lead is not the gateway that was configured.
fn redirected(answer: &HttpAnswer) -> std::result::Result<(), GatewayError> {
    if !(300..400).contains(&answer.status) {
        return Ok(());
    }
    let message = format!("the gateway answered with a redirect (HTTP {}), which is not followed", answer.status);
    Err(GatewayError { error: Error::new(ErrorKind::BadResponse, message), number: None, spoken: false })
}

fn is_notification(payload: &[u8]) -> bool {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    json::scan_with(payload, limits).is_ok_and(|document| document.root().get("id").is_none())
}

fn request_id() -> smcp_core::Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system's random generator failed"))?;
    Ok(random.iter().fold("req-".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

fn jitter() -> u8 {
    let mut random = [0_u8; 1];
    match getrandom::fill(&mut random) {
        Ok(()) => random.first().copied().unwrap_or_default(),
        Err(_) => 0,
    }
}
