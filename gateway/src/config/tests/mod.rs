use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tempfile::TempDir;

use super::*;

mod documents;
mod refusals;
mod values;

/// The least that loads.
const LEAST: &str = "\
contexts:
  inline: [{name: read, capabilities: [{tool_pattern: fs.read}]}]
attestation: {verifier: allow_all}
";

/// A folder with the files that configurations below name.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("public.pem", "certificate", 0o644);
    file("private.key", "key", 0o600);
    file("readable.key", "key", 0o644);
    file("secret", "0123456789abcdef0123456789abcdef\n", 0o600);
    file("short", "secret\n", 0o600);
    file("empty", "\n", 0o600);
    file("two-lines", "0123456789abcdef\n0123456789abcdef\n", 0o600);
    fs::create_dir(folder.path().join("root")).unwrap();
    folder
}

fn parse(text: &str) -> (Result<Config>, TempDir) {
    let folder = folder();
    (Config::parse(text, Syntax::Yaml, "gw.yaml", folder.path()), folder)
}

/// The message with the folder's name taken out.
fn refusal(text: &str) -> String {
    let (config, folder) = parse(text);
    let error = config.map(|_| text.to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    error.message().replace(&folder.path().display().to_string(), "DIR")
}

fn load(text: &str) -> Config {
    parse(text).0.unwrap()
}

/// `text` behind [`LEAST`], which takes lines 1 to 3.
fn with(text: &str) -> String {
    format!("{LEAST}{text}\n")
}

/// A configuration whose verifier is `text`, on line 3.
fn with_verifier(text: &str) -> String {
    format!("contexts:\n  inline: [{{name: read, capabilities: []}}]\nattestation: {{verifier: {text}}}\n")
}
