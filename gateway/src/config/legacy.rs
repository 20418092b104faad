//! Plain MCP without SMCP.

use smcp_core::error::Result;
use smcp_core::policy::ContextSet;
use smcp_core::settings::Fields;

use super::contexts::known_context;
use super::listen::ListenConfig;

/// Plain MCP on `POST /mcp` (section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyConfig {
    /// The context under which every plain call is decided.
    pub scope: String,
}

impl LegacyConfig {
    /// Reads `legacy`; `None` when SMCP is required, which is the default.
    pub(super) fn read(root: &Fields<'_>, contexts: &ContextSet, listen: &ListenConfig) -> Result<Option<Self>> {
        let Some(field) = root.optional("legacy") else { return Ok(None) };
        let fields = field.fields(&["required", "scope"])?;
        let required = fields.optional("required").map_or(Ok(true), |field| field.boolean())?;
        let scope = fields.optional("scope").map(|field| known_context(&field, contexts)).transpose()?;
        if required {
            return Ok(None);
        }
        let Some(scope) = scope else { return Err(field.error("missing field `scope`")) };
        let mutual = listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if !listen.is_loopback() && !mutual {
            return Err(field.error(&format!(
                "plain MCP names no agent, so it needs a loopback `listen` or `tls.client_ca`, but `listen` is `{}`",
                listen.address
            )));
        }
        // Behind a proxy, loopback is where everybody comes from.
        if listen.behind_tls_proxy && !mutual {
            return Err(field.error(
                "plain MCP names no agent, so it is not served behind a proxy: leave `behind_tls_proxy` out, or use SMCP",
            ));
        }
        Ok(Some(Self { scope }))
    }
}
