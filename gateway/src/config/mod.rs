//! The gateway's configuration as typed values, read from YAML, JSON or TOML.
//!
//! Every wrong value is refused at the start with file, line and field; `docs/gateway-reference.md` lists all keys.

mod address;
mod attestation;
mod audit;
mod base;
mod contexts;
mod embedded;
mod grants;
mod host;
mod issuer;
mod legacy;
mod limits;
mod listen;
mod log;
mod mcp;
mod network;
mod operator;
mod quantity;
mod seal;
mod secret;
mod session;
mod signing;
mod tls;
mod upstream;
mod upstream_reader;

use std::cell::Cell;
use std::path::{Path, PathBuf, absolute};

use smcp_core::error::{Error, ErrorKind, Result};
use smcp_core::policy::ContextSet;
use smcp_core::settings::{self, Cursor, Entry, Node, NodeKind, Syntax};
use smcp_core::smcp::attest::Grants;

pub use attestation::{AttestationConfig, JwksSource, OidcConfig, StaticWorkload, VerifierConfig, WorkloadAlgorithm};
pub use audit::{AuditConfig, SyncPolicy};
pub use host::HostPattern;
pub use issuer::TokenConfig;
pub use legacy::LegacyConfig;
pub use limits::{LimitsConfig, RatesConfig, ReplayConfig};
pub use listen::{DEFAULT_PORT, ListenConfig};
pub use log::{LogConfig, LogFormat, LogLevel};
pub use mcp::McpConfig;
pub use network::Network;
pub use operator::{DEFAULT_OPERATOR_PORT, OperatorConfig};
pub use seal::SealConfig;
pub use secret::Secret;
pub use session::{SessionConfig, SessionStoreConfig};
pub use signing::{RetiredKey, SigningConfig};
pub use tls::TlsConfig;
pub use upstream::{FilesystemConfig, HttpConfig, StdioConfig, TransportConfig, UpstreamConfig};

use base::{Base, others_can_read, read_text, shown};

/// Everything a gateway is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, as messages show it.
    pub origin: String,
    /// SHA-256 over the file's text and the digests of all contexts; written into the audit log.
    pub digest: [u8; 32],
    /// Absolute folder of the files the gateway makes itself, created with mode 0700 when it is missing.
    pub state_folder: PathBuf,
    /// The agents' listener.
    pub listen: ListenConfig,
    /// The operator's listener; `None` when switched off.
    pub operator: Option<OperatorConfig>,
    /// Limits of the HTTP front.
    pub limits: LimitsConfig,
    /// Greatest difference between an envelope's timestamp and the clock in seconds, 1 to 60, default 30.
    pub freshness_window: u32,
    /// The replay store.
    pub replay: ReplayConfig,
    /// Counters of rate limits.
    pub rates: RatesConfig,
    /// Sessions and lifetimes of tokens.
    pub session: SessionConfig,
    /// Names in tokens.
    pub token: TokenConfig,
    /// The security contexts, at least one.
    pub contexts: ContextSet,
    /// Which workload may attest for which context.
    pub grants: Grants,
    /// How workloads prove who they are.
    pub attestation: AttestationConfig,
    /// The key that signs tokens.
    pub signing: SigningConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// The tool servers.
    pub upstreams: Vec<UpstreamConfig>,
    /// Plain MCP, when it is let in.
    pub legacy: Option<LegacyConfig>,
    /// The `seal/v1` dialect.
    pub seal: SealConfig,
    /// What MCP clients are told.
    pub mcp: McpConfig,
    /// Logging.
    pub log: LogConfig,
    /// What is allowed but should be looked at, each with file, line and field.
    pub warnings: Vec<String>,
    /// Whether a secret stands in the file itself.
    has_inline_secrets: bool,
}

/// All keys at the top of a configuration.
const FIELDS: &[&str] = &[
    "listen",
    "public_url",
    "behind_tls_proxy",
    "tls",
    "allowed_origins",
    "allowed_hosts",
    "trusted_proxies",
    "issuer",
    "audience",
    "compat_ctx_claim",
    "state_folder",
    "operator",
    "limits",
    "freshness_window",
    "replay",
    "rates",
    "session",
    "contexts",
    "grants",
    "attestation",
    "signing",
    "audit",
    "upstreams",
    "legacy",
    "seal",
    "mcp",
    "log",
];

impl Config {
    /// Reads a configuration file; its syntax is that of its extension.
    ///
    /// # Errors
    /// `CONFIG_INVALID` naming file, line and field, for everything `docs/gateway-reference.md` calls an error.
    pub fn load(path: &Path) -> Result<Self> {
        let refuse = |what: &str| Error::new(ErrorKind::ConfigInvalid, format!("{}: {what}", shown(path)));
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
        let syntax = Syntax::from_extension(&extension.unwrap_or_default())
            .ok_or_else(|| refuse("the name must end with `.yaml`, `.yml`, `.json` or `.toml`"))?;
        let whole = absolute(path).map_err(|error| refuse(&error.to_string()))?;
        let folder = whole.parent().ok_or_else(|| refuse("has no folder"))?;
        let mut config = Self::parse(&read_text(path)?, syntax, &path.display().to_string(), folder)?;
        if others_can_read(&whole) && config.has_inline_secrets {
            config.warnings.push(format!("{}: holds secrets and can be read by others; `chmod o=` it", shown(path)));
        }
        Ok(config)
    }

    /// Reads the text of a configuration. `origin` is its name in messages; relative paths are put under `folder`,
    /// which must be absolute.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, syntax: Syntax, origin: &str, folder: &Path) -> Result<Self> {
        let mut node = settings::read(text, syntax, origin)?;
        if matches!(node.kind, NodeKind::Null) {
            // A file of comments only is a configuration without settings.
            node.kind = NodeKind::Mapping(Vec::<Entry>::new());
        }
        let mut config = Self::read(&node, origin, folder)?;
        config.digest = digest(text, &config.contexts);
        Ok(config)
    }

    fn read(node: &Node, origin: &str, folder: &Path) -> Result<Self> {
        let root = Cursor::root(origin, node).fields(FIELDS)?;
        let mut base = Base { folder, state: folder.join("smcp-state"), has_inline_secrets: Cell::new(false) };
        if let Some(field) = root.optional("state_folder") {
            base.state = base.path(&field)?;
        }
        let mut warnings = Vec::new();
        let listen = ListenConfig::read(&root, &base)?;
        let limits = LimitsConfig::read(&root)?;
        let session = SessionConfig::read(&root, &base)?;
        let signing = SigningConfig::read(&root, &base, session.token_ttl)?;
        let contexts = contexts::read(&root, &base)?;
        let config = Self {
            origin: origin.to_owned(),
            digest: [0; 32],
            operator: OperatorConfig::read(&root, &base, &listen)?,
            freshness_window: root
                .optional("freshness_window")
                .map_or(Ok(30), |field| quantity::seconds(&field, 1..=60))?,
            replay: ReplayConfig::read(&root)?,
            rates: RatesConfig::read(&root)?,
            token: TokenConfig::read(&root)?,
            grants: grants::read(&root, &contexts)?,
            attestation: AttestationConfig::read(&root, &base, &listen, &mut warnings)?,
            audit: AuditConfig::read(&root, &base, &signing)?,
            upstreams: upstream_reader::read(&root, &base, &limits)?,
            legacy: LegacyConfig::read(&root, &contexts, &listen)?,
            seal: SealConfig::read(&root)?,
            mcp: McpConfig::read(&root)?,
            log: LogConfig::read(&root)?,
            has_inline_secrets: base.has_inline_secrets.get(),
            state_folder: base.state,
            listen,
            limits,
            session,
            contexts,
            signing,
            warnings,
        };
        Ok(config.with_warnings(root.cursor()))
    }

    /// Adds what concerns several sections.
    fn with_warnings(mut self, root: &Cursor<'_>) -> Self {
        let mut warn = |message: &str| self.warnings.push(root.error(message).message().to_owned());
        if self.grants.is_empty() {
            warn("`grants` gives no workload any context, so that no agent can attest");
        }
        if self.upstreams.is_empty() {
            warn("`upstreams` names no tool server, so that there is no tool to call");
        }
        if self.session.store == SessionStoreConfig::Memory {
            warn("`session.store` is `memory`: a restart forgets blocks and revocations");
        }
        if self.legacy.is_some() {
            warn("`legacy` lets plain MCP in, without token and signature");
        }
        self
    }
}

/// SHA-256 over the length and bytes of the text, then name and digest of each context in order of their names.
fn digest(text: &str, contexts: &ContextSet) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut part = |bytes: &[u8]| {
        context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(bytes);
    };
    part(text.as_bytes());
    for security_context in contexts.iter() {
        part(security_context.name.as_bytes());
        part(&security_context.digest.0);
    }
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    digest
}

#[cfg(test)]
mod tests;
