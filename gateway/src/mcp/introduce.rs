//! `initialize`, `server/discover` and `ping`, answered by the gateway itself (section 5).

use serde_json::{Map, Value, json};

use crate::config::McpConfig;

/// The MCP versions an agent may speak through the gateway, newest first.
pub const PROTOCOL_VERSIONS: [&str; 3] = ["2026-07-28", "2025-11-25", "2025-06-18"];
/// The newest version that still has `initialize`.
const NEWEST_WITH_INITIALIZE: &str = "2025-11-25";

/// What the gateway's tool servers offer together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Some server has resources.
    pub resources: bool,
    /// Some server has prompts.
    pub prompts: bool,
    /// Some server completes arguments.
    pub completions: bool,
}

fn capabilities(offer: Offer, attestation_path: &str, initialize: bool) -> Value {
    let mut extensions = Map::new();
    let extension = json!({"version": "v1", "attestation_endpoint": attestation_path});
    extensions.insert("ai.100monkeys/smcp".to_owned(), extension);
    if initialize {
        let published = json!({"version": "v1", "attestation_endpoint": attestation_path, "supported": true});
        extensions.insert("smcp".to_owned(), published);
    }
    let mut capabilities = Map::new();
    capabilities.insert("tools".to_owned(), json!({}));
    capabilities.insert("extensions".to_owned(), Value::Object(extensions));
    for (offered, name) in
        [(offer.resources, "resources"), (offer.prompts, "prompts"), (offer.completions, "completions")]
    {
        if offered {
            capabilities.insert(name.to_owned(), json!({}));
        }
    }
    Value::Object(capabilities)
}

fn server_info(config: &McpConfig) -> Value {
    json!({"name": config.server_name, "version": env!("CARGO_PKG_VERSION")})
}

/// Adds the operator's text for the model, when there is one.
fn with_instructions(mut result: Map<String, Value>, config: &McpConfig) -> Value {
    if let Some(instructions) = &config.instructions {
        result.insert("instructions".to_owned(), json!(instructions));
    }
    Value::Object(result)
}

/// Milliseconds of the configured lifetime of lists.
pub(super) fn ttl_millis(config: &McpConfig) -> u64 {
    u64::try_from(config.list_ttl.as_millis()).unwrap_or(0)
}

/// The result of `initialize`: the version asked for if it is served, else the newest that has `initialize`.
#[must_use]
pub fn initialize(requested: Option<&str>, offer: Offer, attestation_path: &str, config: &McpConfig) -> Value {
    let served = |version: &&str| PROTOCOL_VERSIONS.contains(version) && *version != "2026-07-28";
    let mut result = Map::new();
    let version = requested.filter(served).unwrap_or(NEWEST_WITH_INITIALIZE);
    result.insert("protocolVersion".to_owned(), json!(version));
    result.insert("capabilities".to_owned(), capabilities(offer, attestation_path, true));
    result.insert("serverInfo".to_owned(), server_info(config));
    with_instructions(result, config)
}

/// The result of `server/discover`.
#[must_use]
pub fn discover(offer: Offer, attestation_path: &str, config: &McpConfig) -> Value {
    let mut result = Map::new();
    result.insert("resultType".to_owned(), json!("complete"));
    result.insert("supportedVersions".to_owned(), json!(PROTOCOL_VERSIONS));
    result.insert("capabilities".to_owned(), capabilities(offer, attestation_path, false));
    result.insert("ttlMs".to_owned(), json!(ttl_millis(config)));
    result.insert("cacheScope".to_owned(), json!("private"));
    result.insert("_meta".to_owned(), json!({"io.modelcontextprotocol/serverInfo": server_info(config)}));
    with_instructions(result, config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn config() -> McpConfig {
        McpConfig {
            server_name: "gw".to_owned(),
            instructions: Some("read".to_owned()),
            list_ttl: Duration::from_secs(1),
            page_size: 2,
        }
    }

    #[test]
    fn negotiates_a_version_that_has_initialize() {
        for (requested, answered) in [
            (Some("2025-06-18"), "2025-06-18"),
            (Some("2025-11-25"), "2025-11-25"),
            (Some("2026-07-28"), "2025-11-25"),
            (Some("1999-01-01"), "2025-11-25"),
            (None, "2025-11-25"),
        ] {
            let result = initialize(requested, Offer::default(), "/v1/smcp/attest", &config());
            assert_eq!(result["protocolVersion"], answered);
            assert_eq!(result["capabilities"]["extensions"]["smcp"]["supported"], true);
            let extension = &result["capabilities"]["extensions"]["ai.100monkeys/smcp"];
            assert_eq!(extension, &json!({"version": "v1", "attestation_endpoint": "/v1/smcp/attest"}));
        }
    }

    #[test]
    fn discover_is_private() {
        let result = discover(Offer { resources: true, ..Offer::default() }, "/v1/smcp/attest", &config());
        assert_eq!(result["cacheScope"], "private");
        assert!(result["capabilities"]["resources"].is_object());
        assert!(result["capabilities"].get("prompts").is_none());
        assert!(result["capabilities"]["extensions"].get("smcp").is_none());
        assert_eq!((&result["ttlMs"], &result["instructions"]), (&json!(1000), &json!("read")));
    }
}
