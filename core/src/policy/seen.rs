//! The arguments of a call as deny entries compare them (section 7, "Deny entries").

use std::borrow::Cow;
use std::ops::ControlFlow;

use unicode_normalization::UnicodeNormalization as _;

use super::command::{CommandArgument, CommandLine, DenyWords};
use super::context::{Capability, SecurityContext};
use super::decide::{ToolCall, matching_capabilities};
use super::domain::{DomainPattern, Host};
use super::extract::{DomainArgument, PathArgument, each_command, each_domain, each_path, is_web_url};
use super::fold::fold;
use super::names::Names;
use super::path::{PathPattern, PathText, Place, components};
use super::pattern::glob_matches;
use super::quote::is_hidden;

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
        for (_, capability) in matching_capabilities(context, call.tool) {
            let base = capability.base_path.as_ref().map(|base| fold(base.text()).into_owned());
            seen.bases.extend(base.filter(|base| !seen.bases.contains(base)));
        }
        let names = Names::Every(&context.capabilities, call.tool);
        let _all: ControlFlow<()> = each_path(arguments, names, &mut |argument| {
            match argument {
                PathArgument::Named(text) => seen.paths.push(SeenPath::of(text)),
                // Not an argument by its name: see `Seen::of_suspects`.
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

    /// Reads what a capability with a `path_allowlist` suspects of being paths.
    pub(super) fn of_suspects(capability: &Capability, call: &ToolCall<'_>) -> Self {
        let mut seen = Self::default();
        let Some(arguments) = call.arguments else { return seen };
        seen.bases.extend(capability.base_path.as_ref().map(|base| fold(base.text()).into_owned()));
        let _all: ControlFlow<()> = each_path(arguments, Names::Own(&capability.arguments), &mut |argument| {
            match argument {
                PathArgument::Suspect(text) => seen.paths.push(SeenPath::of(Cow::Owned(text))),
                PathArgument::Named(_) => {}
            }
            ControlFlow::Continue(())
        });
        seen
    }

    /// The first path argument that an argument pattern denies.
    pub(super) fn denied_path(&self, pattern: &PathPattern) -> Option<&str> {
        self.paths.iter().find(|path| path.is_denied(pattern, &self.bases)).map(|path| path.given.as_str())
    }

    /// The first word of the first command that begins with denied words or cannot be read.
    pub(super) fn denied_command(&self, words: &DenyWords) -> Option<&str> {
        let is_denied = |line: &Option<CommandLine>| line.as_ref().is_none_or(|line| line.matches_deny(words));
        self.commands.iter().find(|(_, line)| is_denied(line)).map(|(given, _)| given.as_str())
    }

    /// The first URL or host that an argument pattern denies, as given.
    pub(super) fn denied_host(&self, pattern: Option<&DomainPattern>, glob: &str) -> Option<&str> {
        self.hosts.iter().find(|host| host.is_denied(pattern, glob)).map(|host| host.given.as_str())
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
                    Some(
                        [Some(text.clone()), lenient(&text)].into_iter().flatten().map(move |text| (is_relative, text)),
                    )
                })
                .collect::<Option<Vec<_>>>()
        });
        let readings = readings.map(|readings| {
            readings.into_iter().flatten().map(|(is_relative, text)| (is_relative, fold(&text).into_owned())).collect()
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

/// The path as forgiving file systems read it, if that differs: compatibility characters replaced, invisible ones left out,
/// blanks around a component and dots at its end dropped, stream names (`.ssh::$DATA`) cut off.
fn lenient(text: &str) -> Option<String> {
    let visible: String = text.nfkc().filter(|character| !is_hidden(*character)).collect();
    let trimmed: Vec<&str> = visible
        .split('/')
        .map(|component| {
            let name = match component.split_once(':') {
                Some((name, stream)) if stream.contains('$') => name,
                Some(_) | None => component,
            };
            let name =
                name.trim_start().trim_end_matches(|character: char| character == '.' || character.is_whitespace());
            // Dots alone are a name; blanks alone are none.
            if name.is_empty() { component.trim() } else { name }
        })
        .collect();
    Some(trimmed.join("/")).filter(|lenient| lenient != text)
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
