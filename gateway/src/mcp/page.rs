//! Pages of a deterministic list. The cursor names the last entry, so it stays right when the list changes.

use serde_json::{Map, Value, json};
use smcp_core::keys::{decode_base64url, encode_base64url};

use super::introduce::ttl_millis;
use crate::config::McpConfig;

/// A cursor that this gateway did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCursor;

/// One page of `entries`, each with the key it is sorted by, as an MCP list result with the member `member`.
///
/// # Errors
/// [`BadCursor`].
pub fn page(
    member: &str,
    mut entries: Vec<(String, Value)>,
    cursor: Option<&str>,
    config: &McpConfig,
) -> Result<Value, BadCursor> {
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    let after = match cursor {
        None => None,
        Some(cursor) => {
            Some(decode_base64url(cursor).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BadCursor)?)
        }
    };
    let mut rest = entries.into_iter().skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after));
    let mut last = None;
    let mut listed = Vec::new();
    for (key, value) in rest.by_ref().take(config.page_size) {
        last = Some(key);
        listed.push(value);
    }
    let mut result = Map::new();
    result.insert("resultType".to_owned(), json!("complete"));
    result.insert("ttlMs".to_owned(), json!(ttl_millis(config)));
    result.insert("cacheScope".to_owned(), json!("private"));
    result.insert(member.to_owned(), Value::Array(listed));
    if let (Some(last), Some(_)) = (last, rest.next()) {
        result.insert("nextCursor".to_owned(), Value::String(encode_base64url(last.as_bytes())));
    }
    Ok(Value::Object(result))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PAGE: usize = 7;

    fn config() -> McpConfig {
        McpConfig { server_name: "gw".to_owned(), instructions: None, list_ttl: Duration::ZERO, page_size: PAGE }
    }

    #[test]
    fn pages_join_to_the_whole_list_in_order() {
        let entries: Vec<_> = (0..PAGE * 2 + 5).rev().map(|index| (format!("tool-{index:04}"), json!(index))).collect();
        let mut cursor: Option<String> = None;
        let mut seen = Vec::new();
        loop {
            let result = page("tools", entries.clone(), cursor.as_deref(), &config()).unwrap();
            seen.extend(result["tools"].as_array().unwrap().clone());
            assert_eq!(result["cacheScope"], "private");
            match result["nextCursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(seen, (0..PAGE * 2 + 5).map(|index| json!(index)).collect::<Vec<_>>());
    }

    #[test]
    fn refuses_foreign_cursors() {
        assert_eq!(page("tools", vec![], Some("%%"), &config()), Err(BadCursor));
    }
}
