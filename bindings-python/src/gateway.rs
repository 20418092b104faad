//! The `smcp` command inside the wheel.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line `arguments`, whose first is the program's name, and returns the exit status.
///
/// It is the whole program: it starts threads and takes over SIGINT and SIGTERM, so nothing else may run in this process.
#[pyfunction]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| smcp_gateway::cli::run(arguments))
}
