//! The constraints of one capability, checked against the arguments of one call (section 7).

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::command::{CommandLine, CommandRefusal};
use super::context::Capability;
use super::domain::Host;
use super::extract::{DomainArgument, PathArgument, each_command, each_domain, each_path};
use super::names::Names;
use super::path::{PathFault, check_path};
use super::quote::{Quoted, allowed};
use crate::error::{Error, ErrorKind};
use crate::json::Value;

/// Why a capability that matches a tool does not allow a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault<'d> {
    /// A path argument is refused.
    Path(Cow<'d, str>, PathFault),
    /// There is no path argument.
    NoPath,
    /// A command is refused, with what is allowed.
    Command(String),
    /// A command cannot be read.
    UnreadableCommand(String),
    /// There is no command.
    NoCommand,
    /// A host is not allowed.
    Host(String),
    /// A URL or host cannot be read.
    Domain(Cow<'d, str>, String),
    /// There is neither URL nor host.
    NoDomain,
    /// The rate limit is used up for so many seconds.
    Rate(u64),
}

type Check<'d> = Result<(), Fault<'d>>;

/// Checks path, command and domain constraints in this order; the rate limit is the caller's.
pub(super) fn check<'d>(capability: &Capability, arguments: Option<Value<'d>>) -> Check<'d> {
    check_paths(capability, arguments)?;
    check_commands(capability, arguments)?;
    check_domains(capability, arguments)
}

/// Checks `path_allowlist`: some path argument is there, and every one is allowed.
pub(super) fn check_paths<'d>(capability: &Capability, arguments: Option<Value<'d>>) -> Check<'d> {
    let Some(allowlist) = &capability.path_allowlist else { return Ok(()) };
    let mut is_present = false;
    let walked = arguments.map(|arguments| {
        each_path(arguments, Names::Own(&capability.arguments), &mut |argument| {
            let text = match argument {
                PathArgument::Named(text) => {
                    is_present = true;
                    text
                }
                PathArgument::Suspect(text) => Cow::Owned(text),
            };
            match check_path(&text, allowlist, capability.base_path.as_ref()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(fault) => ControlFlow::Break(Fault::Path(text, fault)),
            }
        })
    });
    conclude(walked, if is_present { None } else { Some(Fault::NoPath) })
}

/// Checks `command_allowlist` and `subcommand_allowlist`: some command is there, and every one is allowed.
pub(super) fn check_commands<'d>(capability: &Capability, arguments: Option<Value<'d>>) -> Check<'d> {
    let Some(allowlist) = &capability.command_allowlist else { return Ok(()) };
    let mut is_present = false;
    // A refusal by subcommand is reported only when no command is refused as such.
    let mut subcommand = None;
    let walked = arguments.map(|arguments| {
        each_command(arguments, Names::Own(&capability.arguments), &mut |command| {
            is_present = true;
            let line = match CommandLine::read(&command) {
                Ok(line) => line,
                Err(why) => return ControlFlow::Break(Fault::UnreadableCommand(why)),
            };
            match line.check(allowlist, capability.subcommand_allowlist.as_ref()) {
                Ok(()) => {}
                Err(CommandRefusal::Command(message)) => return ControlFlow::Break(Fault::Command(message)),
                Err(CommandRefusal::Subcommand(message)) => {
                    subcommand.get_or_insert(Fault::Command(message));
                }
            }
            ControlFlow::Continue(())
        })
    });
    conclude(walked, if is_present { subcommand } else { Some(Fault::NoCommand) })
}

/// Checks `domain_allowlist` and `require_domain`: every URL and host is allowed.
pub(super) fn check_domains<'d>(capability: &Capability, arguments: Option<Value<'d>>) -> Check<'d> {
    if capability.domain_allowlist.is_none() && !capability.require_domain {
        return Ok(());
    }
    let mut is_present = false;
    let walked = arguments.map(|arguments| {
        each_domain(arguments, Names::Own(&capability.arguments), &mut |argument| {
            is_present = true;
            let Some(allowlist) = &capability.domain_allowlist else { return ControlFlow::Continue(()) };
            let (host, text) = match argument {
                DomainArgument::Named(text) => (Host::read_named(&text), text),
                DomainArgument::Url(text) => (Host::read_url(&text), text),
            };
            let fault = match host {
                Ok(host) if allowlist.iter().any(|pattern| pattern.matches(&host)) => {
                    return ControlFlow::Continue(());
                }
                Ok(host) => Fault::Host(host.text().to_owned()),
                Err(why) => Fault::Domain(text, why),
            };
            ControlFlow::Break(fault)
        })
    });
    conclude(walked, if is_present || !capability.require_domain { None } else { Some(Fault::NoDomain) })
}

/// The fault a walk stopped at, or else what is missing.
fn conclude<'d>(walked: Option<ControlFlow<Fault<'d>>>, missing: Option<Fault<'d>>) -> Check<'d> {
    match (walked, missing) {
        (Some(ControlFlow::Break(fault)), _) | (_, Some(fault)) => Err(fault),
        (Some(ControlFlow::Continue(())) | None, None) => Ok(()),
    }
}

impl Fault<'_> {
    /// The violation to report, which names the offending value and what is allowed.
    pub(super) fn to_error(&self, capability: &Capability) -> Error {
        let paths =
            || allowed(capability.path_allowlist.as_deref().unwrap_or_default().iter().map(|entry| entry.text()));
        let commands =
            || allowed(capability.command_allowlist.as_deref().unwrap_or_default().iter().map(|entry| entry.text()));
        let domains =
            || allowed(capability.domain_allowlist.as_deref().unwrap_or_default().iter().map(|entry| entry.text()));
        match self {
            Self::Path(text, PathFault::Traversal(why)) => {
                Error::new(ErrorKind::PolicyViolationPathTraversal, format!("path {} {why}", Quoted(text)))
            }
            Self::Path(text, PathFault::NotAllowed(why)) => Error::new(
                ErrorKind::PolicyViolationPathNotAllowed,
                format!("path {} {why}; {}", Quoted(text), paths()),
            ),
            Self::NoPath => Error::new(
                ErrorKind::PolicyViolationPathNotAllowed,
                format!("no path argument, although paths are limited; {}", paths()),
            ),
            Self::Command(message) => Error::new(ErrorKind::PolicyViolationCommandNotAllowed, message.clone()),
            Self::UnreadableCommand(why) => {
                Error::new(ErrorKind::PolicyViolationCommandNotAllowed, format!("{why}; {}", commands()))
            }
            Self::NoCommand => Error::new(
                ErrorKind::PolicyViolationCommandNotAllowed,
                format!("no command argument, although commands are limited; {}", commands()),
            ),
            Self::Host(host) => Error::new(
                ErrorKind::PolicyViolationDomainNotAllowed,
                format!("host {} is not allowed; {}", Quoted(host), domains()),
            ),
            Self::Domain(text, why) => Error::new(
                ErrorKind::PolicyViolationDomainNotAllowed,
                format!("{} {why}; {}", Host::show(text), domains()),
            ),
            Self::NoDomain => Error::new(
                ErrorKind::PolicyViolationDomainNotAllowed,
                format!("no URL or host argument, although one is required; {}", domains()),
            ),
            Self::Rate(seconds) => {
                let limit = match capability.rate_limit {
                    Some(limit) => format!("`{}` calls in `{}` seconds", limit.calls, limit.per_seconds),
                    None => "nothing".to_owned(),
                };
                Error::new(
                    ErrorKind::PolicyViolationRateLimitExceeded,
                    format!("rate limit used up; allowed are {limit}, try again in `{seconds}` seconds"),
                )
                .with_retry_after(*seconds)
            }
        }
    }
}
