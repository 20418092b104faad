//! The `smcp` command.
//!
//! [`run`] is the whole program: the binary calls it, and so does the console script of the Python wheel.

mod arguments;
mod attest;
mod audit;
mod call;
mod connection;
mod demo;
mod exit_status;
mod failure;
mod gateway;
mod init;
mod input;
mod keygen;
mod logging;
mod operator;
mod output;
mod policy;
mod runtime;
mod session;
mod tools;
mod verify;

use std::ffi::OsString;

use clap::Parser as _;

use arguments::{Arguments, Command};
pub use exit_status::ExitStatus;
use failure::Outcome;
use output::Output;

/// Runs the command line `arguments`, whose first is the program's name, and returns the exit status: 0 done, 1 refused
/// or failed check, 2 usage, 3 incomplete proof, 69 unavailable.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Clap may refuse the line before it has read the flag.
    let output = Output::standard(arguments.iter().any(|argument| argument == "--no-color"));
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return show_usage(&error, &output).code(),
    };
    let result = execute(&parsed.command, &output);
    let failure = match result {
        Ok(status) => return status.code(),
        Err(failure) => failure,
    };
    // A mistake in the command line is no answer of the command; everything else is, also in JSON.
    if parsed.command.writes_json() && failure.status != ExitStatus::Usage {
        drop(output.json(&failure.to_json()));
    } else {
        output.fail(&failure);
    }
    failure.status.code()
}

fn execute(command: &Command, output: &Output) -> Outcome<ExitStatus> {
    match command {
        Command::Gateway(command) => command.run(output),
        Command::Demo(command) => command.run(output),
        Command::Keygen(command) => command.run(output),
        Command::Attest(command) => command.run(output),
        Command::Call(command) => command.run(output),
        Command::Tools(command) => command.run(output),
        Command::Verify(command) => command.run(output),
        Command::Policy(command) => command.run(output),
        Command::Session(command) => command.run(output),
        Command::Audit(command) => command.run(output),
        Command::Init(command) => command.run(output),
    }
}

/// Shows help, the version, or what is wrong with the command line.
fn show_usage(error: &clap::Error, output: &Output) -> ExitStatus {
    let text = error.render();
    let text = if output.has_colour(error.use_stderr()) { text.ansi().to_string() } else { text.to_string() };
    if error.use_stderr() {
        output.note(text.trim_end());
        return ExitStatus::Usage;
    }
    match output.line(text.trim_end()) {
        Ok(()) => ExitStatus::Done,
        Err(failure) => failure.status,
    }
}
