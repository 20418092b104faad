//! Checks and generators of this repository: `cargo xtask errors` writes what is generated from the error table, `cargo
//! xtask rules` disables the rules of the core one at a time.

mod errors;
mod rules;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask errors [--check] | rules [--check | RULE…]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let outcome = match words.as_slice() {
        ["errors"] => errors::write(root),
        ["errors", "--check"] => errors::check(root),
        ["rules", "--check"] => rules::check(root),
        ["rules", wanted @ ..] => rules::run(root, wanted),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // There is nowhere to report a broken standard error.
            drop(writeln!(std::io::stderr(), "{message}"));
            ExitCode::FAILURE
        }
    }
}
