//! The capability policy: deny list, capabilities with constraints, default deny (section 7).

mod command;
mod context;
mod deny;
mod domain;
mod fold;
mod path;
mod pattern;
mod quote;
mod rate;

pub use command::{CommandArgs, CommandArgument, CommandEntry, CommandLine, CommandRefusal, DenyWords};
pub use context::{ArgumentNames, Capability, ContextDigest, RateLimit, SecurityContext, SubcommandAllowlist};
pub use deny::DenyEntry;
pub use domain::{DomainPattern, Host};
pub use path::{BasePath, PathPattern};
pub use pattern::ToolPattern;
pub use rate::{RateAnswer, RateKey, RateStore};
