//! What MCP clients are told.

use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::Fields;

use super::issuer::filled;
use super::quantity::{SECOND, count, duration};

/// What MCP clients are told by `initialize`, `server/discover` and the lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpConfig {
    /// Name of the server, default `smcp-gateway`.
    pub server_name: String,
    /// Text for the model about the tools.
    pub instructions: Option<String>,
    /// How long a client may keep a list, at most and by default 60 s.
    pub list_ttl: Duration,
    /// Longest page of a list, default 100.
    pub page_size: usize,
}

impl McpConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let mut config = Self {
            server_name: "smcp-gateway".to_owned(),
            instructions: None,
            list_ttl: SECOND.saturating_mul(60),
            page_size: 100,
        };
        let Some(field) = root.optional("mcp") else { return Ok(config) };
        let fields = field.fields(&["server_name", "instructions", "list_ttl", "page_size"])?;
        if let Some(field) = fields.optional("server_name") {
            config.server_name = filled(&field)?;
        }
        if let Some(field) = fields.optional("instructions") {
            config.instructions = Some(field.non_empty_text()?.to_owned());
        }
        if let Some(field) = fields.optional("list_ttl") {
            config.list_ttl = duration(&field, Duration::ZERO..=SECOND.saturating_mul(60))?;
        }
        if let Some(field) = fields.optional("page_size") {
            config.page_size = count(&field, 1..=10_000)?;
        }
        Ok(config)
    }
}
