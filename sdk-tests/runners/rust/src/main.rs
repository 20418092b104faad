//! `smcp-conformance [DIR]`: runs every vector file of DIR (default `sdk-tests/vectors`) and prints one line for each.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors")), PathBuf::from);
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in smcp_sdk_tests::FILES {
        let report = smcp_sdk_tests::run_file(&folder, name, *check);
        for failure in &report.failures {
            println!("FAILED {failure}");
        }
        println!("{name}: {} vectors, {} failures", report.run, report.failures.len());
        passed += report.run.saturating_sub(report.failures.len());
        failed += report.failures.len();
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
