//! Which workload may ask for which context (section 4).

/// Rules in order; every rule whose pattern matches the workload id adds its contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    rules: Vec<(String, Vec<String>)>,
}

impl Grants {
    /// Rules of workload patterns, in which `*` is any run of characters, and context names.
    #[must_use]
    pub fn new(rules: Vec<(String, Vec<String>)>) -> Self {
        Self { rules }
    }

    /// Every workload may ask for every one of these contexts.
    #[must_use]
    pub fn everyone(contexts: Vec<String>) -> Self {
        Self { rules: vec![("*".to_owned(), contexts)] }
    }

    /// Whether `workload_id` may ask for `context`.
    #[must_use]
    pub fn allows(&self, workload_id: &str, context: &str) -> bool {
        self.rules.iter().any(|(pattern, contexts)| {
            contexts.iter().any(|granted| granted == context) && matches(pattern, workload_id)
        })
    }

    /// The rules, for configuration checks.
    #[must_use]
    pub fn rules(&self) -> &[(String, Vec<String>)] {
        &self.rules
    }
}

/// `*` is any run of characters; everything else is literal. Linear: each literal part is found once, left to right.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, tail)) = rest.split_once(part) else { return false };
        rest = tail;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "", false),
            ("*", "", true),
            ("spiffe://x/*", "spiffe://x/y", true),
            ("spiffe://x/*", "spiffe://xy/z", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn only_granted_contexts() {
        let grants = Grants::new(vec![("ci-*".to_owned(), vec!["build".to_owned()])]);
        assert!(grants.allows("ci-1", "build"));
        assert!(!grants.allows("ci-1", "deploy"));
        assert!(!grants.allows("dev", "build"));
        assert!(!Grants::default().allows("ci-1", "build"));
    }
}
