//! Splitting a compact JWS and reading its header (section 3).

use super::refuse;
use crate::error::Result;
use crate::json::{self, Kind, Limits};
use crate::keys::decode_base64url;

/// The largest token in bytes; a JWT of ours has about 600.
const MAXIMUM_BYTES: usize = 64 << 10;
/// Header and claims nest at most this deep.
const MAXIMUM_DEPTH: usize = 32;

/// The limits under which header and claims are scanned.
pub(super) const JSON_LIMITS: Limits = Limits { bytes: MAXIMUM_BYTES, depth: MAXIMUM_DEPTH };

/// A token in its three parts; nothing of it is trusted yet.
pub(super) struct WireToken<'a> {
    /// What the signature covers.
    pub(super) signing_input: &'a str,
    /// The header's `alg`.
    pub(super) algorithm: String,
    /// The header's `kid`.
    pub(super) key_id: Option<String>,
    /// The decoded claims.
    pub(super) claims: Vec<u8>,
    /// The decoded signature.
    pub(super) signature: Vec<u8>,
}

impl<'a> WireToken<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self> {
        if token.len() > MAXIMUM_BYTES {
            return Err(refuse("the token is larger than 64 KiB"));
        }
        let (signing_input, signature) =
            token.rsplit_once('.').ok_or_else(|| refuse("the token has not three parts"))?;
        let (header, claims) = signing_input.split_once('.').ok_or_else(|| refuse("the token has not three parts"))?;
        if claims.contains('.') {
            return Err(refuse("the token has more than three parts"));
        }
        let decode = |part: &str| {
            decode_base64url(part)
                .filter(|bytes| !bytes.is_empty())
                .ok_or_else(|| refuse("a part of the token is empty or not unpadded base64url"))
        };
        let (algorithm, key_id) = parse_header(&decode(header)?)?;
        Ok(Self { signing_input, algorithm, key_id, claims: decode(claims)?, signature: decode(signature)? })
    }
}

/// Reads `alg` and `kid`, and refuses every header that would change how the token is to be read.
fn parse_header(bytes: &[u8]) -> Result<(String, Option<String>)> {
    let document = json::scan_with(bytes, JSON_LIMITS).map_err(|error| refuse(format!("token header: {error}")))?;
    let header = document.root();
    if header.kind() != Kind::Object {
        return Err(refuse("the token header is no object"));
    }
    for name in ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"] {
        if header.get(name).is_some() {
            return Err(refuse(format!("header member `{name}` is not accepted")));
        }
    }
    if header.get("typ").is_some_and(|kind| kind.as_str().as_deref() != Some("JWT")) {
        return Err(refuse("header member `typ` is not `JWT`"));
    }
    let algorithm = header
        .get("alg")
        .and_then(json::Value::as_str)
        .ok_or_else(|| refuse("header member `alg` is missing or no string"))?;
    let key_id = match header.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().ok_or_else(|| refuse("header member `kid` is no string"))?.into_owned()),
    };
    Ok((algorithm.into_owned(), key_id))
}
