//! The capability policy: deny list, capabilities with constraints, default deny (section 7).

mod command;
mod context;
mod deny;
mod domain;
mod path;
mod pattern;
mod rate;
mod rate_window;

pub use command::CommandEntry;
pub use context::{ArgumentNames, Capability, ContextDigest, RateLimit, SecurityContext, SubcommandAllowlist};
pub use deny::DenyEntry;
pub use domain::DomainPattern;
pub use path::{BasePath, PathPattern};
pub use pattern::ToolPattern;
pub use rate::{RateAnswer, RateKey, RateStore};
pub use rate_window::MemoryRateStore;
