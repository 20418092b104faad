//! Files that nobody else may read: keys, tokens, logs, stores (section 6).
//!
//! A file is opened once and judged by its descriptor, so that nothing can be swapped between check and use.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Bits of a mode that let group or others in.
const FOREIGN_BITS: u32 = 0o077;

fn refuse(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("file `{}` {reason}", path.display()))
}

/// Creates a file that did not exist, mode 0600, with this content, and brings it to disk.
///
/// # Errors
/// `CONFIG_INVALID` when something of that name exists (a symlink too) or the file cannot be written.
pub fn create_private(path: &Path, content: &[u8]) -> Result<()> {
    create(path, content, Mode::RUSR.union(Mode::WUSR))
}

/// Creates a file that did not exist and that others may read (mode 0644), with this content, and brings it to disk.
///
/// # Errors
/// As [`create_private`].
pub fn create_public(path: &Path, content: &[u8]) -> Result<()> {
    create(path, content, Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::ROTH))
}

fn create(path: &Path, content: &[u8], mode: Mode) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let descriptor = rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        rustix::io::Errno::EXIST => refuse(path, "exists already and is not overwritten"),
        error => refuse(path, format_args!("cannot be created: {error}")),
    })?;
    let mut file = File::from(descriptor);
    let written = rustix::fs::fchmod(&file, mode)
        .map_err(std::io::Error::from)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    written.map_err(|error| {
        // A half-written key is worse than none; that the removal may fail too changes nothing in the answer.
        let _ = rustix::fs::unlinkat(CWD, path, AtFlags::empty());
        refuse(path, format_args!("cannot be written: {error}"))
    })
}

/// Brings the directory entry of `path` to disk.
///
/// # Errors
/// When the folder cannot be opened or synchronised.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

/// Reads a file that must be ours alone: a regular file, no symlink, owned by us, closed to group and others.
///
/// # Errors
/// `CONFIG_INVALID` when it is missing, anything of that does not hold, or it has more than `limit` bytes.
pub fn read_private(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let file = open_regular(path, OFlags::NOFOLLOW)?;
    check_private(path, &file.1)?;
    read_to_limit(path, file.0, limit)
}

/// Reads a file that others may read; it must be a regular file, and a symlink is followed.
///
/// # Errors
/// `CONFIG_INVALID` when it is missing, no regular file, or has more than `limit` bytes.
pub fn read_public(path: &Path, limit: usize) -> Result<Vec<u8>> {
    let (file, _) = open_regular(path, OFlags::empty())?;
    read_to_limit(path, file, limit).map(|content| content.to_vec())
}

/// Reads a key that another program manages (certbot, Kubernetes): symlinks are followed and the group may read it, but
/// the file must belong to us or root, and others may not read it.
///
/// # Errors
/// `CONFIG_INVALID` when it is missing, anything of that does not hold, or it has more than `limit` bytes.
pub fn read_managed(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let (file, stat) = open_regular(path, OFlags::empty())?;
    let owner = stat.st_uid;
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(refuse(path, "belongs to another user"));
    }
    if stat.st_mode & 0o027 != 0 {
        return Err(refuse(path, format_args!("can be read by others or written by its group {}", mode_hint(&stat))));
    }
    read_to_limit(path, file, limit)
}

/// Opens a private file for appending, creating it with mode 0600; an existing one must be ours alone.
///
/// # Errors
/// `CONFIG_INVALID` as [`read_private`].
pub fn open_append(path: &Path) -> Result<File> {
    open_writable(path, OFlags::APPEND)
}

/// Opens a private file for reading and writing, creating it with mode 0600; an existing one must be ours alone.
///
/// # Errors
/// `CONFIG_INVALID` as [`read_private`].
pub fn open_read_write(path: &Path) -> Result<File> {
    open_writable(path, OFlags::empty())
}

fn open_writable(path: &Path, extra: OFlags) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | extra;
    let descriptor =
        rustix::fs::openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| opening(path, error))?;
    let stat =
        rustix::fs::fstat(&descriptor).map_err(|error| refuse(path, format_args!("cannot be examined: {error}")))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refuse(path, "is not a regular file"));
    }
    check_private(path, &stat)?;
    Ok(File::from(descriptor))
}

fn opening(path: &Path, error: rustix::io::Errno) -> Error {
    match error {
        rustix::io::Errno::LOOP => refuse(path, "is a symbolic link, which is not followed"),
        error => refuse(path, format_args!("cannot be opened: {error}")),
    }
}

fn open_regular(path: &Path, extra: OFlags) -> Result<(File, Stat)> {
    // Non-blocking, so that a FIFO in the place of a file cannot hold up the start.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | extra;
    let descriptor = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| opening(path, error))?;
    let stat =
        rustix::fs::fstat(&descriptor).map_err(|error| refuse(path, format_args!("cannot be examined: {error}")))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refuse(path, "is not a regular file"));
    }
    Ok((File::from(descriptor), stat))
}

fn check_private(path: &Path, stat: &Stat) -> Result<()> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(refuse(path, "belongs to another user"));
    }
    if stat.st_mode & FOREIGN_BITS != 0 {
        return Err(refuse(path, format_args!("is open to group or others {}", mode_hint(stat))));
    }
    Ok(())
}

fn mode_hint(stat: &Stat) -> String {
    format!("(mode `{:04o}`; `chmod 600` it)", stat.st_mode & 0o7777)
}

fn read_to_limit(path: &Path, file: File, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // Room for everything at once: growing would leave copies of a secret behind. A limit is a few hundred KiB at most.
    let mut content = Zeroizing::new(Vec::with_capacity(limit.saturating_add(32)));
    file.take(bound)
        .read_to_end(&mut content)
        .map_err(|error| refuse(path, format_args!("cannot be read: {error}")))?;
    if content.len() > limit {
        return Err(refuse(path, format_args!("has more than `{limit}` bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error.message().to_owned()
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn refuses_files_that_are_not_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(message(read_private(&path, 10)).contains("cannot be opened"));
        create_private(&path, b"0123456789").unwrap();
        assert_eq!(read_private(&path, 10).unwrap().as_slice(), b"0123456789");
        assert!(message(read_private(&path, 9)).contains("more than `9` bytes"));
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601] {
            set_mode(&path, mode);
            assert!(message(read_private(&path, 10)).contains("open to group or others"), "{mode:o}");
            assert!(message(open_append(&path)).contains("open to group or others"), "{mode:o}");
            assert_eq!(read_managed(&path, 10).is_ok(), mode & 0o027 == 0, "{mode:o}");
        }
        set_mode(&path, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(message(read_private(&link, 10)).contains("symbolic link"));
        assert!(message(open_append(&link)).contains("symbolic link"));
        assert!(message(open_read_write(&link)).contains("symbolic link"));
        read_managed(&link, 10).unwrap();
        assert!(message(read_private(folder.path(), 10)).contains("not a regular file"));
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(message(read_private(&fifo, 10)).contains("not a regular file"));
        assert!(message(open_append(&fifo)).contains("not a regular file"));
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_private(&path, b"x").unwrap();
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert!(message(read_private(&path, 10)).contains("another user"));
        assert!(message(read_managed(&path, 10)).contains("another user"));
        assert!(message(open_append(&path)).contains("another user"));
    }

    #[test]
    fn never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_private(&path, b"first").unwrap();
        assert!(message(create_private(&path, b"second")).contains("exists already"));
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("elsewhere"), &dangling).unwrap();
        assert!(message(create_private(&dangling, b"x")).contains("exists already"));
        assert!(!folder.path().join("elsewhere").exists());
    }
}
