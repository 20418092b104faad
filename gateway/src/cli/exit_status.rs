//! What the shell is told.

/// The five ways the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Everything asked for was done, and every check passed.
    Done = 0,
    /// Something was refused, or a check failed.
    Failed = 1,
    /// The command line is wrong, or names a file that cannot be read.
    Usage = 2,
    /// Nothing is wrong with what was checked, but a proof is missing.
    Incomplete = 3,
    /// A service that is needed cannot be reached or cannot serve now (`EX_UNAVAILABLE` of sysexits).
    Unavailable = 69,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Unavailable => 69,
        }
    }
}
