//! The JSON-RPC message inside a payload whose shape was checked in step 1.

use std::borrow::Cow;

use crate::json::Value;

/// The longest `id` that is repeated in an answer, in bytes of its JSON text.
pub(super) const MAXIMUM_ID_BYTES: usize = 256;

/// One JSON-RPC request or notification.
#[derive(Clone, Copy, Debug)]
pub struct Call<'d> {
    payload: Value<'d>,
}

impl<'d> Call<'d> {
    pub(super) fn new(payload: Value<'d>) -> Self {
        Self { payload }
    }

    /// The method; empty when the payload has none.
    #[must_use]
    pub fn method(&self) -> Cow<'d, str> {
        self.payload.get("method").and_then(Value::as_str).unwrap_or_default()
    }

    /// The JSON text of the `id`; `None` for a notification and for an `id` too long to repeat.
    #[must_use]
    pub fn id(&self) -> Option<&'d str> {
        self.payload.get("id").map(Value::raw).filter(|id| id.len() <= MAXIMUM_ID_BYTES)
    }

    /// Whether the message asks for no answer.
    #[must_use]
    pub fn is_notification(&self) -> bool {
        self.payload.get("id").is_none()
    }

    /// The `params` object.
    #[must_use]
    pub fn params(&self) -> Option<Value<'d>> {
        self.payload.get("params")
    }

    /// What policy calls the tool: `params.name` of a `tools/call`, otherwise the method itself (section 5).
    #[must_use]
    pub fn tool(&self) -> Cow<'d, str> {
        let method = self.method();
        if method != "tools/call" {
            return method;
        }
        self.params().and_then(|params| params.get("name")).and_then(Value::as_str).unwrap_or_default()
    }

    /// What policy looks at: `params.arguments` of a `tools/call`, otherwise the `params` themselves.
    #[must_use]
    pub fn arguments(&self) -> Option<Value<'d>> {
        if self.method() == "tools/call" { self.params()?.get("arguments") } else { self.params() }
    }
}
