//! Names in the gateway's tokens.

use smcp_core::error::Result;
use smcp_core::settings::{Cursor, Fields};

/// What the gateway writes into tokens and requires of them (section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// `iss`, default `smcp-gateway`.
    pub issuer: String,
    /// `aud`; `None` means the gateway's own URL.
    pub audience: Option<String>,
    /// Whether the claim `ctx` is written beside `scp`.
    pub compat_ctx_claim: bool,
}

impl TokenConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let text = |name| root.optional(name).map(|field| filled(&field)).transpose();
        let issuer = text("issuer")?.unwrap_or_else(|| "smcp-gateway".to_owned());
        Ok(Self {
            issuer,
            audience: text("audience")?,
            compat_ctx_claim: root.optional("compat_ctx_claim").map_or(Ok(false), |field| field.boolean())?,
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
