//! The tool `echo`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};

/// A handler whose one tool waits `ms` milliseconds and gives its arguments back.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    newest: ProtocolVersion,
}

impl Echo {
    /// A handler that speaks MCP up to the version `newest`.
    ///
    /// # Errors
    /// A message when rmcp does not know the version.
    pub(crate) fn new(newest: &str) -> Result<Self, String> {
        let known = ProtocolVersion::KNOWN_VERSIONS.iter().find(|version| version.as_str() == newest);
        Ok(Self { newest: known.ok_or_else(|| format!("rmcp does not know MCP `{newest}`"))?.clone() })
    }
}

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::known_up_to(&self.newest))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = Map::from_iter([("type".to_owned(), Value::from("object"))]);
        Ok(ListToolsResult::with_all_items(vec![Tool::new("echo", "gives its arguments back", Arc::new(schema))]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != "echo" {
            return Err(ErrorData::invalid_params("no such tool", None));
        }
        let arguments = request.arguments.unwrap_or_default();
        let pause = arguments.get("ms").and_then(Value::as_u64).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let mut content = vec![ContentBlock::text("echo")];
        if arguments.get("meta").and_then(Value::as_bool).unwrap_or_default() {
            let meta = serde_json::to_string(&context.meta).unwrap_or_default();
            content.push(ContentBlock::text(meta));
        }
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(Value::Object(arguments));
        Ok(result.into())
    }
}
