//! The whole trace of a decision, for people (section 7: "`explain` returns the whole trace").

use super::constraint::{Fault, check_commands, check_domains, check_paths};
use super::context::{Capability, RateLimit, SecurityContext};
use super::decide::{ToolCall, decide};
use super::decision::{Decision, TraceRule, TraceStep};
use super::deny::suspect_denial;
use super::pattern::{ToolPattern, is_tool_name};
use super::quote::Quoted;
use super::rate::RateAnswer;
use super::seen::Seen;
use crate::error::Result;

/// Decides like [`decide`] and looks at every rule, also at those behind the one that decided.
///
/// Nothing is charged: `probe` answers for the capability of an index what the rate store would answer. Without a probe every
/// rate limit is taken as free.
///
/// # Errors
/// As [`decide`], with what the probe says.
pub fn explain(
    context: &SecurityContext,
    call: &ToolCall<'_>,
    narrowing: Option<&[ToolPattern]>,
    probe: Option<&mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer>>,
) -> Result<Decision> {
    let mut free = |_: usize, _: RateLimit| Ok(RateAnswer::Charged);
    let probe: &mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer> = match probe {
        Some(probe) => probe,
        None => &mut free,
    };
    let mut decision = decide(context, call, narrowing, probe)?;
    let mut trace = Trace(Vec::new());
    trace.add(
        TraceRule::ToolName,
        is_tool_name(call.tool),
        format!("tool name {} has to be 1 to 128 printable ASCII characters without space", Quoted(call.tool)),
    );
    trace.deny_list(context, call);
    if let Some(patterns) = narrowing {
        let passed = patterns.iter().any(|pattern| pattern.matches(call.tool));
        let message =
            format!("tool {} has to fit one of the session's `{}` patterns", Quoted(call.tool), patterns.len());
        trace.add(TraceRule::Narrowing, passed, message);
    }
    for (index, capability) in context.capabilities.iter().enumerate() {
        trace.capability(index, capability, call, probe)?;
        if capability.tool_pattern.matches(call.tool)
            && let Some((entry, error)) = suspect_denial(context, capability, call)
        {
            trace.add(TraceRule::DenyEntry(entry), false, error.message().to_owned());
        }
    }
    decision.trace = trace.0;
    Ok(decision)
}

struct Trace(Vec<TraceStep>);

impl Trace {
    fn add(&mut self, rule: TraceRule, passed: bool, message: String) {
        self.0.push(TraceStep { rule, passed, message });
    }

    fn deny_list(&mut self, context: &SecurityContext, call: &ToolCall<'_>) {
        let seen = Seen::of(context, call);
        for (index, entry) in context.deny_list.iter().enumerate() {
            let denial = entry.denial(call.tool, || &seen);
            let message = match &denial {
                Some(denial) => format!("deny entry {} matches {denial}", Quoted(entry.text())),
                None => format!("deny entry {} does not match", Quoted(entry.text())),
            };
            self.add(TraceRule::DenyEntry(index), denial.is_none(), message);
        }
    }

    fn capability(
        &mut self,
        index: usize,
        capability: &Capability,
        call: &ToolCall<'_>,
        probe: &mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer>,
    ) -> Result<()> {
        let pattern = Quoted(capability.tool_pattern.text());
        let matches = capability.tool_pattern.matches(call.tool);
        let verb = if matches { "matches" } else { "does not match" };
        self.add(
            TraceRule::ToolPattern(index),
            matches,
            format!("tool pattern {pattern} {verb} {}", Quoted(call.tool)),
        );
        if !matches {
            return Ok(());
        }
        if capability.path_allowlist.is_some() {
            self.constraint(TraceRule::Path(index), "paths", capability, check_paths(capability, call.arguments));
        }
        if capability.command_allowlist.is_some() {
            self.constraint(
                TraceRule::Command(index),
                "commands",
                capability,
                check_commands(capability, call.arguments),
            );
        }
        if capability.domain_allowlist.is_some() || capability.require_domain {
            self.constraint(TraceRule::Domain(index), "hosts", capability, check_domains(capability, call.arguments));
        }
        if let Some(limit) = capability.rate_limit {
            let checked = match probe(index, limit)? {
                RateAnswer::Charged => Ok(()),
                RateAnswer::Exceeded { retry_after } => Err(Fault::Rate(retry_after)),
                RateAnswer::Full => {
                    self.add(TraceRule::Rate(index), false, "no room to count the call for its rate limit".to_owned());
                    return Ok(());
                }
            };
            self.constraint(TraceRule::Rate(index), "the rate", capability, checked);
        }
        Ok(())
    }

    fn constraint(
        &mut self,
        rule: TraceRule,
        what: &str,
        capability: &Capability,
        checked: std::result::Result<(), Fault<'_>>,
    ) {
        let (passed, message) = match checked {
            Ok(()) => (true, format!("the constraint on {what} holds")),
            Err(fault) => (false, fault.to_error(capability).message().to_owned()),
        };
        self.add(rule, passed, message);
    }
}
