//! rmcp's own servers as well-behaved foreign ones.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Map, Value};

/// A server with the one tool `echo`, which waits `ms` and gives its arguments back.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    newest: ProtocolVersion,
}

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
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
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let pause = arguments.get("ms").and_then(Value::as_u64).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let mut result = CallToolResult::success(vec![ContentBlock::text("echo")]);
        result.structured_content = Some(Value::Object(arguments));
        Ok(result.into())
    }
}

/// A Streamable HTTP service that speaks MCP up to `newest`.
pub(crate) fn service(
    newest: ProtocolVersion,
    with_sessions: bool,
) -> StreamableHttpService<Echo, LocalSessionManager> {
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = with_sessions;
    config.json_response = !with_sessions;
    let handler = Echo { newest };
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config)
}
