//! `initialize`, `server/discover` and `ping`, answered by the gateway itself (section 5).

use serde_json::{Map, Value, json};

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

fn server_info() -> Value {
    json!({"name": "smcp-gateway", "title": "SMCP gateway", "version": env!("CARGO_PKG_VERSION")})
}

/// The result of `initialize`: the version asked for if it is served, else the newest that has `initialize`.
#[must_use]
pub fn initialize(requested: Option<&str>, offer: Offer, attestation_path: &str) -> Value {
    let served = |version: &&str| PROTOCOL_VERSIONS.contains(version) && *version != "2026-07-28";
    json!({
        "protocolVersion": requested.filter(served).unwrap_or(NEWEST_WITH_INITIALIZE),
        "capabilities": capabilities(offer, attestation_path, true),
        "serverInfo": server_info(),
    })
}

/// The result of `server/discover`.
#[must_use]
pub fn discover(offer: Offer, attestation_path: &str) -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": PROTOCOL_VERSIONS,
        "capabilities": capabilities(offer, attestation_path, false),
        "ttlMs": 60_000,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": server_info()},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_a_version_that_has_initialize() {
        for (requested, answered) in [
            (Some("2025-06-18"), "2025-06-18"),
            (Some("2025-11-25"), "2025-11-25"),
            (Some("2026-07-28"), "2025-11-25"),
            (Some("1999-01-01"), "2025-11-25"),
            (None, "2025-11-25"),
        ] {
            let result = initialize(requested, Offer::default(), "/v1/smcp/attest");
            assert_eq!(result["protocolVersion"], answered);
            assert_eq!(result["capabilities"]["extensions"]["smcp"]["supported"], true);
            let extension = &result["capabilities"]["extensions"]["ai.100monkeys/smcp"];
            assert_eq!(extension, &json!({"version": "v1", "attestation_endpoint": "/v1/smcp/attest"}));
        }
    }

    #[test]
    fn discover_is_private() {
        let result = discover(Offer { resources: true, ..Offer::default() }, "/v1/smcp/attest");
        assert_eq!(result["cacheScope"], "private");
        assert!(result["capabilities"]["resources"].is_object());
        assert!(result["capabilities"].get("prompts").is_none());
        assert!(result["capabilities"]["extensions"].get("smcp").is_none());
    }
}
