//! The async client (sections 4, 5 and 11). `attest` wins sessions, `invoke` uses them, `process` is what a fork renews.

mod attest;
mod invoke;
mod process;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use smcp_core::json::{self, Kind, Limits, ObjectWriter};
use smcp_core::keys::Signer;
use smcp_core::smcp::send::{ClientSession, GatewayError, SessionRecord};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};
use tokio::task;
use zeroize::Zeroizing;

use self::process::Process;
use crate::clock::GatewayClock;
use crate::{ClientError, ClientOptions, EphemeralKey, Event, HttpAnswer, Level, Result, Stage, pages};

/// A clock difference that one more try with the corrected clock is worth, in milliseconds.
const WORTH_CORRECTING_MILLIS: i64 = 2_000;

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
    process: ArcSwapOption<Process>,
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
            process: ArcSwapOption::empty(),
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
            .process
            .load()
            .as_ref()
            .filter(|process| process.pid == pid)
            .map(|process| process.events.drain())
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
        let process = self.process()?;
        let seen = process.finished.load(Ordering::Acquire);
        self.attest_once(&process, seen, None).await
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
        self.invoke(invoke::Message::Payload(payload)).await
    }

    /// Ends the session on this side: erases the key this client made, forgets the token and closes the connections.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.forget_session();
        self.inner.drop_process();
    }

    /// One POST; learns the gateway's clock.
    async fn exchange(
        &self,
        process: &Process,
        path: &str,
        body: Vec<u8>,
        bearer: Option<&str>,
        deadline: Duration,
    ) -> smcp_core::Result<HttpAnswer> {
        let clock = &self.inner.options.clock;
        let sent = clock();
        let answer = process.http.post(path, body, bearer, deadline).await?;
        if let Some(offset) = answer.header("date").and_then(|date| self.inner.clock.learn(date, sent, clock())) {
            let direction = if offset > 0 { "ahead of" } else { "behind" };
            let seconds = offset.unsigned_abs() / 1000;
            let message = format!("the gateway's clock is {seconds} seconds {direction} this machine's");
            process.events.report(Level::Warning, message);
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

    fn limits(&self) -> Limits {
        Limits { bytes: self.inner.options.max_response_bytes, ..Limits::default() }
    }

    fn local(&self, error: Error) -> ClientError {
        ClientError::local(error, self.inner.options.dialect)
    }
}

impl Inner {
    fn forget_session(&self) {
        self.session.replace(None);
        if let Some(key) = self.own_key.swap(None) {
            key.erase();
        }
    }

    fn drop_process(&self) {
        let process = self.process.swap(None);
        if process.as_ref().is_some_and(|process| process.pid != std::process::id()) {
            mem::forget(process);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.forget_session();
        self.drop_process();
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

fn jitter() -> u8 {
    let mut random = [0_u8; 1];
    match getrandom::fill(&mut random) {
        Ok(()) => random.first().copied().unwrap_or_default(),
        Err(_) => 0,
    }
}
