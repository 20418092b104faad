//! Which JSON-RPC methods are served, and what policy says about each (section 5, "Methods").

/// How a method is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MethodClass {
    /// Answered by the gateway itself, for every session.
    Gateway,
    /// A tool call: subject to policy under the name of the tool.
    ToolCall,
    /// The list of tools, filtered by [`lists_tool`](super::lists_tool).
    ToolList,
    /// Subject to policy as a call of a tool with this name, with the method's `params` as arguments.
    AsTool(&'static str),
    /// `METHOD_NOT_ALLOWED`, whatever the context says.
    NotAllowed,
}

/// How `method` is treated; names are compared exactly.
#[must_use]
pub fn policy_target(method: &str) -> MethodClass {
    match method {
        "initialize" | "server/discover" | "ping" | "notifications/initialized" | "notifications/cancelled" => {
            MethodClass::Gateway
        }
        "tools/call" => MethodClass::ToolCall,
        "tools/list" => MethodClass::ToolList,
        "resources/read" => MethodClass::AsTool("resources/read"),
        "resources/list" | "resources/templates/list" => MethodClass::AsTool("resources/list"),
        "prompts/get" => MethodClass::AsTool("prompts/get"),
        "prompts/list" => MethodClass::AsTool("prompts/list"),
        "completion/complete" => MethodClass::AsTool("completion/complete"),
        _ => MethodClass::NotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_else_is_not_allowed() {
        for method in [
            "",
            "tools/Call",
            "tools/call ",
            "subscriptions/listen",
            "resources/subscribe",
            "logging/setLevel",
            "tasks/get",
            "sampling/createMessage",
            "Initialize",
            "notifications/progress",
            "elicitation/create",
        ] {
            assert_eq!(policy_target(method), MethodClass::NotAllowed, "{method}");
        }
        assert_eq!(policy_target("resources/templates/list"), MethodClass::AsTool("resources/list"));
        assert_eq!(policy_target("ping"), MethodClass::Gateway);
    }
}
