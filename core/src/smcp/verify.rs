//! The verify primitive of the published SDKs: one envelope against one key (section 11).

use super::Dialect;
use super::envelope::{EnvelopeRules, WireEnvelope};
use super::message::{CanonicalMessage, PayloadRule};
use crate::error::Result;
use crate::json::Limits;
use crate::keys::PublicKey;
use crate::time::UnixTime;

/// What [`verify_envelope`] demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyRules {
    /// The dialect.
    pub dialect: Dialect,
    /// Largest distance between `now` and the timestamp in whole seconds.
    pub max_age_seconds: i64,
    /// Size and depth of the JSON text.
    pub limits: Limits,
}

impl Default for VerifyRules {
    fn default() -> Self {
        Self { dialect: Dialect::Smcp, max_age_seconds: 30, limits: Limits::default() }
    }
}

/// Checks protocol, shape, freshness and signature, and returns the message that was signed.
///
/// There is no token check, no replay protection and no policy here: that is `receive`.
///
/// # Errors
/// `MALFORMED_ENVELOPE`, `UNSUPPORTED_PROTOCOL`, `STALE_TIMESTAMP` or `INVALID_SIGNATURE`.
pub fn verify_envelope(wire: &[u8], key: &PublicKey, rules: &VerifyRules, now: UnixTime) -> Result<CanonicalMessage> {
    let shape = EnvelopeRules { limits: rules.limits, dialect: Some(rules.dialect), payload: PayloadRule::AnyObject };
    let envelope = WireEnvelope::parse(wire, &shape)?;
    envelope.check_freshness(rules.max_age_seconds, now)?;
    CanonicalMessage::verify(
        envelope.payload(),
        &envelope.security_token(),
        envelope.timestamp().seconds(),
        key,
        envelope.signature(),
    )
}
