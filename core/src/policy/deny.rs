//! Deny entries (section 7, "Deny entries").

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;

use super::command::{CommandArgument, CommandLine, DenyWords};
use super::context::SecurityContext;
use super::decide::ToolCall;
use super::domain::{DomainPattern, Host};
use super::extract::{DomainArgument, PathArgument, each_command, each_domain, each_path, is_web_url};
use super::fold::fold;
use super::names::Names;
use super::path::{PathPattern, PathText, Place, components};
use super::pattern::{ToolPattern, glob_matches};
use super::quote::Quoted;
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
            ArgumentPattern::Path(PathPattern::parse(&folded)?)
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
            ArgumentPattern::Path(pattern) => {
                let path = seen.paths.iter().find(|path| path.is_denied(pattern, &seen.bases))?;
                Some(Denial::Path(&path.given))
            }
            ArgumentPattern::Text { command, host, glob } => {
                let denied_command = seen.commands.iter().find(|(_, line)| match line {
                    Some(line) => line.matches_deny(command),
                    None => true,
                });
                let denied_host = || seen.hosts.iter().find(|seen| seen.is_denied(host.as_ref(), glob));
                match denied_command {
                    Some((given, _)) => Some(Denial::Command(given)),
                    None => denied_host().map(|host| Denial::Host(&host.given)),
                }
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

fn denied(context: &SecurityContext, entry: &DenyEntry, call: &ToolCall<'_>, denial: Denial<'_>) -> Error {
    let message = format!(
        "deny entry {} of context {} matches {denial} in a call of {}",
        Quoted(entry.text()),
        Quoted(&context.name),
        Quoted(call.tool)
    );
    Error::new(ErrorKind::PolicyViolationToolDenied, message)
}

/// The arguments of one call as deny entries compare them, read once for all entries.
#[derive(Debug, Default)]
pub(super) struct Seen {
    paths: Vec<SeenPath>,
    /// Commands as given and as read; `None` for one that cannot be.
    commands: Vec<(String, Option<CommandLine>)>,
    hosts: Vec<SeenHost>,
    /// Folded base paths of the capabilities that match the tool.
    bases: Vec<String>,
}

impl Seen {
    pub(super) fn of(context: &SecurityContext, call: &ToolCall<'_>) -> Self {
        let mut seen = Self::default();
        let Some(arguments) = call.arguments else { return seen };
        for (_, capability) in super::decide::matching_capabilities(context, call.tool) {
            let base = capability.base_path.as_ref().map(|base| fold(base.text()).into_owned());
            seen.bases.extend(base.filter(|base| !seen.bases.contains(base)));
        }
        let names = Names::Every(&context.capabilities, call.tool);
        let _all: ControlFlow<()> = each_path(arguments, names, &mut |argument| {
            match argument {
                PathArgument::Named(text) => seen.paths.push(SeenPath::of(text)),
                // Deny entries look at path arguments only; what merely looks like one is an allowlist's business.
                PathArgument::Suspect(_) => {}
            }
            ControlFlow::Continue(())
        });
        let _all: ControlFlow<()> = each_command(arguments, names, &mut |command| {
            let line = CommandLine::read(&command).ok();
            seen.commands.push((first_word(&command), line));
            ControlFlow::Continue(())
        });
        let _all: ControlFlow<()> = each_domain(arguments, names, &mut |argument| {
            seen.hosts.push(SeenHost::of(argument));
            ControlFlow::Continue(())
        });
        seen
    }
}

/// A command as messages name it: later words may be secret.
fn first_word(command: &CommandArgument<'_>) -> String {
    match command {
        CommandArgument::Text { text, .. } => text.split_whitespace().next().unwrap_or_default().to_owned(),
        CommandArgument::Words { words, .. } => words.first().map(|word| word.clone().into_owned()).unwrap_or_default(),
    }
}

/// A path argument in all its readings, folded, with `/` as the only separator; no reading when it cannot be read or climbs.
#[derive(Debug)]
struct SeenPath {
    given: String,
    readings: Option<Vec<(bool, String)>>,
}

impl SeenPath {
    fn of(text: Cow<'_, str>) -> Self {
        let readings = PathText::read(&text).ok().and_then(|read| {
            read.readings()
                .map(|reading| {
                    let is_relative = match reading.place() {
                        Place::Absolute => false,
                        Place::Relative => true,
                        Place::Elsewhere(_) => return None,
                    };
                    let text =
                        if reading.backslash { reading.text.replace('\\', "/") } else { reading.text.to_owned() };
                    Some((is_relative, fold(&text).into_owned()))
                })
                .collect()
        });
        Self { given: text.into_owned(), readings }
    }

    fn is_denied(&self, pattern: &PathPattern, bases: &[String]) -> bool {
        let Some(readings) = &self.readings else { return true };
        readings.iter().any(|(is_relative, text)| {
            pattern.matches(components(text))
                || (*is_relative && bases.iter().any(|base| pattern.matches(components(base).chain(components(text)))))
        })
    }
}

/// Something that names a host.
#[derive(Debug)]
struct SeenHost {
    given: String,
    host: SeenHostForm,
}

#[derive(Debug)]
enum SeenHostForm {
    /// A host, and its folded text.
    Read(Host, String),
    /// The folded authority of a URL that is not a web URL, such as `memo://name`; empty when it has none.
    Foreign(String),
    /// Nobody knows which host this is.
    Unreadable,
}

impl SeenHost {
    fn of(argument: DomainArgument<'_>) -> Self {
        let (read, text) = match argument {
            DomainArgument::Named(text) => (Host::read_named(&text), text),
            DomainArgument::Url(text) => (Host::read_url(&text), text),
        };
        let host = match read {
            Ok(host) => {
                let folded = fold(host.text()).into_owned();
                SeenHostForm::Read(host, folded)
            }
            Err(_) => foreign_authority(&text).map_or(SeenHostForm::Unreadable, SeenHostForm::Foreign),
        };
        Self { given: text.into_owned(), host }
    }

    fn is_denied(&self, pattern: Option<&DomainPattern>, glob: &str) -> bool {
        match &self.host {
            SeenHostForm::Read(host, folded) => {
                pattern.is_some_and(|pattern| pattern.matches(host)) || glob_matches(glob, folded)
            }
            SeenHostForm::Foreign(authority) => glob_matches(glob, authority),
            SeenHostForm::Unreadable => true,
        }
    }
}

/// The authority of a URL with a scheme that is none of the web's, without user and port; `None` when the text is not such a
/// URL, or when its authority could be read in another way.
fn foreign_authority(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme || is_web_url(text) {
        return None;
    }
    let Some(behind) = rest.strip_prefix("//") else {
        return scheme.eq_ignore_ascii_case("file").then(String::new);
    };
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) | None => host,
    };
    let is_plain = host.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\'));
    is_plain.then(|| fold(host.trim_end_matches('.')).into_owned())
}
