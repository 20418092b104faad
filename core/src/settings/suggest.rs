//! "did you mean": the known name nearest to an unknown one.

/// Names longer than this get no suggestion, which bounds the work.
const LONGEST: usize = 64;

/// The name in `known` that `written` was probably meant to be.
///
/// Case, `_` and `-` do not count; beyond them one wrong character in four is forgiven.
pub(super) fn closest(written: &str, known: &'static [&'static str]) -> Option<&'static str> {
    if written.len() > LONGEST {
        return None;
    }
    let folded = fold(written);
    let (distance, name) =
        known.iter().map(|name| (edit_distance(&folded, &fold(name)), *name)).min_by_key(|(distance, _)| *distance)?;
    let forgiven = (folded.len() / 4).max(1);
    (distance <= forgiven).then_some(name)
}

fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Levenshtein's distance: insertions, deletions and replacements.
fn edit_distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (done, character) in left.iter().enumerate() {
        let mut diagonal = done;
        let mut before = done.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (other, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(character != other));
            diagonal = *cell;
            before = replaced.min(before.saturating_add(1)).min(cell.saturating_add(1));
            *cell = before;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["name", "path_allowlist", "deny_list", "rate_limit"];

    #[test]
    fn suggests_what_was_meant() {
        for (written, meant) in [
            ("path_alowlist", Some("path_allowlist")),
            ("path_allow_list", Some("path_allowlist")),
            ("pathAllowlist", Some("path_allowlist")),
            ("denylist", Some("deny_list")),
            ("ratelimits", Some("rate_limit")),
            ("nam", Some("name")),
            ("burst", None),
            ("", None),
            ("path", None),
        ] {
            assert_eq!(closest(written, KNOWN), meant, "{written}");
        }
        assert_eq!(closest(&"x".repeat(1000), KNOWN), None);
    }

    #[test]
    fn counts_edits() {
        let distance = |left: &str, right: &str| edit_distance(&fold(left), &fold(right));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
    }
}
