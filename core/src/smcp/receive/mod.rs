//! The receive pipeline of section 5, steps 1 to 7: each step takes the type of the one before by value.
//!
//! ```text
//! WireEnvelope::parse → open → verify → admit → authorize → AuthorizedCall
//! ```
//!
//! Nothing here asks a store: the caller brings the answers of its session, replay and rate stores, so that a blocking
//! service, an asynchronous gateway and a test drive the same code. The payload is reachable only from the end.

mod admit;
mod authorize;
mod open;
mod refusal;
mod verify;

pub use admit::{AdmittedEnvelope, admit};
pub use authorize::{AuthorizedCall, authorize, decide_call};
pub use open::{OpenedEnvelope, SessionQuery, open};
pub use refusal::{CallFacts, Refusal};
pub use verify::{ContextEvidence, SessionEvidence, VerifiedEnvelope, verify};
