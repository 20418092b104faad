//! Command allowlists and what deny entries say about commands (section 7, "Commands" and "Deny entries").
//!
//! A command that cannot be read with certainty is refused: nothing here guesses what a shell would do with it.

mod allow;
mod deny;
mod lexer;
mod line;
mod subcommand;

pub use allow::{CommandEntry, CommandRefusal};
pub use deny::DenyWords;
pub use line::{CommandArgs, CommandArgument, CommandLine};
