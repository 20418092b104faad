//! The capability policy: deny list, capabilities with constraints, default deny (section 7).

mod command;
mod context;
mod deny;
mod digest;
mod domain;
mod load;
mod path;
mod pattern;
mod rate;
mod set;

pub use command::CommandEntry;
pub use context::{ArgumentNames, Capability, ContextDigest, RateLimit, SecurityContext, SubcommandAllowlist};
pub use deny::DenyEntry;
pub use domain::DomainPattern;
pub use load::{load_context, load_seal_context, read_context};
pub use path::{BasePath, PathPattern};
pub use pattern::ToolPattern;
pub use rate::{RateAnswer, RateKey, RateStore};
pub use set::{ContextSet, load_contexts};
