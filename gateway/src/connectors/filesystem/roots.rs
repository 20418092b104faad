//! The directories the connector is limited to, and how a path of an agent is placed below one.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use smcp_core::error::{Error, ErrorKind, Result};

use super::beneath::Resolution;
use super::failure::Failure;

/// Longest path in bytes, as Linux has it.
const LONGEST: usize = 4096;

/// The allowed directories, each held open: renaming or replacing one later changes nothing.
#[derive(Debug)]
pub(crate) struct Roots {
    roots: Vec<Root>,
    resolution: Resolution,
}

#[derive(Debug)]
struct Root {
    /// As configured.
    path: PathBuf,
    /// Without symbolic links, another way agents may write it.
    real: PathBuf,
    directory: OwnedFd,
}

/// A path of an agent, placed below a root.
#[derive(Debug)]
pub(crate) struct Location<'a> {
    root: &'a Root,
    resolution: Resolution,
    /// The path as the agent wrote it, for messages.
    pub(crate) given: String,
    relative: PathBuf,
}

impl Roots {
    /// Opens the directories; without `resolution` the kernel's best is used.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID` for a root that is not an absolute path of a directory, or none at all.
    pub(crate) fn open(paths: &[PathBuf], resolution: Option<Resolution>) -> Result<Self> {
        let roots = paths.iter().map(|path| open_root(path)).collect::<Result<Vec<_>>>()?;
        let Some(first) = roots.first() else {
            return Err(Error::new(ErrorKind::ConfigInvalid, "the filesystem connector needs at least one root"));
        };
        let resolution = resolution.unwrap_or_else(|| Resolution::detect(first.directory.as_fd()));
        if resolution == Resolution::Stepwise {
            tracing::info!("openat2 is not used, so the filesystem connector follows no symbolic links");
        }
        Ok(Self { roots, resolution })
    }

    /// Places an absolute path under the deepest root that contains it.
    ///
    /// A relative path is refused: policy reads it under its capability's `base_path`, and a second opinion here about
    /// where it begins would let it name another file than the one that was allowed.
    ///
    /// This is only arithmetic on text; what keeps the path inside is how it is opened.
    ///
    /// # Errors
    ///
    /// For an empty path, one with NUL or `..`, one too long, or one outside all roots.
    pub(crate) fn place(&self, given: &str) -> std::result::Result<Location<'_>, Failure> {
        if given.is_empty() || given.contains('\0') || given.len() > LONGEST {
            return Err(Failure::new("a path must have 1 to 4096 bytes and no NUL"));
        }
        let path = Path::new(given);
        let mut clean = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => clean.push(name),
                Component::CurDir => {}
                Component::RootDir => clean.push("/"),
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(Failure::new(format!("`{given}` must not contain `..`")));
                }
            }
        }
        let (root, relative) = self.containing(&clean).filter(|_| path.is_absolute()).ok_or_else(|| {
            let roots: Vec<_> = self.roots.iter().map(|root| root.path.to_string_lossy()).collect();
            let why = if path.is_absolute() { "is outside" } else { "is not absolute; it must lie in" };
            Failure::new(format!("`{given}` {why} the allowed directories `{}`", roots.join("`, `")))
        })?;
        Ok(Location { root, resolution: self.resolution, given: given.to_owned(), relative })
    }

    fn containing(&self, path: &Path) -> Option<(&Root, PathBuf)> {
        self.roots
            .iter()
            .flat_map(|root| [(root, &root.path), (root, &root.real)])
            .filter_map(|(root, prefix)| Some((root, prefix, path.strip_prefix(prefix).ok()?)))
            .max_by_key(|(_, prefix, _)| prefix.components().count())
            .map(|(root, _, relative)| (root, relative.to_owned()))
    }
}

fn open_root(path: &Path) -> Result<Root> {
    let invalid = |why: String| Error::new(ErrorKind::ConfigInvalid, format!("root `{}` {why}", path.display()));
    if !path.is_absolute() || path.components().any(|component| component == Component::ParentDir) {
        return Err(invalid("must be an absolute path without `..`".to_owned()));
    }
    // The operator's own path is trusted, and may well be a symbolic link.
    let directory = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| invalid(format!("cannot be opened: {}", std::io::Error::from(errno))))?;
    let real = path.canonicalize().map_err(|error| invalid(format!("cannot be resolved: {error}")))?;
    Ok(Root { path: path.components().collect(), real, directory })
}

impl Location<'_> {
    /// Opens what the path names.
    ///
    /// # Errors
    ///
    /// Whatever [`Resolution::open`] reports, in words.
    pub(crate) fn open(&self, flags: OFlags) -> std::result::Result<OwnedFd, Failure> {
        self.resolution
            .open(self.root.directory.as_fd(), &self.relative, flags, Mode::empty())
            .map_err(|errno| Failure::system(&self.given, errno))
    }

    /// Opens the directory that holds what the path names, and its name there.
    ///
    /// # Errors
    ///
    /// For a path that names a root itself, and as [`Location::open`].
    pub(crate) fn open_parent(&self) -> std::result::Result<(OwnedFd, &OsStr), Failure> {
        let Some(name) = self.relative.file_name() else {
            return Err(Failure::new(format!("`{}` is an allowed directory itself", self.given)));
        };
        let parent = self.relative.parent().unwrap_or(Path::new(""));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let directory = self
            .resolution
            .open(self.root.directory.as_fd(), parent, flags, Mode::empty())
            .map_err(|errno| Failure::system(&self.given, errno))?;
        Ok((directory, name))
    }

    /// The absolute path below the configured root.
    pub(crate) fn absolute(&self) -> PathBuf {
        if self.relative.as_os_str().is_empty() { self.root.path.clone() } else { self.root.path.join(&self.relative) }
    }
}
