//! Foreign text in messages: bounded, on one line, with nothing invisible in it.

use std::fmt::{self, Write as _};

/// Characters of one quoted value that reach a message.
const LONGEST: usize = 96;
/// Entries of a list that reach a message.
const MOST: usize = 6;

/// Shows a text in backticks; long text is cut, and what a terminal or reader would not show is escaped.
pub(super) struct Quoted<'t>(pub(super) &'t str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_char('`')?;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST) {
            if is_hidden(character) {
                write!(formatter, "{}", character.escape_default())?;
            } else if character == '`' {
                formatter.write_char('\'')?;
            } else {
                formatter.write_char(character)?;
            }
        }
        if !characters.as_str().is_empty() {
            formatter.write_char('…')?;
        }
        formatter.write_char('`')
    }
}

/// Names what is allowed: the first entries, and how many more there are.
pub(super) fn allowed<'t>(entries: impl ExactSizeIterator<Item = &'t str>) -> String {
    let count = entries.len();
    let mut text = String::new();
    for (index, entry) in entries.take(MOST).enumerate() {
        text.push_str(if index == 0 { "allowed are " } else { ", " });
        // Writing to a `String` cannot fail.
        let _ignored = write!(text, "{}", Quoted(entry));
    }
    match count.checked_sub(MOST) {
        None | Some(0) if count == 0 => text.push_str("nothing is allowed"),
        None | Some(0) => {}
        Some(more) => {
            let _ignored = write!(text, " and {more} more");
        }
    }
    text
}

/// Characters that white space, control or format rules would hide from a reader, or that reorder the line.
pub(super) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_nothing_and_stays_short() {
        assert_eq!(Quoted("a\nb`c\u{202e}d").to_string(), "`a\\nb'c\\u{202e}d`");
        let long = Quoted(&"é".repeat(5000)).to_string();
        assert_eq!(long.chars().count(), LONGEST + 3);
        assert!(long.ends_with("…`"));
        assert!(Quoted(&"\u{e0001}".repeat(5000)).to_string().len() < 1200);
    }

    #[test]
    fn names_a_few_entries() {
        assert_eq!(allowed([].into_iter()), "nothing is allowed");
        assert_eq!(allowed(["a", "b"].into_iter()), "allowed are `a`, `b`");
        assert_eq!(allowed(["a"; 9].into_iter()), "allowed are `a`, `a`, `a`, `a`, `a`, `a` and 3 more");
    }
}
