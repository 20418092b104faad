//! Keys of agents and gateways (section 6).

mod agent;
mod base64;
mod key_set;
mod public;
mod signer;

pub use self::base64::{decode_base64, decode_base64url, encode_base64, encode_base64url};
pub use agent::AgentKey;
pub use key_set::{Algorithm, KeyMaterial, KeySet, RsaPublicKey, TokenKey};
pub use public::PublicKey;
pub use signer::{Signature, Signer};
