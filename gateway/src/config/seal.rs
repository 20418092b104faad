//! The `seal/v1` dialect.

use smcp_core::error::Result;
use smcp_core::settings::Fields;

/// The `seal/v1` dialect (section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealConfig {
    /// Whether the routes under `/v1/seal/` are served, default true.
    pub enabled: bool,
}

impl SealConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let enabled = match root.optional("seal") {
            Some(field) => field.fields(&["enabled"])?.optional("enabled").map_or(Ok(true), |field| field.boolean())?,
            None => true,
        };
        Ok(Self { enabled })
    }
}
