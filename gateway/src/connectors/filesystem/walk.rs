//! Listing and searching directories, within bounds of time, depth, entries and bytes.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::failure::Failure;
use super::roots::Location;
use super::{beneath, file};

/// Most entries of a directory that are read; a sorted list needs them all.
const MAX_ENTRIES: usize = 20_000;
/// Deepest directory below the start that is searched.
const MAX_DEPTH: usize = 32;
/// Most entries a search looks at.
const MAX_VISITED: usize = 200_000;
/// Most bytes a search reads from files.
const MAX_READ: u64 = 256 * 1024 * 1024;
/// Longest line of a match that is shown, in characters.
const LONGEST_LINE: usize = 200;

/// One entry of a directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) kind: FileType,
    pub(crate) size: Option<u64>,
}

/// The entries of a directory, sorted by the bytes of their names, and whether some are missing.
///
/// # Errors
///
/// In words for the agent.
pub(crate) fn list(location: &Location<'_>, most: usize, until: Instant) -> Result<(Vec<Entry>, bool), Failure> {
    let directory = location.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    let (mut names, mut truncated) =
        names(directory.as_fd(), until).map_err(|errno| Failure::system(&location.given, errno))?;
    truncated |= names.len() > most;
    names.truncate(most);
    let mut entries = Vec::with_capacity(names.len());
    for (name, kind) in names {
        if Instant::now() >= until {
            truncated = true;
            break;
        }
        let stat = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW).ok();
        let kind = stat.as_ref().map_or(kind, |stat| FileType::from_raw_mode(stat.st_mode));
        let size = stat.filter(|_| kind == FileType::RegularFile).and_then(|stat| u64::try_from(stat.st_size).ok());
        entries.push(Entry { name, kind, size });
    }
    Ok((entries, truncated))
}

/// Names in a directory, sorted, without `.` and `..`, and whether there are more than are read.
fn names(directory: BorrowedFd<'_>, until: Instant) -> rustix::io::Result<(Vec<(OsString, FileType)>, bool)> {
    let mut names = Vec::new();
    let mut truncated = false;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() >= MAX_ENTRIES || Instant::now() >= until {
            truncated = true;
            break;
        }
        names.push((OsString::from_vec(name.to_vec()), entry.file_type()));
    }
    names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok((names, truncated))
}

/// What a search looks for.
#[derive(Debug)]
pub(crate) struct Query {
    /// Glob on file names: `*` any run, `?` one character.
    pub(crate) pattern: Option<String>,
    /// Text a line must contain.
    pub(crate) text: Option<String>,
    /// Most matches.
    pub(crate) most: usize,
    /// Largest file whose content is read.
    pub(crate) max_file_size: u64,
    /// When to stop.
    pub(crate) until: Instant,
}

/// One match of a search.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) path: PathBuf,
    pub(crate) kind: FileType,
    /// Line number from 1 and the line, of a match in the content.
    pub(crate) line: Option<(u64, String)>,
}

/// Searches a directory and everything below it. Symbolic links are not followed.
///
/// # Errors
///
/// In words for the agent.
pub(crate) fn search(location: &Location<'_>, query: &Query) -> Result<(Vec<Match>, bool), Failure> {
    let directory = location.open(OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut search = Search { query, matches: Vec::new(), visited: 0, read: 0, is_cut: false };
    search.directory(directory.as_fd(), &location.absolute(), 0);
    Ok((search.matches, search.is_cut))
}

struct Search<'a> {
    query: &'a Query,
    matches: Vec<Match>,
    visited: usize,
    read: u64,
    is_cut: bool,
}

impl Search<'_> {
    fn directory(&mut self, directory: BorrowedFd<'_>, path: &Path, depth: usize) {
        // A directory that cannot be read is passed over, as other search tools do.
        let Ok((names, truncated)) = names(directory, self.query.until) else { return };
        self.is_cut |= truncated;
        for (name, kind) in names {
            self.visited = self.visited.saturating_add(1);
            if self.is_full() {
                return;
            }
            let kind = match kind {
                FileType::Unknown => rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(kind, |stat| FileType::from_raw_mode(stat.st_mode)),
                FileType::RegularFile
                | FileType::Directory
                | FileType::Symlink
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice => kind,
            };
            self.entry(directory, path, &name, kind);
            if kind == FileType::Directory {
                self.descend(directory, &path.join(&name), &name, depth);
            }
        }
    }

    fn descend(&mut self, directory: BorrowedFd<'_>, path: &Path, name: &OsStr, depth: usize) {
        if depth >= MAX_DEPTH {
            self.is_cut = true;
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        if let Ok(below) = beneath::one(directory, name, flags, Mode::empty()) {
            self.directory(below.as_fd(), path, depth.saturating_add(1));
        }
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, path: &Path, name: &OsStr, kind: FileType) {
        if self.query.pattern.as_ref().is_some_and(|pattern| !glob(pattern.as_bytes(), name.as_bytes())) {
            return;
        }
        match &self.query.text {
            None => self.matches.push(Match { path: path.join(name), kind, line: None }),
            Some(text) if kind == FileType::RegularFile => self.content(directory, path, name, text),
            Some(_) => {}
        }
    }

    fn content(&mut self, directory: BorrowedFd<'_>, path: &Path, name: &OsStr, text: &str) {
        let Some((file, size)) = file::open_entry(directory, name) else { return };
        let room = MAX_READ.saturating_sub(self.read);
        if size > self.query.max_file_size || size > room {
            self.is_cut = true;
            return;
        }
        let mut reader = BufReader::new(file.take(self.query.max_file_size.min(room)));
        let mut line = Vec::new();
        let mut number: u64 = 0;
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(length) => self.read = self.read.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)),
            }
            number = number.saturating_add(1);
            if contains(&line, text.as_bytes()) {
                if self.is_full() {
                    return;
                }
                let line = Some((number, shown(&line)));
                self.matches.push(Match { path: path.join(name), kind: FileType::RegularFile, line });
            } else if number.is_multiple_of(1024) && self.is_full() {
                return;
            }
        }
    }

    fn is_full(&mut self) -> bool {
        self.is_cut |= self.matches.len() >= self.query.most
            || self.visited > MAX_VISITED
            || self.read >= MAX_READ
            || Instant::now() >= self.query.until;
        self.is_cut
    }
}

fn contains(line: &[u8], text: &[u8]) -> bool {
    line.windows(text.len().max(1)).any(|window| window == text)
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches(['\n', '\r']).chars().take(LONGEST_LINE).collect()
}

/// Compares a whole name with a pattern in which `*` is any run of bytes and `?` one character.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest.split_first(), left.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, left));
                rest = after;
            }
            (Some((b'?', after)), Some(_)) => (rest, left) = (after, without_character(left)),
            (Some((one, after)), Some((other, tail))) if one == other => (rest, left) = (after, tail),
            (None, None) => return true,
            (Some(_) | None, _) => match star {
                Some((after, [_, tail @ ..])) => {
                    star = Some((after, tail));
                    (rest, left) = (after, tail);
                }
                Some((_, [])) | None => return false,
            },
        }
    }
}

/// Takes one UTF-8 character off, or one byte where there is none.
fn without_character(bytes: &[u8]) -> &[u8] {
    let continuation = bytes.iter().skip(1).take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let is_lead = bytes.first().is_some_and(|byte| *byte >= 0xc0);
    let length = if is_lead { continuation.saturating_add(1) } else { 1 };
    bytes.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name) in
            [("*", ""), ("*.rs", "a.rs"), ("a?c", "aéc"), ("*a*b*", "xxaybz"), ("a", "a"), ("?", "é")]
        {
            assert!(glob(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [("*.rs", "a.rsx"), ("a?c", "ac"), ("", "a"), ("a", ""), ("?", ""), ("[a]", "a")] {
            assert!(!glob(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        assert!(glob(b"a?", b"a\xff"));
        assert!(!glob("*a".repeat(60).as_bytes(), "a".repeat(59).as_bytes()));
    }
}
