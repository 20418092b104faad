//! The normalised content of a context: one JSON text per meaning, and its SHA-256.
//!
//! The text is canonical JSON (section 2): members by code point, no white space, least escaping, numbers as plain
//! integers. It is
//!
//! ```text
//! {"capabilities":[{"arguments":{"command":[…],"domain":[…],"path":[…]},"base_path":"…","command_allowlist":[…],
//! "domain_allowlist":[…],"max_response_size":N,"path_allowlist":[…],"rate_limit":{"calls":N,"per_seconds":N},
//! "require_domain":true,"subcommand_allowlist":[…] or {"command":[…]},"tool_pattern":"…"}],"deny_list":["…"],
//! "name":"…"}
//! ```
//!
//! with constraints always on the capability, members that are not set left out (`require_domain` when false,
//! `arguments` when none of its three is set), deny entries as plain text, `deny_list` present also when empty, lists
//! in file order and entries as written. So flat and nested, YAML, JSON and TOML spellings of one context have one
//! digest. `description` is left out of the digest: it allows nothing, and a corrected word must not look like a
//! changed policy.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{
    ArgumentNames, BasePath, Capability, CommandEntry, ContextDigest, DomainPattern, PathPattern, SecurityContext,
    SubcommandAllowlist,
};
use crate::json::write_string;

impl SecurityContext {
    /// The canonical JSON whose SHA-256 is [`SecurityContext::digest`]; it loads again to an equal context without
    /// its description.
    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        self.write(false)
    }

    /// The same JSON with the description, for tools that print a context.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.write(true)
    }

    fn write(&self, with_description: bool) -> String {
        let mut output = Vec::new();
        let mut object = Object::begin(&mut output);
        array(object.member("capabilities"), &self.capabilities, write_capability);
        array(object.member("deny_list"), &self.deny_list, |entry, output| write_string(entry.text(), output));
        if let (true, Some(description)) = (with_description, &self.description) {
            write_string(description, object.member("description"));
        }
        write_string(&self.name, object.member("name"));
        object.end();
        String::from_utf8_lossy(&output).into_owned()
    }
}

/// SHA-256 of the canonical JSON.
pub(super) fn digest(context: &SecurityContext) -> ContextDigest {
    ContextDigest(Sha256::digest(context.to_canonical_json().as_bytes()).into())
}

impl fmt::Display for ContextDigest {
    /// Lower-case hexadecimal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Writes the members of an object; the caller gives them in code point order.
struct Object<'o> {
    output: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    fn begin(output: &'o mut Vec<u8>) -> Self {
        output.push(b'{');
        Self { output, first: true }
    }

    /// Writes a name; the value follows.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.output.push(b',');
        }
        self.first = false;
        write_string(name, self.output);
        self.output.push(b':');
        self.output
    }

    fn end(self) {
        self.output.push(b'}');
    }
}

fn array<T>(output: &mut Vec<u8>, items: &[T], write: impl Fn(&T, &mut Vec<u8>)) {
    output.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            output.push(b',');
        }
        write(item, output);
    }
    output.push(b']');
}

fn texts(output: &mut Vec<u8>, items: &[String]) {
    array(output, items, |item, output| write_string(item, output));
}

fn write_capability(capability: &Capability, output: &mut Vec<u8>) {
    let Capability {
        tool_pattern,
        path_allowlist,
        command_allowlist,
        subcommand_allowlist,
        domain_allowlist,
        rate_limit,
        max_response_size,
        arguments,
        base_path,
        require_domain,
    } = capability;
    let mut object = Object::begin(output);
    if *arguments != ArgumentNames::default() {
        write_argument_names(arguments, object.member("arguments"));
    }
    if let Some(path) = base_path {
        write_string(BasePath::text(path), object.member("base_path"));
    }
    if let Some(list) = command_allowlist {
        let entry = |entry: &CommandEntry, output: &mut Vec<u8>| write_string(entry.text(), output);
        array(object.member("command_allowlist"), list, entry);
    }
    if let Some(list) = domain_allowlist {
        let entry = |entry: &DomainPattern, output: &mut Vec<u8>| write_string(entry.text(), output);
        array(object.member("domain_allowlist"), list, entry);
    }
    if let Some(size) = max_response_size {
        object.member("max_response_size").extend_from_slice(size.to_string().as_bytes());
    }
    if let Some(list) = path_allowlist {
        let entry = |entry: &PathPattern, output: &mut Vec<u8>| write_string(entry.text(), output);
        array(object.member("path_allowlist"), list, entry);
    }
    if let Some(limit) = rate_limit {
        let text = format!(r#"{{"calls":{},"per_seconds":{}}}"#, limit.calls, limit.per_seconds);
        object.member("rate_limit").extend_from_slice(text.as_bytes());
    }
    if *require_domain {
        object.member("require_domain").extend_from_slice(b"true");
    }
    if let Some(subcommands) = subcommand_allowlist {
        write_subcommands(subcommands, object.member("subcommand_allowlist"));
    }
    write_string(tool_pattern.text(), object.member("tool_pattern"));
    object.end();
}

fn write_argument_names(names: &ArgumentNames, output: &mut Vec<u8>) {
    let mut object = Object::begin(output);
    for (kind, list) in [("command", &names.command), ("domain", &names.domain), ("path", &names.path)] {
        if let Some(list) = list {
            texts(object.member(kind), list);
        }
    }
    object.end();
}

fn write_subcommands(subcommands: &SubcommandAllowlist, output: &mut Vec<u8>) {
    match subcommands {
        SubcommandAllowlist::Every(list) => texts(output, list),
        SubcommandAllowlist::PerCommand(commands) => {
            // A `BTreeMap` of strings is in byte order, which is code point order.
            let mut object = Object::begin(output);
            for (command, list) in commands {
                texts(object.member(command), list);
            }
            object.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DenyEntry, load_context};
    use super::*;
    use crate::json::{KeyOrder, scan, write_canonical};
    use crate::settings::Syntax;

    const YAML: &str = r#"
# every field, nested
deny_list:
  - tool_pattern: fs.delete
  - cmd.run:rm
capabilities:
  - constraints:
      rate_limit: {per_seconds: 0x3c, calls: 3}
      path_allowlist: [/workspace/**, "/caf\u00e9"]
      command_allowlist: [git, npm test]
      subcommand_allowlist: {npm: [test], git: [status, log]}
      domain_allowlist: ['*.example.org']
      max_response_size: 18446744073709551615
      arguments: {path: [location], command: []}
      base_path: /workspace
      require_domain: true
    tool_pattern: fs.*
  - tool_pattern: web.get
    require_domain: false
    arguments: {}
    path_allowlist: []
description: words
name: every-field
"#;
    const JSON: &str = r#"{"name": "every-field", "description": "other words", "capabilities": [{"tool_pattern": "fs.*",
        "path_allowlist": ["/workspace/**", "/café"], "command_allowlist": ["git", "npm test"],
        "subcommand_allowlist": {"git": ["status", "log"], "npm": ["test"]}, "domain_allowlist": ["*.example.org"],
        "rate_limit": {"calls": 3, "per_seconds": 60}, "max_response_size": 18446744073709551615,
        "arguments": {"command": [], "path": ["location"]}, "base_path": "/workspace", "require_domain": true},
        {"tool_pattern": "web.get", "constraints": {"path_allowlist": []}}],
        "deny_list": ["fs.delete", {"tool_pattern": "cmd.run:rm"}]}"#;
    const TOML: &str = r#"
name = "every-field"
deny_list = ["fs.delete", "cmd.run:rm"]
[[capabilities]]
tool_pattern = "fs.*"
command_allowlist = ["git", "npm test"]
base_path = "/workspace"
[capabilities.constraints]
path_allowlist = ["/workspace/**", "/café"]
domain_allowlist = ["*.example.org"]
require_domain = true
max_response_size = 18446744073709551615
rate_limit = { calls = 3, per_seconds = 60 }
subcommand_allowlist = { git = ["status", "log"], npm = ["test"] }
arguments = { path = ["location"], command = [] }
[[capabilities]]
tool_pattern = "web.get"
path_allowlist = []
"#;
    const CANONICAL: &str = concat!(
        r#"{"capabilities":[{"arguments":{"command":[],"path":["location"]},"base_path":"/workspace","#,
        r#""command_allowlist":["git","npm test"],"domain_allowlist":["*.example.org"],"#,
        r#""max_response_size":18446744073709551615,"path_allowlist":["/workspace/**","/café"],"#,
        r#""rate_limit":{"calls":3,"per_seconds":60},"require_domain":true,"#,
        r#""subcommand_allowlist":{"git":["status","log"],"npm":["test"]},"tool_pattern":"fs.*"},"#,
        r#"{"path_allowlist":[],"tool_pattern":"web.get"}],"deny_list":["fs.delete","cmd.run:rm"],"#,
        r#""name":"every-field"}"#
    );

    #[test]
    fn one_digest_for_all_spellings() {
        let sources = [(YAML, Syntax::Yaml), (JSON, Syntax::Json), (TOML, Syntax::Toml), (CANONICAL, Syntax::Json)];
        for (text, syntax) in sources {
            let context = load_context(text, syntax, "every-field").unwrap();
            assert_eq!(context.to_canonical_json(), CANONICAL, "{syntax:?}");
            assert_eq!(context.digest, ContextDigest(Sha256::digest(CANONICAL.as_bytes()).into()));
        }
    }

    #[test]
    fn the_text_is_canonical_json() {
        let document = scan(CANONICAL.as_bytes()).unwrap();
        assert_eq!(write_canonical(document.root(), KeyOrder::CodePoint), CANONICAL.as_bytes());
    }

    #[test]
    fn any_change_of_meaning_changes_the_digest() {
        let digest = |text: &str| load_context(text, Syntax::Json, "x").unwrap().digest;
        let own = digest(CANONICAL);
        for (from, to) in [
            (r#""calls":3"#, r#""calls":4"#),
            (r#""path_allowlist":[],"#, ""),
            (r#""require_domain":true,"#, ""),
            (r#""fs.delete","#, ""),
            (r#""base_path":"/workspace","#, ""),
            (r#""command":[],"#, ""),
            (r#"["status","log"]"#, r#"["log","status"]"#),
            (r#""name":"every-field""#, r#""name":"every-fields""#),
        ] {
            assert!(CANONICAL.contains(from), "{from}");
            assert_ne!(digest(&CANONICAL.replacen(from, to, 1)), own, "{from}");
        }
    }

    #[test]
    fn prints_the_description() {
        let context = load_context(YAML, Syntax::Yaml, "x").unwrap();
        let printed = context.to_json();
        assert!(printed.contains(r#"],"description":"words","name":"every-field"}"#), "{printed}");
        let again = load_context(&printed, Syntax::Json, "x").unwrap();
        assert_eq!((again.description.as_deref(), again.digest), (Some("words"), context.digest));
        assert_eq!(context.digest.to_string().len(), 64);
        assert_eq!(ContextDigest([0x0a; 32]).to_string(), "0a".repeat(32));
    }

    #[test]
    fn deny_entries_keep_their_text() {
        let context = load_context(YAML, Syntax::Yaml, "x").unwrap();
        let texts: Vec<_> = context.deny_list.iter().map(DenyEntry::text).collect();
        assert_eq!(texts, ["fs.delete", "cmd.run:rm"]);
    }
}
