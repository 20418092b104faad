//! What loads and is yet probably not what its author meant (section 7: "`policy check` warns").

use smcp_core::policy::{Capability, SecurityContext, lists_tool};

/// Warnings about one context, in the order of the file.
pub(super) fn lint(context: &SecurityContext) -> Vec<String> {
    let mut warnings = Vec::new();
    if context.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
        warnings.push("`description` is missing: say what an agent with this context is for".to_owned());
    }
    if context.capabilities.is_empty() {
        warnings.push("`capabilities` is empty, so that nothing is allowed".to_owned());
    }
    for (index, capability) in context.capabilities.iter().enumerate() {
        nothing_passes(index, capability, &mut warnings);
        everything_passes(index, capability, &mut warnings);
        undone_limit(index, capability, context, &mut warnings);
        dead(index, capability, context, &mut warnings);
    }
    unguarded_deny_entries(context, &mut warnings);
    warnings
}

/// `capabilities[2] (tool_pattern `fs.*`)`, as load errors name fields.
fn place(index: usize, capability: &Capability) -> String {
    format!("capabilities[{index}] (`{}`)", capability.tool_pattern.text())
}

fn nothing_passes(index: usize, capability: &Capability, warnings: &mut Vec<String>) {
    let empty = [
        ("path_allowlist", capability.path_allowlist.as_ref().is_some_and(Vec::is_empty)),
        ("command_allowlist", capability.command_allowlist.as_ref().is_some_and(Vec::is_empty)),
    ];
    for (name, _) in empty.into_iter().filter(|(_, empty)| *empty) {
        warnings.push(format!("{}: `{name}` is empty, so that no call passes", place(index, capability)));
    }
    if capability.domain_allowlist.as_ref().is_some_and(Vec::is_empty) {
        warnings.push(format!(
            "{}: `domain_allowlist` is empty, so that no call with a URL or host passes",
            place(index, capability)
        ));
    }
}

fn everything_passes(index: usize, capability: &Capability, warnings: &mut Vec<String>) {
    let unconstrained = capability.path_allowlist.is_none()
        && capability.command_allowlist.is_none()
        && capability.domain_allowlist.is_none();
    let pattern = capability.tool_pattern.text();
    if unconstrained && !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*') {
        warnings.push(format!("{}: allows every tool with any arguments", place(index, capability)));
    }
    let mut paths = capability.path_allowlist.iter().flatten();
    if paths.any(|entry| matches!(entry.text().trim_end_matches('/'), "" | "/*" | "/**")) {
        warnings.push(format!("{}: `path_allowlist` covers the whole file system", place(index, capability)));
    }
    let mut domains = capability.domain_allowlist.iter().flatten();
    if domains.any(|entry| entry.text() == "*") {
        warnings.push(format!("{}: `domain_allowlist` covers every name", place(index, capability)));
    }
}

/// Another capability without the limit lets the calls pass that this one counted out.
fn undone_limit(index: usize, capability: &Capability, context: &SecurityContext, warnings: &mut Vec<String>) {
    let Some(limit) = capability.rate_limit else { return };
    for (other_index, other) in context.capabilities.iter().enumerate() {
        if other_index == index || !overlap(capability, other) {
            continue;
        }
        let calls = format!("{} calls per {} s", limit.calls, limit.per_seconds);
        let (here, there) = (place(index, capability), place(other_index, other));
        match other.rate_limit {
            None => warnings.push(format!("{here}: the limit of {calls} is undone by {there}, which has none")),
            // Of two limited capabilities one warning is enough.
            Some(_) if other_index < index => {}
            Some(_) => warnings.push(format!("{here}: the limit of {calls} adds up with the one of {there}")),
        }
    }
}

/// Whether some call may fit both: the patterns have a name in common, and plain path entries do not rule it out.
fn overlap(left: &Capability, right: &Capability) -> bool {
    if !globs_meet(left.tool_pattern.text().as_bytes(), right.tool_pattern.text().as_bytes()) {
        return false;
    }
    match (&left.path_allowlist, &right.path_allowlist) {
        (Some(left), Some(right)) => {
            left.iter().any(|left| right.iter().any(|right| paths_meet(left.text(), right.text())))
        }
        (None, Some(_)) | (Some(_), None) | (None, None) => true,
    }
}

/// Whether a path may lie under both entries; an entry with a glob is taken to meet everything.
fn paths_meet(left: &str, right: &str) -> bool {
    if left.contains(['*', '?']) || right.contains(['*', '?']) {
        return true;
    }
    let components = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    components(left).iter().zip(&components(right)).all(|(left, right)| left == right)
}

/// Whether some text fits both globs. `row[j]`: the left glob so far and the first `j` bytes of the right one have a text
/// in common.
fn globs_meet(left: &[u8], right: &[u8]) -> bool {
    let mut row: Vec<bool> = Vec::with_capacity(right.len().saturating_add(1));
    row.push(true);
    for byte in right {
        row.push(row.last() == Some(&true) && *byte == b'*');
    }
    for from_left in left {
        let mut next: Vec<bool> = Vec::with_capacity(row.len());
        next.push(row.first() == Some(&true) && *from_left == b'*');
        for ((from_right, before), above) in right.iter().zip(&row).zip(row.iter().skip(1)) {
            let beside = next.last() == Some(&true);
            let both = *from_left == *from_right || *from_left == b'?' || *from_right == b'?';
            next.push(match (*from_left, *from_right) {
                (b'*', _) | (_, b'*') => beside || *above,
                _ => *before && both,
            });
        }
        row = next;
    }
    row.last() == Some(&true)
}

/// A capability for one tool which a deny entry takes away.
fn dead(index: usize, capability: &Capability, context: &SecurityContext, warnings: &mut Vec<String>) {
    let tool = capability.tool_pattern.text();
    if tool.contains(['*', '?']) {
        return;
    }
    // The capability's own pattern matches its one tool, so only the deny list can keep it off the list.
    if !lists_tool(context, None, tool) {
        warnings.push(format!("{}: never allows, since the deny list denies the tool", place(index, capability)));
    }
}

/// Deny entries about commands do not look through wrappers such as `sudo` or `sh -c`.
fn unguarded_deny_entries(context: &SecurityContext, warnings: &mut Vec<String>) {
    for (index, entry) in context.deny_list.iter().enumerate() {
        let Some((tool, argument)) = entry.text().split_once(':') else { continue };
        let is_path_or_host = argument.starts_with('/') || (argument.contains('.') && !argument.contains(' '));
        if is_path_or_host {
            continue;
        }
        let unguarded = context.capabilities.iter().enumerate().find(|(_, capability)| {
            capability.command_allowlist.is_none()
                && globs_meet(tool.as_bytes(), capability.tool_pattern.text().as_bytes())
        });
        if let Some((capability_index, capability)) = unguarded {
            warnings.push(format!(
                "deny_list[{index}] (`{}`): a wrapper such as `sudo` or `sh -c` gets round it, since {} has no \
                 `command_allowlist`",
                entry.text(),
                place(capability_index, capability)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use smcp_core::policy::load_context;
    use smcp_core::settings::Syntax;

    use super::*;

    fn warnings(text: &str) -> Vec<String> {
        lint(&load_context(text, Syntax::Yaml, "x.yaml").unwrap())
    }

    #[test]
    fn a_sound_context_is_not_criticised() {
        let text = "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: fs.read, path_allowlist: [/a], rate_limit: {calls: 1, per_seconds: 1}}\n- {tool_pattern: fs.read, path_allowlist: [/ab, /b]}\n- {tool_pattern: sh, command_allowlist: [git]}\ndeny_list: [fs.write, 'fs.*:/etc', 'sh:git push', 'web.*:evil.example']\n";
        assert_eq!(warnings(text), Vec::<String>::new());
    }

    #[test]
    fn names_what_should_be_looked_at() {
        for (text, expected) in [
            ("name: a\ncapabilities: []\n", vec!["`description` is missing", "`capabilities` is empty"]),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: '*'}\n",
                vec!["capabilities[0] (`*`): allows every tool with any arguments"],
            ),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: t, path_allowlist: []}\n- {tool_pattern: u, path_allowlist: [/]}\n- {tool_pattern: v, domain_allowlist: ['*']}\n",
                vec![
                    "(`t`): `path_allowlist` is empty",
                    "(`u`): `path_allowlist` covers",
                    "(`v`): `domain_allowlist` covers",
                ],
            ),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: fs.read, rate_limit: {calls: 3, per_seconds: 60}}\n- {tool_pattern: 'fs.*', path_allowlist: [/a]}\n",
                vec![
                    "capabilities[0] (`fs.read`): the limit of 3 calls per 60 s is undone by capabilities[1] (`fs.*`)",
                ],
            ),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: t, rate_limit: {calls: 3, per_seconds: 60}}\n- {tool_pattern: t, rate_limit: {calls: 1, per_seconds: 1}}\n",
                vec!["adds up with the one of capabilities[1]"],
            ),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: fs.write}\ndeny_list: ['fs.w*']\n",
                vec!["never allows, since the deny list"],
            ),
            (
                "name: a\ndescription: d\ncapabilities:\n- {tool_pattern: 'sh*'}\ndeny_list: ['shell:rm']\n",
                vec!["deny_list[0] (`shell:rm`): a wrapper"],
            ),
        ] {
            let found = warnings(text);
            assert_eq!(found.len(), expected.len(), "{text}{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{found}");
            }
        }
    }

    #[test]
    fn globs_that_meet() {
        for (left, right, meet) in [
            ("fs.*", "fs.read", true),
            ("fs.*", "*.read", true),
            ("fs.*", "web.*", false),
            ("a?c", "ab*", true),
            ("a?", "a", false),
            ("", "", true),
            ("*", "", true),
            ("**a", "a", true),
            ("a*b*c", "a*x", false),
        ] {
            assert_eq!(globs_meet(left.as_bytes(), right.as_bytes()), meet, "{left} {right}");
            assert_eq!(globs_meet(right.as_bytes(), left.as_bytes()), meet, "{right} {left}");
        }
    }
}
