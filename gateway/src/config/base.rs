//! Files a configuration names: relative to its own folder, there when they must be, private when they must be.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use smcp_core::error::{Error, ErrorKind, Result};
use smcp_core::settings::{Cursor, SIZE_LIMIT, quote};

/// Where relative paths are resolved.
#[derive(Debug)]
pub(super) struct Base<'a> {
    /// Absolute folder of the configuration file.
    pub(super) folder: &'a Path,
    /// Absolute folder for files the gateway makes itself.
    pub(super) state: PathBuf,
    /// Set when a secret stands in the configuration itself.
    pub(super) has_inline_secrets: Cell<bool>,
}

impl Base<'_> {
    /// A path, absolute or relative to the configuration's folder.
    pub(super) fn path(&self, field: &Cursor<'_>) -> Result<PathBuf> {
        let text = field.non_empty_text()?;
        if text.starts_with('~') {
            return Err(field.error("`~` is not expanded; write the whole path"));
        }
        Ok(self.folder.join(text))
    }

    /// A regular file that exists.
    pub(super) fn file(&self, field: &Cursor<'_>) -> Result<PathBuf> {
        let path = self.path(field)?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(path),
            Ok(_) => Err(field.error(&format!("{} is not a file", shown(&path)))),
            Err(error) => Err(field.error(&format!("{}: {}", shown(&path), reason(&error)))),
        }
    }

    /// A folder that exists.
    pub(super) fn folder(&self, field: &Cursor<'_>) -> Result<PathBuf> {
        let path = self.path(field)?;
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => Ok(path),
            Ok(_) => Err(field.error(&format!("{} is not a folder", shown(&path)))),
            Err(error) => Err(field.error(&format!("{}: {}", shown(&path), reason(&error)))),
        }
    }

    /// A regular file that exists and that others cannot read: it holds a secret.
    pub(super) fn private_file(&self, field: &Cursor<'_>) -> Result<PathBuf> {
        let path = self.file(field)?;
        if others_can_read(&path) {
            return Err(field.error(&format!("{} can be read by others; `chmod o=` it", shown(&path))));
        }
        Ok(path)
    }

    /// The first line of a private file, which is the whole of it.
    pub(super) fn secret_in_file(&self, field: &Cursor<'_>) -> Result<String> {
        let path = self.private_file(field)?;
        let text = read_text(&path).map_err(|error| field.error(error.message()))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(field.error(&format!("{} is empty", shown(&path))));
        }
        if secret.contains(['\r', '\n', '\0']) {
            return Err(field.error(&format!("{} holds more than one line", shown(&path))));
        }
        Ok(secret.to_owned())
    }
}

/// Whether users other than owner and group can read the file.
#[cfg(unix)]
pub(super) fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

/// Whether users other than owner and group can read the file; unknown here.
#[cfg(not(unix))]
pub(super) fn others_can_read(_path: &Path) -> bool {
    false
}

/// Reads a settings file, but no more of it than a settings file may have.
///
/// # Errors
/// `CONFIG_INVALID` when it is no regular file, cannot be read, is too large or not UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let refuse = |what: &str| Error::new(ErrorKind::ConfigInvalid, format!("{}: {what}", shown(path)));
    let unreadable = |error: io::Error| refuse(&reason(&error));
    // A FIFO would block the start for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refuse("not a file"));
    }
    let limit = u64::try_from(SIZE_LIMIT).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > SIZE_LIMIT {
        return Err(refuse(&format!("larger than {SIZE_LIMIT} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refuse("not UTF-8"))
}

/// A path as messages show it.
pub(super) fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "no such file or folder".to_owned()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "permission denied".to_owned()
    } else {
        error.to_string()
    }
}
