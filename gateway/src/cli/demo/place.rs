//! Where the demo happens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::failure::{Failure, Outcome};
use super::super::input::{reason, shown};
use super::words::Words;

/// Begins the names of temporary folders.
const PREFIX: &str = "smcp-demo-";

/// A temporary folder, or one that is kept.
pub(super) struct Place {
    folder: PathBuf,
    /// The folder agents may read.
    pub(super) files: PathBuf,
    /// Removes the folders at the end.
    _temporary: [Option<TempDir>; 2],
}

impl Place {
    pub(super) fn new(keep: Option<&Path>, upstream: Option<&Words>) -> Outcome<Self> {
        let (folder, temporary) = match keep {
            Some(path) => (empty_folder(path)?, None),
            None => make(&std::env::temp_dir(), false)?,
        };
        let (files, temporary_files) = match upstream.and_then(served_folder) {
            // The tool server serves a folder of the user's own; the demo's files get one of their own in it.
            Some(served) => make(&served, keep.is_some())?,
            None => (folder.join("files"), None),
        };
        Ok(Self { folder, files, _temporary: [temporary, temporary_files] })
    }

    /// A file or folder that agents do not see.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The folder a command names, if it does not leave the choice to the demo.
fn served_folder(Words(words): &Words) -> Option<PathBuf> {
    let mut arguments = words.iter().skip(1);
    if arguments.clone().any(|word| word == "DIR") {
        return None;
    }
    arguments.find(|word| Path::new(word).is_dir()).map(PathBuf::from)
}

fn refuse(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{}: {}", shown(path), reason(error)))
}

/// Without symlinks on the way, so that a tool server and the policy name the same paths.
fn real(path: &Path) -> Outcome<PathBuf> {
    fs::canonicalize(path).map_err(|error| refuse(path, &error))
}

fn make(parent: &Path, keep: bool) -> Outcome<(PathBuf, Option<TempDir>)> {
    let made = tempfile::Builder::new().prefix(PREFIX).disable_cleanup(keep).tempdir_in(parent);
    let made = made.map_err(|error| refuse(parent, &error))?;
    Ok((real(made.path())?, Some(made)))
}

fn empty_folder(path: &Path) -> Outcome<PathBuf> {
    fs::create_dir_all(path).map_err(|error| refuse(path, &error))?;
    if fs::read_dir(path).map_err(|error| refuse(path, &error))?.next().is_some() {
        return Err(Failure::usage(format!("{} is not empty", shown(path))));
    }
    real(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Words {
        Words(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn files_go_where_the_server_looks() {
        let served = tempfile::tempdir().unwrap();
        let path = served.path().to_str().unwrap();
        let real = real(served.path()).unwrap();
        let place = Place::new(None, Some(&words(&["server", "-y", path]))).unwrap();
        assert_eq!(place.files.parent(), Some(real.as_path()));
        drop(place);
        assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
        for command in [&["server", "DIR", path][..], &["server"], &[path]] {
            let place = Place::new(None, Some(&words(command))).unwrap();
            assert!(place.files.starts_with(&place.folder), "{command:?}");
        }
    }
}
