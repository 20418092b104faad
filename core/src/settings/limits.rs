//! How much a settings file may hold.

use super::{Position, Refused};

/// Largest file in bytes.
pub const SIZE_LIMIT: usize = 1 << 20;

/// Deepest nesting of lists and mappings.
pub const DEPTH_LIMIT: usize = 64;

/// Most values in one file, those an alias stands for counted each time.
pub const NODE_LIMIT: usize = 50_000;

/// Most bytes of text that aliases may repeat.
const REPEATED_LIMIT: usize = SIZE_LIMIT;

/// What is left of the limits while a file is read.
#[derive(Debug)]
pub(super) struct Budget {
    nodes: usize,
    repeated: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { nodes: NODE_LIMIT, repeated: REPEATED_LIMIT }
    }

    /// Takes one value.
    pub(super) fn take(&mut self, position: Position) -> Result<(), Refused> {
        self.take_copy(Cost { nodes: 1, bytes: 0 }, position)
    }

    /// Takes a copy of a tree that was read before.
    pub(super) fn take_copy(&mut self, cost: Cost, position: Position) -> Result<(), Refused> {
        match (self.nodes.checked_sub(cost.nodes), self.repeated.checked_sub(cost.bytes)) {
            (Some(nodes), Some(repeated)) => {
                self.nodes = nodes;
                self.repeated = repeated;
                Ok(())
            }
            (None, _) => Err(Refused::new(position, format!("the file holds more than {NODE_LIMIT} values"))),
            (_, None) => {
                Err(Refused::new(position, format!("aliases repeat more than {REPEATED_LIMIT} bytes of text")))
            }
        }
    }
}

/// What a copy of a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Values.
    pub(super) nodes: usize,
    /// Bytes of text.
    pub(super) bytes: usize,
}

/// Refuses nesting beyond [`DEPTH_LIMIT`].
pub(super) fn check_depth(depth: usize, position: Position) -> Result<(), Refused> {
    if depth > DEPTH_LIMIT {
        return Err(Refused::new(position, format!("nesting is deeper than {DEPTH_LIMIT} levels")));
    }
    Ok(())
}
