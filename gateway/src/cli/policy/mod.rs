//! `smcp policy`.

mod check;
mod explain;
mod lint;

use clap::{Args, Subcommand};

use super::ExitStatus;
use super::failure::Outcome;
use super::output::Output;
use check::Check;
use explain::Explain;

const EXAMPLES: &str = "\
Examples:
  smcp policy check contexts/*.yaml
  smcp policy explain --context contexts/read-only-files.yaml --tool fs.read --args '{\"path\": \"/etc/passwd\"}'";

/// Check security contexts, or explain a decision.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct Policy {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Load contexts and say what is wrong with them or should be looked at
    Check(Check),
    /// Decide on one call and show every rule that was looked at
    Explain(Explain),
}

impl Policy {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        match &self.command {
            PolicyCommand::Check(command) => command.run(output),
            PolicyCommand::Explain(command) => command.run(output),
        }
    }

    pub(super) fn writes_json(&self) -> bool {
        match &self.command {
            PolicyCommand::Check(command) => command.json,
            PolicyCommand::Explain(command) => command.json,
        }
    }
}
