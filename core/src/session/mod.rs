//! Sessions: what an attestation opened, and the interface of whoever remembers it (sections 3 to 5).

mod blocks;
mod memory;
mod record;
mod store;

pub use memory::MemorySessionStore;
pub use record::{Session, SessionState};
pub use store::{Block, BlockRecord, SessionAnswer, SessionStore};
