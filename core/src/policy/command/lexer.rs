//! Splits a command string into words as a POSIX shell does, and refuses whatever a shell would do besides.
//!
//! The shell grammar left over is: blanks, single quotes, double quotes and backslashes. Everything that could start
//! another command, name a file to write, or put text in the place of other text ends the reading.

use std::fmt;
use std::str::Chars;

/// Characters that separate commands, redirect, expand or group when they stand outside quotes.
const METACHARACTERS: &str = ";&|<>$(){}`\n";

/// One word after quote removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// The text without its quotes.
    pub(super) text: String,
    /// An unquoted glob character stands in it, so that a shell may put file names in its place.
    pub(super) expands: bool,
}

impl Word {
    /// A word that no shell reads.
    pub(super) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), expands: false }
    }
}

/// Why a text cannot be read as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A metacharacter outside quotes, or after a backslash there.
    Metacharacter(char),
    /// `$` or a backtick inside double quotes.
    Expansion(char),
    /// A control character that is neither a tab nor a newline within quotes.
    Control(char),
    /// A quote that nothing closes.
    OpenQuote(char),
    /// A backslash with nothing after it.
    FinalBackslash,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            // A backtick cannot stand in backticks, and a newline would break the line.
            Self::Metacharacter('`') => formatter.write_str("an unquoted backtick"),
            Self::Metacharacter('\n') => formatter.write_str("an unquoted newline"),
            Self::Metacharacter(character) => write!(formatter, "an unquoted `{character}`"),
            Self::Expansion('`') => formatter.write_str("a backtick inside double quotes"),
            Self::Expansion(character) => write!(formatter, "`{character}` inside double quotes"),
            Self::Control(character) => write!(formatter, "the control character U+{:04X}", u32::from(character)),
            Self::OpenQuote(quote) => write!(formatter, "a quote {quote} that is not closed"),
            Self::FinalBackslash => formatter.write_str("a backslash at the end"),
        }
    }
}

/// Splits `text` into words and removes the quotes.
pub(super) fn split(text: &str) -> Result<Vec<Word>, Unreadable> {
    let mut words = Vec::new();
    let mut open: Option<Word> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => words.extend(open.take()),
            '\'' => read_single_quoted(&mut characters, open.get_or_insert_default())?,
            '"' => read_double_quoted(&mut characters, open.get_or_insert_default())?,
            '\\' => {
                let escaped = characters.next().ok_or(Unreadable::FinalBackslash)?;
                check_unquoted(escaped)?;
                open.get_or_insert_default().text.push(escaped);
            }
            _ => {
                check_unquoted(character)?;
                let word = open.get_or_insert_default();
                // `[` alone is the name of a command and expands to nothing.
                word.expands |= matches!(character, '*' | '?') || (character == ']' && word.text.contains('['));
                word.text.push(character);
            }
        }
    }
    words.extend(open);
    Ok(words)
}

/// Refuses a character that must not stand outside quotes, not even after a backslash.
pub(super) fn check_unquoted(character: char) -> Result<(), Unreadable> {
    if METACHARACTERS.contains(character) {
        return Err(Unreadable::Metacharacter(character));
    }
    check_quoted(character)
}

/// Refuses a character that must not stand anywhere in a command, not even as a literal.
pub(super) fn check_quoted(character: char) -> Result<(), Unreadable> {
    if character.is_control() && !matches!(character, '\t' | '\n') {
        return Err(Unreadable::Control(character));
    }
    Ok(())
}

fn read_single_quoted(characters: &mut Chars<'_>, word: &mut Word) -> Result<(), Unreadable> {
    for character in characters {
        if character == '\'' {
            return Ok(());
        }
        check_quoted(character)?;
        word.text.push(character);
    }
    Err(Unreadable::OpenQuote('\''))
}

fn read_double_quoted(characters: &mut Chars<'_>, word: &mut Word) -> Result<(), Unreadable> {
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(()),
            '$' | '`' => return Err(Unreadable::Expansion(character)),
            '\\' => match characters.next() {
                None => break,
                Some(expanding @ ('$' | '`')) => return Err(Unreadable::Expansion(expanding)),
                Some(escaped @ ('"' | '\\')) => word.text.push(escaped),
                // A line continuation: a shell drops both characters.
                Some('\n') => {}
                Some(other) => {
                    check_quoted(other)?;
                    word.text.extend(['\\', other]);
                }
            },
            _ => {
                check_quoted(character)?;
                word.text.push(character);
            }
        }
    }
    Err(Unreadable::OpenQuote('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Result<Vec<String>, Unreadable> {
        split(text).map(|words| words.into_iter().map(|word| word.text).collect())
    }

    #[test]
    fn refuses_metacharacters_outside_quotes() {
        for metacharacter in METACHARACTERS.chars() {
            for text in [
                format!("git{metacharacter}rm"),
                format!("git {metacharacter} rm"),
                format!("{metacharacter}"),
                format!("git 'a'{metacharacter}"),
                format!("git \"a\"{metacharacter}\"b\""),
                format!("git \\{metacharacter}"),
                format!("git \\\\{metacharacter}"),
            ] {
                assert_eq!(texts(&text), Err(Unreadable::Metacharacter(metacharacter)), "{text:?}");
            }
            assert_eq!(
                texts(&format!("git '{metacharacter}'")).unwrap(),
                ["git".to_owned(), metacharacter.to_string()]
            );
        }
        assert_eq!(texts("git $'x'"), Err(Unreadable::Metacharacter('$')));
        assert_eq!(texts("git\\\nrm"), Err(Unreadable::Metacharacter('\n')));
    }

    #[test]
    fn refuses_expansions_in_double_quotes() {
        for character in ['$', '`'] {
            for text in
                [format!("git \"a{character}b\""), format!("git \"\\{character}\""), format!("\"\\\\{character}\"")]
            {
                assert_eq!(texts(&text), Err(Unreadable::Expansion(character)), "{text}");
            }
        }
    }

    #[test]
    fn refuses_control_characters_everywhere() {
        let controls = (0..=0x9f).filter_map(char::from_u32).filter(|character| character.is_control());
        for control in controls.filter(|control| !matches!(control, '\t' | '\n')) {
            for text in [
                format!("git{control}"),
                format!("git '{control}'"),
                format!("git \"{control}\""),
                format!("git \"\\{control}\""),
                format!("git \\{control}"),
            ] {
                assert_eq!(texts(&text), Err(Unreadable::Control(control)), "{text:?}");
            }
        }
    }

    #[test]
    fn refuses_what_does_not_end() {
        for (text, reason) in [
            ("git 'x", Unreadable::OpenQuote('\'')),
            ("git \"x", Unreadable::OpenQuote('"')),
            ("git \"x\\\"", Unreadable::OpenQuote('"')),
            ("git \"x\\", Unreadable::OpenQuote('"')),
            ("git \"it's", Unreadable::OpenQuote('"')),
            ("git 'a\\'b'", Unreadable::OpenQuote('\'')),
            ("git \\", Unreadable::FinalBackslash),
        ] {
            assert_eq!(texts(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn removes_quotes_like_a_shell() {
        for (text, words) in [
            ("", &[][..]),
            (" \t ", &[]),
            ("git\tlog  -n 5 ", &["git", "log", "-n", "5"]),
            ("'git' \"log\"", &["git", "log"]),
            ("g'i't\"\" ''", &["git", ""]),
            (r"a\ b \'\\\x", &["a b", r"'\x"]),
            (r#""a\"b\\c\d""#, &[r#"a"b\c\d"#]),
            (r"'a\b'", &[r"a\b"]),
            ("\"don't; & (it)\"", &["don't; & (it)"]),
            ("'a\nb' \"c\n\td\"", &["a\nb", "c\n\td"]),
            ("\"a\\\nb\"", &["ab"]),
            ("git\u{a0}log\u{2003}x", &["git\u{a0}log\u{2003}x"]),
            ("a#b #c", &["a#b", "#c"]),
        ] {
            assert_eq!(texts(text).unwrap(), words, "{text:?}");
        }
    }

    #[test]
    fn knows_where_a_shell_puts_file_names() {
        for (text, expands) in [
            ("r*", true),
            ("r?", true),
            ("[r]m", true),
            ("'r*'", false),
            ("\"r?\"", false),
            ("r\\*", false),
            ("[", false),
        ] {
            assert_eq!(split(text).unwrap()[0].expands, expands, "{text}");
        }
    }
}
