//! A command line in one argument.

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(pub(super) Vec<String>);

/// Splits a command as a shell splits words: quotes and backslashes, and nothing else of a shell.
pub(super) fn split(text: &str) -> Result<Words, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        None => return Err("a quote is not closed".to_owned()),
                        Some(end) if end == character => break,
                        Some('\\') if character == '"' => match characters.next() {
                            Some(escaped @ ('"' | '\\')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err("a quote is not closed".to_owned()),
                        },
                        Some(inner) => word.push(inner),
                    }
                }
            }
            '\\' => {
                let escaped = characters.next().ok_or("nothing stands behind the last backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            _ if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    if words.first().is_none_or(String::is_empty) {
        return Err("there is no command in it".to_owned());
    }
    Ok(Words(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell() {
        for (text, words) in [
            ("a", &["a"][..]),
            ("  a\tb  c ", &["a", "b", "c"]),
            (r#"a 'b c' "d \"e\" \f" g\ h"#, &["a", "b c", r#"d "e" \f"#, "g h"]),
            ("a ''", &["a", ""]),
            (r"a'b'c", &["abc"]),
        ] {
            assert_eq!(split(text).unwrap().0, words, "{text}");
        }
        for text in ["", "  ", "'a", "\"a\\", "a\\", "''"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
