//! Everything the command prints goes through here: one place that knows about terminals, colour and closed pipes.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use super::failure::{Failure, Outcome};

/// A colour, if the stream has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// What is in order.
    Good,
    /// What is not.
    Bad,
    /// What should be looked at.
    Caution,
    /// Titles.
    Title,
    /// What is beside the point.
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Caution => "33",
            Self::Title => "1",
            Self::Faint => "2",
        }
    }
}

/// Standard output and standard error.
#[derive(Debug)]
pub(super) struct Output {
    colour: bool,
    colour_errors: bool,
    /// Whoever read us has gone; the command goes on to its own exit status without another word.
    closed: Cell<bool>,
}

impl Output {
    /// The streams of this process. Colours need a terminal that has them, and neither `NO_COLOR` nor `forbidden`.
    pub(super) fn standard(forbidden: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let allowed = !forbidden && !set("NO_COLOR") && !dumb;
        Self {
            colour: allowed && io::stdout().is_terminal(),
            colour_errors: allowed && io::stderr().is_terminal(),
            closed: Cell::new(false),
        }
    }

    /// Whether clap may colour what it renders for this stream.
    pub(super) fn has_colour(&self, errors: bool) -> bool {
        if errors { self.colour_errors } else { self.colour }
    }

    /// `text` in a colour, for standard output.
    pub(super) fn paint(&self, style: Style, text: impl Display) -> String {
        paint(self.colour, style, text)
    }

    /// Prints one line of the answer.
    pub(super) fn line(&self, text: impl Display) -> Outcome<()> {
        self.write(format!("{text}\n").as_bytes())
    }

    /// Prints one JSON document on a line of its own.
    pub(super) fn json(&self, document: &[u8]) -> Outcome<()> {
        let mut line = Vec::with_capacity(document.len().saturating_add(1));
        line.extend_from_slice(document);
        line.push(b'\n');
        self.write(&line)
    }

    /// Prints bytes as they are.
    pub(super) fn write(&self, bytes: &[u8]) -> Outcome<()> {
        if self.closed.get() {
            return Ok(());
        }
        let mut stream = io::stdout().lock();
        match stream.write_all(bytes).and_then(|()| stream.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.set(true);
                Ok(())
            }
            Err(error) => Err(Failure::check(format!("standard output cannot be written: {error}"))),
        }
    }

    /// Prints one line beside the answer, on standard error. That nobody can be told is no reason to fail.
    pub(super) fn note(&self, text: impl Display) {
        drop(io::stderr().lock().write_all(format!("{text}\n").as_bytes()));
    }

    /// Prints a warning on standard error.
    pub(super) fn warn(&self, text: impl Display) {
        self.note(format_args!("{}: {text}", paint(self.colour_errors, Style::Caution, "warning")));
    }

    /// Prints why the command failed on standard error.
    pub(super) fn fail(&self, failure: &Failure) {
        self.note(format_args!("{}: {}", paint(self.colour_errors, Style::Bad, "error"), printable(&failure.text())));
        if let Some(hint) = &failure.hint {
            self.note(format_args!("{}: {hint}", paint(self.colour_errors, Style::Faint, "hint")));
        }
    }
}

fn paint(colour: bool, style: Style, text: impl Display) -> String {
    if colour { format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()) } else { text.to_string() }
}

/// Foreign text that may go to a terminal: control characters other than line ends and tabs are shown, not obeyed.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Bidirectional controls can make one name look like another.
        let turns = matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}');
        if (character.is_control() && !matches!(character, '\n' | '\t')) || turns {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// As [`printable`], and in one line.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_does_not_drive_the_terminal() {
        assert_eq!(printable("a\u{1b}]0;x\u{7}b\r\nc\td"), "a\\u{1b}]0;x\\u{7}b\\u{d}\nc\td");
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(one_line("a\nb"), "a\\nb");
    }

    #[test]
    fn colour_only_where_allowed() {
        assert_eq!(paint(false, Style::Bad, "x"), "x");
        assert_eq!(paint(true, Style::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
