//! What of the agent's `_meta` reaches a tool server (section 5).

use serde_json::{Map, Value};

/// Keys of the trace context, the only ones without a vendor prefix that pass.
const TRACE_KEYS: &[&str] = &["traceparent", "tracestate", "baggage"];

/// Why a `_meta` was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// Removes from `params._meta` everything but the trace context and foreign vendor keys.
///
/// The protocol's own keys (`io.modelcontextprotocol/…`, also below other labels as MCP reserves
/// them, and `progressToken`) are the gateway's to write: passed on, they would let an agent claim
/// capabilities the gateway does not have, or collide with another agent's progress token.
///
/// # Errors
///
/// [`NotAnObject`] if `_meta` is present and not an object.
pub(crate) fn restrict(params: &mut Map<String, Value>) -> Result<(), NotAnObject> {
    match params.get_mut("_meta") {
        None => Ok(()),
        Some(Value::Object(meta)) => {
            meta.retain(|key, _| passes(key));
            Ok(())
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Err(NotAnObject),
    }
}

fn passes(key: &str) -> bool {
    match key.split_once('/') {
        None => TRACE_KEYS.contains(&key),
        Some((prefix, _)) => !prefix.is_empty() && !is_reserved(prefix),
    }
}

/// MCP reserves every prefix in which `modelcontextprotocol` or `mcp` is the second label.
fn is_reserved(prefix: &str) -> bool {
    let second = prefix.split('.').nth(1).unwrap_or(prefix);
    ["modelcontextprotocol", "mcp"].iter().any(|name| second.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn restricted(meta: Value) -> Option<Value> {
        let mut params = Map::from_iter([("_meta".to_owned(), meta)]);
        restrict(&mut params).unwrap();
        params.remove("_meta")
    }

    #[test]
    fn protocol_keys_are_removed() {
        for key in [
            "progressToken",
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/clientCapabilities",
            "io.modelcontextprotocol/clientInfo",
            "IO.ModelContextProtocol/clientInfo",
            "dev.mcp/x",
            "com.mcp.tools/x",
            "modelcontextprotocol/x",
            "mcp/x",
            "/x",
            "unprefixed",
        ] {
            assert_eq!(restricted(json!({key: 1})), Some(json!({})), "{key}");
        }
    }

    #[test]
    fn trace_context_and_vendor_keys_pass() {
        let meta = json!({"traceparent": "00-1", "tracestate": "a=b", "baggage": "c=d", "com.example/x": {"y": [1]}});
        assert_eq!(restricted(meta.clone()), Some(meta));
    }

    #[test]
    fn a_meta_that_is_no_object_is_refused() {
        for meta in [json!(null), json!(1), json!("x"), json!([])] {
            let mut params = Map::from_iter([("_meta".to_owned(), meta)]);
            assert_eq!(restrict(&mut params), Err(NotAnObject));
        }
    }
}
