//! Names in tokens: this gateway's own, and those of other issuers it believes.

use std::path::PathBuf;

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, Fields, quote};
use smcp_core::smcp::Dialect;

use super::base::Base;

/// What the gateway writes into tokens and requires of them (section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// `iss`, default `smcp-gateway`.
    pub issuer: String,
    /// `aud`; `None` means the gateway's own URL.
    pub audience: Option<String>,
    /// Whether the claim `ctx` is written beside `scp`.
    pub compat_ctx_claim: bool,
    /// Other gateways whose tokens are accepted.
    pub trusted_issuers: Vec<TrustedIssuer>,
}

/// Another gateway or identity provider whose security tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// Its `iss`.
    pub issuer: String,
    /// The `aud` its tokens must have; `None` means this gateway's own.
    pub audience: Option<String>,
    /// File with its public keys as a JWKS.
    pub jwks_file: PathBuf,
    /// Signature algorithms, default EdDSA only.
    pub algorithms: Vec<TokenAlgorithm>,
    /// The dialect of tokens and sessions that name none.
    pub dialect: Dialect,
    /// Whether `sub` stands for a missing `wid`.
    pub lenient_claims: bool,
}

/// Algorithms of security tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenAlgorithm {
    /// Ed25519.
    EdDsa,
    /// RSA with SHA-256, of `seal/v1` gateways.
    Rs256,
}

impl TokenConfig {
    pub(super) fn read(root: &Fields<'_>, base: &Base<'_>) -> Result<Self> {
        let text = |name| root.optional(name).map(|field| filled(&field)).transpose();
        let issuer = text("issuer")?.unwrap_or_else(|| "smcp-gateway".to_owned());
        let mut trusted_issuers: Vec<TrustedIssuer> = Vec::new();
        for field in root.optional("trusted_issuers").map_or(Ok(Vec::new()), |field| field.list())? {
            let trusted = TrustedIssuer::read(&field, base)?;
            if trusted.issuer == issuer {
                return Err(field.error(&format!("the issuer {} is this gateway's own", quote(&issuer))));
            }
            if trusted_issuers.iter().any(|other| other.issuer == trusted.issuer) {
                return Err(field.error(&format!("the issuer {} stands here twice", quote(&trusted.issuer))));
            }
            trusted_issuers.push(trusted);
        }
        Ok(Self {
            issuer,
            audience: text("audience")?,
            compat_ctx_claim: root.optional("compat_ctx_claim").map_or(Ok(false), |field| field.boolean())?,
            trusted_issuers,
        })
    }
}

impl TrustedIssuer {
    fn read(field: &Cursor<'_>, base: &Base<'_>) -> Result<Self> {
        let fields = field.fields(&["issuer", "audience", "jwks_file", "algorithms", "dialect", "lenient_claims"])?;
        let algorithms = match fields.optional("algorithms") {
            None => vec![TokenAlgorithm::EdDsa],
            Some(field) => {
                let words = [("EdDSA", TokenAlgorithm::EdDsa), ("RS256", TokenAlgorithm::Rs256)];
                non_empty_choices(&field, &words)?
            }
        };
        let dialects = Dialect::ALL.map(|dialect| (dialect.protocol(), dialect));
        Ok(Self {
            issuer: filled(&fields.required("issuer")?)?,
            audience: fields.optional("audience").map(|field| filled(&field)).transpose()?,
            jwks_file: base.file(&fields.required("jwks_file")?)?,
            algorithms,
            dialect: fields.optional("dialect").map_or(Ok(Dialect::Smcp), |field| field.choice(&dialects))?,
            lenient_claims: fields.optional("lenient_claims").map_or(Ok(false), |field| field.boolean())?,
        })
    }
}

/// A text that is more than white space.
pub(super) fn filled(field: &Cursor<'_>) -> Result<String> {
    let text = field.non_empty_text()?;
    if text.trim().is_empty() { Err(field.error("is blank")) } else { Ok(text.to_owned()) }
}

/// A list of words, at least one, each once.
pub(super) fn non_empty_choices<T: Copy + PartialEq>(field: &Cursor<'_>, words: &[(&str, T)]) -> Result<Vec<T>> {
    let mut chosen = Vec::new();
    for (_, element) in field.texts()? {
        let value = element.choice(words)?;
        if chosen.contains(&value) {
            return Err(element.error("stands here twice"));
        }
        chosen.push(value);
    }
    if chosen.is_empty() { Err(field.error("is empty")) } else { Ok(chosen) }
}
