//! The `smcp` command; everything it does is in the library, so that the Python wheel runs the same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(smcp_gateway::cli::run(std::env::args_os()))
}
