//! Why a filesystem tool did not do what it was asked.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// The reason a tool gives in its result, in words for the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    /// A failed system call on the path an agent gave.
    pub(crate) fn system(path: &str, errno: Errno) -> Self {
        Self(match errno {
            Errno::XDEV | Errno::LOOP => {
                format!("`{path}` leads out of the allowed directories or through a symbolic link that is not followed")
            }
            Errno::NXIO => format!("`{path}` is not a regular file"),
            Errno::NOENT => format!("`{path}` does not exist"),
            Errno::EXIST => format!("`{path}` exists already"),
            Errno::NOTDIR => format!("a part of `{path}` is not a directory"),
            Errno::ISDIR => format!("`{path}` is a directory"),
            Errno::ACCESS | Errno::PERM => format!("the operating system denies access to `{path}`"),
            Errno::NAMETOOLONG => format!("`{path}` is too long"),
            Errno::NOSPC | Errno::DQUOT => format!("no space is left to write `{path}`"),
            Errno::AGAIN => format!("`{path}` changed while it was being opened, try again"),
            other => format!("`{path}`: {}", io::Error::from(other)),
        })
    }

    /// A failed read or write.
    pub(crate) fn io(path: &str, error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::system(path, errno),
            None => Self(format!("`{path}`: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
