//! Random bytes of the operating system.

use smcp_core::{Error, ErrorKind, Result};

/// Fills an array from the operating system's generator.
///
/// # Errors
/// `INTERNAL_ERROR` when the generator fails; nothing weaker takes its place.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system's random generator failed"))?;
    Ok(bytes)
}
