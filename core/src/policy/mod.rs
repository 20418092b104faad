//! The capability policy: deny list, capabilities with constraints, default deny (section 7).

mod command;
mod constraint;
mod context;
mod decide;
mod decision;
mod deny;
mod digest;
mod domain;
mod explain;
mod extract;
mod fold;
mod load;
mod method;
mod names;
mod path;
mod pattern;
mod quote;
mod rate;
mod set;

pub use command::{CommandArgs, CommandArgument, CommandEntry, CommandLine, CommandRefusal, DenyWords};
pub use context::{ArgumentNames, Capability, ContextDigest, RateLimit, SecurityContext, SubcommandAllowlist};
pub use decide::{ToolCall, decide, lists_tool};
pub use decision::{Decision, DeniedBy, TraceRule, TraceStep, Verdict};
pub use deny::DenyEntry;
pub use domain::{DomainPattern, Host};
pub use explain::explain;
pub use load::{load_context, load_seal_context, read_context};
pub use method::{MethodClass, policy_target};
pub use path::{BasePath, PathPattern};
pub use pattern::ToolPattern;
pub use rate::{RateAnswer, RateKey, RateStore};
pub use set::{ContextSet, load_contexts};
