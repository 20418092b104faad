//! The decision: deny list, then capabilities in order, then default deny (section 7, "Evaluation").

use super::constraint::{Fault, check};
use super::context::{Capability, RateLimit, SecurityContext};
use super::decision::{Decision, DeniedBy};
use super::deny::{first_denial, suspect_denial};
use super::pattern::{ToolPattern, is_tool_name};
use super::quote::Quoted;
use super::rate::RateAnswer;
use crate::error::{Error, ErrorKind, Result};
use crate::json::Value;

/// One call of a tool, or of a method that is evaluated as one.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'d> {
    /// The tool's name as the agent wrote it.
    pub tool: &'d str,
    /// The arguments; `None` is the same as `{}`.
    pub arguments: Option<Value<'d>>,
}

/// Decides on a call.
///
/// `narrowing` are a session's own tool patterns, which only take away. `charge` is asked, with the capability's index, for
/// a capability of which everything else allows the call, and counts the call if it fits.
///
/// # Errors
/// `OVERLOADED` when the rate store is full or fails; the call must then be refused.
pub fn decide(
    context: &SecurityContext,
    call: &ToolCall<'_>,
    narrowing: Option<&[ToolPattern]>,
    charge: &mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer>,
) -> Result<Decision> {
    if let Some(refusal) = refusal_before_capabilities(context, call, narrowing) {
        return Ok(refusal);
    }
    let mut first: Option<(usize, &Capability, Fault<'_>)> = None;
    let mut limited: Option<(usize, &Capability, u64)> = None;
    for (index, capability) in matching_capabilities(context, call.tool) {
        if let Err(fault) = check(capability, call.arguments) {
            first.get_or_insert((index, capability, fault));
            continue;
        }
        if let Some((entry, error)) = suspect_denial(context, capability, call) {
            return Ok(Decision::deny(context, DeniedBy::DenyEntry(entry), error));
        }
        match charge_one(index, capability, charge)? {
            None => return Ok(Decision::allow(context, index, capability.max_response_size)),
            Some(seconds) => {
                // The soonest of several limits is what the caller has to wait for.
                if limited.is_none_or(|(_, _, soonest)| seconds < soonest) {
                    limited = Some((index, capability, seconds));
                }
            }
        }
    }
    let reported = limited.map(|(index, capability, seconds)| (index, capability, Fault::Rate(seconds))).or(first);
    Ok(match reported {
        Some((index, capability, fault)) => {
            Decision::deny(context, DeniedBy::Capability(index), fault.to_error(capability))
        }
        None => Decision::deny(context, DeniedBy::Default, not_granted(context, call.tool)),
    })
}

/// Whether `tools/list` shows a tool: some capability matches its name, no deny entry denies all of it, and the session's
/// own patterns include it.
#[must_use]
pub fn lists_tool(context: &SecurityContext, narrowing: Option<&[ToolPattern]>, tool: &str) -> bool {
    is_tool_name(tool)
        && context.capabilities.iter().any(|capability| capability.tool_pattern.matches(tool))
        && !context.deny_list.iter().any(|entry| entry.denies_tool(tool))
        && narrowing.is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(tool)))
}

/// What is refused whatever the capabilities say: a name no tool has, a denied call, a tool the session left out.
fn refusal_before_capabilities(
    context: &SecurityContext,
    call: &ToolCall<'_>,
    narrowing: Option<&[ToolPattern]>,
) -> Option<Decision> {
    if !is_tool_name(call.tool) {
        return Some(Decision::deny(context, DeniedBy::Default, not_a_name(call.tool)));
    }
    if let Some((index, error)) = first_denial(context, call) {
        return Some(Decision::deny(context, DeniedBy::DenyEntry(index), error));
    }
    if narrowing.is_some_and(|patterns| !patterns.iter().any(|pattern| pattern.matches(call.tool))) {
        let message = format!("tool {} is not among the tools of this session", Quoted(call.tool));
        let error = Error::new(ErrorKind::PolicyViolationToolNotAllowed, message);
        return Some(Decision::deny(context, DeniedBy::Default, error));
    }
    None
}

pub(super) fn matching_capabilities<'c>(
    context: &'c SecurityContext,
    tool: &str,
) -> impl Iterator<Item = (usize, &'c Capability)> {
    context.capabilities.iter().enumerate().filter(move |(_, capability)| capability.tool_pattern.matches(tool))
}

/// `None` when the call may pass and is counted, else the seconds until it may.
fn charge_one(
    index: usize,
    capability: &Capability,
    charge: &mut dyn FnMut(usize, RateLimit) -> Result<RateAnswer>,
) -> Result<Option<u64>> {
    let Some(limit) = capability.rate_limit else { return Ok(None) };
    match charge(index, limit) {
        Ok(RateAnswer::Charged) => Ok(None),
        Ok(RateAnswer::Exceeded { retry_after }) => Ok(Some(retry_after.max(1))),
        Ok(RateAnswer::Full) => Err(Error::new(ErrorKind::Overloaded, "no room to count the call for its rate limit")),
        Err(error) => {
            let message = format!("the rate store does not answer: {}", error.message());
            Err(Error::new(ErrorKind::Overloaded, message))
        }
    }
}

fn not_a_name(tool: &str) -> Error {
    let message =
        format!("{} is no tool name, which has 1 to 128 printable ASCII characters without space", Quoted(tool));
    Error::new(ErrorKind::PolicyViolationToolNotAllowed, message)
}

fn not_granted(context: &SecurityContext, tool: &str) -> Error {
    let message = format!("no capability of context {} allows tool {}", Quoted(&context.name), Quoted(tool));
    Error::new(ErrorKind::PolicyViolationToolNotAllowed, message)
}

#[cfg(test)]
mod tests;
