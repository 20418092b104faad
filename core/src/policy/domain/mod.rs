//! Domain allowlists (section 7, "Domains").
//!
//! URL parsers repair what they are given, each in its own way. A text that any of them would have to repair names no
//! host here, so that the host that is checked is the host that is called.

mod host;
mod pattern;
mod raw;

pub use host::Host;
pub use pattern::DomainPattern;
