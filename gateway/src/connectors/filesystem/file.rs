//! Reading, describing and replacing single files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use smcp_core::time::UnixTime;

use super::beneath;
use super::failure::Failure;
use super::roots::Location;

/// Bits of a mode that are kept when a file is replaced.
const PERMISSIONS: u32 = 0o777;
/// How often a new name for a temporary file is tried.
const TRIES: u32 = 8;

/// Opens a regular file with one name for reading, and says how large it is.
///
/// Anything else is refused after it was opened: a device or FIFO may answer forever, and a file
/// with several names may belong to a directory outside the roots.
///
/// # Errors
///
/// In words for the agent.
pub(crate) fn open(location: &Location<'_>) -> Result<(File, u64), Failure> {
    let descriptor = location.open(OFlags::RDONLY)?;
    let size = check(&location.given, &status(&location.given, descriptor.as_fd())?)?;
    Ok((File::from(descriptor), size))
}

/// Opens a regular file with one name in a directory, or nothing if it is something else.
pub(crate) fn open_entry(directory: BorrowedFd<'_>, name: &OsStr) -> Option<(File, u64)> {
    let descriptor = beneath::one(directory, name, OFlags::RDONLY, Mode::empty()).ok()?;
    let size = check("", &rustix::fs::fstat(&descriptor).ok()?).ok()?;
    Some((File::from(descriptor), size))
}

fn status(given: &str, descriptor: BorrowedFd<'_>) -> Result<Stat, Failure> {
    rustix::fs::fstat(descriptor).map_err(|errno| Failure::system(given, errno))
}

/// Refuses everything but a regular file with exactly one name; gives its size.
fn check(given: &str, stat: &Stat) -> Result<u64, Failure> {
    match kind(stat) {
        FileType::RegularFile if stat.st_nlink > 1 => {
            Err(Failure::new(format!("`{given}` has other names (hard links) and is not touched")))
        }
        FileType::RegularFile => Ok(size(stat)),
        FileType::Directory => Err(Failure::new(format!("`{given}` is a directory"))),
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Err(Failure::new(format!("`{given}` is not a regular file"))),
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

/// The name of a file type in results.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        FileType::Unknown => "unknown",
    }
}

/// The part of a file to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) length: Option<u64>,
}

/// Reads a file or a part of it, at most `limit` bytes.
///
/// # Errors
///
/// In words for the agent; also when there is more than `limit`.
pub(crate) fn read(location: &Location<'_>, range: Range, limit: u64) -> Result<Vec<u8>, Failure> {
    let given = &location.given;
    let (mut file, size) = open(location)?;
    let wanted = range.length.unwrap_or_else(|| size.saturating_sub(range.offset));
    if wanted > limit {
        let text = format!(
            "`{given}` has {size} bytes, at most {limit} are read at once; ask for a part with `offset` and `length`"
        );
        return Err(Failure::new(text));
    }
    if range.offset > 0 {
        file.seek(SeekFrom::Start(range.offset)).map_err(|error| Failure::io(given, &error))?;
    }
    let mut bytes = Vec::new();
    // One byte more shows a file that grew, or that has no size, as in some virtual filesystems.
    let most = range.length.unwrap_or_else(|| limit.saturating_add(1));
    file.take(most).read_to_end(&mut bytes).map_err(|error| Failure::io(given, &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(Failure::new(format!("`{given}` has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// What is known about a file.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    pub(crate) modified: UnixTime,
    pub(crate) mode: u32,
    pub(crate) links: u64,
}

/// Describes what a path names; a symbolic link at its end is described itself.
///
/// # Errors
///
/// In words for the agent.
pub(crate) fn describe(location: &Location<'_>) -> Result<Description, Failure> {
    // Without reading it, so that a device or FIFO does not notice.
    let descriptor = location.open(OFlags::PATH | OFlags::NOFOLLOW)?;
    let stat = status(&location.given, descriptor.as_fd())?;
    Ok(Description {
        kind: kind(&stat),
        size: size(&stat),
        modified: UnixTime::from_seconds(widened(stat.st_mtime)),
        mode: stat.st_mode & (PERMISSIONS | 0o7000),
        links: widened(stat.st_nlink),
    })
}

/// The fields of a `Stat` have other widths on other processors.
fn widened<N: Into<W>, W>(number: N) -> W {
    number.into()
}

/// What happens to a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is replaced.
    Replace,
    /// The write fails.
    Keep,
}

/// Writes a whole file: into a temporary one beside it, which then takes its name in one step, so
/// that nobody sees half a file and no symbolic link is written through. Says whether it is new.
///
/// # Errors
///
/// In words for the agent; then nothing has changed.
pub(crate) fn write(location: &Location<'_>, content: &[u8], existing: Existing) -> Result<bool, Failure> {
    let given = &location.given;
    let (directory, name) = location.open_parent()?;
    let before = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if existing == Existing::Replace => Some(stat),
        Ok(_) => return Err(Failure::system(given, Errno::EXIST)),
        Err(Errno::NOENT) => None,
        Err(errno) => return Err(Failure::system(given, errno)),
    };
    if let Some(stat) = &before {
        check(given, stat)?;
    }
    let (file, temporary) = create_temporary(&directory).map_err(|errno| Failure::system(given, errno))?;
    let written = fill(file, content, before.as_ref()).map_err(|error| Failure::io(given, &error)).and_then(|()| {
        rename(&directory, &temporary, name, before.is_some()).map_err(|errno| Failure::system(given, errno))
    });
    if written.is_err()
        && let Err(errno) = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty())
    {
        tracing::warn!(%errno, "a temporary file of the filesystem connector could not be removed");
    }
    written.map(|()| before.is_none())
}

fn create_temporary(directory: &OwnedFd) -> rustix::io::Result<(File, String)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut tried = 0;
    loop {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|_unavailable| Errno::IO)?;
        let name = format!(".smcp-{:016x}.tmp", u64::from_ne_bytes(random));
        match beneath::one(directory.as_fd(), OsStr::new(&name), flags, Mode::from_raw_mode(0o666)) {
            Ok(descriptor) => return Ok((File::from(descriptor), name)),
            Err(Errno::EXIST) if tried < TRIES => tried = tried.saturating_add(1),
            Err(errno) => return Err(errno),
        }
    }
}

fn fill(mut file: File, content: &[u8], before: Option<&Stat>) -> std::io::Result<()> {
    if let Some(stat) = before {
        rustix::fs::fchmod(&file, Mode::from_raw_mode(stat.st_mode & PERMISSIONS))?;
    }
    file.write_all(content)?;
    file.sync_data()
}

fn rename(directory: &OwnedFd, temporary: &str, name: &OsStr, replace: bool) -> rustix::io::Result<()> {
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    rustix::fs::renameat_with(directory, temporary, directory, name, flags)
}
