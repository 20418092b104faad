//! Which workload may attest for which context (section 4).

use std::collections::BTreeSet;

use smcp_core::error::Result;
use smcp_core::policy::ContextSet;
use smcp_core::settings::Fields;

use super::contexts::known_context;

/// Grants by workload id or glob; what several matching entries grant adds up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    entries: Vec<Grant>,
}

/// One entry of `grants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// A workload id, in which `*` stands for any run of characters and `?` for one.
    pub workload: String,
    /// Names of contexts.
    pub contexts: BTreeSet<String>,
}

impl Grants {
    /// Grants of these entries.
    #[must_use]
    pub fn new(entries: Vec<Grant>) -> Self {
        Self { entries }
    }

    pub(super) fn read(root: &Fields<'_>, contexts: &ContextSet) -> Result<Self> {
        let mut entries = Vec::new();
        if let Some(field) = root.optional("grants") {
            for (entry, list) in field.entries()? {
                let names =
                    list.texts()?.iter().map(|(_, name)| known_context(name, contexts)).collect::<Result<_>>()?;
                entries.push(Grant { workload: entry.key.clone(), contexts: names });
            }
        }
        Ok(Self { entries })
    }

    /// Whether the workload may attest for the context.
    #[must_use]
    pub fn allow(&self, workload: &str, context: &str) -> bool {
        self.entries.iter().any(|entry| entry.contexts.contains(context) && matches(&entry.workload, workload))
    }

    /// All entries, in file order.
    #[must_use]
    pub fn entries(&self) -> &[Grant] {
        &self.entries
    }

    /// Whether nothing is granted to anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.contexts.is_empty())
    }
}

/// Whether the glob covers the whole text, in time proportional to the product of their lengths at worst.
fn matches(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // Where to go on when the text after the last `*` does not fit: that `*` takes one character more.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let text_now = text.clone();
        match (glob.next(), text.next()) {
            (Some('*'), _) => {
                text = text_now;
                retry = Some((glob.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (None, None) => return true,
            (Some(_) | None, Some(_)) | (Some(_), None) => {
                let Some((after_star, rest)) = &mut retry else { return false };
                if rest.next().is_none() {
                    return false;
                }
                glob = after_star.clone();
                text = rest.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_cover_whole_ids() {
        for (glob, id, covers) in [
            ("agent", "agent", true),
            ("agent", "agent2", false),
            ("agent", "Agent", false),
            ("agent-*", "agent-", true),
            ("agent-*", "agent-7", true),
            ("agent-*", "my-agent-7", false),
            ("*", "", true),
            ("*", "spiffe://example.org/ns/a", true),
            ("spiffe://example.org/ns/*/sa/x", "spiffe://example.org/ns/a/b/sa/x", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbx", false),
            ("a[b]{c}", "a[b]{c}", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches(glob, id), covers, "{glob} {id}");
        }
        let (glob, id) = (format!("{}b", "a*".repeat(500)), "a".repeat(5000));
        assert!(!matches(&glob, &id));
    }

    #[test]
    fn grants_add_up() {
        let grant = |workload: &str, context: &str| Grant {
            workload: workload.to_owned(),
            contexts: BTreeSet::from([context.to_owned()]),
        };
        let grants = Grants::new(vec![grant("agent-*", "read"), grant("agent-7", "write")]);
        assert!(grants.allow("agent-7", "read") && grants.allow("agent-7", "write") && grants.allow("agent-8", "read"));
        assert!(!grants.allow("agent-8", "write") && !grants.allow("other", "read") && !grants.allow("agent-7", "x"));
        assert!(!grants.is_empty() && Grants::default().is_empty());
    }
}
