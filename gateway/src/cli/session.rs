//! `smcp session`.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use smcp_core::json::{self, ObjectWriter, Value};

use super::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::parse_duration;
use super::operator::{OperatorArguments, limits, text};
use super::output::{Output, Style, one_line};

const EXAMPLES: &str = "\
The commands talk to the operator API of a running gateway, which listens on loopback only.

Examples:
  smcp session list --config gateway.yaml
  smcp session revoke 8mZ0Gx7o --config gateway.yaml            and keep its workload and key out until lifted
  smcp session allow docs-bot --config gateway.yaml";
const LIST_EXAMPLES: &str = "\
Examples:
  smcp session list --config gateway.yaml
  smcp session list --operator-url http://127.0.0.1:8788 --operator-token-file smcp-state/operator.token --json";
const REVOKE_EXAMPLES: &str = "\
An agent whose session ends simply attests again, so its workload id and key are blocked as well, until `smcp session
allow` lifts the block.

Examples:
  smcp session revoke 8mZ0Gx7o --config gateway.yaml                  until lifted
  smcp session revoke 8mZ0Gx7o --for 24h --config gateway.yaml        for a day
  smcp session revoke 8mZ0Gx7o --session-only --config gateway.yaml   the agent may attest again at once";
const ALLOW_EXAMPLES: &str = "\
Revoked sessions stay revoked; the workload may attest anew.

Examples:
  smcp session allow docs-bot --config gateway.yaml";

/// See and revoke sessions of a running gateway.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct SessionCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the sessions
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// End a session, and keep its workload and key out
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(Revoke),
    /// Let a blocked workload attest again
    #[command(after_help = ALLOW_EXAMPLES)]
    Allow(Allow),
}

#[derive(Args, Debug)]
struct List {
    #[command(flatten)]
    operator: OperatorArguments,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Revoke {
    /// The session's id
    session: String,

    /// Block workload and key for this long, such as `24h`, instead of until lifted
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, conflicts_with = "session_only")]
    block_for: Option<Duration>,

    /// Block nothing: the agent may attest again at once
    #[arg(long)]
    session_only: bool,

    #[command(flatten)]
    operator: OperatorArguments,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct Allow {
    /// The workload's id
    workload: String,

    #[command(flatten)]
    operator: OperatorArguments,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl SessionCommand {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        match &self.action {
            Action::List(command) => command.run(output),
            Action::Revoke(command) => command.run(output),
            Action::Allow(command) => command.run(output),
        }?;
        Ok(ExitStatus::Done)
    }

    pub(super) fn writes_json(&self) -> bool {
        match &self.action {
            Action::List(command) => command.json,
            Action::Revoke(command) => command.json,
            Action::Allow(command) => command.json,
        }
    }
}

/// The columns of the list: title, member of the answer.
const COLUMNS: [(&str, &str); 5] = [
    ("SESSION", "session_id"),
    ("WORKLOAD", "workload_id"),
    ("CONTEXT", "context"),
    ("STATE", "state"),
    ("EXPIRES", "expires_at"),
];

impl List {
    fn run(&self, output: &Output) -> Outcome<()> {
        let answer = self.operator.connect()?.call_blocking(Method::GET, "/v1/sessions", None)?;
        let document = json::scan_with(&answer, limits())
            .map_err(|error| Failure::check(format!("the answer is not strict JSON: {error}")))?;
        let Some(sessions) = document.root().get("sessions") else {
            return Err(Failure::check("the answer has no `sessions`"));
        };
        if self.json {
            return output.json(sessions.raw().as_bytes());
        }
        let rows: Vec<[String; 5]> = sessions.elements().map(row).collect();
        if rows.is_empty() {
            return output.line("no sessions");
        }
        let mut widths = COLUMNS.map(|(title, _)| title.len());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        output.line(output.paint(Style::Title, padded(&COLUMNS.map(|(title, _)| title.to_owned()), &widths)))?;
        for row in &rows {
            output.line(padded(row, &widths))?;
        }
        Ok(())
    }
}

fn row(session: Value<'_>) -> [String; 5] {
    COLUMNS.map(|(_, member)| one_line(&text(session, member).unwrap_or_default()))
}

fn padded(cells: &[String; 5], widths: &[usize; 5]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        let gap = width.saturating_sub(cell.chars().count()).saturating_add(2);
        line.extend(std::iter::repeat_n(' ', gap));
    }
    line.trim_end().to_owned()
}

impl Revoke {
    fn run(&self, output: &Output) -> Outcome<()> {
        let mut body = ObjectWriter::new().text("session_id", &self.session).boolean("session_only", self.session_only);
        if let Some(time) = self.block_for {
            body = body.integer("for_seconds", i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        }
        let operator = self.operator.connect()?;
        let answer = operator.call_blocking(Method::POST, "/v1/sessions/revoke", Some(body.finish()))?;
        if self.json {
            return output.json(&answer);
        }
        let document = json::scan_with(&answer, limits()).ok();
        let session = document.as_ref().and_then(|document| document.root().get("session"));
        let workload = session.and_then(|session| text(session, "workload_id")).unwrap_or_default();
        let workload = one_line(&workload);
        output.line(format_args!("revoked session {}", one_line(&self.session)))?;
        match (self.session_only, self.block_for) {
            (true, _) => output.line(format_args!("workload `{workload}` may attest again")),
            (false, None) => output.line(format_args!(
                "workload `{workload}` and its key are blocked; `smcp session allow {workload}` lifts it"
            )),
            (false, Some(time)) => {
                let seconds = time.as_secs();
                output.line(format_args!("workload `{workload}` and its key are blocked for {seconds} s"))
            }
        }
    }
}

impl Allow {
    fn run(&self, output: &Output) -> Outcome<()> {
        let body = ObjectWriter::new().text("workload_id", &self.workload).finish();
        let answer = self.operator.connect()?.call_blocking(Method::POST, "/v1/workloads/allow", Some(body))?;
        if self.json {
            return output.json(&answer);
        }
        output.line(format_args!("workload `{}` may attest again", one_line(&self.workload)))
    }
}
