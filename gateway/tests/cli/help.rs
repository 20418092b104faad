//! Every command has help with examples, and every example names options that exist.

use crate::program::Program;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["gateway"],
    &["demo"],
    &["keygen"],
    &["attest"],
    &["call"],
    &["tools"],
    &["verify"],
    &["policy"],
    &["policy", "check"],
    &["policy", "explain"],
    &["session"],
    &["session", "list"],
    &["session", "revoke"],
    &["session", "allow"],
    &["audit"],
    &["audit", "verify"],
    &["init"],
];

/// Commands that only hold others; their examples are those of the others.
const GROUPS: [&str; 3] = ["policy", "session", "audit"];

#[test]
fn every_command_has_help_with_examples() {
    let program = Program::new();
    for command in COMMANDS {
        let help = program.run(&[command, &["--help"][..]].concat()).done();
        assert!(help.contains("Usage: smcp"), "{command:?}: {help}");
        assert!(help.contains("Examples:\n  "), "{command:?}: {help}");
        assert!(!help.contains('\u{1b}'), "{command:?}");
    }
}

#[test]
fn the_top_lists_every_command() {
    let help = Program::new().run(&["--help"]).done();
    for command in COMMANDS.iter().filter_map(|command| command.first()) {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert!(help.contains("0 done, 1 refused or failed check, 2 usage, 3 incomplete proof, 69 unavailable"));
}

#[test]
fn examples_use_options_that_exist() {
    let program = Program::new();
    for command in
        COMMANDS.iter().filter(|command| !command.is_empty() && !GROUPS.contains(&command.join(" ").as_str()))
    {
        let help = program.run(&[command, &["--help"][..]].concat()).done();
        let (options, examples) = help.split_once("Examples:").unwrap();
        let name = command.join(" ");
        for line in examples.lines().filter(|line| line.contains(&format!("smcp {name} "))) {
            let (_, used) = line.split_once(&format!("smcp {name} ")).unwrap();
            let used = used.split(" && ").next().unwrap().split(" > ").next().unwrap().split("   ").next().unwrap();
            for word in used.split_whitespace().filter(|word| word.starts_with("--")) {
                assert!(options.contains(word), "{name}: {word} in `{}`", line.trim());
            }
        }
    }
}

#[test]
fn version_and_nothing() {
    let program = Program::new();
    assert_eq!(program.run(&["--version"]).done(), format!("smcp {}\n", env!("CARGO_PKG_VERSION")));
    let nothing = program.run(&[]);
    assert_eq!((nothing.status, nothing.out.as_str()), (2, ""));
    assert!(nothing.err.contains("Usage: smcp"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    use std::process::Stdio;
    let program = Program::new();
    let mut child = program.command().arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_full_disk_is_one() {
    let program = Program::new();
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let ended = program.command().arg("--version").stdout(full).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
}
