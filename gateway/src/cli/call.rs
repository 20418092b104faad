//! `smcp call`.

use clap::Args;
use smcp_core::json::{self, Kind, Limits, Value, write_string};

use super::ExitStatus;
use super::connection::{Connection, failure_of};
use super::failure::{Failure, Outcome};
use super::input::{LARGEST, read_object};
use super::output::{Output, printable};

const EXAMPLES: &str = "\
Attests, signs the call, sends it and prints the texts of the result, or with `--json` the whole result. Exit status 1 when
the gateway refuses or the tool says that it failed.

Examples:
  smcp call fs.read --arg path=/srv/smcp/files/welcome.txt --gateway http://127.0.0.1:8787 --workload docs-bot --scope read-only-files
  smcp call fs.search --arg path=/srv/smcp/files --arg pattern='*.md' --arg max_results:=5      `:=` takes JSON, `=` takes text
  smcp call fs.read --args '{\"path\": \"/srv/smcp/files/welcome.txt\"}' --json
  smcp call fs.read --args @arguments.json
  echo '{\"path\": \"/srv/smcp/files\"}' | smcp call fs.list --args -";

/// Call a tool through a gateway.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Call {
    /// The tool
    tool: String,

    /// An argument: `NAME=TEXT` or `NAME:=JSON`; may be given several times
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = parse_argument)]
    arguments: Vec<(String, Vec<u8>)>,

    /// All arguments: a JSON object, `@FILE`, or `-` for standard input
    #[arg(long, value_name = "JSON", conflicts_with = "arguments", allow_hyphen_values = true)]
    args: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// Print the whole result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Name and JSON text of an argument.
fn parse_argument(text: &str) -> Result<(String, Vec<u8>), String> {
    let (name, value) = text.split_once('=').ok_or("expected `NAME=TEXT` or `NAME:=JSON`")?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            json::scan(value.as_bytes()).map_err(|error| format!("`{name}` is not JSON: {error}"))?;
            (name, value.as_bytes().to_vec())
        }
        None => {
            let mut encoded = Vec::new();
            write_string(value, &mut encoded);
            (name, encoded)
        }
    };
    if name.is_empty() {
        return Err("the argument has no name".to_owned());
    }
    Ok((name.to_owned(), value))
}

impl Call {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let arguments = self.arguments()?;
        let client = self.connection.attest()?;
        let result = client.call_tool(&self.tool, &arguments).map_err(|error| failure_of(&error))?;
        let document = json::scan_with(&result, Limits { bytes: LARGEST, ..Limits::default() })
            .map_err(|error| Failure::check(format!("the result is not strict JSON: {error}")))?;
        if self.json {
            output.json(&result)?;
        } else {
            output.line(readable(document.root()))?;
        }
        let failed = document.root().get("isError").and_then(Value::as_bool) == Some(true);
        Ok(if failed { ExitStatus::Failed } else { ExitStatus::Done })
    }

    fn arguments(&self) -> Outcome<Vec<u8>> {
        if let Some(text) = &self.args {
            return read_object(text);
        }
        let mut object = vec![b'{'];
        for (index, (name, value)) in self.arguments.iter().enumerate() {
            if self.arguments.iter().take(index).any(|(earlier, _)| earlier == name) {
                return Err(Failure::usage(format!("the argument `{name}` is given twice")));
            }
            if index > 0 {
                object.push(b',');
            }
            write_string(name, &mut object);
            object.push(b':');
            object.extend_from_slice(value);
        }
        object.push(b'}');
        Ok(object)
    }
}

/// The texts of a result; the whole result when something else is in it.
fn readable(result: Value<'_>) -> String {
    let Some(content) = result.get("content").filter(|content| content.kind() == Kind::Array) else {
        return printable(result.raw());
    };
    let mut lines = Vec::new();
    for part in content.elements() {
        match part.get("text").and_then(Value::as_str) {
            Some(text) => lines.push(printable(text.trim_end_matches('\n'))),
            None => lines.push(printable(part.raw())),
        }
    }
    if lines.is_empty() { printable(result.raw()) } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_text_or_json() {
        let parse = |text: &str| parse_argument(text).map(|(name, value)| (name, String::from_utf8(value).unwrap()));
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(parse("a=b=c\"\n"), pair("a", r#""b=c\"\n""#));
        assert_eq!(parse("a=:1"), pair("a", "\":1\""));
        assert_eq!(parse("a:=[1, {}]"), pair("a", "[1, {}]"));
        assert_eq!(parse("a="), pair("a", "\"\""));
        for text in ["", "a", "=b", ":=1", "a:=", "a:={", "a:=1 2", "a:={\"x\":1,\"x\":2}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn results_are_read_for_people() {
        let show = |text: &str| readable(json::scan(text.as_bytes()).unwrap().root());
        assert_eq!(
            show(r#"{"content":[{"type":"text","text":"a\u001b[31m\n"},{"type":"text","text":"b"}]}"#),
            "a\\u{1b}[31m\nb"
        );
        assert_eq!(show(r#"{"content":[{"type":"image"}]}"#), r#"{"type":"image"}"#);
        assert_eq!(show(r#"{"content":[]}"#), r#"{"content":[]}"#);
        assert_eq!(show("{}"), "{}");
    }
}
