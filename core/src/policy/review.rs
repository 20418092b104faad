//! What `smcp policy check` warns about: contexts that load but may not mean what their author thinks (sections 7 and 12).

use super::context::{Capability, SecurityContext};
use super::deny::DenyEntry;
use super::pattern::ToolPattern;
use super::quote::Quoted;

/// One line per doubt, in file order; empty for a context that raises none.
#[must_use]
pub fn review(context: &SecurityContext) -> Vec<String> {
    let mut warnings = Vec::new();
    if context.description.as_deref().is_none_or(str::is_empty) {
        warnings.push("the context has no `description`".to_owned());
    }
    for (index, capability) in context.capabilities.iter().enumerate() {
        let later = context.capabilities.iter().enumerate().skip(index.saturating_add(1));
        warnings.extend(later.filter_map(|(other, later)| undone_limit(index, capability, other, later)));
        if context.deny_list.iter().any(|entry| entry.denies_tool(capability.tool_pattern.text())) {
            warnings.push(format!(
                "capability `{index}` for {} grants nothing: the deny list denies it whole",
                Quoted(capability.tool_pattern.text())
            ));
        }
    }
    for entry in &context.deny_list {
        warnings.extend(weak_entry(context, entry));
    }
    warnings
}

/// A rate limit that a later capability for the same tools undoes.
fn undone_limit(index: usize, limited: &Capability, other: usize, later: &Capability) -> Option<String> {
    limited.rate_limit?;
    let is_open = later.rate_limit.is_none();
    (is_open && overlap(&limited.tool_pattern, &later.tool_pattern)).then(|| {
        format!(
            "the rate limit of capability `{index}` may be undone by capability `{other}`, which matches {} without one",
            Quoted(later.tool_pattern.text())
        )
    })
}

/// A deny entry for commands that a wrapper goes around, or one for paths that is compared with commands.
fn weak_entry(context: &SecurityContext, entry: &DenyEntry) -> Option<String> {
    let (tool, argument) = entry.words_argument()?;
    let shown = Quoted(entry.text());
    if argument.contains(['/', '\\', '~']) && !argument.contains(' ') {
        return Some(format!(
            "deny entry {shown} is compared with commands and hosts; an argument that means a path begins with `/`"
        ));
    }
    let is_host = argument.contains('.') && !argument.contains(' ');
    let is_open =
        |capability: &&Capability| capability.command_allowlist.is_none() && overlap(&capability.tool_pattern, tool);
    (!is_host && context.capabilities.iter().any(|capability| is_open(&capability))).then(|| {
        format!("deny entry {shown} does not look through wrappers such as `sudo` or `sh -c`; a `command_allowlist` does not need to")
    })
}

/// Whether some tool surely fits both patterns; tells for all patterns of which one is a case of the other.
fn overlap(left: &ToolPattern, right: &ToolPattern) -> bool {
    left.matches(right.text()) || right.matches(left.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load_context;
    use crate::settings::Syntax;

    fn warnings(capabilities: &str, deny_list: &str) -> Vec<String> {
        let text = format!(r#"{{"name":"x","description":"d","capabilities":{capabilities},"deny_list":{deny_list}}}"#);
        review(&load_context(&text, Syntax::Json, "x").unwrap())
    }

    #[test]
    fn warns_about_what_protects_less_than_it_seems() {
        for (capabilities, deny_list, mention) in [
            (r#"[{"tool_pattern":"cmd.*"}]"#, r#"["cmd.run:rm"]"#, "sudo"),
            (r#"[{"tool_pattern":"fs.*"}]"#, r#"["fs.read:~/.ssh"]"#, "begins with `/`"),
            (
                r#"[{"tool_pattern":"web.get","rate_limit":{"calls":1,"per_seconds":1}},{"tool_pattern":"web.*"}]"#,
                "[]",
                "undone by capability `1`",
            ),
            (r#"[{"tool_pattern":"fs.read"}]"#, r#"["fs.*"]"#, "grants nothing"),
        ] {
            let found = warnings(capabilities, deny_list);
            assert!(found.len() == 1 && found[0].contains(mention), "{found:?}");
        }
        let bare = load_context(r#"{"name":"x","capabilities":[]}"#, Syntax::Json, "x").unwrap();
        assert!(review(&bare)[0].contains("description"));
    }

    #[test]
    fn is_silent_about_sound_contexts() {
        for (capabilities, deny_list) in [
            (r#"[{"tool_pattern":"cmd.run","command_allowlist":["git"]}]"#, r#"["cmd.run:rm","fs.read:/etc/*"]"#),
            (r#"[{"tool_pattern":"web.*"}]"#, r#"["web.get:*.evil.test"]"#),
            (
                r#"[{"tool_pattern":"a","rate_limit":{"calls":1,"per_seconds":1}},{"tool_pattern":"b"}]"#,
                r#"["fs.delete"]"#,
            ),
        ] {
            assert_eq!(warnings(capabilities, deny_list), Vec::<String>::new(), "{capabilities}");
        }
    }
}
