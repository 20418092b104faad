//! Lines and columns, and how byte offsets become them.

use std::fmt;

/// A place in a settings file; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Position {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Bytes between two remembered positions.
const STRIDE: usize = 1024;

/// Turns byte offsets into positions. It remembers a position every [`STRIDE`] bytes, so that a file of one long
/// line costs no more than one of many.
#[derive(Debug)]
pub(super) struct Positions<'t> {
    text: &'t [u8],
    remembered: Vec<Position>,
}

impl<'t> Positions<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut position = Position::START;
        let mut remembered = Vec::with_capacity((text.len() / STRIDE).saturating_add(1));
        for chunk in text.as_bytes().chunks(STRIDE) {
            remembered.push(position);
            position = advance(position, chunk);
        }
        Self { text: text.as_bytes(), remembered }
    }

    pub(super) fn at(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        // The end of a text of whole strides has no entry of its own; the last one serves.
        let index = (offset / STRIDE).min(self.remembered.len().saturating_sub(1));
        let start = index.saturating_mul(STRIDE);
        match (self.remembered.get(index), self.text.get(start..offset)) {
            (Some(position), Some(between)) => advance(*position, between),
            _ => Position::START,
        }
    }
}

fn advance(from: Position, bytes: &[u8]) -> Position {
    bytes.iter().fold(from, |position, byte| match byte {
        b'\n' => Position { line: position.line.saturating_add(1), column: 1 },
        // Bytes 0x80 to 0xBF continue a character.
        0x80..=0xBF => position,
        _ => Position { column: position.column.saturating_add(1), ..position },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_counting_from_the_start() {
        let text = "é\nab😀c\n\n".repeat(700);
        let positions = Positions::new(&text);
        let mut line = 1;
        let mut column = 1;
        for (offset, character) in text.char_indices() {
            assert_eq!(positions.at(offset), Position { line, column }, "{offset}");
            if character == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        assert_eq!(positions.at(text.len()), Position { line, column });
        assert_eq!(positions.at(usize::MAX), Position { line, column });
    }

    #[test]
    fn knows_the_ends() {
        assert_eq!(Positions::new("").at(0), Position::START);
        let text = "x".repeat(STRIDE);
        assert_eq!(Positions::new(&text).at(STRIDE), Position { line: 1, column: 1025 });
    }
}
