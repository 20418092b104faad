//! `smcp init`.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use clap::Args;
use smcp_core::json::write_string;
use smcp_core::settings::quote;

use super::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{reason, shown};
use super::output::{Output, Style};
use crate::config::Config;
use crate::private_file::create_public;
use crate::signer::{create_ed25519_key, create_operator_token};

const CONFIG: &str = include_str!("gateway.yaml");
const CONTEXT: &str = include_str!("read-only-files.yaml");
const WELCOME: &str = "Hello from a file behind an SMCP gateway.\n";
const IGNORE: &str = "# Keys, sessions, audit log and secrets stay out of version control.\n/smcp-state/\n*.secret\n";

const EXAMPLES: &str = "\
Writes gateway.yaml, contexts/read-only-files.yaml, files/welcome.txt, docs-bot.secret (what the workload shows) and
smcp-state/signing.key (what tokens are signed with). Nothing is overwritten: if one of them exists, nothing is written.

Examples:
  smcp init                       in this folder
  smcp init gateway && smcp gateway --config gateway/gateway.yaml";

/// Write a commented configuration, a context and a key into a folder.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Init {
    /// The folder, made when it is missing
    #[arg(default_value = ".")]
    folder: PathBuf,
}

impl Init {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let folder = absolute(&self.folder)
            .map_err(|error| Failure::usage(format!("{}: {}", shown(&self.folder), reason(&error))))?;
        let files = path_in_allowlist(&folder.join("files"))?;
        let place = |name: &str| folder.join(name);
        let new =
            ["gateway.yaml", "contexts/read-only-files.yaml", "docs-bot.secret", "smcp-state", ".gitignore"].map(place);
        if let Some(existing) = new.iter().find(|path| fs::symlink_metadata(path).is_ok()) {
            return Err(Failure::check(format!("{} exists already and is not overwritten", shown(existing))));
        }
        for path in [folder.clone(), place("contexts"), place("files")] {
            fs::create_dir_all(&path)
                .map_err(|error| Failure::check(format!("{}: cannot be made: {}", shown(&path), reason(&error))))?;
        }
        let welcome = place("files/welcome.txt");
        if fs::symlink_metadata(&welcome).is_err() {
            create_public(&welcome, WELCOME.as_bytes())?;
        }
        make_private_folder(&place("smcp-state"))?;
        create_ed25519_key(&place("smcp-state/signing.key"))?;
        create_operator_token(&place("docs-bot.secret"))?;
        create_public(&place("contexts/read-only-files.yaml"), CONTEXT.replace("@FILES@", &files).as_bytes())?;
        create_public(&place("gateway.yaml"), CONFIG.as_bytes())?;
        create_public(&place(".gitignore"), IGNORE.as_bytes())?;
        // What was written is read as a gateway reads it, so that no template can be broken unnoticed.
        Config::load(&place("gateway.yaml"))?;
        self.show(&folder, output)?;
        Ok(ExitStatus::Done)
    }

    fn show(&self, folder: &Path, output: &Output) -> Outcome<()> {
        let name = |file: &str| self.folder.join(file).display().to_string();
        for (file, what) in [
            ("gateway.yaml", "the configuration, with comments"),
            ("contexts/read-only-files.yaml", "what an agent may do"),
            ("files/", "the folder it may read"),
            ("docs-bot.secret", "what the workload `docs-bot` shows to attest"),
            ("smcp-state/signing.key", "signs the tokens"),
        ] {
            output.line(format_args!("{:<40} {}", name(file), output.paint(Style::Faint, what)))?;
        }
        output.line("")?;
        output.line("Next:")?;
        output.line(format_args!("  smcp gateway --config {}", word(&name("gateway.yaml"))))?;
        output.line(format_args!(
            "  smcp call fs.read --arg path={} --gateway http://127.0.0.1:8787 --workload docs-bot --scope read-only-files \
             --credential-file {}",
            word(&folder.join("files/welcome.txt").display().to_string()),
            word(&name("docs-bot.secret"))
        ))
    }
}

/// Makes a folder that only we may enter.
fn make_private_folder(path: &Path) -> Outcome<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::check(format!("{}: cannot be made: {}", shown(path), reason(&error))))
}

/// A path as a JSON string, which is a YAML string too.
fn path_in_allowlist(path: &Path) -> Outcome<String> {
    let text = path.to_str().ok_or_else(|| Failure::usage(format!("{}: is not UTF-8", shown(path))))?;
    if text.contains(['*', '?']) {
        return Err(Failure::usage(format!("{}: `*` and `?` in a path would be read as a pattern", quote(text))));
    }
    // `.` and `..` have no place in an allowlist; the folder may not exist yet, so it cannot be resolved.
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                return Err(Failure::usage(format!("{}: write the folder without `..`", quote(text))));
            }
            std::path::Component::CurDir => {}
            std::path::Component::Prefix(_) | std::path::Component::RootDir | std::path::Component::Normal(_) => {
                clean.push(component);
            }
        }
    }
    let mut bytes = Vec::new();
    write_string(&clean.to_string_lossy(), &mut bytes);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A word that a shell reads as it stands.
fn word(text: &str) -> String {
    let plain = |character: char| character.is_alphanumeric() || "/._-+=:,@".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
