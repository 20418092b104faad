//! A gateway with all its parts, from a configuration to a running process and back to nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use smcp_core::ErrorKind;
use smcp_core::error::{Error, Result};
use smcp_core::keys::AgentKey;
use smcp_core::policy::{ContextSet, MemoryRateStore};
use smcp_core::replay::MemoryReplayStore;
use smcp_core::session::{MemorySessionStore, SessionStore};
use smcp_core::smcp::attest::{Attestor, AttestorRules};
use smcp_core::smcp::token::{TokenRules, TokenSigner, TokenVerifier};
use smcp_core::time::UnixTime;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::attestation::WorkloadVerifier;
use crate::audit::{AuditHandle, AuditWriter};
use crate::config::{Config, SessionStoreConfig};
use crate::http::{self, FrontRules, ServeLimits, TlsSource};
use crate::mcp::RunningCalls;
use crate::signer::{KeyRing, OperatorToken};
use crate::store::RedbSessionStore;
use crate::tls::{RELOAD_INTERVAL, ReloadingTls};
use crate::upstream::{HealthState, UpstreamSettings, Upstreams};
use crate::{clock, events, parts};

/// Bodies that may be under way for each call that may run.
const BODIES_PER_CALL: usize = 4;
/// The part of all calls that one session may have under way.
const SESSION_SHARE: usize = 8;
/// How often expired sessions are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// The state that routes share.
pub struct Gateway {
    /// What it was configured with.
    pub config: Config,
    /// Verifies tokens.
    pub tokens: TokenVerifier,
    /// Signs tokens.
    pub signer: Arc<dyn TokenSigner>,
    /// Decides attestations.
    pub attestor: Attestor,
    /// Decides whether a workload is real.
    pub workloads: Arc<dyn WorkloadVerifier>,
    /// The security contexts.
    pub contexts: ArcSwap<ContextSet>,
    /// Sessions and blocks.
    pub sessions: Arc<dyn SessionStore>,
    /// Messages seen.
    pub replay: MemoryReplayStore,
    /// Counted calls.
    pub rates: MemoryRateStore,
    /// The audit log.
    pub audit: AuditHandle,
    /// The tool servers.
    pub upstreams: Upstreams,
    /// Calls that can be cancelled.
    pub running: RunningCalls,
    /// Room for calls at once.
    pub permits: Arc<Semaphore>,
    /// Room for bodies that are being read, more than for calls.
    pub bodies: Semaphore,
    /// The operator's token, when the operator API is on.
    pub operator_token: Option<OperatorToken>,
    /// Send `Server-Timing`.
    pub server_timing: bool,
    /// Fires when the gateway shuts down.
    pub stopping: CancellationToken,
}

/// What a start is told beside the configuration.
#[derive(Default)]
pub struct StartOptions {
    /// The host program's own workload verifier, in place of the configured one.
    pub workloads: Option<Arc<dyn WorkloadVerifier>>,
    /// Send the time of each step as `Server-Timing`.
    pub server_timing: bool,
}

impl Gateway {
    /// Binds, opens every part and starts serving. An error leaves nothing running.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with what cannot be used; `UPSTREAM_UNAVAILABLE` never, since a tool server may come later.
    pub async fn start(config: Config, options: StartOptions) -> Result<RunningGateway> {
        let now = clock::now();
        parts::make_state_folder(&config.state_folder)?;
        let (listener, address) = bind(config.listen.address, "listen").await?;
        let operator = match &config.operator {
            None => None,
            Some(operator) => Some(bind(operator.address, "operator.listen").await?),
        };
        let url = config.listen.url(address);
        let ring = parts::open_key_ring(&config)?;
        let tokens = TokenVerifier::new(ring.key_set(now)?, token_rules(&config, &url))?;
        let operator_token = match &config.operator {
            None => None,
            Some(operator) => Some(parts::open_operator_token(&operator.token_file)?),
        };
        let audit_key: AgentKey = parts::open_audit_key(&config, &ring.key_set(now)?)?;
        let workloads = match options.workloads {
            Some(workloads) => workloads,
            None => parts::workload_verifier(&config, address, now)?,
        };
        let sessions: Arc<dyn SessionStore> = match &config.session.store {
            SessionStoreConfig::Memory => Arc::new(MemorySessionStore::new(config.session.capacity)),
            SessionStoreConfig::File(path) => Arc::new(RedbSessionStore::open(path, config.session.capacity, now)?),
        };
        let tls = match &config.listen.tls {
            None => None,
            Some(files) => Some(Arc::new(ReloadingTls::load(parts::tls_files(files))?)),
        };
        let (audit, writer) = parts::open_audit(&config, audit_key, now)?;
        let upstreams = match Upstreams::start(&config.upstreams, UpstreamSettings::default()).await {
            Ok(upstreams) => upstreams,
            Err(error) => {
                writer.shutdown().await;
                return Err(error);
            }
        };
        let gateway = Arc::new(Self {
            tokens,
            signer: ring.signer(),
            attestor: Attestor::new(attestor_rules(&config, &url)),
            workloads,
            contexts: ArcSwap::from_pointee(config.contexts.clone()),
            // A clock stepped back must not make sessions of the run before look as if opened since.
            replay: MemoryReplayStore::new(
                config.replay.capacity,
                config.replay.per_session,
                config.freshness_window,
                Some(replay_epoch(sessions.as_ref(), now)?),
            ),
            sessions,
            rates: MemoryRateStore::new(config.rates.counters, config.rates.counters),
            audit,
            upstreams,
            running: RunningCalls::new(config.limits.concurrency.div_ceil(SESSION_SHARE)),
            permits: Arc::new(Semaphore::new(config.limits.concurrency)),
            bodies: Semaphore::new(config.limits.concurrency.saturating_mul(BODIES_PER_CALL)),
            operator_token,
            server_timing: options.server_timing,
            stopping: CancellationToken::new(),
            config,
        });
        Ok(RunningGateway::serve(gateway, ring, writer, (listener, address), operator, tls, url))
    }

    /// What keeps the gateway from serving calls; nothing when it is ready.
    pub async fn not_ready(&self) -> Vec<String> {
        let mut waiting = Vec::new();
        if self.stopping.is_cancelled() {
            waiting.push("shutdown".to_owned());
        }
        if !self.audit.is_healthy() {
            waiting.push("audit log".to_owned());
        }
        for server in self.upstreams.health() {
            match server.health.state {
                HealthState::Ready => {}
                HealthState::Connecting | HealthState::Failed(_) | HealthState::Stopped => {
                    waiting.push(format!("upstream {}", server.server));
                }
            }
        }
        waiting
    }
}

/// The creation time of the replay store: now, or behind the newest session that a former run opened.
fn replay_epoch(sessions: &dyn SessionStore, now: UnixTime) -> Result<UnixTime> {
    let newest = sessions.list(now)?.iter().map(|session| session.opened_at).max();
    Ok(newest.map_or(now, |newest| now.max(UnixTime::from_millis(newest.millis().saturating_add(1)))))
}

async fn bind(address: SocketAddr, key: &str) -> Result<(TcpListener, SocketAddr)> {
    let refuse = |error: std::io::Error| {
        Error::new(ErrorKind::ConfigInvalid, format!("`{key}`: cannot listen on `{address}`: {error}"))
    };
    let listener = TcpListener::bind(address).await.map_err(refuse)?;
    let bound = listener.local_addr().map_err(refuse)?;
    Ok((listener, bound))
}

fn audience(config: &Config, url: &str) -> String {
    config.token.audience.clone().unwrap_or_else(|| url.to_owned())
}

fn token_rules(config: &Config, url: &str) -> TokenRules {
    TokenRules {
        issuer: Some(config.token.issuer.clone()),
        audience: Some(audience(config, url)),
        leeway_seconds: config.session.token_leeway,
        lenient_claims: false,
        cache_capacity: config.session.token_cache,
    }
}

fn attestor_rules(config: &Config, url: &str) -> AttestorRules {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    AttestorRules {
        issuer: config.token.issuer.clone(),
        audience: audience(config, url),
        lifetime_seconds: u32::try_from(config.session.token_ttl.as_secs()).unwrap_or(u32::MAX),
        compat_ctx_claim: config.token.compat_ctx_claim,
        require_proof: config.attestation.require_proof,
        public_url: config.listen.public_url.clone(),
        failures_per_minute: count(config.attestation.failures_per_source),
        successes_per_minute: count(config.attestation.successes_per_workload),
    }
}

/// What a shutdown came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Last record of the audit log as `SEQ:HASH`, for `smcp audit verify --expect-head`.
    pub audit_head: String,
    /// Connections that were cut off because their calls did not end in time.
    pub cut_off: usize,
}

/// A gateway that serves.
pub struct RunningGateway {
    gateway: Arc<Gateway>,
    writer: AuditWriter,
    url: String,
    operator_url: Option<String>,
    agents: JoinHandle<usize>,
    operators: Option<JoinHandle<usize>>,
    background: Vec<JoinHandle<()>>,
}

impl RunningGateway {
    fn serve(
        gateway: Arc<Gateway>,
        ring: KeyRing,
        writer: AuditWriter,
        (listener, address): (TcpListener, SocketAddr),
        operator: Option<(TcpListener, SocketAddr)>,
        tls: Option<Arc<ReloadingTls>>,
        url: String,
    ) -> Self {
        let limits = &gateway.config.limits;
        let limits = ServeLimits {
            connections: limits.connections,
            header_bytes: limits.header_size,
            header_timeout: limits.header_timeout,
            drain_timeout: limits.drain_timeout,
        };
        let stopping = gateway.stopping.clone();
        let listen = &gateway.config.listen;
        let rules =
            FrontRules { allowed_origins: listen.allowed_origins.clone(), allowed_hosts: listen.hosts(address) };
        let source = tls.clone().map(|tls| -> TlsSource { Arc::new(move || tls.config()) });
        let router = http::agent_router(&gateway, rules);
        let agents = tokio::spawn(http::serve(listener, source, router, limits, stopping.clone()));
        let mut operator_url = None;
        let operators = operator.map(|(listener, address)| {
            operator_url = Some(format!("http://{address}"));
            let rules = FrontRules { allowed_origins: Vec::new(), allowed_hosts: parts::loopback_hosts(address) };
            let router = http::operator_router(&gateway, rules);
            tokio::spawn(http::serve(listener, None, router, limits, stopping.clone()))
        });
        let mut background = vec![
            tokio::spawn(expire_sessions(Arc::clone(&gateway))),
            tokio::spawn(lapse_keys(Arc::clone(&gateway), ring)),
        ];
        if let Some(tls) = tls {
            background.push(tokio::spawn(tls.watch(RELOAD_INTERVAL, stopping)));
        }
        Self { gateway, writer, url, operator_url, agents, operators, background }
    }

    /// The URL agents call.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the operator API.
    #[must_use]
    pub fn operator_url(&self) -> Option<&str> {
        self.operator_url.as_deref()
    }

    /// The file with the operator's token.
    #[must_use]
    pub fn operator_token_file(&self) -> Option<PathBuf> {
        self.gateway.config.operator.as_ref().map(|operator| operator.token_file.clone())
    }

    /// The audit log's file.
    #[must_use]
    pub fn audit_file(&self) -> &Path {
        &self.gateway.config.audit.file
    }

    /// The state routes share, for tests and for programs that embed the gateway.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Drains calls under way, ends the tool servers, writes the last checkpoint.
    pub async fn shutdown(self) -> ShutdownReport {
        self.gateway.stopping.cancel();
        let mut cut_off = self.agents.await.unwrap_or(0);
        if let Some(operators) = self.operators {
            cut_off = cut_off.saturating_add(operators.await.unwrap_or(0));
        }
        for task in self.background {
            if task.await.is_err() {
                tracing::error!("a background task ended by a defect");
            }
        }
        // Calls run in tasks of their own; a client that left may have one that still waits for its tool server.
        let room = u32::try_from(self.gateway.config.limits.concurrency).unwrap_or(u32::MAX);
        let drained =
            tokio::time::timeout(self.gateway.config.limits.drain_timeout, self.gateway.permits.acquire_many(room));
        if drained.await.is_err() {
            tracing::warn!("calls were still under way at the end of the drain time");
        }
        self.gateway.upstreams.shutdown().await;
        let audit_head = self.writer.shutdown().await;
        ShutdownReport { audit_head, cut_off }
    }
}

/// Closes expired sessions and audits them.
async fn expire_sessions(gateway: Arc<Gateway>) {
    loop {
        tokio::select! {
            () = gateway.stopping.cancelled() => return,
            () = tokio::time::sleep(EXPIRY_INTERVAL) => {}
        }
        let now = clock::now();
        // A session lives as long as its token is taken.
        let leeway = i64::from(gateway.config.session.token_leeway);
        match gateway.sessions.expire(now.plus_seconds(leeway.saturating_neg())) {
            Err(error) => tracing::error!(%error, "expired sessions could not be closed"),
            Ok(expired) => {
                for session in expired {
                    if let Err(error) = gateway.audit.append(events::expired(&session, now), now).await {
                        tracing::error!(%error, "an expiry could not be audited");
                    }
                }
            }
        }
    }
}

/// Takes retired keys out of use when their overlap ends.
async fn lapse_keys(gateway: Arc<Gateway>, ring: KeyRing) {
    loop {
        let now = clock::now();
        let Some(lapse) = ring.next_lapse(now) else { return gateway.stopping.cancelled().await };
        let wait = u64::try_from(lapse.millis().saturating_sub(now.millis())).unwrap_or(0);
        tokio::select! {
            () = gateway.stopping.cancelled() => return,
            // At most an hour at once, since the clock may be set.
            () = tokio::time::sleep(Duration::from_millis(wait.clamp(10, 3_600_000))) => {}
        }
        match ring.key_set(clock::now()) {
            Ok(keys) if *gateway.tokens.keys() != keys => gateway.tokens.replace_keys(keys),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "retired keys could not be taken out of use"),
        }
    }
}
