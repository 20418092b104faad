//! One live MCP session with a tool server, on rmcp.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientRequest, ClientResult, CustomRequest, ErrorCode, ErrorData, Implementation,
    ListToolsResult, NumberOrString, ProtocolVersion, ServerCapabilities, ServerNotification, ServerRequest,
    ServerResult, SubscriptionFilter,
};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, NotificationContext, PeerRequestOptions,
    RequestContext, RequestHandle, serve_client_with_lifecycle_and_ct,
};
use rmcp::transport::IntoTransport;
use rmcp::{Peer, RoleClient, Service};
use serde_json::{Map, Value};
use smcp_core::error::{Error, ErrorKind, Executed};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pending::{Pending, Reply, ReplySlot};
use super::request::{UpstreamAnswer, UpstreamRequest};
use super::wire;

/// How long telling a server that a call was given up may take.
const CANCELLATION: Duration = Duration::from_secs(5);
/// Pause before a subscription that ended is opened again.
const RESUBSCRIBE: Duration = Duration::from_secs(5);

/// A connection over which the MCP lifecycle has been agreed on.
#[derive(Debug)]
pub(crate) struct Session {
    peer: Peer<RoleClient>,
    pending: Arc<Pending>,
    /// Protocol version agreed on.
    pub(crate) version: String,
    /// What the server says it can do.
    pub(crate) capabilities: ServerCapabilities,
    /// Cancelled to end the session.
    stop: CancellationToken,
    /// Cancelled when the session has ended.
    pub(crate) ended: CancellationToken,
}

/// The ways a lifecycle can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Ask with `server/discover`, fall back to `initialize`.
    Discover,
    /// `initialize` at once, for servers that break when they are asked.
    Initialize,
}

impl Opening {
    /// The other way.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Discover => Self::Initialize,
            Self::Initialize => Self::Discover,
        }
    }

    fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Discover => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
            Self::Initialize => ClientLifecycleMode::Initialize,
        }
    }
}

impl Session {
    /// Agrees on the lifecycle over `transport`; `changed` counts announcements of changed lists.
    ///
    /// # Errors
    ///
    /// `UPSTREAM_UNAVAILABLE` if the server does not get through the lifecycle.
    pub(crate) async fn open<T, E, A>(
        transport: T,
        pending: Arc<Pending>,
        opening: Opening,
        changed: watch::Sender<u64>,
    ) -> Result<Self, Error>
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let handler = Handler { changed: changed.clone() };
        let running = serve_client_with_lifecycle_and_ct(handler, transport, opening.lifecycle(), stop.clone())
            .await
            .map_err(|error| refused(&error))?;
        let peer = running.peer().clone();
        // rmcp would serve one agent's answers to another.
        peer.set_response_cache_config(ClientCacheConfig::disabled()).await;
        let info = peer.peer_info().ok_or_else(|| not_opened("it did not say who it is"))?;
        if !ProtocolVersion::KNOWN_VERSIONS.contains(&info.protocol_version) {
            return Err(not_opened(&format!("it speaks MCP `{}`", wire::excerpt(info.protocol_version.as_str()))));
        }
        let session = Self {
            peer,
            pending,
            version: info.protocol_version.as_str().to_owned(),
            capabilities: info.capabilities.clone(),
            stop: guard.disarm(),
            ended: CancellationToken::new(),
        };
        let ended = session.ended.clone();
        tokio::spawn(async move {
            let _announce = ended.drop_guard();
            if let Err(error) = running.waiting().await {
                tracing::warn!(%error, "the session with a tool server ended by a defect");
            }
        });
        session.subscribe(&info.protocol_version, changed);
        Ok(session)
    }

    /// Cancelled when the connection cannot be used any more.
    pub(crate) fn lost(&self) -> &CancellationToken {
        self.pending.lost()
    }

    /// Ends the session and waits for it to be gone.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }

    /// Sends one request and waits for its answer, the deadline or the cancellation.
    ///
    /// The request is sent once; whatever happens, it is never sent again.
    ///
    /// # Errors
    ///
    /// `UPSTREAM_UNAVAILABLE`, `UPSTREAM_TIMEOUT`, `UPSTREAM_PROTOCOL_ERROR` or
    /// `POLICY_VIOLATION_RESPONSE_TOO_LARGE`, with what is known about `executed`.
    pub(crate) async fn call(&self, request: UpstreamRequest, deadline: Instant) -> Reply {
        let UpstreamRequest { method, params, cancel, max_response_size, deadline: _ } = request;
        let (slot, reply) = ReplySlot::new(max_response_size, false);
        let mut call = self.send(method, params, slot, deadline).await?;
        call.wait(reply, deadline, &cancel).await
    }

    /// Fetches one page of a list, as the server wrote it and as far as rmcp knows it.
    ///
    /// rmcp refuses tools whose `x-mcp-header` annotations are invalid and cannot send the headers of
    /// a call to them, so those are to be left out.
    ///
    /// # Errors
    ///
    /// As [`Session::call`].
    pub(crate) async fn page(
        &self,
        method: &str,
        params: Map<String, Value>,
        deadline: Instant,
    ) -> Result<(UpstreamAnswer, Option<ListToolsResult>), Error> {
        let shown = method == "tools/list";
        let (slot, reply) = ReplySlot::new(None, shown);
        let mut call = self.send(method.to_owned(), params, slot, deadline).await?;
        let answer = call.wait(reply, deadline, &CancellationToken::new()).await?;
        let seen = if shown { call.seen(deadline).await } else { None };
        Ok((answer, seen))
    }

    async fn send(
        &self,
        method: String,
        params: Map<String, Value>,
        slot: ReplySlot,
        deadline: Instant,
    ) -> Result<Call<'_>, Error> {
        let mut request = CustomRequest::new(method, Some(Value::Object(params)));
        request.extensions.insert(slot.clone());
        let sending =
            self.peer.send_request_with_option(ClientRequest::CustomRequest(request), PeerRequestOptions::no_options());
        match tokio::time::timeout_at(deadline, sending).await {
            Ok(Ok(handle)) => Ok(Call { handle: Some(handle), slot, pending: &self.pending, is_answered: false }),
            Ok(Err(_closed)) => Err(gone(Executed::No)),
            Err(_elapsed) => Err(given_up("the tool server takes no requests").with_executed(Executed::No)),
        }
    }

    /// From 2026-07-28 on, a server announces changed lists only to those who subscribed.
    fn subscribe(&self, version: &ProtocolVersion, changed: watch::Sender<u64>) {
        let filter = announced(&self.capabilities);
        if version.has_initialize() || filter == SubscriptionFilter::default() {
            return;
        }
        let (peer, ended) = (self.peer.clone(), self.ended.clone());
        tokio::spawn(async move {
            while !ended.is_cancelled() {
                tokio::select! {
                    () = listen(&peer, filter.clone(), &changed) => {}
                    () = ended.cancelled() => return,
                }
                tokio::time::sleep(RESUBSCRIBE).await;
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn announced(capabilities: &ServerCapabilities) -> SubscriptionFilter {
    let tools = capabilities.tools.as_ref().and_then(|tools| tools.list_changed);
    let prompts = capabilities.prompts.as_ref().and_then(|prompts| prompts.list_changed);
    let resources = capabilities.resources.as_ref().and_then(|resources| resources.list_changed);
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed = tools.filter(|announces| *announces);
    filter.prompts_list_changed = prompts.filter(|announces| *announces);
    filter.resources_list_changed = resources.filter(|announces| *announces);
    filter
}

async fn listen(peer: &Peer<RoleClient>, filter: SubscriptionFilter, changed: &watch::Sender<u64>) {
    let mut subscription = match peer.listen(filter).await {
        Ok(subscription) => subscription,
        Err(error) => return tracing::debug!(%error, "the tool server does not announce changes"),
    };
    // What changed between listing and subscribing was announced to nobody.
    changed.send_modify(|count| *count = count.wrapping_add(1));
    while let Ok(Some(_notification)) = subscription.next().await {
        changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// A request under way. Dropped before its answer came, it tells the server to give the call up.
struct Call<'a> {
    handle: Option<RequestHandle<RoleClient>>,
    slot: ReplySlot,
    pending: &'a Pending,
    is_answered: bool,
}

impl Call<'_> {
    async fn wait(
        &mut self,
        mut reply: oneshot::Receiver<Reply>,
        deadline: Instant,
        cancel: &CancellationToken,
    ) -> Reply {
        let slot = &self.slot;
        let executed = || if slot.has_left() { Executed::Unknown } else { Executed::No };
        let Some(handle) = self.handle.as_mut() else { return Err(gone(executed())) };
        let replied = tokio::select! {
            biased;
            replied = &mut reply => replied.ok(),
            // rmcp gave the request up, which it does after the transport filled the slot if it could.
            _ended = &mut handle.rx => reply.try_recv().ok(),
            () = cancel.cancelled() => return Err(given_up("the call was cancelled").with_executed(executed())),
            () = tokio::time::sleep_until(deadline) => return Err(given_up("the tool server did not answer in time").with_executed(executed())),
        };
        let answer = replied.unwrap_or_else(|| Err(gone(executed())))?;
        self.is_answered = true;
        Ok(answer)
    }

    /// What rmcp made of an answer it was shown.
    async fn seen(mut self, deadline: Instant) -> Option<ListToolsResult> {
        let handle = self.handle.take()?;
        let waiting = tokio::time::timeout_at(deadline, handle.await_response());
        if let Ok(Ok(ServerResult::ListToolsResult(list))) = waiting.await { Some(list) } else { None }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if self.is_answered {
            return;
        }
        if let NumberOrString::Number(id) = handle.id {
            drop(self.pending.take(id));
        }
        // Without a runtime the process is going down, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(CANCELLATION, handle.cancel(Some("the call was given up".to_owned()))));
        }
    }
}

/// The gateway towards a server: no capabilities, no requests served, news of changed lists heard.
#[derive(Debug)]
struct Handler {
    changed: watch::Sender<u64>,
}

impl Service<RoleClient> for Handler {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _context: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        if matches!(request, ServerRequest::PingRequest(_)) {
            return Ok(ClientResult::empty(()));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "the gateway serves no requests of tool servers", None))
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _context: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        if matches!(
            notification,
            ServerNotification::ToolListChangedNotification(_)
                | ServerNotification::ResourceListChangedNotification(_)
                | ServerNotification::PromptListChangedNotification(_)
        ) {
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        let gateway = Implementation::new("smcp-gateway", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), gateway).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }
}

/// The failure of a call whose connection is gone.
pub(crate) fn gone(executed: Executed) -> Error {
    Error::new(ErrorKind::UpstreamUnavailable, "the connection to the tool server is gone").with_executed(executed)
}

fn given_up(why: &'static str) -> Error {
    Error::new(ErrorKind::UpstreamTimeout, why)
}

fn refused(error: &ClientInitializeError) -> Error {
    not_opened(&super::http::chain(error))
}

fn not_opened(why: &str) -> Error {
    Error::new(ErrorKind::UpstreamUnavailable, format!("no MCP session with the tool server: {why}"))
        .with_executed(Executed::No)
}
