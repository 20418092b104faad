//! `smcp policy check`.

use std::path::{Path, PathBuf};

use clap::Args;
use smcp_core::json::ObjectWriter;
use smcp_core::policy::{ContextSet, SecurityContext, load_context};

use super::super::ExitStatus;
use super::super::failure::{Failure, Outcome};
use super::super::input::{read_text, reason, shown, syntax_of};
use super::super::output::{Output, Style, printable};
use super::super::verify::hexadecimal;
use super::lint::lint;

const EXAMPLES: &str = "\
All files are loaded together, as a gateway loads them, so that two contexts of one name are found. Exit status 1 when a
context does not load, with `--deny-warnings` also when there is a warning.

Examples:
  smcp policy check contexts/*.yaml
  smcp policy check contexts                         every .yaml, .yml, .json and .toml file of a folder
  smcp policy check --deny-warnings --json contexts/research.toml";

/// Load contexts and say what is wrong with them or should be looked at.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Context files, or folders of them
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Fail on warnings too
    #[arg(long)]
    deny_warnings: bool,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What was found out about one file.
struct Report {
    file: String,
    context: Option<SecurityContext>,
    error: Option<String>,
    warnings: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let mut files = Vec::new();
        for path in &self.files {
            if path.is_dir() { files.extend(context_files(path)?) } else { files.push(path.clone()) }
        }
        let mut set = ContextSet::new();
        let reports: Vec<Report> = files.iter().map(|path| examine(path, &mut set)).collect::<Outcome<_>>()?;
        let errors = reports.iter().filter(|report| report.error.is_some()).count();
        let warnings: usize = reports.iter().map(|report| report.warnings.len()).sum();
        if self.json {
            output.json(&to_json(&reports, errors, warnings))?;
        } else {
            for report in &reports {
                show(report, output)?;
            }
            output.line(format_args!(
                "{}, {}, {}",
                count(files.len(), "file"),
                count(errors, "error"),
                count(warnings, "warning")
            ))?;
        }
        let failed = errors > 0 || (self.deny_warnings && warnings > 0);
        Ok(if failed { ExitStatus::Failed } else { ExitStatus::Done })
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The files a gateway would load from a folder.
fn context_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("cannot read {}: {}", shown(folder), reason(&error)));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() && syntax_of(&path).is_ok() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(format!("{}: there is no context file in this folder", shown(folder))));
    }
    files.sort();
    Ok(files)
}

fn examine(path: &Path, set: &mut ContextSet) -> Outcome<Report> {
    let (text, syntax) = (read_text(path)?, syntax_of(path)?);
    let file = path.display().to_string();
    // The set says where the first context of the same name stands, which only reading into it does.
    let loaded = set.load(&text, syntax, &file).and_then(|()| load_context(&text, syntax, &file));
    Ok(match loaded {
        Ok(context) => Report { warnings: lint(&context), context: Some(context), error: None, file },
        Err(error) => Report { context: None, error: Some(error.message().to_owned()), warnings: Vec::new(), file },
    })
}

fn show(report: &Report, output: &Output) -> Outcome<()> {
    if let Some(error) = &report.error {
        return output.line(format_args!("{} {}", output.paint(Style::Bad, "error"), printable(error)));
    }
    if let Some(context) = &report.context {
        output.line(format_args!(
            "{} {}: context `{}`, {}, {}, digest {}",
            output.paint(Style::Good, "ok"),
            printable(&report.file),
            context.name,
            if context.capabilities.len() == 1 {
                "1 capability".to_owned()
            } else {
                format!("{} capabilities", context.capabilities.len())
            },
            if context.deny_list.len() == 1 {
                "1 deny entry".to_owned()
            } else {
                format!("{} deny entries", context.deny_list.len())
            },
            hexadecimal(context.digest.0.get(..8).unwrap_or_default()),
        ))?;
    }
    for warning in &report.warnings {
        output.line(format_args!(
            "{} {}: {}",
            output.paint(Style::Caution, "warning"),
            printable(&report.file),
            printable(warning)
        ))?;
    }
    Ok(())
}

fn to_json(reports: &[Report], errors: usize, warnings: usize) -> Vec<u8> {
    let mut files = vec![b'['];
    for (index, report) in reports.iter().enumerate() {
        if index > 0 {
            files.push(b',');
        }
        let mut object = ObjectWriter::new().text("file", &report.file);
        if let Some(context) = &report.context {
            object = object
                .text("context", &context.name)
                .text("digest", &hexadecimal(&context.digest.0))
                .integer("capabilities", i64::try_from(context.capabilities.len()).unwrap_or(i64::MAX))
                .integer("deny_entries", i64::try_from(context.deny_list.len()).unwrap_or(i64::MAX));
        }
        object = object
            .optional_text("error", report.error.as_deref())
            .list("warnings", report.warnings.iter().map(String::as_str));
        files.extend_from_slice(&object.finish());
    }
    files.push(b']');
    ObjectWriter::new()
        .text("status", if errors == 0 { "ok" } else { "error" })
        .integer("errors", i64::try_from(errors).unwrap_or(i64::MAX))
        .integer("warnings", i64::try_from(warnings).unwrap_or(i64::MAX))
        .raw("files", &files)
        .finish()
}
