//! Attestation, the gateway's side (section 4): request, proof of possession, limits, grants, issuing.
//!
//! The order of checks is shape, key, source limit, workload, block list, scope. The workload verifier itself does I/O
//! and is the host's; its finding comes in as a [`Workload`].

mod grants;
mod limits;
mod request;
mod service;

pub use grants::Grants;
pub use limits::AttemptLimits;
pub use request::{AttestationRequest, Proof, proof_message};
pub use service::{Attestor, AttestorRules, Granted, Workload};
