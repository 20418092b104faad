//! The readings of a path argument: as given and percent-decoded, with `\` as a character and as a separator
//! (section 7, "Paths").
//!
//! Nobody knows how a tool reads a path, so every reading must be harmless. Whatever climbs in any reading is refused
//! before anything is compared.

use unicode_normalization::UnicodeNormalization as _;

use super::super::quote::is_hidden;
use super::decoding::{Escapes, decode};

/// Rounds of percent-decoding after which a text is refused instead of decoded on.
const MOST_ROUNDS: usize = 8;

/// Why a path argument is refused, whatever is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum PathFault {
    /// It climbs, or hides that it does.
    Traversal(&'static str),
    /// It is not under an allowed path, or cannot be read.
    NotAllowed(&'static str),
}

/// A path argument of which no reading climbs.
#[derive(Debug)]
pub(in crate::policy) struct PathText<'t> {
    given: &'t str,
    /// Every round of decoding that changed something; the last one is the full decoding.
    decoded: Vec<String>,
    from_uri: bool,
}

/// One way to read a path argument.
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Reading<'t> {
    /// The text of this reading.
    pub(in crate::policy) text: &'t str,
    /// Whether `\` separates components.
    pub(in crate::policy) backslash: bool,
    from_uri: bool,
}

/// Where a reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Place {
    /// At the root.
    Absolute,
    /// Under whatever the tool or `base_path` says.
    Relative,
    /// At a place no pattern can name.
    Elsewhere(&'static str),
}

impl<'t> PathText<'t> {
    /// Reads a path argument or `file:` URI in every way.
    ///
    /// # Errors
    /// Why the text is refused, whatever is allowed.
    pub(in crate::policy) fn read(text: &'t str) -> Result<Self, PathFault> {
        if text.is_empty() {
            return Err(PathFault::NotAllowed("is empty"));
        }
        refuse_climbing(text)?;
        let (given, from_uri) = match uri_path(text)? {
            Some(path) => (path, true),
            None => (text, false),
        };
        refuse_nul(given)?;
        let mut decoded: Vec<String> = Vec::new();
        while let Some(round) = decode(decoded.last().map_or(given, String::as_str), Escapes::Standard) {
            if decoded.len() >= MOST_ROUNDS {
                return Err(PathFault::Traversal("is percent-encoded over and over"));
            }
            if round.structural && !decoded.is_empty() {
                return Err(PathFault::Traversal("hides a dot, separator or NUL by encoding it more than once"));
            }
            let Ok(text) = String::from_utf8(round.bytes) else {
                return Err(PathFault::NotAllowed("is not UTF-8 when percent-decoded"));
            };
            refuse_climbing(&text)?;
            refuse_nul(&text)?;
            if begins_with_scheme(&text, "file") {
                return Err(PathFault::NotAllowed("is a `file:` URI when percent-decoded"));
            }
            decoded.push(text);
        }
        Ok(Self { given, decoded, from_uri })
    }

    /// Every reading, all of which must pass.
    pub(in crate::policy) fn readings(&self) -> impl Iterator<Item = Reading<'_>> {
        std::iter::once(self.given).chain(self.decoded.iter().map(String::as_str)).flat_map(|text| {
            let reading = Reading { text, backslash: false, from_uri: self.from_uri };
            let separated = text.contains('\\').then_some(Reading { backslash: true, ..reading });
            std::iter::once(reading).chain(separated)
        })
    }
}

impl<'t> Reading<'t> {
    /// The components, with `.` and inner `//` folded.
    pub(in crate::policy) fn components(self) -> impl Iterator<Item = &'t str> + Clone {
        self.text
            .split(move |character| character == '/' || (self.backslash && character == '\\'))
            .filter(|component| !component.is_empty() && *component != ".")
    }

    /// Where the path begins.
    pub(in crate::policy) fn place(self) -> Place {
        let separates = |character: &char| *character == '/' || (self.backslash && *character == '\\');
        let mut characters = self.text.chars();
        if characters.next().as_ref().is_some_and(separates) {
            if characters.next().as_ref().is_some_and(separates) {
                return Place::Elsewhere("begins like a network or device path");
            }
            if self.backslash && self.text.starts_with("\\??\\") {
                return Place::Elsewhere("begins like a device path");
            }
            let behind = self.text.get(1..).unwrap_or_default();
            if self.from_uri && (begins_with_drive(behind) || begins_with_drive(&behind.replacen('|', ":", 1))) {
                return Place::Elsewhere("begins with a drive");
            }
            return Place::Absolute;
        }
        // A tool may trim what it gets, or normalise it.
        let trimmed = self.text.trim_start_matches(is_blank);
        let elsewhere = |text: &str| text.starts_with(separates_or_home(self.backslash)) || begins_with_drive(text);
        if elsewhere(trimmed) || elsewhere(&trimmed.chars().take(2).nfkc().collect::<String>()) {
            return Place::Elsewhere("begins with a drive, a home directory or blanks before a root");
        }
        Place::Relative
    }
}

/// The path of a `file:` URI; `None` for any other text.
fn uri_path(text: &str) -> Result<Option<&str>, PathFault> {
    if !begins_with_scheme(text, "file") {
        return Ok(None);
    }
    let refuse = |why| Err(PathFault::NotAllowed(why));
    let Some((_, rest)) = text.split_at_checked(5).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("file:")) else {
        return refuse("is a `file:` URI only after repair");
    };
    refuse_climbing(rest)?;
    if rest.contains(['?', '#']) {
        return refuse("is a `file:` URI with a query or fragment");
    }
    if rest.contains(char::is_control) {
        return refuse("is a `file:` URI with control characters");
    }
    let Some(behind) = rest.strip_prefix("//") else {
        return if rest.starts_with('/') { Ok(Some(rest)) } else { refuse("is a `file:` URI without a root") };
    };
    let (host, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return refuse("is a `file:` URI with a host");
    }
    if path.is_empty() { refuse("is a `file:` URI without a path") } else { Ok(Some(path)) }
}

/// Whether a URL parser would find `scheme:` at the beginning, which skips blanks before it and tabs and line ends in it.
pub(in crate::policy) fn begins_with_scheme(text: &str, scheme: &str) -> bool {
    let mut characters =
        text.trim_start_matches(is_blank).chars().filter(|character| !matches!(character, '\t' | '\n' | '\r'));
    scheme.chars().all(|wanted| characters.next().is_some_and(|character| character.eq_ignore_ascii_case(&wanted)))
        && characters.next() == Some(':')
}

/// Characters a tool may trim or a reader cannot see.
pub(in crate::policy) fn is_blank(character: char) -> bool {
    character.is_whitespace() || is_hidden(character)
}

/// A letter and a colon.
pub(super) fn begins_with_drive(text: &str) -> bool {
    matches!(text.as_bytes().first_chunk::<2>(), Some([letter, b':']) if letter.is_ascii_alphabetic())
}

/// A root or a home directory.
fn separates_or_home(backslash: bool) -> impl Fn(char) -> bool {
    move |character| matches!(character, '/' | '~') || (backslash && character == '\\')
}

fn refuse_nul(text: &str) -> Result<(), PathFault> {
    if text.contains('\0') { Err(PathFault::NotAllowed("contains NUL")) } else { Ok(()) }
}

/// Refuses a text with a `..` component as it stands, in its NFKC form, or with unusual escapes decoded.
fn refuse_climbing(text: &str) -> Result<(), PathFault> {
    const CLIMBS: PathFault = PathFault::Traversal("has a `..` component");
    if text_climbs(text) {
        return Err(CLIMBS);
    }
    if !text.is_ascii() {
        if climbs(text.nfkc()) {
            return Err(CLIMBS);
        }
        let is_separator = |character: &char| matches!(character, '/' | '\\');
        if text.nfkc().filter(is_separator).count() > text.chars().filter(is_separator).count() {
            return Err(PathFault::Traversal("has a component that becomes two when normalised"));
        }
    }
    if hides_climbing(text) { Err(CLIMBS) } else { Ok(()) }
}

/// Whether a text climbs once escapes are decoded that have a full-width character in them or are written `%uXXXX`.
fn hides_climbing(text: &str) -> bool {
    if text.is_ascii() && !text.contains("%u") && !text.contains("%U") {
        return false;
    }
    let mut normal: String = text.nfkc().collect();
    for _ in 0..MOST_ROUNDS {
        let Some(round) = decode(&normal, Escapes::Lax) else { return false };
        normal = String::from_utf8_lossy(&round.bytes).nfkc().collect();
        if text_climbs(&normal) {
            return true;
        }
    }
    true
}

/// Whether a text climbs as it stands; most texts have no two dots, which is quickly seen.
pub(super) fn text_climbs(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').nth(1).is_some() && climbs(text.chars())
}

/// Whether a component is `..`, also with blanks anywhere in it or path parameters (`..;x`) behind it.
///
/// Besides `/` and `\`, characters count as separators here that some code pages turn into one.
pub(super) fn climbs(characters: impl Iterator<Item = char>) -> bool {
    // `dots` of the component so far; `decided` once it can only be a name, or once its parameters began.
    let (mut dots, mut is_name, mut decided) = (0_u8, false, false);
    for character in characters {
        match character {
            '/' | '\\' | '\u{a5}' | '\u{2044}' | '\u{20a9}' | '\u{2215}' | '\u{2216}' | '\u{29f5}' | '\u{29f8}'
            | '\u{29f9}' => {
                if dots == 2 && !is_name {
                    return true;
                }
                (dots, is_name, decided) = (0, false, false);
            }
            _ if decided => {}
            '.' => dots = dots.saturating_add(1),
            ';' => decided = true,
            blank if is_blank(blank) => {}
            _ => (is_name, decided) = (true, true),
        }
    }
    dots == 2 && !is_name
}

#[cfg(test)]
mod tests;
