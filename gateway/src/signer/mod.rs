//! Keys and secrets of the gateway in files (section 6).

mod file;
mod key_ring;
mod operator_token;
mod pem;
mod spki;

pub use file::{FileSigner, create_ed25519_key, load_audit_key, load_ed25519_key, load_public_key, public_key_to_pem};
pub use key_ring::{KeyRing, KeyRingRules, RetiredKeyFile, create_key_folder, rotate_key_folder};
pub use operator_token::{OperatorToken, create_operator_token, read_operator_token};
