//! The way out (section 2, 4 and 11): envelopes from payloads, and the client's session without HTTP.

mod compose;
mod exchange;
mod session;

pub use compose::{compose_envelope, compose_request};
pub use exchange::{AttestAnswer, CallAnswer, GatewayError, attest_body, read_response};
pub use session::{ClientSession, SessionRecord};
