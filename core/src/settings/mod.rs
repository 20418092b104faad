//! Settings files: YAML, JSON and TOML text read into one tree with positions.
//!
//! Security contexts and the gateway's configuration are read from this tree, so the three syntaxes mean the same
//! and an error of any of them names file, line and field. The reading is strict, because a setting that is read
//! differently from how it was meant is a hole: duplicate keys, unknown fields, tags, merge keys, directives, byte
//! order marks and second documents are refused.
//!
//! YAML plain scalars follow the core schema of YAML 1.2: `true` and `false` (also `True`, `TRUE`, …) are booleans,
//! `null`, `~` and nothing are null, `12`, `-3`, `0o17` and `0x1f` are integers, `1.5`, `1e3`, `.inf` and `.nan` are
//! other numbers, and all else is a string. So `no`, `off`, `yes`, `1_000`, `12:30` and `2026-02-17` are strings. A
//! number with a leading zero, such as `0777`, is refused: YAML 1.1 reads it as octal and YAML 1.2 as decimal.
//! A date of TOML is read as a string.

mod cursor;
mod json;
mod limits;
mod node;
mod position;
mod suggest;
mod toml;
mod yaml;

pub use cursor::{Cursor, Fields};
pub use limits::{DEPTH_LIMIT, NODE_LIMIT, SIZE_LIMIT};
pub use node::{Entry, Node, NodeKind};
pub use position::Position;

use crate::error::{Error, ErrorKind, Result};

/// How a settings file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// YAML 1.2, one document.
    Yaml,
    /// RFC 8259 JSON, read by the strict scanner.
    Json,
    /// TOML 1.1.
    Toml,
}

impl Syntax {
    /// The syntax of files with this extension (without the dot, any case): `yaml`, `yml`, `json`, `toml`.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        let is = |name: &str| extension.eq_ignore_ascii_case(name);
        if is("yaml") || is("yml") {
            Some(Self::Yaml)
        } else if is("json") {
            Some(Self::Json)
        } else if is("toml") {
            Some(Self::Toml)
        } else {
            None
        }
    }
}

/// Reads a whole file. `origin` is the file's name as messages show it.
///
/// A YAML text without a document (empty, or comments only) is null at line 1.
///
/// # Errors
/// `CONFIG_INVALID` with a message that begins `origin:line:column: `, when the text is not of the syntax, holds
/// something this module refuses, or is beyond [`SIZE_LIMIT`], [`DEPTH_LIMIT`] or [`NODE_LIMIT`].
pub fn read(text: &str, syntax: Syntax, origin: &str) -> Result<Node> {
    let read = if text.len() > SIZE_LIMIT {
        Err(Refused::new(Position::START, format!("the file is larger than {SIZE_LIMIT} bytes")))
    } else if text.starts_with('\u{feff}') {
        Err(Refused::new(Position::START, "byte order mark; save the file as UTF-8 without one"))
    } else {
        match syntax {
            Syntax::Yaml => yaml::read(text),
            Syntax::Json => json::read(text),
            Syntax::Toml => toml::read(text),
        }
    };
    read.map_err(|refused| error_at(origin, refused.position, &refused.message))
}

/// An error that names file and place.
fn error_at(origin: &str, position: Position, message: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("{origin}:{position}: {message}"))
}

/// Why a text was refused; the origin is added at the outermost call.
#[derive(Debug)]
struct Refused {
    position: Position,
    message: String,
}

impl Refused {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }
}

/// Text from a file as a message shows it: in backticks, one line, not longer than a message should be.
#[must_use]
pub fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::from("`");
    for character in text.chars().take(LONGEST) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown.push('`');
    shown
}

/// Refuses a second entry of one key.
fn refuse_duplicates(entries: &[Entry]) -> std::result::Result<(), Refused> {
    let mut keys: Vec<(&str, Position)> = entries.iter().map(|entry| (entry.key.as_str(), entry.position)).collect();
    keys.sort_unstable();
    let twice = keys.windows(2).find_map(|pair| match pair {
        [(left, first), (right, second)] if left == right => Some((*left, *first, *second)),
        _ => None,
    });
    match twice {
        Some((key, first, second)) => {
            Err(Refused::new(second, format!("duplicate key {}, first at line {}", quote(key), first.line)))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_extensions() {
        for (extension, syntax) in [
            ("yaml", Some(Syntax::Yaml)),
            ("YML", Some(Syntax::Yaml)),
            ("json", Some(Syntax::Json)),
            ("toml", Some(Syntax::Toml)),
            ("txt", None),
            ("", None),
            (".yaml", None),
        ] {
            assert_eq!(Syntax::from_extension(extension), syntax, "{extension}");
        }
    }

    #[test]
    fn refuses_what_is_too_large_in_every_syntax() {
        let mut text = "#".repeat(SIZE_LIMIT);
        text.push('#');
        for syntax in [Syntax::Yaml, Syntax::Json, Syntax::Toml] {
            let error = read(&text, syntax, "x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert_eq!(error.message(), "x:1:1: the file is larger than 1048576 bytes");
            let error = read("\u{feff}a = 1", syntax, "x").unwrap_err();
            assert_eq!(error.message(), "x:1:1: byte order mark; save the file as UTF-8 without one");
        }
    }

    #[test]
    fn the_three_syntaxes_give_one_tree() {
        let yaml = "a: [1, -2, 0x10, 1.5, true, 'x']\nb: {c: text}\n";
        let json = r#"{"a": [1, -2, 16, 1.5, true, "x"], "b": {"c": "text"}}"#;
        let toml = "a = [1, -2, 0x10, 1.5, true, 'x']\n[b]\nc = 'text'\n";
        let trees: Vec<String> = [(yaml, Syntax::Yaml), (json, Syntax::Json), (toml, Syntax::Toml)]
            .into_iter()
            .map(|(text, syntax)| read(text, syntax, "x").unwrap().outline())
            .collect();
        assert_eq!(trees[0], r#"{"a": [1, -2, 16, 1.5, true, "x"], "b": {"c": "text"}}"#);
        assert_eq!(trees[0], trees[1]);
        assert_eq!(trees[0], trees[2]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..40)) {
            let text = parts.concat();
            for syntax in [Syntax::Yaml, Syntax::Json, Syntax::Toml] {
                if let Err(error) = read(&text, syntax, "x") {
                    assert!(error.message().starts_with("x:") && !error.message().contains('\n'), "{error}");
                }
            }
        }
    }

    /// Pieces that mean something in one of the syntaxes.
    const PARTS: &[&str] = &[
        "a",
        "b: ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "&x ",
        "*x",
        "!t ",
        "'",
        "\"",
        "|\n",
        "|2-\n",
        ">+\n",
        "# c",
        "%YAML 1.2",
        "---",
        "...",
        "\t",
        "é",
        "😀",
        "\u{85}",
        "\u{2028}",
        "\r",
        "\r\n",
        "\\",
        "\\u12",
        "\\ud800",
        "0x",
        "0o7",
        "1e5",
        ".",
        "~",
        "<<",
        "?",
        "? ",
        "@",
        "`",
        "= ",
        "[[a]]\n",
        "[a.b]\n",
        "\"\"\"",
        "'''",
        "a = ",
        "1",
        "-",
        "\0",
        "\u{feff}",
        "null",
    ];

    #[test]
    fn quotes_for_one_line() {
        assert_eq!(quote("a\nb\u{7}"), "`a\\nb\\u{7}`");
        assert_eq!(quote(&"x".repeat(200)), format!("`{}…`", "x".repeat(80)));
    }
}
