//! A tool server at the other end of a connection, which is made again whenever it breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::Value;
use smcp_core::Result;
use smcp_core::error::{Error, ErrorKind, Executed};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff;
use super::http::{Endpoint, HttpClient};
use super::listing;
use super::pending::Pending;
use super::request::{UpstreamAnswer, UpstreamRequest};
use super::server::{Health, HealthState, ListKind, ToolServer};
use super::session::{Opening, Session, gone};
use super::stdio::{self, StdioTransport};
use crate::config::StdioConfig;

/// Calls in flight per server; more wait for their turn until their deadline.
const MAX_CALLS: usize = 256;
/// Longest time for agreeing on the lifecycle; rmcp alone waits 10 s for servers that ignore `server/discover`.
const OPENING: Duration = Duration::from_secs(30);
/// How long a call waits for a connection that is being made.
const PATIENCE: Duration = Duration::from_secs(5);
/// A session that lived this long was not a failed start.
const STEADY: Duration = Duration::from_secs(5);
/// Crashes in a row after which calls are refused at once until the server stays up.
const MAX_CRASHES: u32 = 5;
/// Longest pause before a broken event stream is resumed.
const RESUME: Duration = Duration::from_secs(30);

/// How a remote server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// A child process.
    Stdio(StdioConfig),
    /// Streamable HTTP.
    Http(Endpoint),
}

/// Limits of a remote server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest time for one call.
    pub(crate) call_timeout: Duration,
    /// Longest message accepted in bytes.
    pub(crate) max_message_size: usize,
}

/// A tool server over rmcp.
#[derive(Debug)]
pub(crate) struct Remote {
    shared: Arc<Shared>,
    supervisor: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    link: Link,
    limits: Limits,
    state: watch::Sender<State>,
    changed: watch::Sender<u64>,
    calls: Semaphore,
    restarts: AtomicU64,
    last_failure: Mutex<Option<String>>,
    stop: CancellationToken,
}

#[derive(Clone, Debug)]
enum State {
    Connecting,
    Ready(Arc<Session>),
    Failed(Error),
    Stopped,
}

impl Remote {
    /// Begins to connect and keeps connecting until [`ToolServer::shutdown`].
    pub(crate) fn start(name: Arc<str>, link: Link, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            name,
            link,
            limits,
            state: watch::Sender::new(State::Connecting),
            changed: watch::Sender::new(0),
            calls: Semaphore::new(MAX_CALLS),
            restarts: AtomicU64::new(0),
            last_failure: Mutex::new(None),
            stop: CancellationToken::new(),
        });
        let supervisor = tokio::spawn(supervise(Arc::clone(&shared)));
        Self { shared, supervisor: Mutex::new(Some(supervisor)) }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Why there is no session.
enum Unopened {
    /// The server did not start or answer at all.
    Unreachable(Error),
    /// It did not get through the lifecycle.
    Refused(Error),
}

impl Unopened {
    fn into_error(self) -> Error {
        match self {
            Self::Unreachable(error) | Self::Refused(error) => error,
        }
    }
}

fn not_connected(why: String) -> Error {
    Error::new(ErrorKind::UpstreamUnavailable, why).with_executed(Executed::No)
}

/// Connects, waits until the connection ends, pauses, and connects again.
async fn supervise(shared: Arc<Shared>) {
    let mut failures: u32 = 0;
    let mut opening = Opening::Discover;
    loop {
        let attempt = tokio::select! {
            attempt = shared.connect(&mut opening) => attempt,
            () = shared.stop.cancelled() => break,
        };
        match attempt {
            Ok(session) => {
                let lived = shared.serve(Arc::new(session)).await;
                if shared.stop.is_cancelled() {
                    break;
                }
                shared.restarts.fetch_add(1, Ordering::Relaxed);
                failures = if lived < STEADY { failures.saturating_add(1) } else { 0 };
                tracing::warn!(upstream = %shared.name, "the connection to the tool server ended, connecting again");
                shared.set(if failures <= MAX_CRASHES { State::Connecting } else { State::Failed(gone(Executed::No)) });
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                tracing::warn!(upstream = %shared.name, %error, failures, "cannot connect to the tool server");
                shared.set(State::Failed(error));
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff::pause(failures, backoff::random())) => {}
            () = shared.stop.cancelled() => break,
        }
    }
    shared.set(State::Stopped);
}

impl Shared {
    fn set(&self, state: State) {
        self.state.send_replace(state);
    }

    /// Makes one connection. A server that breaks at one way to open the lifecycle gets the other,
    /// and the way that worked is kept.
    async fn connect(&self, opening: &mut Opening) -> Result<Session> {
        match self.attempt(*opening).await {
            Err(Unopened::Refused(_)) => {
                *opening = opening.other();
                self.attempt(*opening).await.map_err(Unopened::into_error)
            }
            attempt => attempt.map_err(Unopened::into_error),
        }
    }

    async fn attempt(&self, opening: Opening) -> std::result::Result<Session, Unopened> {
        let pending = Arc::new(Pending::default());
        let limit = self.limits.max_message_size;
        let changed = self.changed.clone();
        let opened = async {
            match &self.link {
                Link::Stdio(config) => {
                    let process = stdio::start(config).map_err(|error| {
                        Unopened::Unreachable(not_connected(format!("cannot start `{}`: {error}", config.command)))
                    })?;
                    let transport = StdioTransport::over(process, Arc::clone(&self.name), Arc::clone(&pending), limit);
                    Session::open(transport, Arc::clone(&pending), opening, changed).await.map_err(Unopened::Refused)
                }
                Link::Http(endpoint) => {
                    let client = HttpClient::new(endpoint.client.clone(), Arc::clone(&pending), limit);
                    let transport = StreamableHttpClientTransport::with_client(client, self.http_settings(endpoint));
                    Session::open(transport, Arc::clone(&pending), opening, changed).await.map_err(Unopened::Refused)
                }
            }
        };
        tokio::time::timeout(OPENING, opened).await.unwrap_or_else(|_elapsed| {
            Err(Unopened::Unreachable(not_connected("the tool server did not start in time".to_owned())))
        })
    }

    fn http_settings(&self, endpoint: &Endpoint) -> StreamableHttpClientTransportConfig {
        let mut retry = ExponentialBackoff::default();
        retry.max_delay = Some(RESUME);
        let mut settings = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&endpoint.url))
            .custom_headers(endpoint.headers.clone())
            .max_sse_event_size(self.limits.max_message_size)
            .max_concurrent_requests(MAX_CALLS)
            // rmcp would send the call again that found the session gone.
            .reinit_on_expired_session(false);
        settings.retry_config = Arc::new(retry);
        settings
    }

    /// Offers a session until it ends, and says how long it lived.
    async fn serve(&self, session: Arc<Session>) -> Duration {
        let since = Instant::now();
        tracing::info!(upstream = %self.name, version = %session.version, "connected to the tool server");
        self.note(None);
        self.set(State::Ready(Arc::clone(&session)));
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        tokio::select! {
            () = session.ended.cancelled() => {}
            () = session.lost().cancelled() => {}
            () = self.stop.cancelled() => {}
        }
        // Before the session is closed, so that no call begins on it any more.
        self.set(if self.stop.is_cancelled() { State::Stopped } else { State::Connecting });
        let lived = since.elapsed();
        if self.stop.is_cancelled() {
            session.close().await;
        } else {
            // A server that does not say goodbye must not hold up its successor.
            tokio::spawn(async move { session.close().await });
        }
        lived
    }

    /// The live session, waiting a little for one that is being made.
    async fn session(&self, deadline: Instant) -> Result<Arc<Session>> {
        let until = deadline.min(Instant::now().checked_add(PATIENCE).unwrap_or(deadline));
        let mut state = self.state.subscribe();
        loop {
            match &*state.borrow_and_update() {
                State::Ready(session) if !session.lost().is_cancelled() => return Ok(Arc::clone(session)),
                State::Failed(error) => return Err(error.clone()),
                State::Stopped => return Err(gone(Executed::No)),
                State::Ready(_) | State::Connecting => {}
            }
            if !matches!(tokio::time::timeout_at(until, state.changed()).await, Ok(Ok(()))) {
                return Err(not_connected(format!("the tool server `{}` is not connected", self.name)));
            }
        }
    }

    fn deadline(&self, wanted: Option<Instant>) -> Instant {
        let now = Instant::now();
        let own = now.checked_add(self.limits.call_timeout).unwrap_or(now);
        wanted.map_or(own, |wanted| wanted.min(own))
    }

    async fn call(&self, request: UpstreamRequest) -> Result<UpstreamAnswer> {
        let deadline = self.deadline(request.deadline);
        let permit = tokio::select! {
            permit = tokio::time::timeout_at(deadline, self.calls.acquire()) => permit,
            () = request.cancel.cancelled() => {
                return Err(Error::new(ErrorKind::UpstreamTimeout, "the call was cancelled").with_executed(Executed::No));
            }
        };
        let Ok(Ok(_permit)) = permit else {
            let text = format!("the tool server `{}` has too many calls in flight", self.name);
            return Err(Error::new(ErrorKind::Overloaded, text).with_executed(Executed::No));
        };
        self.session(deadline).await?.call(request, deadline).await
    }

    fn note(&self, failure: Option<String>) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Remembers whether the last call got through, for servers without a lasting connection.
    fn observed<T>(&self, outcome: Result<T>) -> Result<T> {
        match &outcome {
            Ok(_) => self.note(None),
            Err(error) if error.kind() == ErrorKind::UpstreamUnavailable => self.note(Some(error.message().to_owned())),
            Err(_) => {}
        }
        outcome
    }
}

#[async_trait]
impl ToolServer for Remote {
    fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    async fn call(&self, request: UpstreamRequest) -> Result<UpstreamAnswer> {
        self.shared.observed(self.shared.call(request).await)
    }

    async fn list(&self, kind: ListKind) -> Result<Vec<Value>> {
        let deadline = self.shared.deadline(None);
        let session = self.shared.session(deadline).await?;
        self.shared.observed(listing::fetch(&session, kind, deadline).await)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    fn health(&self) -> Health {
        let last_failure = self.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (state, protocol_version) = match &*self.shared.state.borrow() {
            State::Connecting => (HealthState::Connecting, None),
            State::Failed(error) => (HealthState::Failed(error.message().to_owned()), None),
            State::Stopped => (HealthState::Stopped, None),
            State::Ready(session) => {
                let version = Some(session.version.clone());
                (last_failure.map_or(HealthState::Ready, HealthState::Failed), version)
            }
        };
        Health { state, protocol_version, restarts: self.shared.restarts.load(Ordering::Relaxed) }
    }

    async fn shutdown(&self) {
        self.shared.stop.cancel();
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(supervisor) = supervisor
            && let Err(error) = supervisor.await
        {
            tracing::warn!(upstream = %self.shared.name, %error, "the supervisor of a tool server ended by a defect");
        }
    }
}
