//! A security context as loaded: every pattern parsed, nothing left to interpret at call time (section 7).

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::command::CommandEntry;
use super::deny::DenyEntry;
use super::domain::DomainPattern;
use super::path::{BasePath, PathPattern};
use super::pattern::ToolPattern;

/// What an agent that was granted this context may do.
#[derive(Clone, Debug)]
pub struct SecurityContext {
    /// Name, `^[a-z][a-z0-9-]*$`; shared, since every decision carries it.
    pub name: Arc<str>,
    /// Free text.
    pub description: Option<String>,
    /// In file order; any one whose pattern matches and whose constraints all pass allows.
    pub capabilities: Vec<Capability>,
    /// In file order; a match always wins.
    pub deny_list: Vec<DenyEntry>,
    /// SHA-256 over the normalised content, named in every decision.
    pub digest: ContextDigest,
}

/// SHA-256 of a context's normalised content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContextDigest(pub [u8; 32]);

/// One capability: which tools, and within which constraints.
#[derive(Clone, Debug)]
pub struct Capability {
    /// Which tools.
    pub tool_pattern: ToolPattern,
    /// `None`: no path constraint. `Some` and empty: nothing passes.
    pub path_allowlist: Option<Vec<PathPattern>>,
    /// `None`: no command constraint. `Some` and empty: nothing passes.
    pub command_allowlist: Option<Vec<CommandEntry>>,
    /// Only beside a `command_allowlist`.
    pub subcommand_allowlist: Option<SubcommandAllowlist>,
    /// `None`: no domain constraint. `Some` and empty: no URL or host passes.
    pub domain_allowlist: Option<Vec<DomainPattern>>,
    /// Sliding window.
    pub rate_limit: Option<RateLimit>,
    /// Bytes of the compact JSON of the response's `result`; equal passes.
    pub max_response_size: Option<NonZeroU64>,
    /// Argument names that replace the built-in ones, per kind.
    pub arguments: ArgumentNames,
    /// Where relative paths are put.
    pub base_path: Option<BasePath>,
    /// A call without URL or host is refused.
    pub require_domain: bool,
}

/// Which first non-option word may follow an allowed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubcommandAllowlist {
    /// The same list for every allowed command.
    Every(Vec<String>),
    /// Per command; a command without an entry has no subcommand rule.
    PerCommand(BTreeMap<String, Vec<String>>),
}

/// At most `calls` within any `per_seconds` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls, at least 1.
    pub calls: u32,
    /// Length of the window in seconds, at least 1.
    pub per_seconds: u32,
}

/// Argument names a capability sets itself; `None` keeps the built-in names of that kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgumentNames {
    /// Names of path arguments.
    pub path: Option<Vec<String>>,
    /// Names of command arguments.
    pub command: Option<Vec<String>>,
    /// Names of URL and host arguments.
    pub domain: Option<Vec<String>>,
}
