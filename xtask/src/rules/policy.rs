//! Policy (section 7).

use super::Mutation;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        rule: "POL-LOAD",
        what: "any name of a context",
        file: "core/src/policy/load.rs",
        old: "    if !begins || !bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {",
        new: "    if false {",
    },
    Mutation {
        rule: "POL-LOAD",
        what: "subcommands without commands",
        file: "core/src/policy/load.rs",
        old: r#"        return Err(field.error("needs a `command_allowlist` beside it"));"#,
        new: "        let _ = field;",
    },
    Mutation {
        rule: "POL-LOAD",
        what: "a constraint written twice",
        file: "core/src/policy/load.rs",
        old: "                if let (Some(_), Some(second)) = (flat.key_position(name), nested.key_position(name)) {",
        new: "                if let (Some(_), Some(second), false) = (flat.key_position(name), nested.key_position(name), true) {",
    },
    Mutation {
        rule: "POL-LOAD",
        what: "a relative path entry",
        file: "core/src/policy/path/pattern.rs",
        old: r#"    if !text.starts_with('/') {
        return Err(invalid(what, text, "is not an absolute path"));
    }"#,
        new: "    let _ = what;",
    },
    Mutation {
        rule: "POL-LOAD",
        what: "`..` in a path entry",
        file: "core/src/policy/path/pattern.rs",
        old: "    if text_climbs(text) {
",
        new: "    if false && text_climbs(text) {
",
    },
    Mutation {
        rule: "POL-NULL",
        what: "null lifts a constraint",
        file: "core/src/policy/load.rs",
        old: r#"                Err(field.error("is null; leave the field out to lift it, or write `[]` to let nothing pass"))"#,
        new: "                Ok(None)",
    },
    Mutation {
        rule: "POL-TOOL-NAME",
        what: "any tool name",
        file: "core/src/policy/pattern.rs",
        old: "!text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(|byte| byte.is_ascii_graphic())",
        new: "text.len() <= usize::MAX.max(LONGEST_NAME)",
    },
    Mutation {
        rule: "POL-TOOL-NAME",
        what: "long tool names",
        file: "core/src/policy/pattern.rs",
        old: "!text.is_empty() && text.len() <= LONGEST_NAME && text",
        new: "!text.is_empty() && text.len() <= LONGEST_NAME.saturating_mul(2) && text",
    },
    Mutation {
        rule: "POL-PATTERN",
        what: "a name that begins like the pattern",
        file: "core/src/policy/pattern.rs",
        old: "Shape::Exact => self.text == tool,",
        new: "Shape::Exact => tool.starts_with(&self.text),",
    },
    Mutation {
        rule: "POL-PATTERN",
        what: "another case",
        file: "core/src/policy/pattern.rs",
        old: "Shape::Prefix(prefix) => tool.starts_with(prefix.as_str()),",
        new: "Shape::Prefix(prefix) => tool.to_lowercase().starts_with(&prefix.to_lowercase()),",
    },
    Mutation {
        rule: "POL-PATTERN",
        what: "`?` for nothing",
        file: "core/src/policy/pattern.rs",
        old: "            (Some(wanted), Some(character)) if wanted == '?' || wanted == character => {",
        new: "            (Some('?'), None) => {
                pattern = pattern_ahead;
                continue;
            }
            (Some(wanted), Some(character)) if wanted == '?' || wanted == character => {",
    },
    Mutation {
        rule: "POL-DENY",
        what: "the deny list",
        file: "core/src/policy/decide.rs",
        old: "    if let Some((index, error)) = first_denial(context, call) {
        return",
        new: "    if let Some((index, error)) = first_denial(context, call).filter(|_| false) {
        return",
    },
    Mutation {
        rule: "POL-DENY",
        what: "paths of deny entries",
        file: "core/src/policy/deny.rs",
        old: "ArgumentPattern::Path(pattern) => seen.denied_path(pattern).map(Denial::Path),",
        new: "ArgumentPattern::Path(pattern) => seen.denied_path(pattern).map(Denial::Path).filter(|_| false),",
    },
    Mutation {
        rule: "POL-DENY",
        what: "commands of deny entries",
        file: "core/src/policy/deny.rs",
        old: "let command = seen.denied_command(command).map(Denial::Command);",
        new: "let command = seen.denied_command(command).map(Denial::Command).filter(|_| false);",
    },
    Mutation {
        rule: "POL-DENY",
        what: "hosts of deny entries",
        file: "core/src/policy/deny.rs",
        old: "command.or_else(|| seen.denied_host(host.as_ref(), glob).map(Denial::Host))",
        new: "command.or_else(|| seen.denied_host(host.as_ref(), glob).map(Denial::Host).filter(|_| false))",
    },
    Mutation {
        rule: "POL-DENY",
        what: "a path that cannot be read",
        file: "core/src/policy/seen.rs",
        old: "let Some(readings) = &self.readings else { return true };",
        new: "let Some(readings) = &self.readings else { return false };",
    },
    Mutation {
        rule: "POL-DENY",
        what: "a command that cannot be split",
        file: "core/src/policy/seen.rs",
        old: "line.as_ref().is_none_or(|line| line.matches_deny(words))",
        new: "line.as_ref().is_some_and(|line| line.matches_deny(words))",
    },
    Mutation {
        rule: "POL-DENY",
        what: "another case in a denied path",
        file: "core/src/policy/deny.rs",
        old: "PathPattern::parse_covering(&folded)?",
        new: "PathPattern::parse_covering(argument)?",
    },
    Mutation {
        rule: "POL-OR",
        what: "a later capability is not asked",
        file: "core/src/policy/decide.rs",
        old: "            first.get_or_insert((index, capability, fault));
            continue;",
        new: "            first.get_or_insert((index, capability, fault));
            break;",
    },
    Mutation {
        rule: "POL-OR",
        what: "the last failure is reported",
        file: "core/src/policy/decide.rs",
        old: "            first.get_or_insert((index, capability, fault));",
        new: "            first = Some((index, capability, fault));",
    },
    Mutation {
        rule: "POL-ARGUMENTS",
        what: "names with other case and joints",
        file: "core/src/policy/names.rs",
        old: "            *place = byte.to_ascii_lowercase();",
        new: "            *place = byte;",
    },
    Mutation {
        rule: "POL-ARGUMENTS",
        what: "names that end in a path word",
        file: "core/src/policy/names.rs",
        old: "        None if ends_in_path_word(name) => PathNaming::Path,
",
        new: "",
    },
    Mutation {
        rule: "POL-ARGUMENTS",
        what: "paths in arrays",
        file: "core/src/policy/extract.rs",
        old: "Kind::Array => value.elements().try_for_each(|element| self.value(element, naming, quiet)),",
        new: "Kind::Array => ControlFlow::Continue(()),",
    },
    Mutation {
        rule: "POL-ARGUMENTS",
        what: "hosts in arrays",
        file: "core/src/policy/extract.rs",
        old: "Kind::Array => value.elements().try_for_each(|element| self.value(element, named)),",
        new: "Kind::Array => ControlFlow::Continue(()),",
    },
    Mutation {
        rule: "POL-ARGUMENTS",
        what: "`args` beside a command",
        file: "core/src/policy/extract.rs",
        old: "    let mut members = object.members().filter(|(name, _)| is_args(name)).map(|(_, value)| value);",
        new: "    let mut members = object.members().filter(|(name, _)| is_args(name)).map(|(_, value)| value).take(0);",
    },
    Mutation {
        rule: "POL-HIDDEN",
        what: "paths under other names",
        file: "core/src/policy/extract.rs",
        old: "        match if quiet { None } else { suspect_path(text) } {",
        new: "        match if quiet || true { None } else { suspect_path(text) } {",
    },
    Mutation {
        rule: "POL-HIDDEN",
        what: "URLs under other names",
        file: "core/src/policy/extract.rs",
        old: "        if !is_web_url(&text) {
            return ControlFlow::Continue(());
        }",
        new: "        if true {
            return ControlFlow::Continue(());
        }",
    },
    Mutation {
        rule: "POL-MISSING",
        what: "no path",
        file: "core/src/policy/constraint.rs",
        old: "if is_present { None } else { Some(Fault::NoPath) }",
        new: "{
        let _ = is_present;
        None
    }",
    },
    Mutation {
        rule: "POL-MISSING",
        what: "no command",
        file: "core/src/policy/constraint.rs",
        old: "if is_present { subcommand } else { Some(Fault::NoCommand) }",
        new: "{
        let _ = is_present;
        subcommand
    }",
    },
    Mutation {
        rule: "POL-MISSING",
        what: "no host although required",
        file: "core/src/policy/constraint.rs",
        old: "if is_present || !capability.require_domain { None } else { Some(Fault::NoDomain) }",
        new: "{
        let _ = is_present;
        None
    }",
    },
    Mutation {
        rule: "POL-PATH",
        what: "outside the allowlist",
        file: "core/src/policy/path/mod.rs",
        old: "        if !inside {",
        new: "        if false {",
    },
    Mutation {
        rule: "POL-PATH",
        what: "a neighbour with the same beginning",
        file: "core/src/policy/path/pattern.rs",
        old: "            Self::Name(name) => name == component,",
        new: "            Self::Name(name) => component.starts_with(name.as_str()),",
    },
    Mutation {
        rule: "POL-PATH",
        what: "a relative path without base",
        file: "core/src/policy/path/mod.rs",
        old: r#"(Place::Relative, None) => return Err(PathFault::NotAllowed("is relative, and there is no base path")),"#,
        new: "(Place::Relative, None) => true,",
    },
    Mutation {
        rule: "POL-PATH",
        what: "the directory itself under `/*`",
        file: "core/src/policy/path/pattern.rs",
        old: r#"                parts.extend([Part::Glob("*".to_owned()), Part::Deep]);"#,
        new: "                parts.push(Part::Deep);",
    },
    Mutation {
        rule: "POL-PATH",
        what: "only the text as given is read",
        file: "core/src/policy/path/reading.rs",
        old: "std::iter::once(self.given).chain(self.decoded.iter().map(String::as_str)).flat_map",
        new: "std::iter::once(self.given).flat_map",
    },
    Mutation {
        rule: "POL-PATH",
        what: r"`\` is only a character",
        file: "core/src/policy/path/reading.rs",
        old: r"text.contains('\\').then_some(Reading { backslash: true, ..reading });",
        new: "false.then_some(Reading { backslash: true, ..reading });",
    },
    Mutation {
        rule: "POL-TRAVERSAL",
        what: "`..` as given",
        file: "core/src/policy/path/reading.rs",
        old: "        refuse_climbing(text)?;
        let (given, from_uri)",
        new: "        let (given, from_uri)",
    },
    Mutation {
        rule: "POL-TRAVERSAL",
        what: "encoded `..`",
        file: "core/src/policy/path/reading.rs",
        old: "            refuse_climbing(&text)?;
            refuse_nul(&text)?;",
        new: "            refuse_nul(&text)?;",
    },
    Mutation {
        rule: "POL-TRAVERSAL",
        what: "`..` in other characters",
        file: "core/src/policy/path/reading.rs",
        old: "        if climbs(text.nfkc()) {
            return Err(CLIMBS);
        }
",
        new: "",
    },
    Mutation {
        rule: "POL-TRAVERSAL",
        what: "encoded more than once",
        file: "core/src/policy/path/reading.rs",
        old: "            if round.structural && !decoded.is_empty() {",
        new: "            if false {",
    },
    Mutation {
        rule: "POL-FILE-URI",
        what: "foreign hosts",
        file: "core/src/policy/path/reading.rs",
        old: r#"    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {"#,
        new: "    if false {",
    },
    Mutation {
        rule: "POL-FILE-URI",
        what: "queries",
        file: "core/src/policy/path/reading.rs",
        old: "    if rest.contains(['?', '#']) {",
        new: "    if false {",
    },
    Mutation {
        rule: "POL-COMMAND",
        what: "every command",
        file: "core/src/policy/command/allow.rs",
        old: "    if covering.peek().is_none() {",
        new: "    if false && covering.peek().is_none() {",
    },
    Mutation {
        rule: "POL-COMMAND",
        what: "a command of the same last name",
        file: "core/src/policy/command/allow.rs",
        old: "all(|(word, wanted)| word.text == *wanted)",
        new: "all(|(word, wanted)| word.text.ends_with(wanted.as_str()))",
    },
    Mutation {
        rule: "POL-COMMAND",
        what: "an assignment before it",
        file: "core/src/policy/command/allow.rs",
        old: "    if is_assignment(&base.text) {
        let name",
        new: "    if false {
        let name",
    },
    Mutation {
        rule: "POL-COMMAND",
        what: "`args` that a shell would read otherwise",
        file: "core/src/policy/command/line.rs",
        old: "let joined = (rejoined != literal).then(|| [words.clone(), rejoined].concat());",
        new: "let joined = (rejoined != literal && false).then(|| [words.clone(), rejoined].concat());",
    },
    Mutation {
        rule: "POL-SHELL",
        what: "metacharacters",
        file: "core/src/policy/command/lexer.rs",
        old: "    if METACHARACTERS.contains(character) {",
        new: "    if false && METACHARACTERS.contains(character) {",
    },
    Mutation {
        rule: "POL-SHELL",
        what: "`$` in double quotes",
        file: "core/src/policy/command/lexer.rs",
        old: "            '$' | '`' => return Err(Unreadable::Expansion(character)),
",
        new: "",
    },
    Mutation {
        rule: "POL-SHELL",
        what: "an escaped `$` in double quotes",
        file: "core/src/policy/command/lexer.rs",
        old: "                Some(expanding @ ('$' | '`')) => return Err(Unreadable::Expansion(expanding)),
",
        new: "",
    },
    Mutation {
        rule: "POL-SHELL",
        what: "control characters",
        file: "core/src/policy/command/lexer.rs",
        old: r"    if character.is_control() && !matches!(character, '\t' | '\n') {",
        new: "    if false {",
    },
    Mutation {
        rule: "POL-SUBCOMMAND",
        what: "every subcommand",
        file: "core/src/policy/command/subcommand.rs",
        old: "            Some(word) if list.iter().any(|entry| entry == word) => {}",
        new: "            Some(_) => {}",
    },
    Mutation {
        rule: "POL-SUBCOMMAND",
        what: "no subcommand",
        file: "core/src/policy/command/subcommand.rs",
        old: "            None if is_first => {",
        new: "            None if is_first && false => {",
    },
    Mutation {
        rule: "POL-SUBCOMMAND",
        what: "options with values before it",
        file: "core/src/policy/command/subcommand.rs",
        old: "        if !is_plain_option(&word.text) {",
        new: "        if false {",
    },
    Mutation {
        rule: "POL-DOMAIN",
        what: "every host",
        file: "core/src/policy/constraint.rs",
        old: "Ok(host) if allowlist.iter().any(|pattern| pattern.matches(&host)) => {",
        new: "Ok(host) if allowlist.iter().any(|pattern| pattern.matches(&host)) || true => {",
    },
    Mutation {
        rule: "POL-DOMAIN",
        what: "a host that ends alike",
        file: "core/src/policy/domain/pattern.rs",
        old: r#"Ok(Shape::Below(format!(".{}", parent.text())))"#,
        new: "Ok(Shape::Below(parent.text().to_owned()))",
    },
    Mutation {
        rule: "POL-DOMAIN",
        what: "addresses under `*`",
        file: "core/src/policy/domain/pattern.rs",
        old: "Shape::EveryName => !host.is_address(),",
        new: "Shape::EveryName => true,",
    },
    Mutation {
        rule: "POL-DOMAIN",
        what: "an empty label",
        file: "core/src/policy/domain/host.rs",
        old: "        if name.split('.').any(str::is_empty) {",
        new: "        if false {",
    },
    Mutation {
        rule: "POL-URL",
        what: "URLs that need repair",
        file: "core/src/policy/domain/host.rs",
        old: "        raw::check(trimmed)?;
",
        new: "",
    },
    Mutation {
        rule: "POL-URL",
        what: "other schemes",
        file: "core/src/policy/domain/host.rs",
        old: "            && !raw::is_port(rest)
",
        new: "            && !raw::is_port(rest)
            && rest.is_empty()
",
    },
    Mutation {
        rule: "POL-RATE",
        what: "any number of calls",
        file: "core/src/policy/rate_window.rs",
        old: "        if self.calls < allowed {",
        new: "        if self.calls < allowed || true {",
    },
    Mutation {
        rule: "POL-RATE",
        what: "one call too many",
        file: "core/src/policy/rate_window.rs",
        old: "        if self.calls < allowed {",
        new: "        if self.calls <= allowed {",
    },
    Mutation {
        rule: "POL-RATE",
        what: "calls are forgotten too soon",
        file: "core/src/policy/rate_window.rs",
        old: "now.saturating_sub(*time) >= window)",
        new: "now.saturating_sub(*time) >= window.saturating_sub(MILLIS_PER_SECOND))",
    },
    Mutation {
        rule: "POL-RATE",
        what: "the store's answer is ignored",
        file: "core/src/policy/decide.rs",
        old: "Ok(RateAnswer::Exceeded { retry_after }) => Ok(Some(retry_after.max(1))),",
        new: "Ok(RateAnswer::Exceeded { .. }) => Ok(None),",
    },
    Mutation {
        rule: "POL-SIZE",
        what: "larger answers",
        file: "core/src/policy/decision.rs",
        old: "            Some(limit) if bytes > limit.get() => {",
        new: "            Some(limit) if bytes > limit.get().saturating_add(1) => {",
    },
];
