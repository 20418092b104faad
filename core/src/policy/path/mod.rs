//! Path allowlists (section 7, "Paths").

mod decoding;
mod pattern;
mod reading;
mod suspect;

pub(super) use pattern::components;
pub use pattern::{BasePath, PathPattern};
pub(super) use reading::{PathFault, PathText, Place, begins_with_scheme, is_blank};
pub(super) use suspect::suspect_path;

/// Checks that every reading of a path argument lies under an allowed path.
///
/// # Errors
/// Why not; a climbing reading is reported before one that merely lies outside.
pub(super) fn check_path(text: &str, allowlist: &[PathPattern], base: Option<&BasePath>) -> Result<(), PathFault> {
    const OUTSIDE: PathFault = PathFault::NotAllowed("is outside what is allowed");
    for reading in PathText::read(text)?.readings() {
        let inside = match (reading.place(), base) {
            (Place::Absolute, _) => allowlist.iter().any(|pattern| pattern.matches(reading.components())),
            (Place::Relative, Some(base)) => {
                allowlist.iter().any(|pattern| pattern.matches(components(base.text()).chain(reading.components())))
            }
            (Place::Relative, None) => return Err(PathFault::NotAllowed("is relative, and there is no base path")),
            (Place::Elsewhere(why), _) => return Err(PathFault::NotAllowed(why)),
        };
        if !inside {
            return Err(OUTSIDE);
        }
    }
    Ok(())
}
