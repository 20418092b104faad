//! What the policy targets share: one call against one context, and blanks.

use smcp_core::json;
use smcp_core::policy::{RateAnswer, SecurityContext, ToolCall, decide, explain, load_context};
use smcp_core::settings::Syntax;

/// Loads a context that is right by construction.
#[must_use]
pub fn load(text: &str) -> SecurityContext {
    load_context(text, Syntax::Yaml, "fuzz.yaml").expect("a context")
}

/// Whether `context` lets a tool be called with these arguments. `decide` and `explain` must agree.
#[must_use]
pub fn allows(context: &SecurityContext, tool: &str, arguments: &serde_json::Value) -> bool {
    let text = arguments.to_string();
    let document = json::scan(text.as_bytes()).expect("serde_json writes strict JSON");
    let call = ToolCall { tool, arguments: Some(document.root()) };
    let mut charge = |_, _| Ok(RateAnswer::Charged);
    let decision = decide(context, &call, None, &mut charge).expect("no rate store that could fail");
    let told = explain(context, &call, None, None).expect("no rate store that could fail");
    assert_eq!(decision.verdict(), told.verdict(), "decide and explain disagree");
    decision.violation().is_none()
}

/// The text without blanks, and without what nobody sees, at its ends: parsers and tools remove some of them.
#[must_use]
pub fn without_blanks(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || character.is_control() || is_invisible(character))
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
