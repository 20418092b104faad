//! The files generated from the one error table: Python's exceptions and the reference page.

use std::fs;
use std::path::Path;

use smcp_core::ErrorKind;
use smcp_core::smcp::Dialect;

const PYTHON_TEMPLATE: &str = include_str!("templates/errors.py.in");
const PAGE_TEMPLATE: &str = include_str!("templates/errors.md.in");

/// Every generated file with its text.
fn files() -> [(&'static str, String); 2] {
    let python = PYTHON_TEMPLATE.replace("# @codes@\n", &python_codes()).replace("# @kinds@\n", &python_kinds());
    let page = PAGE_TEMPLATE.replace("<!-- @kinds@ -->\n", &page_rows());
    [("bindings-python/python/smcp/errors.py", python), ("docs/errors.md", page)]
}

/// Writes the files below `root`.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    for (name, text) in files() {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Compares the files below `root` with what would be written.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let stale: Vec<&str> = files()
        .iter()
        .filter(|(name, text)| fs::read_to_string(root.join(name)).ok().as_ref() != Some(text))
        .map(|(name, _)| *name)
        .collect();
    if stale.is_empty() { Ok(()) } else { Err(format!("not current, run `cargo xtask errors`: {}", stale.join(", "))) }
}

/// The summary as one line.
fn summary(kind: ErrorKind) -> String {
    kind.summary().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn python_codes() -> String {
    ErrorKind::ALL.iter().fold(String::new(), |text, kind| format!("{text}    {0} = \"{0}\"\n", kind.name()))
}

fn python_kinds() -> String {
    let mut text = String::new();
    for kind in ErrorKind::ALL {
        let status = kind.http_status().map_or_else(|| "None".to_owned(), |status| status.to_string());
        let (smcp, seal) = (kind.number(Dialect::Smcp), kind.number(Dialect::Seal));
        let summary = summary(*kind).replace('\\', "\\\\").replace('"', "\\\"");
        // One argument a line, so that the formatter leaves the rows alone.
        let arguments = [
            format!("ErrorCode.{}", kind.name()),
            smcp.to_string(),
            seal.to_string(),
            status,
            format!("\"{summary}\""),
        ];
        text += &format!("    ErrorKind(\n        {},\n    ),\n", arguments.join(",\n        "));
    }
    text
}

fn page_rows() -> String {
    let mut text = String::new();
    for kind in ErrorKind::ALL {
        let status = kind.http_status().map_or_else(|| "–".to_owned(), |status| status.to_string());
        let (smcp, seal) = (kind.number(Dialect::Smcp), kind.number(Dialect::Seal));
        text += &format!("| `{}` | {smcp} | {seal} | {status} | {} |\n", kind.name(), summary(*kind));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_every_file() {
        for (name, text) in files() {
            assert!(!text.contains("@kinds@") && !text.contains("@codes@"), "{name}");
            for kind in ErrorKind::ALL {
                assert!(text.contains(kind.name()), "{name} {}", kind.name());
            }
        }
    }

    #[test]
    fn stale_files_are_named() {
        let message = check(Path::new("/nonexistent")).unwrap_err();
        assert!(message.contains("errors.py") && message.contains("docs/errors.md"), "{message}");
    }

    #[test]
    fn the_checked_in_files_are_current() {
        check(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
    }
}
