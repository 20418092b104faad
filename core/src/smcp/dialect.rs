//! The two names under which the same protocol is spoken (section 9).

use std::fmt;

/// One of the published names of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// `smcp/v1`.
    Smcp,
    /// `seal/v1`, the successor name.
    Seal,
}

impl Dialect {
    /// Both dialects.
    pub const ALL: [Self; 2] = [Self::Smcp, Self::Seal];

    /// The value of the envelope's `protocol` member.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Smcp => "smcp/v1",
            Self::Seal => "seal/v1",
        }
    }

    /// The dialect with exactly this `protocol` value.
    #[must_use]
    pub fn from_protocol(protocol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.protocol() == protocol)
    }

    /// Path of the attestation route.
    #[must_use]
    pub const fn attest_path(self) -> &'static str {
        match self {
            Self::Smcp => "/v1/smcp/attest",
            Self::Seal => "/v1/seal/attest",
        }
    }

    /// Path of the invocation route.
    #[must_use]
    pub const fn invoke_path(self) -> &'static str {
        match self {
            Self::Smcp => "/v1/smcp/invoke",
            Self::Seal => "/v1/seal/invoke",
        }
    }

    /// The member of an attestation request that names the wanted context.
    #[must_use]
    pub const fn scope_member(self) -> &'static str {
        match self {
            Self::Smcp => "requested_scope",
            Self::Seal => "security_context",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.protocol())
    }
}
