//! `smcp tools`.

use clap::Args;
use smcp_core::json::{self, Limits, Value};

use super::ExitStatus;
use super::connection::{Connection, failure_of};
use super::failure::{Failure, Outcome};
use super::input::LARGEST;
use super::output::{Output, Style, one_line};

const EXAMPLES: &str = "\
Examples:
  smcp tools --gateway http://127.0.0.1:8787 --workload docs-bot --scope read-only-files --credential-file docs-bot.secret
  smcp tools --json                                with the environment variables SMCP_GATEWAY_URL and so on";

/// List the tools that a context allows.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Tools {
    #[command(flatten)]
    connection: Connection,

    /// Print the tools as JSON, with the schemas of their arguments
    #[arg(long)]
    pub(super) json: bool,
}

impl Tools {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let client = self.connection.attest()?;
        let tools = client.list_tools().map_err(|error| failure_of(&error))?;
        if self.json {
            output.json(&tools)?;
            return Ok(ExitStatus::Done);
        }
        let document = json::scan_with(&tools, Limits { bytes: LARGEST, ..Limits::default() })
            .map_err(|error| Failure::check(format!("the list is not strict JSON: {error}")))?;
        let text =
            |tool: Value<'_>, name: &str| tool.get(name).and_then(Value::as_str).unwrap_or_default().into_owned();
        let rows: Vec<(String, String)> = document
            .root()
            .elements()
            .map(|tool| {
                (one_line(&text(tool, "name")), one_line(text(tool, "description").lines().next().unwrap_or_default()))
            })
            .collect();
        if rows.is_empty() {
            output.line("no tools")?;
        }
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (name, description) in rows {
            let gap = " ".repeat(width.saturating_sub(name.chars().count()).saturating_add(2));
            output.line(format_args!("{}{gap}{description}", output.paint(Style::Title, name)))?;
        }
        Ok(ExitStatus::Done)
    }
}
