//! Which workload may ask for which context (section 4).

/// Rules in order; every rule whose pattern matches the workload id adds its contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    rules: Vec<(String, Vec<String>)>,
}

impl Grants {
    /// Rules of workload patterns, in which `*` stands for any run of characters and `?` for one, and context names.
    #[must_use]
    pub fn new(rules: Vec<(String, Vec<String>)>) -> Self {
        Self { rules }
    }

    /// Whether `workload_id` may ask for `context`.
    #[must_use]
    pub fn allows(&self, workload_id: &str, context: &str) -> bool {
        self.rules.iter().any(|(pattern, contexts)| {
            contexts.iter().any(|granted| granted == context) && matches(pattern, workload_id)
        })
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[(String, Vec<String>)] {
        &self.rules
    }

    /// Whether nothing is granted to anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.iter().all(|(_, contexts)| contexts.is_empty())
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
        let grant = |workload: &str, context: &str| (workload.to_owned(), vec![context.to_owned()]);
        let grants = Grants::new(vec![grant("agent-*", "read"), grant("agent-7", "write")]);
        assert!(
            grants.allows("agent-7", "read") && grants.allows("agent-7", "write") && grants.allows("agent-8", "read")
        );
        assert!(
            !grants.allows("agent-8", "write") && !grants.allows("other", "read") && !grants.allows("agent-7", "x")
        );
        assert!(!grants.is_empty() && Grants::default().is_empty() && !Grants::default().allows("a", "read"));
    }
}
