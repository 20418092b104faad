//! The demo's folder, files, gateway and agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use smcp_client::{Client, ClientOptions, FileCredential};
use smcp_core::json::write_string;
use smcp_core::settings::Syntax;
use smcp_core::time::UnixTime;

use super::super::failure::{Failure, Outcome};
use super::super::input::{reason, shown};
use super::super::operator::Operator;
use super::agent::Wire;
use super::narrator::Narrator;
use super::place::Place;
use super::starts;
use super::words::Words;
use crate::config::Config;
use crate::gateway::{Gateway, RunningGateway, ShutdownReport, StartOptions};
use crate::signer::{create_operator_token, read_operator_token};

const CONFIG: &str = include_str!("gateway.yaml");
/// The workload the demo plays.
pub(super) const WORKLOAD: &str = "demo-agent";
/// The security context it asks for.
pub(super) const CONTEXT: &str = "demo";
/// Calls of the counted tool within a minute, as `gateway.yaml` says.
pub(super) const COUNTED_CALLS: usize = 3;
/// Longest time for a tool server of other people to be there, download included.
const PATIENCE: Duration = Duration::from_secs(120);

/// The files agents may read.
const FILES: [(&str, &str); 2] = [
    ("readme.txt", "This file was read through a signed call.\n"),
    ("notes/plan.md", "# Plan\n\n1. attest\n2. call\n3. prove\n"),
];

/// Everything on the stage.
pub(super) struct World {
    /// The folder agents may read.
    pub(super) root: PathBuf,
    /// A file beside it.
    pub(super) outside: PathBuf,
    /// A place for copies.
    pub(super) scratch: PathBuf,
    /// The log, and the key that signs it.
    pub(super) audit_file: PathBuf,
    pub(super) audit_key: PathBuf,
    pub(super) url: String,
    pub(super) client: Client,
    pub(super) wire: Wire,
    pub(super) operator: Operator,
    /// The tools that the server has, whatever the context allows.
    pub(super) offered: Vec<String>,
    gateway: Option<RunningGateway>,
}

impl World {
    /// The first act: files, gateway and an agent's client.
    pub(super) async fn start(place: &Place, upstream: Option<&Words>, narrator: &mut Narrator<'_>) -> Outcome<Self> {
        let (root, outside) = (place.files.clone(), place.join("outside.txt"));
        let (state, secret) = (place.join("state"), place.join("demo-agent.secret"));
        write_files(&root, &outside)?;
        create_operator_token(&secret)?;
        let config = config(&root, &state, &secret, upstream)?;
        let audit_key = config.audit.key_file.clone();
        let options = StartOptions { server_timing: true, ..StartOptions::default() };
        let gateway = Gateway::start(config, options).await?;
        wait_for_tools(&gateway).await?;
        let url = gateway.url().to_owned();
        let operator = match (gateway.operator_url(), gateway.operator_token_file()) {
            (Some(url), Some(token)) => Operator::new(url, read_operator_token(&token)?)?,
            (None, _) | (_, None) => return Err(Failure::check("the gateway has no operator API")),
        };
        let mut options = ClientOptions::new(&url, WORKLOAD, CONTEXT);
        // A refusal is what the demo wants to see, not what it wants to wait for.
        options.max_retries = 0;
        options.workload_credential = Some(Arc::new(FileCredential::new(secret)));
        let offered = gateway.gateway().upstreams.index();
        let offered = offered.entries(crate::upstream::ListKind::Tools).iter().map(|tool| tool.key.clone()).collect();
        let world = Self {
            wire: Wire::new(&url)?,
            client: Client::new(options),
            audit_file: gateway.audit_file().to_owned(),
            audit_key,
            scratch: place.join("changed-audit.jsonl"),
            root,
            outside,
            url,
            operator,
            offered,
            gateway: Some(gateway),
        };
        starts::tell(&world, upstream, narrator)?;
        Ok(world)
    }

    /// A file below the root.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Ends the gateway, if it still runs.
    pub(super) async fn stop(&mut self) -> Option<ShutdownReport> {
        Some(self.gateway.take()?.shutdown().await)
    }

    /// The name of a tool: the built-in connector's, or the published server's.
    pub(super) fn tool(&self, tool: Tool) -> Outcome<&'static str> {
        let names = tool.names();
        names.into_iter().find(|name| self.offered.iter().any(|offered| offered == name)).ok_or_else(|| {
            Failure::check(format!(
                "the tool server has neither `{}` nor `{}`, which the demo calls; it has {}",
                names[0],
                names[1],
                self.offered.join(", ")
            ))
        })
    }
}

/// The tools the demo calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tool {
    List,
    Read,
    Stat,
    Write,
}

impl Tool {
    /// Its name in the built-in connector and in the published filesystem server.
    const fn names(self) -> [&'static str; 2] {
        match self {
            Self::List => ["fs.list", "list_directory"],
            Self::Read => ["fs.read", "read_text_file"],
            Self::Stat => ["fs.stat", "get_file_info"],
            Self::Write => ["fs.write", "write_file"],
        }
    }
}

fn write_files(root: &Path, outside: &Path) -> Outcome<()> {
    let write = |path: &Path, text: &str| {
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, text))
            .map_err(|error| Failure::check(format!("{}: cannot be written: {}", shown(path), reason(&error))))
    };
    for (name, text) in FILES {
        write(&root.join(name), text)?;
    }
    write(outside, "Nobody may read this through the gateway.\n")
}

fn config(root: &Path, state: &Path, secret: &Path, upstream: Option<&Words>) -> Outcome<Config> {
    let root_text = text_of(root)?;
    if root_text.contains(['*', '?']) {
        return Err(Failure::usage(format!("{}: `*` and `?` in a path would be read as a pattern", shown(root))));
    }
    let upstream = match upstream {
        None => format!("filesystem: {{roots: [{}], writable: true}}", json_string(&root_text)),
        Some(Words(words)) => stdio(words, &root_text),
    };
    let text = CONFIG
        .replace("@ROOT@", &json_string(&root_text))
        .replace("@STATE@", &json_string(&text_of(state)?))
        .replace("@SECRET@", &json_string(&text_of(secret)?))
        .replace("@UPSTREAM@", &upstream);
    Ok(Config::parse(&text, Syntax::Yaml, "configuration of the demo", Path::new("/"))?)
}

/// The configuration of a child process; the word `DIR` becomes the folder.
fn stdio(words: &[String], root: &str) -> String {
    let word = |word: &String| json_string(if word == "DIR" { root } else { word });
    let command = words.first().map(word).unwrap_or_default();
    let arguments: Vec<String> = words.iter().skip(1).map(word).collect();
    format!("stdio: {{command: {command}, args: [{}]}}", arguments.join(", "))
}

fn text_of(path: &Path) -> Outcome<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("{}: is not UTF-8", shown(path))))
}

/// A JSON string, which is a YAML string too.
fn json_string(text: &str) -> String {
    let mut bytes = Vec::new();
    write_string(text, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `npx` may have to download the server first.
async fn wait_for_tools(gateway: &RunningGateway) -> Outcome<()> {
    let deadline = tokio::time::Instant::now().checked_add(PATIENCE);
    loop {
        let waiting = gateway.gateway().not_ready().await;
        if waiting.is_empty() {
            return Ok(());
        }
        if deadline.is_none_or(|deadline| tokio::time::Instant::now() >= deadline) {
            return Err(Failure::unavailable(format!("the gateway is not ready: waiting for {}", waiting.join(", "))));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A time as the demo prints it.
pub(super) fn show_time(time: Option<UnixTime>) -> String {
    time.map_or_else(|| "unknown".to_owned(), |time| time.to_string())
}
