//! Matches URIs against URI templates (RFC 6570), to find the server that serves them.

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// Text as it stands.
    Literal(&'a str),
    /// `{name}`: a run without `/`.
    Segment,
    /// An expression with an operator or `*`: any run, also none.
    Anything,
}

/// Longest URI that is matched, in bytes; the time is bounded by this times the template's length.
const LONGEST: usize = 8 * 1024;
/// Most pieces of a template.
const MOST_PIECES: usize = 64;

/// Whether `uri` can be an expansion of `template`.
///
/// Only used to route a call that policy has allowed already, so it may accept a little more than
/// RFC 6570 would produce.
pub(crate) fn matches(template: &str, uri: &str) -> bool {
    match pieces(template) {
        Some(pieces) if uri.len() <= LONGEST => run(&pieces, uri),
        Some(_) | None => false,
    }
}

fn pieces(template: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (expression, after) = after.split_once('}')?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let is_plain = expression.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        pieces.push(if is_plain && !expression.contains('*') { Piece::Segment } else { Piece::Anything });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    (pieces.len() <= MOST_PIECES).then_some(pieces)
}

/// Which prefixes of the URI the pieces so far can have used up, one bit per byte position.
fn run(pieces: &[Piece<'_>], uri: &str) -> bool {
    let mut ends = vec![false; uri.len().saturating_add(1)];
    if let Some(start) = ends.first_mut() {
        *start = true;
    }
    for piece in pieces {
        ends = after(piece, uri.as_bytes(), &ends);
    }
    ends.last().copied().unwrap_or(false)
}

fn after(piece: &Piece<'_>, uri: &[u8], starts: &[bool]) -> Vec<bool> {
    let mut ends = vec![false; starts.len()];
    match piece {
        Piece::Literal(literal) => {
            for (position, _) in starts.iter().enumerate().filter(|(_, reached)| **reached) {
                let fits = uri.get(position..).is_some_and(|rest| rest.starts_with(literal.as_bytes()));
                if let Some(end) = ends.get_mut(position.saturating_add(literal.len())).filter(|_| fits) {
                    *end = true;
                }
            }
        }
        Piece::Segment => {
            let mut open = false;
            for ((reached, byte), end) in starts.iter().zip(uri).zip(ends.iter_mut().skip(1)) {
                open = (open || *reached) && *byte != b'/';
                *end = open;
            }
        }
        Piece::Anything => {
            let mut open = false;
            for (reached, end) in starts.iter().zip(ends.iter_mut()) {
                open = open || *reached;
                *end = open;
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expansions_match() {
        for (template, uri) in [
            ("file:///{path}", "file:///a"),
            ("file:///{+path}", "file:///a/b/c"),
            ("db://{table}/{id}/row", "db://users/7/row"),
            ("x://{a}-{b}", "x://1-2-3"),
            ("x://list{?page,size}", "x://list"),
            ("x://list{?page,size}", "x://list?page=2"),
            ("x://{path*}", "x://a/b"),
            ("x://fixed", "x://fixed"),
        ] {
            assert!(matches(template, uri), "{template} {uri}");
        }
    }

    #[test]
    fn others_do_not() {
        for (template, uri) in [
            ("file:///{path}", "file:///a/b"),
            ("file:///{path}", "file:///"),
            ("db://{table}/{id}/row", "db://users/7/rows"),
            ("db://{table}/{id}/row", "db://users/row"),
            ("x://fixed", "x://fixed2"),
            ("x://{broken", "x://a"),
            ("", "x"),
        ] {
            assert!(!matches(template, uri), "{template} {uri}");
        }
        assert!(!matches("{+all}", &"x".repeat(LONGEST + 1)));
    }
}
