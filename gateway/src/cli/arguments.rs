//! The command line.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};

use super::attest::Attest;
use super::audit::Audit;
use super::call::Call;
use super::demo::Demo;
use super::gateway::GatewayCommand;
use super::init::Init;
use super::keygen::Keygen;
use super::policy::Policy;
use super::session::SessionCommand;
use super::tools::Tools;
use super::verify::Verify;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER: &str = "\
Exit status: 0 done, 1 refused or failed check, 2 usage, 3 incomplete proof, 69 unavailable.

Examples:
  smcp demo                                      see everything at work in ten seconds
  smcp init gateway && smcp gateway --config gateway/gateway.yaml
  smcp call fs.read --arg path=/srv/smcp/files/welcome.txt --gateway http://127.0.0.1:8787 --workload docs-bot --scope read-only-files
  smcp COMMAND --help                            options and examples of a command";

/// Secure Model Context Protocol: signed envelopes around MCP calls, and the gateway that verifies, decides and audits.
#[derive(Debug, Parser)]
#[command(name = "smcp", version, styles = STYLES, after_help = AFTER, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,

    /// Print without colours, as when `NO_COLOR` is set or standard output is no terminal
    #[arg(long, global = true)]
    pub(super) no_color: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a gateway
    Gateway(GatewayCommand),
    /// See everything at work in ten seconds
    Demo(Demo),
    /// Make a key or an operator token, or show the public half of a key
    Keygen(Keygen),
    /// Attest to a gateway and show what the token says
    Attest(Attest),
    /// Call a tool through a gateway
    Call(Call),
    /// List the tools that a context allows
    Tools(Tools),
    /// Verify the signature of an envelope in a file
    Verify(Verify),
    /// Check security contexts, or explain a decision
    Policy(Policy),
    /// See and revoke sessions of a running gateway
    Session(SessionCommand),
    /// Prove what an audit log says
    Audit(Audit),
    /// Write a commented configuration, a context and a key into a folder
    Init(Init),
}

impl Command {
    /// Whether the answer is wanted as JSON.
    pub(super) fn writes_json(&self) -> bool {
        match self {
            Self::Demo(command) => command.json,
            Self::Keygen(command) => command.json,
            Self::Attest(command) => command.json,
            Self::Call(command) => command.json,
            Self::Tools(command) => command.json,
            Self::Verify(command) => command.json,
            Self::Policy(command) => command.writes_json(),
            Self::Session(command) => command.writes_json(),
            Self::Audit(command) => command.writes_json(),
            Self::Gateway(_) | Self::Init(_) => false,
        }
    }
}
