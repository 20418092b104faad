//! `jwt.json`: security tokens against key tables.

use serde_json::Value;
use smcp_core::keys::{KeyMaterial, KeySet, PublicKey, TokenKey};
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::time::UnixTime;

use crate::{VectorFile, text};

/// Verifies the token twice, so that the cache is seen to answer as the first time.
pub fn check_token(file: &VectorFile, vector: &Value) -> Result<(), String> {
    let table = file.document["keys"].as_array().expect("keys");
    let keys = vector["keys"].as_array().expect("keys").iter().map(|known| {
        let entry = table.iter().find(|key| key["id"] == known["key"]).expect("a key of the table");
        let public = PublicKey::parse_base64url(entry["jwk"]["x"].as_str().expect("x")).expect("a key");
        TokenKey::new(known["kid"].as_str().map(str::to_owned), KeyMaterial::Ed25519(public))
    });
    let option = |name: &str| vector["options"][name].as_str().map(str::to_owned);
    let rules = TokenRules { audience: option("audience"), issuer: option("issuer"), ..TokenRules::default() };
    let keys = KeySet::new(keys.collect()).map_err(|error| error.to_string())?;
    let verifier = TokenVerifier::new(keys, rules).map_err(|error| error.to_string())?;
    let now = UnixTime::from_seconds(vector["now"].as_i64().expect("a clock"));
    let first = verifier.verify(text(vector, "token"), now);
    if first != verifier.verify(text(vector, "token"), now) {
        return Err("the second answer differs from the first".to_owned());
    }
    match (text(vector, "expect"), first) {
        ("accept", Ok(_)) | ("either", _) => Ok(()),
        ("accept", Err(error)) => Err(format!("refused: {error}")),
        ("reject", Ok(_)) => Err("accepted".to_owned()),
        ("reject", Err(error)) => {
            let names = vector["error"].as_array().expect("error names");
            if names.iter().any(|name| name == error.kind().name()) {
                Ok(())
            } else {
                Err(format!("{names:?} expected, got {error}"))
            }
        }
        (other, _) => Err(format!("unknown expectation `{other}`")),
    }
}
