//! `smcp policy explain`.

use std::path::PathBuf;

use clap::Args;
use smcp_core::json::{self, Limits, ObjectWriter};
use smcp_core::policy::{Decision, DeniedBy, SecurityContext, ToolCall, TraceRule, TraceStep, Verdict, load_context};

use super::super::ExitStatus;
use super::super::failure::{Failure, Outcome, error_object};
use super::super::input::{LARGEST, read_object, read_text, syntax_of};
use super::super::output::{Output, Style, printable};
use super::super::verify::hexadecimal;

const EXAMPLES: &str = "\
Rate limits are taken as free. Exit status 0 when the call is allowed, 1 when it is refused.

Examples:
  smcp policy explain --context contexts/read-only-files.yaml --tool fs.read --args '{\"path\": \"/srv/smcp/files/a\"}'
  smcp policy explain --context research.yaml --tool web.get --args '{\"url\": \"https://evil.example\"}' --json
  smcp policy explain --context research.yaml --tool web.get --args @arguments.json";

/// Decide on one call and show every rule that was looked at.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Explain {
    /// The context file
    #[arg(long, value_name = "FILE")]
    context: PathBuf,

    /// The tool
    #[arg(long, value_name = "NAME")]
    tool: String,

    /// The arguments: a JSON object, `@FILE`, or `-` for standard input
    #[arg(long, value_name = "JSON", default_value = "{}", allow_hyphen_values = true)]
    args: String,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Explain {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let (text, syntax) = (read_text(&self.context)?, syntax_of(&self.context)?);
        let context = load_context(&text, syntax, &self.context.display().to_string())?;
        let arguments = read_object(&self.args)?;
        let limits = Limits { bytes: LARGEST, ..Limits::default() };
        let document = json::scan_with(&arguments, limits)
            .map_err(|error| Failure::usage(format!("the arguments: not JSON: {error}")))?;
        let call = ToolCall { tool: &self.tool, arguments: Some(document.root()) };
        let decision = smcp_core::policy::explain(&context, &call, None, None)?;
        if self.json {
            output.json(&to_json(&decision, &self.tool))?;
        } else {
            show(&decision, &context, &self.tool, output)?;
        }
        Ok(if decision.violation().is_none() { ExitStatus::Done } else { ExitStatus::Failed })
    }
}

fn show(decision: &Decision, context: &SecurityContext, tool: &str, output: &Output) -> Outcome<()> {
    for step in decision.trace() {
        let mark = match (step.passed, step.rule) {
            (true, _) => output.paint(Style::Good, "pass"),
            // A capability for other tools neither allows nor refuses.
            (false, TraceRule::ToolPattern(_)) => output.paint(Style::Faint, "skip"),
            (false, _) => output.paint(Style::Bad, "fail"),
        };
        let rule = format!("{:<20}", rule_text(step.rule));
        output.line(format_args!("{mark} {rule} {}", printable(&step.message)))?;
    }
    match (decision.verdict(), decision.violation()) {
        (Verdict::Allow { capability }, None) => {
            let pattern = context.capabilities.get(capability).map_or("", |capability| capability.tool_pattern.text());
            output.line(format_args!(
                "{} `{}` in context `{}`, by capability {capability} (`{pattern}`)",
                output.paint(Style::Good, "allowed"),
                printable(tool),
                decision.context(),
            ))
        }
        (Verdict::Allow { .. } | Verdict::Deny { .. }, violation) => {
            let kind = violation.map_or("", |violation| violation.kind().name());
            let message = violation.map_or("", |violation| violation.message());
            output.line(format_args!("{} {kind}: {}", output.paint(Style::Bad, "denied"), printable(message)))
        }
    }
}

/// The rule as the file numbers it.
fn rule_text(rule: TraceRule) -> String {
    match rule {
        TraceRule::ToolName => "tool name".to_owned(),
        TraceRule::DenyEntry(index) => format!("deny_list[{index}]"),
        TraceRule::Narrowing => "session patterns".to_owned(),
        TraceRule::ToolPattern(index) => format!("capabilities[{index}] tool"),
        TraceRule::Path(index) => format!("capabilities[{index}] path"),
        TraceRule::Command(index) => format!("capabilities[{index}] command"),
        TraceRule::Domain(index) => format!("capabilities[{index}] domain"),
        TraceRule::Rate(index) => format!("capabilities[{index}] rate"),
    }
}

/// Name of a rule and index of its capability or deny entry.
fn rule_parts(rule: TraceRule) -> (&'static str, Option<usize>) {
    match rule {
        TraceRule::ToolName => ("tool_name", None),
        TraceRule::DenyEntry(index) => ("deny_entry", Some(index)),
        TraceRule::Narrowing => ("session_patterns", None),
        TraceRule::ToolPattern(index) => ("tool_pattern", Some(index)),
        TraceRule::Path(index) => ("path", Some(index)),
        TraceRule::Command(index) => ("command", Some(index)),
        TraceRule::Domain(index) => ("domain", Some(index)),
        TraceRule::Rate(index) => ("rate", Some(index)),
    }
}

fn index_member(object: ObjectWriter, name: &str, index: usize) -> ObjectWriter {
    object.integer(name, i64::try_from(index).unwrap_or(i64::MAX))
}

fn step_object(step: &TraceStep) -> Vec<u8> {
    let (rule, index) = rule_parts(step.rule);
    let object = ObjectWriter::new().text("rule", rule);
    let object = match index {
        Some(index) => index_member(object, "index", index),
        None => object,
    };
    object.boolean("passed", step.passed).text("message", &step.message).finish()
}

fn to_json(decision: &Decision, tool: &str) -> Vec<u8> {
    let allowed = decision.violation().is_none();
    let mut object = ObjectWriter::new()
        .text("decision", if allowed { "allow" } else { "deny" })
        .text("context", decision.context())
        .text("context_digest", &hexadecimal(&decision.digest().0))
        .text("tool", tool);
    object = match decision.verdict() {
        Verdict::Allow { capability } | Verdict::Deny { by: DeniedBy::Capability(capability) } => {
            index_member(object, "capability", capability)
        }
        Verdict::Deny { by: DeniedBy::DenyEntry(index) } => index_member(object, "deny_entry", index),
        Verdict::Deny { by: DeniedBy::Default } => object,
    };
    if let Some(violation) = decision.violation() {
        object = object.raw("violation", &error_object(violation));
    }
    let mut steps = vec![b'['];
    for (index, step) in decision.trace().iter().enumerate() {
        if index > 0 {
            steps.push(b',');
        }
        steps.extend_from_slice(&step_object(step));
    }
    steps.push(b']');
    object.raw("trace", &steps).finish()
}
