//! Deny entries (section 7, "Deny entries").

use std::fmt;

use super::command::DenyWords;
use super::context::{Capability, SecurityContext};
use super::decide::ToolCall;
use super::domain::{DomainPattern, Host};
use super::fold::fold;
use super::path::PathPattern;
use super::pattern::ToolPattern;
use super::quote::Quoted;
use super::seen::Seen;
use crate::error::{Error, ErrorKind, Result};

/// A tool pattern, or a tool pattern with an argument pattern.
#[derive(Clone, Debug)]
pub struct DenyEntry {
    text: String,
    /// The whole text as a tool pattern, since tool names may hold a `:`.
    whole: ToolPattern,
    argument: Option<(ToolPattern, ArgumentPattern)>,
}

/// What an entry says about arguments, folded.
#[derive(Clone, Debug)]
enum ArgumentPattern {
    Path(PathPattern),
    /// A command or host.
    Text {
        command: DenyWords,
        host: Option<DomainPattern>,
        glob: String,
    },
}

impl DenyEntry {
    /// Parses the text of an entry.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the tool or argument part is empty, the tool part could never match, a part that begins with `/`
    /// is not a path entry, or another part is a URL or cannot be split into words.
    pub fn parse(text: &str) -> Result<Self> {
        let Some((tool, argument)) = text.split_once(':') else {
            return Ok(Self { text: text.to_owned(), whole: ToolPattern::parse(text)?, argument: None });
        };
        if tool.is_empty() || argument.trim().is_empty() {
            let part = if tool.is_empty() { "tool" } else { "argument" };
            let message = format!("deny entry {} has no {part} part", Quoted(text));
            return Err(Error::new(ErrorKind::ConfigInvalid, message));
        }
        if argument.contains("://") {
            let message = format!("deny entry {} has a URL in it, which never matches; write the host", Quoted(text));
            return Err(Error::new(ErrorKind::ConfigInvalid, message));
        }
        let folded = fold(argument);
        let pattern = if argument.starts_with('/') {
            ArgumentPattern::Path(PathPattern::parse_covering(&folded)?)
        } else {
            let host = DomainPattern::parse(argument).ok();
            ArgumentPattern::Text { command: DenyWords::parse(argument)?, host, glob: folded.into_owned() }
        };
        Ok(Self {
            text: text.to_owned(),
            whole: ToolPattern::of_any_text(text),
            argument: Some((ToolPattern::parse(tool)?, pattern)),
        })
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tool part and the argument part of an entry that is compared with commands and hosts.
    pub(super) fn words_argument(&self) -> Option<(&ToolPattern, &str)> {
        match &self.argument {
            Some((tool, ArgumentPattern::Text { .. })) => Some((tool, self.text.split_once(':')?.1)),
            Some((_, ArgumentPattern::Path(_))) | None => None,
        }
    }

    /// Whether the entry denies every call of a tool.
    pub(super) fn denies_tool(&self, tool: &str) -> bool {
        self.whole.matches(tool)
    }

    /// What of the call the entry matches.
    pub(super) fn denial<'s>(&self, tool: &str, seen: impl FnOnce() -> &'s Seen) -> Option<Denial<'s>> {
        if self.denies_tool(tool) {
            return Some(Denial::Tool);
        }
        let (_, argument) = self.argument.as_ref().filter(|(pattern, _)| pattern.matches(tool))?;
        let seen = seen();
        match argument {
            ArgumentPattern::Path(pattern) => seen.denied_path(pattern).map(Denial::Path),
            ArgumentPattern::Text { command, host, glob } => {
                let command = seen.denied_command(command).map(Denial::Command);
                command.or_else(|| seen.denied_host(host.as_ref(), glob).map(Denial::Host))
            }
        }
    }
}

/// What of a call a deny entry matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial<'s> {
    /// The tool, whatever its arguments.
    Tool,
    /// This path argument.
    Path(&'s str),
    /// The command that begins so.
    Command(&'s str),
    /// This URL or host.
    Host(&'s str),
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool => formatter.write_str("the tool"),
            Self::Path(text) => write!(formatter, "path {}", Quoted(text)),
            Self::Command(word) => write!(formatter, "command {}", Quoted(word)),
            // Shown without what may be secret in a URL.
            Self::Host(text) => write!(formatter, "host {}", Host::show(text)),
        }
    }
}

/// The first entry of the deny list that matches, and the violation.
pub(super) fn first_denial(context: &SecurityContext, call: &ToolCall<'_>) -> Option<(usize, Error)> {
    let seen = std::cell::OnceCell::new();
    context.deny_list.iter().enumerate().find_map(|(index, entry)| {
        let denial = entry.denial(call.tool, || seen.get_or_init(|| Seen::of(context, call)))?;
        Some((index, denied(context, entry, call, denial)))
    })
}

/// The first entry that denies a string which a capability with a `path_allowlist` takes for a path although no name says so.
///
/// Asked once the capability allows the call, so that a denied path cannot be slipped in under another name.
pub(super) fn suspect_denial(
    context: &SecurityContext,
    capability: &Capability,
    call: &ToolCall<'_>,
) -> Option<(usize, Error)> {
    capability.path_allowlist.as_ref()?;
    let seen = std::cell::OnceCell::new();
    context.deny_list.iter().enumerate().find_map(|(index, entry)| {
        let denial = entry.denial(call.tool, || seen.get_or_init(|| Seen::of_suspects(capability, call)))?;
        Some((index, denied(context, entry, call, denial)))
    })
}

fn denied(context: &SecurityContext, entry: &DenyEntry, call: &ToolCall<'_>, denial: Denial<'_>) -> Error {
    let message = format!(
        "deny entry {} of context {} matches {denial} in a call of {}",
        Quoted(entry.text()),
        Quoted(&context.name),
        Quoted(call.tool)
    );
    Error::new(ErrorKind::PolicyViolationToolDenied, message)
}

#[cfg(test)]
mod tests;
