//! Reads `grants`: which workload may attest for which context (section 4).

use smcp_core::error::Result;
use smcp_core::policy::ContextSet;
use smcp_core::settings::Fields;
use smcp_core::smcp::attest::Grants;

use super::contexts::known_context;

/// Reads the grants; a context that does not exist is an error at its place.
pub(super) fn read(root: &Fields<'_>, contexts: &ContextSet) -> Result<Grants> {
    let mut rules = Vec::new();
    if let Some(field) = root.optional("grants") {
        for (entry, list) in field.entries()? {
            let names = list.texts()?.iter().map(|(_, name)| known_context(name, contexts)).collect::<Result<_>>()?;
            rules.push((entry.key.clone(), names));
        }
    }
    Ok(Grants::new(rules))
}
