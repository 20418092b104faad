//! Step 9: who answers an authorised message, and how its values reach a tool server (sections 1 and 5).

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use smcp_core::ErrorKind;
use smcp_core::error::{Error, Executed, Result};
use smcp_core::json::{ObjectWriter, to_value};
use smcp_core::policy::{Decision, MethodClass};
use smcp_core::smcp::receive::AuthorizedCall;
use smcp_core::smcp::{Call, Dialect};
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::mcp::{BadCursor, Offer, discover, initialize, page};
use crate::upstream::{INVALID_PARAMS, ListKind, UpstreamAnswer, UpstreamRequest};

/// What goes back to the agent.
#[derive(Debug)]
pub enum Reply {
    /// A JSON-RPC response.
    Response {
        /// Its JSON text, with the agent's own id.
        text: Vec<u8>,
        /// Bytes of the compact JSON of its `result`.
        size: usize,
        /// It has a result, and the result is not marked as an error.
        success: bool,
    },
    /// A notification was taken.
    Accepted,
}

impl Reply {
    /// Whether the tool server's answer is a result that is not marked as an error.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Response { success, .. } => *success,
            Self::Accepted => true,
        }
    }

    /// Bytes of the result, for the audit.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Response { size, .. } => *size,
            Self::Accepted => 0,
        }
    }
}

/// A message that may be answered, from an envelope or from the plain door.
pub struct Dispatch<'c> {
    /// The message.
    pub call: Call<'c>,
    /// Who answers its method.
    pub class: MethodClass,
    /// The decision on it.
    pub decision: Option<&'c Decision>,
    /// Whether the caller's context lists a tool.
    pub lists: &'c (dyn Fn(&str) -> bool + Send + Sync),
    /// Whose calls `notifications/cancelled` may cancel.
    pub session: Cow<'c, str>,
    /// Where the gateway says that sessions are opened.
    pub dialect: Dialect,
}

/// Answers an authorised call.
///
/// # Errors
/// What the tool server's side raised: unavailable, timed out, broken protocol, answer too large.
pub async fn answer(gateway: &Gateway, authorized: &AuthorizedCall<'_>) -> Result<Reply> {
    let admitted = authorized.admitted();
    let claims = admitted.claims();
    let lists = |tool: &str| authorized.lists_tool(tool);
    let dispatch = Dispatch {
        call: admitted.call(),
        class: authorized.class(),
        decision: authorized.decision(),
        lists: &lists,
        session: Cow::Borrowed(claims.session_id.as_deref().unwrap_or(&claims.agent_id)),
        dialect: claims.dialect.unwrap_or(Dialect::Smcp),
    };
    dispatch.run(gateway).await
}

impl Dispatch<'_> {
    /// Answers the message, or forwards it and restores its id in the answer.
    ///
    /// # Errors
    /// As [`answer`].
    pub async fn run(&self, gateway: &Gateway) -> Result<Reply> {
        let method = self.call.method();
        if self.call.is_notification() {
            if method == "notifications/cancelled" {
                self.cancel(gateway);
            }
            return Ok(Reply::Accepted);
        }
        let answer = match self.class {
            MethodClass::Gateway => self.introduce(gateway, &method),
            MethodClass::ToolList => self.list(gateway, ListKind::Tools),
            MethodClass::AsTool(_) => match method.as_ref() {
                "resources/list" => self.list(gateway, ListKind::Resources),
                "resources/templates/list" => self.list(gateway, ListKind::Templates),
                "prompts/list" => self.list(gateway, ListKind::Prompts),
                _ => self.forward(gateway, &method).await?,
            },
            MethodClass::ToolCall => self.forward(gateway, &method).await?,
            MethodClass::NotAllowed => {
                return Err(Error::new(ErrorKind::MethodNotAllowed, "the gateway does not serve this method"));
            }
        };
        self.response(&answer)
    }

    fn cancel(&self, gateway: &Gateway) {
        let id = self.call.params().and_then(|params| params.get("requestId"));
        if let Some(id) = id {
            let _ = gateway.running.cancel(&self.session, id.raw());
        }
    }

    fn introduce(&self, gateway: &Gateway, method: &str) -> UpstreamAnswer {
        let text = |name: &str| {
            self.call.params().and_then(|params| params.get(name)).and_then(smcp_core::json::Value::as_str)
        };
        match method {
            "initialize" => {
                let result = initialize(
                    text("protocolVersion").as_deref(),
                    offer(gateway),
                    self.dialect.attest_path(),
                    &gateway.config.mcp,
                );
                UpstreamAnswer::Result(result)
            }
            "server/discover" => {
                UpstreamAnswer::Result(discover(offer(gateway), self.dialect.attest_path(), &gateway.config.mcp))
            }
            _ => UpstreamAnswer::Result(json!({})),
        }
    }

    fn list(&self, gateway: &Gateway, kind: ListKind) -> UpstreamAnswer {
        let cursor =
            self.call.params().and_then(|params| params.get("cursor")).and_then(smcp_core::json::Value::as_str);
        let index = gateway.upstreams.index();
        let entries = index.entries(kind).iter();
        let entries = entries
            .filter(|entry| kind != ListKind::Tools || (self.lists)(&entry.key))
            .map(|entry| (entry.key.clone(), entry.definition.clone()))
            .collect();
        match page(kind.member(), entries, cursor.as_deref(), &gateway.config.mcp) {
            Ok(result) => UpstreamAnswer::Result(result),
            Err(BadCursor) => UpstreamAnswer::error(INVALID_PARAMS, "the cursor is not one of this gateway's"),
        }
    }

    /// Builds the values from the verified document and sends them under an id of the gateway's own.
    async fn forward(&self, gateway: &Gateway, method: &str) -> Result<UpstreamAnswer> {
        let params = match self.call.params() {
            None => Map::new(),
            Some(params) => match to_value(params) {
                Ok(Value::Object(params)) => params,
                Ok(_) | Err(_) => {
                    return Err(Error::new(ErrorKind::MalformedEnvelope, "`params` cannot be forwarded as values"));
                }
            },
        };
        let Some(running) = gateway.running.register(&self.session, self.call.id().unwrap_or_default()) else {
            let error = Error::new(ErrorKind::Overloaded, "the session has too many calls under way");
            return Err(error.with_executed(Executed::No).with_retry_after(1));
        };
        let deadline = Instant::now().checked_add(gateway.config.limits.request_timeout);
        let mut request = UpstreamRequest::new(method, params).with_cancel(running.token());
        if let Some(deadline) = deadline {
            request = request.with_deadline(deadline);
        }
        if let Some(limit) = self.decision.and_then(Decision::max_response_size) {
            request = request.with_max_response_size(limit.get());
        }
        gateway.upstreams.call(request).await
    }

    fn response(&self, answer: &UpstreamAnswer) -> Result<Reply> {
        let broken = |_| {
            Error::new(ErrorKind::UpstreamProtocolError, "the answer cannot be written").with_executed(Executed::Yes)
        };
        let id = self.call.id().unwrap_or("null").as_bytes();
        let object = ObjectWriter::new().text("jsonrpc", "2.0").raw("id", id);
        match answer {
            UpstreamAnswer::Result(result) => {
                let marked = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
                let result = serde_json::to_vec(result).map_err(broken)?;
                if let Some(decision) = self.decision {
                    decision.check_response_size(u64::try_from(result.len()).unwrap_or(u64::MAX))?;
                }
                let text = object.raw("result", &result).finish();
                Ok(Reply::Response { text, size: result.len(), success: !marked })
            }
            UpstreamAnswer::Error { code, message, data } => {
                let mut error = ObjectWriter::new().integer("code", *code).text("message", message);
                if let Some(data) = data {
                    error = error.raw("data", &serde_json::to_vec(data).map_err(broken)?);
                }
                let text = object.raw("error", &error.finish()).finish();
                Ok(Reply::Response { text, size: 0, success: false })
            }
        }
    }
}

fn offer(gateway: &Gateway) -> Offer {
    let index = gateway.upstreams.index();
    let some = |kind| !index.entries(kind).is_empty();
    let (resources, prompts) = (some(ListKind::Resources) || some(ListKind::Templates), some(ListKind::Prompts));
    Offer { resources, prompts, completions: resources || prompts }
}
