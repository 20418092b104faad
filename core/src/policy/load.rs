//! Reading security contexts from YAML, JSON and TOML (section 7, "Load errors").

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::digest::digest;
use super::{
    ArgumentNames, BasePath, Capability, CommandEntry, ContextDigest, DenyEntry, DomainPattern, PathPattern, RateLimit,
    SecurityContext, SubcommandAllowlist, ToolPattern,
};
use crate::error::Result;
use crate::settings::{self, Cursor, Fields, Syntax, quote};

/// Constraints and helpers, written on the capability or under `constraints`.
const CONSTRAINTS: [&str; 9] = [
    "path_allowlist",
    "command_allowlist",
    "subcommand_allowlist",
    "domain_allowlist",
    "rate_limit",
    "max_response_size",
    "arguments",
    "base_path",
    "require_domain",
];
const CONSTRAINT_FIELDS: &[&str] = &CONSTRAINTS;
const CAPABILITY_FIELDS: &[&str] = &[
    "tool_pattern",
    "constraints",
    "path_allowlist",
    "command_allowlist",
    "subcommand_allowlist",
    "domain_allowlist",
    "rate_limit",
    "max_response_size",
    "arguments",
    "base_path",
    "require_domain",
];

/// What a null stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nulls {
    /// Nothing: a constraint whose list was emptied must not be lifted.
    Refused,
    /// A constraint that is not there, as `seal/v1` gateways export it.
    LiftConstraints,
}

/// Reads one security context. `origin` is the file's name as messages show it.
///
/// # Errors
/// `CONFIG_INVALID` whose message begins `origin:line:column: ` and names the field: text that is not of the syntax,
/// and every load error of section 7 that concerns one context.
pub fn load_context(text: &str, syntax: Syntax, origin: &str) -> Result<SecurityContext> {
    let node = settings::read(text, syntax, origin)?;
    read_context(&Cursor::root(origin, &node))
}

/// Reads one security context exported by a `seal/v1` gateway: JSON in which a null `description` or constraint
/// stands for one that is not there.
///
/// # Errors
/// As [`load_context`].
pub fn load_seal_context(text: &str, origin: &str) -> Result<SecurityContext> {
    let node = settings::read(text, Syntax::Json, origin)?;
    context(&Cursor::root(origin, &node), Nulls::LiftConstraints)
}

/// Reads a security context that stands inside another file, such as the gateway's configuration.
///
/// # Errors
/// As [`load_context`].
pub fn read_context(cursor: &Cursor<'_>) -> Result<SecurityContext> {
    context(cursor, Nulls::Refused)
}

fn context(cursor: &Cursor<'_>, nulls: Nulls) -> Result<SecurityContext> {
    let fields = cursor.fields(&["name", "description", "capabilities", "deny_list"])?;
    let name = name(&fields.required("name")?)?;
    let description = match fields.optional("description") {
        Some(description) if nulls == Nulls::LiftConstraints && description.is_null() => None,
        Some(description) => Some(description.text()?.to_owned()),
        None => None,
    };
    let capabilities = fields
        .required("capabilities")?
        .list()?
        .iter()
        .map(|capability| read_capability(capability, nulls))
        .collect::<Result<_>>()?;
    let deny_list = match fields.optional("deny_list") {
        Some(list) => list.list()?.iter().map(deny_entry).collect::<Result<_>>()?,
        None => Vec::new(),
    };
    let mut context =
        SecurityContext { name: name.into(), description, capabilities, deny_list, digest: ContextDigest([0; 32]) };
    context.digest = digest(&context);
    Ok(context)
}

fn name(field: &Cursor<'_>) -> Result<String> {
    let name = field.non_empty_text()?;
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || !bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(field.error(&format!(
            "{} is not a context name: a lower-case letter, then lower-case letters, digits and `-`",
            quote(name)
        )));
    }
    Ok(name.to_owned())
}

fn deny_entry(field: &Cursor<'_>) -> Result<DenyEntry> {
    if field.is_mapping() {
        return parsed(&field.fields(&["tool_pattern"])?.required("tool_pattern")?, DenyEntry::parse);
    }
    parsed(field, DenyEntry::parse)
}

/// Reads a string with the parser of its grammar.
fn parsed<T>(field: &Cursor<'_>, parse: impl Fn(&str) -> Result<T>) -> Result<T> {
    parse(field.non_empty_text()?).map_err(|error| field.locate(&error))
}

fn parsed_list<T>(field: &Cursor<'_>, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    field.texts()?.iter().map(|(_, element)| parsed(element, &parse)).collect()
}

fn text_list(field: &Cursor<'_>) -> Result<Vec<String>> {
    Ok(field.texts()?.iter().map(|(text, _)| (*text).to_owned()).collect())
}

/// The constraints of one capability, wherever each of them is written.
struct Constraints<'a> {
    flat: Fields<'a>,
    nested: Option<Fields<'a>>,
    nulls: Nulls,
}

impl<'a> Constraints<'a> {
    fn read(flat: Fields<'a>, nulls: Nulls) -> Result<Self> {
        let nested = flat.optional("constraints").map(|field| field.fields(CONSTRAINT_FIELDS)).transpose()?;
        if let Some(nested) = &nested {
            for name in CONSTRAINTS {
                if let (Some(_), Some(second)) = (flat.key_position(name), nested.key_position(name)) {
                    return Err(nested
                        .cursor()
                        .error_at(second, &format!("`{name}` stands on the capability already; write it once")));
                }
            }
        }
        Ok(Self { flat, nested, nulls })
    }

    /// A constraint or helper; null is an error unless it lifts constraints.
    fn get(&self, name: &str) -> Result<Option<Cursor<'a>>> {
        let nested = || self.nested.as_ref().and_then(|nested| nested.optional(name));
        let Some(field) = self.flat.optional(name).or_else(nested) else { return Ok(None) };
        match (field.is_null(), self.nulls) {
            (false, _) => Ok(Some(field)),
            (true, Nulls::LiftConstraints) => Ok(None),
            (true, Nulls::Refused) => {
                Err(field.error("is null; leave the field out to lift it, or write `[]` to let nothing pass"))
            }
        }
    }

    fn map<T>(&self, name: &str, read: impl FnOnce(&Cursor<'a>) -> Result<T>) -> Result<Option<T>> {
        self.get(name)?.map(|field| read(&field)).transpose()
    }
}

fn read_capability(field: &Cursor<'_>, nulls: Nulls) -> Result<Capability> {
    let fields = field.fields(CAPABILITY_FIELDS)?;
    let tool_pattern = parsed(&fields.required("tool_pattern")?, ToolPattern::parse)?;
    let constraints = Constraints::read(fields, nulls)?;
    let capability = Capability {
        tool_pattern,
        path_allowlist: constraints.map("path_allowlist", |field| parsed_list(field, PathPattern::parse))?,
        command_allowlist: constraints.map("command_allowlist", |field| parsed_list(field, CommandEntry::parse))?,
        subcommand_allowlist: constraints.map("subcommand_allowlist", subcommands)?,
        domain_allowlist: constraints.map("domain_allowlist", |field| parsed_list(field, DomainPattern::parse))?,
        rate_limit: constraints.map("rate_limit", rate_limit)?,
        max_response_size: constraints.map("max_response_size", size)?,
        arguments: constraints.map("arguments", argument_names)?.unwrap_or_default(),
        base_path: constraints.map("base_path", |field| parsed(field, BasePath::parse))?,
        require_domain: constraints.map("require_domain", Cursor::boolean)?.unwrap_or(false),
    };
    if let (None, Some(field)) = (&capability.command_allowlist, constraints.get("subcommand_allowlist")?) {
        return Err(field.error("needs a `command_allowlist` beside it"));
    }
    Ok(capability)
}

fn subcommands(field: &Cursor<'_>) -> Result<SubcommandAllowlist> {
    if field.is_list() {
        return text_list(field).map(SubcommandAllowlist::Every);
    }
    if !field.is_mapping() {
        return Err(field.error(&format!(
            "expected a list of strings or a mapping from command to list, found {}",
            field.node().describe()
        )));
    }
    let mut commands = BTreeMap::new();
    for (entry, list) in field.entries()? {
        commands.insert(entry.key.clone(), text_list(&list)?);
    }
    Ok(SubcommandAllowlist::PerCommand(commands))
}

fn rate_limit(field: &Cursor<'_>) -> Result<RateLimit> {
    let fields = field.fields(&["calls", "per_seconds"])?;
    let member = |name| {
        let field = fields.required(name)?;
        let value = field.integer(1..=u64::from(u32::MAX))?;
        u32::try_from(value).map_err(|_| field.error("is out of range"))
    };
    Ok(RateLimit { calls: member("calls")?, per_seconds: member("per_seconds")? })
}

fn size(field: &Cursor<'_>) -> Result<NonZeroU64> {
    NonZeroU64::new(field.integer(1..=u64::MAX)?).ok_or_else(|| field.error("is zero"))
}

fn argument_names(field: &Cursor<'_>) -> Result<ArgumentNames> {
    let fields = field.fields(&["path", "command", "domain"])?;
    let names = |name| fields.optional(name).map(|field| text_list(&field)).transpose();
    Ok(ArgumentNames { path: names("path")?, command: names("command")?, domain: names("domain")? })
}

#[cfg(test)]
mod tests;
