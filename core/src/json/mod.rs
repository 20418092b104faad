//! Strict JSON: one scan over the wire bytes, views into them, and the canonical writer (sections 1 and 2).

mod canonical;
mod document;
mod number;
mod respell;
mod scan;
mod value;
mod writer;

pub use canonical::{KeyOrder, write_canonical, write_canonical_into, write_string};
pub use document::{Document, Elements, Kind, Members, Value};
pub use number::{ExactNumber, write_ecmascript};
pub use respell::respell;
pub use scan::{Limits, ScanError, scan, scan_with};
pub use value::to_value;
pub use writer::ObjectWriter;
