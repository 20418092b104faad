//! Opens files below a directory and nowhere else, whatever symbolic links are put in the way.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

/// Flags of every open: no waiting for a peer of a FIFO, no new terminal, nothing for children.
const ALWAYS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// How often an open is tried that a rename elsewhere made ambiguous for the kernel.
const TRIES: u32 = 16;

/// How a path below a root is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// By the kernel in one step (`openat2` with `RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS`): symbolic
    /// links are followed as long as they stay below the root.
    Kernel,
    /// Component by component with `O_NOFOLLOW`, for kernels and sandboxes without `openat2`: no
    /// symbolic link below the root is followed at all.
    Stepwise,
}

impl Resolution {
    /// Finds out what the kernel offers, on a directory that may be opened.
    pub(crate) fn detect(root: BorrowedFd<'_>) -> Self {
        match kernel(root, Path::new("."), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
            // Seccomp filters of older container engines answer with EPERM.
            Err(Errno::NOSYS | Errno::PERM) => Self::Stepwise,
            Ok(_) | Err(_) => Self::Kernel,
        }
    }

    /// Opens `path`, which is relative, below `root`.
    ///
    /// # Errors
    ///
    /// `EXDEV` or `ELOOP` for a path that leads elsewhere, `EAGAIN` after many races, and whatever
    /// else opening reports.
    pub(crate) fn open(self, root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match self {
            Self::Kernel => kernel(root, path, flags, mode),
            Self::Stepwise => stepwise(root, path, flags, mode),
        }
    }
}

#[cfg(target_os = "linux")]
fn kernel(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tried = 0;
    loop {
        // O_PATH takes no other flags than these.
        let flags = if flags.contains(OFlags::PATH) { flags | OFlags::CLOEXEC } else { flags | ALWAYS };
        match rustix::fs::openat2(root, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) if tried < TRIES => tried = tried.saturating_add(1),
            opened => return opened,
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn kernel(_root: BorrowedFd<'_>, _path: &Path, _flags: OFlags, _mode: Mode) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}

fn stepwise(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    let last = names.pop().unwrap_or(OsStr::new("."));
    let mut directory: Option<OwnedFd> = None;
    for name in names {
        let here = directory.as_ref().map_or(root, AsFd::as_fd);
        directory = Some(one(here, name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?);
    }
    one(directory.as_ref().map_or(root, AsFd::as_fd), last, flags, mode)
}

/// Opens one entry of a directory without following it.
///
/// # Errors
///
/// `ELOOP` or `ENOTDIR` for a symbolic link, and whatever else opening reports.
pub(crate) fn one(directory: BorrowedFd<'_>, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    if name.as_bytes().contains(&b'/') || name == OsStr::new("..") {
        return Err(Errno::XDEV);
    }
    let flags = flags | OFlags::NOFOLLOW;
    let flags = if flags.contains(OFlags::PATH) { flags | OFlags::CLOEXEC } else { flags | ALWAYS };
    rustix::io::retry_on_intr(|| rustix::fs::openat(directory, name, flags, mode))
}
