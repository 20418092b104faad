//! Tokens of an identity provider: splitting a compact JWS and reading its header, strictly.

use smcp_core::json::{self, Kind, Limits, Value};
use smcp_core::keys::decode_base64url;

/// The largest token in bytes; a service-account token has about 1 KiB.
const MAXIMUM_BYTES: usize = 16 << 10;
const JSON_LIMITS: Limits = Limits { bytes: MAXIMUM_BYTES, depth: 32 };

/// Why a token is refused, for the log and never for the client.
pub(super) type Refusal = &'static str;

/// The algorithms that can be taken from an identity provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderAlgorithm {
    /// RSA PKCS#1 v1.5 with SHA-256, `RS256`.
    Rs256,
    /// ECDSA over P-256 with SHA-256, `ES256`.
    Es256,
    /// Ed25519, `EdDSA`.
    EdDsa,
}

impl ProviderAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A token in its parts; nothing of it is trusted yet.
pub(super) struct ProviderToken<'a> {
    /// What the signature covers.
    pub(super) signing_input: &'a str,
    pub(super) algorithm: ProviderAlgorithm,
    pub(super) key_id: Option<String>,
    pub(super) signature: Vec<u8>,
    claims: Vec<u8>,
}

impl<'a> ProviderToken<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAXIMUM_BYTES {
            return Err("the token is larger than 16 KiB");
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or("the token has not three parts")?;
        let (header, claims) = signing_input.split_once('.').ok_or("the token has not three parts")?;
        // Unpadded base64url has no dot, so a fourth part fails here too.
        let decode = |part: &str| decode_base64url(part).ok_or("a part of the token is not unpadded base64url");
        let (algorithm, key_id) = parse_header(&decode(header)?)?;
        Ok(Self { signing_input, algorithm, key_id, signature: decode(signature)?, claims: decode(claims)? })
    }

    /// Reads the claims, which only makes sense once the signature is verified.
    pub(super) fn read_claims<T>(&self, read: impl FnOnce(Value<'_>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let document = json::scan_with(&self.claims, JSON_LIMITS).map_err(|_| "the claims are not strict JSON")?;
        let claims = document.root();
        if claims.kind() == Kind::Object { read(claims) } else { Err("the claims are no object") }
    }
}

fn parse_header(bytes: &[u8]) -> Result<(ProviderAlgorithm, Option<String>), Refusal> {
    let document = json::scan_with(bytes, JSON_LIMITS).map_err(|_| "the header is not strict JSON")?;
    let header = document.root();
    if header.kind() != Kind::Object {
        return Err("the header is no object");
    }
    if ["crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"].iter().any(|name| header.get(name).is_some()) {
        return Err("the header has a member that is not accepted");
    }
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(|text| Some(text.into_owned())).ok_or("a header member is no string"),
    };
    let kinds = ["JWT", "JOSE", "at+jwt"];
    if text("typ")?.is_some_and(|kind| !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known))) {
        return Err("header member `typ` is none of JWT, JOSE, at+jwt");
    }
    let algorithm = text("alg")?.and_then(|name| ProviderAlgorithm::from_name(&name));
    Ok((algorithm.ok_or("header member `alg` is none of RS256, ES256, EdDSA")?, text("kid")?))
}
