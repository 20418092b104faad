//! All tool servers of a gateway as one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use serde_json::{Map, Value};
use smcp_core::Result;
use smcp_core::error::{Error, ErrorKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::http::endpoint;
use super::index::{Conflict, Index, Lists, Offer};
use super::metadata;
use super::remote::{Limits, Link, Remote};
use super::request::{INVALID_PARAMS, UpstreamAnswer, UpstreamRequest};
use super::routing;
use super::server::{Health, HealthState, ListKind, ToolServer};
use super::size;
use crate::config::{TransportConfig, UpstreamConfig};
use crate::connectors::filesystem::Filesystem;

/// How the set of servers behaves as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// How long the start waits for servers to connect and list what they offer; one that is late
    /// joins when it is ready.
    pub start_timeout: Duration,
    /// How often lists are fetched again although no server announced a change.
    pub refresh_interval: Duration,
}

impl Default for UpstreamSettings {
    /// 20 s and one minute.
    fn default() -> Self {
        Self { start_timeout: Duration::from_secs(20), refresh_interval: Duration::from_secs(60) }
    }
}

/// A tool server and the prefix its names get.
pub type PrefixedServer = (Arc<dyn ToolServer>, Option<String>);

/// Shortest time between two fetches of one server's lists; announcements may come in floods.
const SHORTEST_REFRESH: Duration = Duration::from_millis(200);

/// All tool servers, the index of what they offer, and the tasks that keep it current.
///
/// Dropping it without [`Upstreams::shutdown`] ends the servers too, without waiting for them.
pub struct Upstreams {
    shared: Arc<Shared>,
    refreshers: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    servers: Vec<Arc<dyn ToolServer>>,
    offers: Mutex<Vec<Offer>>,
    index: ArcSwap<Index>,
    changed: watch::Sender<u64>,
    reported: Mutex<HashSet<String>>,
    stop: CancellationToken,
}

/// The condition of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHealth {
    /// Its configured name.
    pub server: Arc<str>,
    /// Its condition.
    pub health: Health,
    /// Number of its tools in the index.
    pub tools: usize,
}

impl Upstreams {
    /// Starts all servers of the configuration and lists what they offer.
    ///
    /// A server that cannot be reached does not stop the others; it is tried again and joins later.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` for settings that cannot work, two servers of one name, and a tool or prompt
    /// that two servers offer under one name.
    pub async fn start(configs: &[UpstreamConfig], settings: UpstreamSettings) -> Result<Self> {
        let mut servers: Vec<PrefixedServer> = Vec::new();
        for config in configs {
            servers.push((server(config)?, config.prefix.clone()));
        }
        Self::with_servers(servers, settings).await
    }

    /// As [`Upstreams::start`], with servers made elsewhere, in order of precedence.
    ///
    /// # Errors
    ///
    /// As [`Upstreams::start`].
    pub async fn with_servers(servers: Vec<PrefixedServer>, settings: UpstreamSettings) -> Result<Self> {
        let mut names = HashSet::new();
        if let Some((twice, _)) = servers.iter().find(|(server, _)| !names.insert(Arc::clone(server.name()))) {
            return Err(Error::new(ErrorKind::ConfigInvalid, format!("two upstreams are named `{}`", twice.name())));
        }
        let offers = servers
            .iter()
            .map(|(server, prefix)| Offer {
                server: Arc::clone(server.name()),
                prefix: prefix.clone(),
                lists: Arc::default(),
            })
            .collect();
        let shared = Arc::new(Shared {
            servers: servers.into_iter().map(|(server, _)| server).collect(),
            offers: Mutex::new(offers),
            index: ArcSwap::default(),
            changed: watch::Sender::new(0),
            reported: Mutex::new(HashSet::new()),
            stop: CancellationToken::new(),
        });
        let upstreams = Self { shared: Arc::clone(&shared), refreshers: Mutex::new(Vec::new()) };
        // From before the first fetch on, so that no change falls between the two.
        let changes: Vec<_> = shared.servers.iter().map(|server| server.changes()).collect();
        let starts = (0..shared.servers.len()).map(|position| shared.first_lists(position));
        if tokio::time::timeout(settings.start_timeout, join_all(starts)).await.is_err() {
            tracing::warn!("not all tool servers were ready in time, the others join later");
        }
        if let Some(conflict) = shared.rebuild().into_iter().find(is_fatal) {
            upstreams.shutdown().await;
            return Err(Error::new(ErrorKind::ConfigInvalid, conflict_text(&conflict)));
        }
        let refreshers = changes.into_iter().enumerate().map(|(position, changes)| {
            tokio::spawn(Arc::clone(&shared).keep_current(position, changes, settings.refresh_interval))
        });
        let refreshers = refreshers.collect();
        *upstreams.refreshers.lock().unwrap_or_else(PoisonError::into_inner) = refreshers;
        Ok(upstreams)
    }

    /// What all servers offer now. The value stays as it is while the caller holds it.
    #[must_use]
    pub fn index(&self) -> Arc<Index> {
        self.shared.index.load_full()
    }

    /// Counts the changes of the index.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// The server a request would go to.
    #[must_use]
    pub fn server_of(&self, method: &str, params: &Map<String, Value>) -> Option<Arc<str>> {
        routing::find(&self.shared.index.load(), method, params).ok().map(|entry| Arc::clone(&entry.server))
    }

    /// Sends a request to the server that offers its tool, resource or prompt, at most once.
    ///
    /// Served are `tools/call`, `resources/read`, `prompts/get` and `completion/complete`; anything
    /// else, and what nobody offers, is a JSON-RPC error in the answer. Names are those of the index.
    ///
    /// # Errors
    ///
    /// As [`ToolServer::call`].
    pub async fn call(&self, mut request: UpstreamRequest) -> Result<UpstreamAnswer> {
        let server = {
            let index = self.shared.index.load();
            let entry = match routing::find(&index, &request.method, &request.params) {
                Ok(entry) => entry,
                Err(answer) => return Ok(answer),
            };
            routing::rename(&request.method, &mut request.params, entry);
            self.shared.servers.get(entry.position).cloned()
        };
        if metadata::restrict(&mut request.params).is_err() {
            return Ok(UpstreamAnswer::error(INVALID_PARAMS, "`_meta` must be an object"));
        }
        let Some(server) = server else {
            return Err(Error::new(ErrorKind::InternalError, "the index names a tool server that does not exist"));
        };
        let limit = request.max_response_size;
        let answer = server.call(request).await?;
        if let (UpstreamAnswer::Result(result), Some(limit)) = (&answer, limit) {
            size::check(result, limit)?;
        }
        Ok(answer)
    }

    /// The condition of every server, in order of the configuration.
    #[must_use]
    pub fn health(&self) -> Vec<ServerHealth> {
        let index = self.shared.index.load();
        let tools = |name: &Arc<str>| index.entries(ListKind::Tools).iter().filter(|tool| tool.server == *name).count();
        let health = |server: &Arc<dyn ToolServer>| ServerHealth {
            server: Arc::clone(server.name()),
            health: server.health(),
            tools: tools(server.name()),
        };
        self.shared.servers.iter().map(health).collect()
    }

    /// Ends all servers and waits until they are gone. Calls in flight fail.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        join_all(self.shared.servers.iter().map(|server| server.shutdown())).await;
        let refreshers = std::mem::take(&mut *self.refreshers.lock().unwrap_or_else(PoisonError::into_inner));
        for refresher in refreshers {
            if let Err(error) = refresher.await {
                tracing::warn!(%error, "a task that keeps the index current ended by a defect");
            }
        }
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upstreams").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Makes the server an entry of the configuration describes.
fn server(config: &UpstreamConfig) -> Result<Arc<dyn ToolServer>> {
    let name: Arc<str> = config.name.as_str().into();
    let limits = Limits { call_timeout: config.call_timeout, max_message_size: config.max_message_size };
    Ok(match &config.transport {
        TransportConfig::Filesystem(filesystem) => Arc::new(Filesystem::open(name, filesystem, config.call_timeout)?),
        TransportConfig::Stdio(stdio) => Arc::new(Remote::start(name, Link::Stdio(stdio.clone()), limits)),
        TransportConfig::Http(http) => {
            let endpoint = endpoint(&name, http)?;
            Arc::new(Remote::start(name, Link::Http(endpoint), limits))
        }
    })
}

/// Fetches a list; a server that cannot give it properly keeps the one it had, and its tools.
async fn fetch_or_keep(server: &dyn ToolServer, kind: ListKind, known: &Lists) -> Result<Vec<Value>> {
    match server.list(kind).await {
        Err(error) if error.kind() == ErrorKind::UpstreamProtocolError => {
            tracing::warn!(upstream = %server.name(), %error, list = kind.member(), "cannot list what the tool server offers");
            Ok(known.of(kind).to_vec())
        }
        fetched => fetched,
    }
}

fn is_fatal(conflict: &Conflict) -> bool {
    matches!(conflict.kind, ListKind::Tools | ListKind::Prompts)
}

fn conflict_text(conflict: &Conflict) -> String {
    let Conflict { kind, key, kept, refused } = conflict;
    format!(
        "`{key}` of `{}` is offered by the upstreams `{kept}` and `{refused}`, give one of them a `prefix`",
        kind.member()
    )
}

impl Shared {
    /// Waits until a server lists what it offers, or cannot be reached at the first attempt.
    async fn first_lists(&self, position: usize) {
        let Some(server) = self.servers.get(position) else { return };
        loop {
            match self.fetch(position).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(upstream = %server.name(), %error, "cannot list what the tool server offers");
                    if server.health().state != HealthState::Connecting {
                        return;
                    }
                    tokio::time::sleep(SHORTEST_REFRESH).await;
                }
            }
        }
    }

    /// Fetches the lists of one server; says whether they differ from before.
    async fn fetch(&self, position: usize) -> Result<bool> {
        let Some(server) = self.servers.get(position) else { return Ok(false) };
        let known = self
            .offers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(position)
            .map(|offer| Arc::clone(&offer.lists));
        let known = known.unwrap_or_default();
        let lists = Arc::new(Lists([
            server.list(ListKind::Tools).await?,
            fetch_or_keep(server.as_ref(), ListKind::Resources, &known).await?,
            fetch_or_keep(server.as_ref(), ListKind::Templates, &known).await?,
            fetch_or_keep(server.as_ref(), ListKind::Prompts, &known).await?,
        ]));
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(offer) = offers.get_mut(position) else { return Ok(false) };
        let differs = offer.lists != lists;
        offer.lists = lists;
        Ok(differs)
    }

    /// Makes the index anew from the lists of all servers.
    fn rebuild(&self) -> Vec<Conflict> {
        let offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, conflicts) = Index::merge(&offers, &self.index.load());
        self.index.store(Arc::new(index));
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        conflicts
    }

    /// Fetches a server's lists again whenever they may have changed, until the shutdown.
    async fn keep_current(self: Arc<Self>, position: usize, mut changes: watch::Receiver<u64>, interval: Duration) {
        let Some(server) = self.servers.get(position) else { return };
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(interval) => {}
                () = self.stop.cancelled() => return,
            }
            let fetched = tokio::select! {
                fetched = self.fetch(position) => fetched,
                () = self.stop.cancelled() => return,
            };
            match fetched {
                Ok(true) => self.report(&self.rebuild()),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(upstream = %server.name(), %error, "the tool server's lists stay as they were")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(SHORTEST_REFRESH) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Logs each conflict once; servers repeat themselves every minute.
    fn report(&self, conflicts: &[Conflict]) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let current: HashSet<String> = conflicts.iter().map(conflict_text).collect();
        for text in current.difference(&reported) {
            tracing::warn!("{text}; the first keeps it");
        }
        *reported = current;
    }
}
