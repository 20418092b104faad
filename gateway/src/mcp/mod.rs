//! What the gateway itself says in MCP.

mod cancel;
mod introduce;
mod page;

pub use cancel::{RunningCall, RunningCalls};
pub use introduce::{Offer, PROTOCOL_VERSIONS, discover, initialize};
pub use page::{BadCursor, page};
