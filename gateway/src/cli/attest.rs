//! `smcp attest`.

use clap::Args;
use smcp_core::json::{self, Kind, Limits, ObjectWriter};
use smcp_core::keys::decode_base64url;
use smcp_core::time::UnixTime;

use super::ExitStatus;
use super::connection::Connection;
use super::failure::{Failure, Outcome};
use super::output::{Output, Style, one_line};

const EXAMPLES: &str = "\
Shows the claims of the token the gateway gives. The session's key exists only while the command runs, so the token is of
no further use to anybody; it is printed only with `--print-token`.

Examples:
  smcp attest --gateway http://127.0.0.1:8787 --workload docs-bot --scope read-only-files --credential-file docs-bot.secret
  SMCP_GATEWAY_URL=https://gw.example SMCP_WORKLOAD_ID=docs-bot SMCP_SECURITY_SCOPE=research smcp attest --json";

/// Attest to a gateway and show what the token says.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Attest {
    #[command(flatten)]
    connection: Connection,

    /// Print the token too
    #[arg(long)]
    print_token: bool,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Attest {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let client = self.connection.attest()?;
        let record = client.client().record().ok_or_else(|| Failure::check("the client has no session"))?;
        let claims = token_claims(&record.token);
        if self.json {
            let mut object = ObjectWriter::new()
                .text("status", "attested")
                .optional_text("session_id", record.session_id.as_deref())
                .optional_text("expires_at", record.expires_at.map(UnixTime::to_rfc3339).as_deref());
            if let Some(claims) = &claims {
                object = object.raw("claims", claims);
            }
            let token = self.print_token.then_some(record.token.as_str());
            output.json(&object.optional_text("security_token", token).finish())?;
            return Ok(ExitStatus::Done);
        }
        output.line(output.paint(Style::Good, "attested"))?;
        if let Some(id) = &record.session_id {
            output.line(format_args!("session     {}", one_line(id)))?;
        }
        if let Some(time) = record.expires_at {
            output.line(format_args!("expires     {time}"))?;
        }
        for (name, value) in claims.iter().flat_map(|claims| claim_lines(claims)) {
            output.line(format_args!("{name:<11} {}", one_line(&value)))?;
        }
        if self.print_token {
            output.line(format_args!("token       {}", one_line(&record.token)))?;
        }
        Ok(ExitStatus::Done)
    }
}

/// The claims of a token as JSON, for showing: nothing is verified here, which is the gateway's business.
pub(super) fn token_claims(token: &str) -> Option<Vec<u8>> {
    let claims = decode_base64url(token.split('.').nth(1)?)?;
    let is_object =
        json::scan_with(&claims, claim_limits()).is_ok_and(|document| document.root().kind() == Kind::Object);
    is_object.then_some(claims)
}

/// Claims by name.
pub(super) fn claim_lines(claims: &[u8]) -> Vec<(String, String)> {
    let Ok(document) = json::scan_with(claims, claim_limits()) else { return Vec::new() };
    let lines = document.root().members().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.raw().to_owned(), std::borrow::Cow::into_owned);
        (name.into_owned(), value)
    });
    lines.collect()
}

fn claim_limits() -> Limits {
    Limits { bytes: 1 << 20, depth: 16 }
}
