//! Finds the arguments a constraint or deny entry looks at (section 7, "Which arguments").
//!
//! Every walk goes through the whole of the arguments in document order and stops as soon as its visitor breaks. Nothing is
//! copied but strings with escapes.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::command::{CommandArgs, CommandArgument};
use super::names::{Names, PathNaming, is_args, is_content};
use super::path::{begins_with_scheme, is_blank, suspect_path};
use crate::json::{Kind, Value};

/// A string that may be a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathArgument<'d> {
    /// Under a name for paths.
    Named(Cow<'d, str>),
    /// Anywhere else, but it looks like a path. It does not count as the argument being present.
    Suspect(String),
}

/// A string that names a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DomainArgument<'d> {
    /// Under a name for URLs and hosts.
    Named(Cow<'d, str>),
    /// An absolute web URL anywhere, without blanks around it.
    Url(Cow<'d, str>),
}

/// Visits every path argument.
pub(super) fn each_path<'d, B>(
    arguments: Value<'d>,
    names: Names<'_>,
    visit: &mut dyn FnMut(PathArgument<'d>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    PathWalk { names, visit }.value(arguments, PathNaming::Other, !names.suspects_paths())
}

struct PathWalk<'w, 'd, B> {
    names: Names<'w>,
    visit: &'w mut dyn FnMut(PathArgument<'d>) -> ControlFlow<B>,
}

impl<'d, B> PathWalk<'_, 'd, B> {
    /// `quiet`: nothing here is suspected of being a path.
    fn value(&mut self, value: Value<'d>, naming: PathNaming, quiet: bool) -> ControlFlow<B> {
        match value.kind() {
            Kind::String => {
                let text = value.as_str().unwrap_or_default();
                match naming {
                    PathNaming::Path => (self.visit)(PathArgument::Named(text)),
                    PathNaming::FileUri if begins_with_scheme(&text, "file") => (self.visit)(PathArgument::Named(text)),
                    PathNaming::FileUri | PathNaming::Other => self.suspect(&text, quiet),
                }
            }
            Kind::Array => value.elements().try_for_each(|element| self.value(element, naming, quiet)),
            Kind::Object => value.members().try_for_each(|(name, member)| {
                self.suspect(&name, quiet)?;
                self.value(member, self.names.path(&name), quiet || is_content(&name))
            }),
            Kind::Null | Kind::Boolean | Kind::Number => ControlFlow::Continue(()),
        }
    }

    fn suspect(&mut self, text: &str, quiet: bool) -> ControlFlow<B> {
        match if quiet { None } else { suspect_path(text) } {
            Some(suspect) => (self.visit)(PathArgument::Suspect(suspect.to_owned())),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Visits every command with all that stands in members called `args` beside it.
pub(super) fn each_command<'d, B>(
    arguments: Value<'d>,
    names: Names<'_>,
    visit: &mut dyn FnMut(CommandArgument<'d>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    CommandWalk { names, visit }.value(arguments)
}

struct CommandWalk<'w, 'd, B> {
    names: Names<'w>,
    visit: &'w mut dyn FnMut(CommandArgument<'d>) -> ControlFlow<B>,
}

impl<'d, B> CommandWalk<'_, 'd, B> {
    fn value(&mut self, value: Value<'d>) -> ControlFlow<B> {
        match value.kind() {
            Kind::Array => value.elements().try_for_each(|element| self.value(element)),
            Kind::Object => value.members().try_for_each(|(name, member)| {
                if self.names.command(&name) { self.command(member, value) } else { self.value(member) }
            }),
            Kind::String | Kind::Null | Kind::Boolean | Kind::Number => ControlFlow::Continue(()),
        }
    }

    /// A value under a name for commands; `around` is the object it stands in.
    fn command(&mut self, value: Value<'d>, around: Value<'d>) -> ControlFlow<B> {
        match value.kind() {
            Kind::String => {
                let text = value.as_str().unwrap_or_default();
                (self.visit)(CommandArgument::Text { text, args: args_beside(around) })
            }
            Kind::Array => {
                let words: Vec<Cow<'d, str>> = value.elements().filter_map(Value::as_str).collect();
                if !words.is_empty() {
                    (self.visit)(CommandArgument::Words { words, args: args_beside(around) })?;
                }
                // A list of commands is read as that: each must be allowed.
                value.elements().try_for_each(|element| match element.kind() {
                    Kind::Array | Kind::Object => self.command(element, around),
                    Kind::String | Kind::Null | Kind::Boolean | Kind::Number => ControlFlow::Continue(()),
                })
            }
            Kind::Object => self.value(value),
            Kind::Null | Kind::Boolean | Kind::Number => ControlFlow::Continue(()),
        }
    }
}

/// What stands in the members called `args` of an object; several count one after the other.
fn args_beside(object: Value<'_>) -> Option<CommandArgs<'_>> {
    fn collect<'d>(value: Value<'d>, strings: &mut Vec<Cow<'d, str>>) {
        strings.extend(value.as_str());
        value.elements().for_each(|element| collect(element, strings));
    }
    let mut members = object.members().filter(|(name, _)| is_args(name)).map(|(_, value)| value);
    let (first, second) = (members.next()?, members.next());
    if let (Some(text), None) = (first.as_str(), second) {
        return Some(CommandArgs::Text(text));
    }
    let mut strings = Vec::new();
    std::iter::once(first).chain(second).chain(members).for_each(|value| collect(value, &mut strings));
    (!strings.is_empty()).then_some(CommandArgs::Words(strings))
}

/// Visits everything that names a host.
pub(super) fn each_domain<'d, B>(
    arguments: Value<'d>,
    names: Names<'_>,
    visit: &mut dyn FnMut(DomainArgument<'d>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    DomainWalk { names, visit }.value(arguments, false)
}

struct DomainWalk<'w, 'd, B> {
    names: Names<'w>,
    visit: &'w mut dyn FnMut(DomainArgument<'d>) -> ControlFlow<B>,
}

impl<'d, B> DomainWalk<'_, 'd, B> {
    fn value(&mut self, value: Value<'d>, named: bool) -> ControlFlow<B> {
        match value.kind() {
            Kind::String => {
                let text = value.as_str().unwrap_or_default();
                if named { (self.visit)(DomainArgument::Named(text)) } else { self.url(text) }
            }
            Kind::Array => value.elements().try_for_each(|element| self.value(element, named)),
            Kind::Object => value.members().try_for_each(|(name, member)| {
                let named = self.names.domain(&name);
                self.url(name)?;
                self.value(member, named)
            }),
            Kind::Null | Kind::Boolean | Kind::Number => ControlFlow::Continue(()),
        }
    }

    fn url(&mut self, text: Cow<'d, str>) -> ControlFlow<B> {
        if !is_web_url(&text) {
            return ControlFlow::Continue(());
        }
        let trimmed = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(is_blank)),
            Cow::Owned(text) => Cow::Owned(text.trim_matches(is_blank).to_owned()),
        };
        (self.visit)(DomainArgument::Url(trimmed))
    }
}

/// Whether a URL parser would find a web scheme at the beginning.
pub(super) fn is_web_url(text: &str) -> bool {
    ["http", "https", "ws", "wss", "ftp"].iter().any(|scheme| begins_with_scheme(text, scheme))
}

#[cfg(test)]
mod tests {
    use super::super::context::ArgumentNames;
    use super::*;
    use crate::json::scan;

    const BUILT_IN: Names<'static> = Names::Own(&ArgumentNames { path: None, command: None, domain: None });

    fn paths(text: &str) -> Vec<String> {
        let document = scan(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        let _all = each_path(document.root(), BUILT_IN, &mut |argument| {
            found.push(match argument {
                PathArgument::Named(text) => format!("named {text}"),
                PathArgument::Suspect(text) => format!("suspect {text}"),
            });
            ControlFlow::<()>::Continue(())
        });
        found
    }

    fn commands(text: &str) -> Vec<String> {
        let document = scan(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        let _all = each_command(document.root(), BUILT_IN, &mut |command| {
            found.push(match command {
                CommandArgument::Text { text, args } => format!("{text:?} {args:?}"),
                CommandArgument::Words { words, args } => format!("{words:?} {args:?}"),
            });
            ControlFlow::<()>::Continue(())
        });
        found
    }

    fn domains(text: &str) -> Vec<String> {
        let document = scan(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        let _all = each_domain(document.root(), BUILT_IN, &mut |argument| {
            found.push(match argument {
                DomainArgument::Named(text) => format!("named {text}"),
                DomainArgument::Url(text) => format!("url {text}"),
            });
            ControlFlow::<()>::Continue(())
        });
        found
    }

    #[test]
    fn finds_paths_wherever_they_hide() {
        for (text, found) in [
            (
                r#"{"path":"a","PATHS":[["b"],3,null],"x":{"y":[{"file_name":"c"}]}}"#,
                &["named a", "named b", "named c"][..],
            ),
            (r#"{"path":{"value":"a","dir":"b"}}"#, &["named b"]),
            (r#"{"uri":"https://a/../b"}"#, &["suspect https://a/../b"]),
            (
                r#"{"uri":["file:///a"," FiLe:///b"],"other":"FILE:/c"}"#,
                &["named file:///a", "named  FiLe:///b", "suspect FILE:/c"],
            ),
            (r#"{"target":" /etc/x\n","note":"see /etc"}"#, &["suspect /etc/x\n"]),
            (r#"{"/etc/x":1,"a":{"..":{}}}"#, &["suspect /etc/x", "suspect .."]),
            (r#"{"files":{"/etc/x":"y"}}"#, &["suspect /etc/x"]),
            (r#"{"content":"/etc/x","data":{"z":["/a",{"/b":1}],"path":"/c"}}"#, &["named /c"]),
            (r#""/etc/x""#, &["suspect /etc/x"]),
            (r#"["/etc/x",7]"#, &["suspect /etc/x"]),
            (r#"{"path":5,"paths":[],"file":{},"dir":true}"#, &[]),
            (r#"{"\u0070ath":"\u002fx"}"#, &["named /x"]),
        ] {
            assert_eq!(paths(text), found, "{text}");
        }
    }

    #[test]
    fn finds_commands_with_their_args() {
        for (text, found) in [
            (r#"{"command":"a b","args":["c",["d",5]],"ARGS":"e"}"#, &[r#""a b" Some(Words(["c", "d", "e"]))"#][..]),
            (r#"{"command":"a","args":"b c"}"#, &[r#""a" Some(Text("b c"))"#]),
            (r#"{"x":[{"cmd":["a",1,"b"],"args":["c"]}],"args":"d"}"#, &[r#"["a", "b"] Some(Words(["c"]))"#]),
            (r#"{"argv":[["a","b"],["rm"]]}"#, &[r#"["a", "b"] None"#, r#"["rm"] None"#]),
            (r#"{"argv":["a",{"cmd":"rm"}],"args":[5]}"#, &[r#"["a"] None"#, r#""rm" None"#]),
            (r#"{"command":{"cmd":"rm","args":"x"},"args":"y"}"#, &[r#""rm" Some(Text("x"))"#]),
            (r#"{"args":["rm"],"script":"rm","command":7,"argv":[]}"#, &[]),
            (r#"{"args":[{"cmd":"rm"}]}"#, &[r#""rm" None"#]),
        ] {
            assert_eq!(commands(text), found, "{text}");
        }
    }

    #[test]
    fn finds_hosts_under_any_name() {
        for (text, found) in [
            (r#"{"url":"a","hosts":"b","x":{"host_name":["c",["d"]]}}"#, &["named a", "named c", "named d"][..]),
            (r#"{"q":" \tHTTPS://e.test/ x ","n":"see https://e.test"}"#, &["url HTTPS://e.test/ x"]),
            (r#"{"q":"ht\ntp://e.test","w":"http status: x","v":"https:e"}"#, &["url ht\ntp://e.test", "url https:e"]),
            (r#"{"https://e.test":1,"a":{"wss://f.test":{}}}"#, &["url https://e.test", "url wss://f.test"]),
            (r#"{"q":"\ufeffftp://e.test"}"#, &["url ftp://e.test"]),
            (r#"{"q":"file:///x","w":"gopher://x","url":5,"urls":[]}"#, &[]),
            (r#"{"url":{"x":"a","https://b":"c"}}"#, &["url https://b"]),
        ] {
            assert_eq!(domains(text), found, "{text}");
        }
    }
}
