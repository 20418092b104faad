//! `smcp gateway`.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf, absolute};

use clap::{Args, ValueEnum};
use smcp_core::json::ObjectWriter;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::ExitStatus;
use super::connection::require_file;
use super::failure::{Failure, Outcome};
use super::input::{reason, shown};
use super::logging;
use super::output::{Output, Style};
use super::runtime::runtime;
use crate::config::{Config, LogFormat, LogLevel, VerifierConfig};
use crate::gateway::{Gateway, RunningGateway, StartOptions};

const EXAMPLES: &str = "\
Log lines go to standard error. When the gateway serves, one JSON line says so on standard output, and one at the end:
  {\"event\":\"ready\",\"url\":\"http://127.0.0.1:8787\",\"operator_url\":\"…\",\"operator_token_file\":\"…\",\"audit_file\":\"…\",\"pid\":1}
  {\"event\":\"stopped\",\"audit_head\":\"128:3a7b…\",\"cut_off\":0}
SIGINT and SIGTERM end it after the calls under way; a second one ends it at once. `audit_head` is what `smcp audit verify
--expect-head` takes.

Examples:
  smcp gateway --config gateway.yaml
  smcp gateway --config gateway.yaml --check-config
  smcp gateway --root ~/documents                  embedded defaults: one folder, read-only, for agents on this machine
  smcp gateway --root . --state /run/user/1000/smcp --listen 127.0.0.1:0 --ready-fd 3 --exit-with-parent";

/// Run a gateway.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct GatewayCommand {
    #[command(flatten)]
    source: Source,

    /// With `--root`: folder for keys, sessions and the audit log [default: smcp in the user's state folder]
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,

    /// Read the configuration, print warnings and errors, and end
    #[arg(long)]
    check_config: bool,

    /// Address of the agents' listener, in place of the configured one; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Loopback address of the operator API, in place of the configured one
    #[arg(long, value_name = "ADDRESS")]
    operator_listen: Option<SocketAddr>,

    /// Write the `ready` and `stopped` lines to this inherited file descriptor instead of standard output
    #[arg(long, value_name = "NUMBER", conflicts_with = "ready_pipe", value_parser = clap::value_parser!(u16).range(1..))]
    ready_fd: Option<u16>,

    /// Write the `ready` and `stopped` lines to this file or named pipe instead of standard output
    #[arg(long, value_name = "PATH")]
    ready_pipe: Option<PathBuf>,

    /// End when standard input is closed, as it is when the parent process is gone
    #[arg(long)]
    exit_with_parent: bool,

    /// Form of log lines
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<Format>,

    /// Least important log lines to write
    #[arg(long, value_enum, value_name = "LEVEL")]
    log_level: Option<Level>,
}

/// What the gateway is configured by.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Source {
    /// The configuration (.yaml, .yml, .json or .toml)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Without a configuration: the folder that agents may read, under the embedded defaults
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl GatewayCommand {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let config = self.config()?;
        let announcement = Announcement::open(self)?;
        if self.check_config {
            for warning in &config.warnings {
                output.warn(warning);
            }
            let names: Vec<&str> = config.contexts.iter().map(|context| &*context.name).collect();
            let origin = &config.origin;
            output.line(format_args!("{} {origin}: contexts {}", output.paint(Style::Good, "ok"), names.join(", ")))?;
            return Ok(ExitStatus::Done);
        }
        logging::start(config.log, output);
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
        let runtime = runtime(threads)?;
        let status = runtime.block_on(serve(config, &announcement, self.exit_with_parent, output));
        // Whatever still runs after a forced end must not hold the process up.
        runtime.shutdown_background();
        status
    }

    fn config(&self) -> Outcome<Config> {
        let mut config = match (&self.source.config, &self.source.root) {
            (Some(path), _) => {
                require_file(path)?;
                Config::load(path)?
            }
            (None, Some(root)) => {
                if !root.is_dir() {
                    return Err(Failure::usage(format!("{} is not a folder", shown(root))));
                }
                let state = self.state.clone().map_or_else(default_state_folder, Ok)?;
                refuse_state_in_root(&state, root)?;
                Config::embedded(root, &state)?
            }
            (None, None) => return Err(Failure::usage("give `--config FILE` or `--root DIR`")),
        };
        if let Some(address) = self.listen {
            config.listen.address = address;
            refuse_open_listener(&config)?;
        }
        if let Some(address) = self.operator_listen {
            if !address.ip().is_loopback() {
                return Err(Failure::usage(format!("`--operator-listen`: `{address}` is not loopback")));
            }
            match &mut config.operator {
                Some(operator) => operator.address = address,
                None => return Err(Failure::usage("`--operator-listen`: the operator API is switched off")),
            }
        }
        if let Some(format) = self.log_format {
            config.log.format = match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            };
        }
        if let Some(level) = self.log_level {
            config.log.level = match level {
                Level::Error => LogLevel::Error,
                Level::Warn => LogLevel::Warn,
                Level::Info => LogLevel::Info,
                Level::Debug => LogLevel::Debug,
                Level::Trace => LogLevel::Trace,
            };
        }
        Ok(config)
    }
}

/// What the configuration refuses for an address of its own it refuses for one of the command line too.
fn refuse_open_listener(config: &Config) -> Outcome<()> {
    let listen = &config.listen;
    if listen.is_loopback() {
        return Ok(());
    }
    let address = listen.address;
    if listen.tls.is_none() && !listen.behind_tls_proxy {
        return Err(Failure::usage(format!(
            "`--listen`: `{address}` is not loopback: configure `tls`, or `behind_tls_proxy: true` when a proxy ends TLS"
        )));
    }
    if matches!(config.attestation.verifier, VerifierConfig::AllowAll) {
        return Err(Failure::usage(format!(
            "`--listen`: `{address}` is not loopback, and `allow_all` believes everybody"
        )));
    }
    let authenticated = listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if config.legacy.is_some() && !authenticated {
        return Err(Failure::usage(format!("`--listen`: `{address}` is not loopback, and `legacy` lets plain MCP in")));
    }
    Ok(())
}

/// `$XDG_STATE_HOME/smcp`, else `~/.local/state/smcp`.
fn default_state_folder() -> Outcome<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("smcp"))
        .ok_or_else(|| Failure::usage("there is no home folder for keys and the audit log; give `--state DIR`"))
}

/// Agents may read everything below the root, so the signing key cannot be there.
fn refuse_state_in_root(state: &Path, root: &Path) -> Outcome<()> {
    let unreadable =
        |path: &Path, error: std::io::Error| Failure::usage(format!("{}: {}", shown(path), reason(&error)));
    let root = fs::canonicalize(root).map_err(|error| unreadable(root, error))?;
    let state = absolute(state).map_err(|error| unreadable(state, error))?;
    let real = state.ancestors().find_map(|ancestor| fs::canonicalize(ancestor).ok());
    if real.is_some_and(|real| real.starts_with(&root)) {
        return Err(Failure::usage(format!(
            "{}: the gateway's keys would lie below `--root`, where agents may read",
            shown(&state)
        ))
        .with_hint("give another `--state` folder"));
    }
    Ok(())
}

/// Where the parent process reads what became of the gateway.
enum Announcement {
    StandardOutput,
    File(PathBuf, std::sync::Mutex<fs::File>),
}

impl Announcement {
    fn open(command: &GatewayCommand) -> Outcome<Self> {
        let path = match (command.ready_fd, &command.ready_pipe) {
            (Some(number), _) => PathBuf::from(format!("/dev/fd/{number}")),
            (None, Some(path)) => path.clone(),
            (None, None) => return Ok(Self::StandardOutput),
        };
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|error| Failure::usage(format!("cannot write to {}: {}", shown(&path), reason(&error))))?;
        Ok(Self::File(path, std::sync::Mutex::new(file)))
    }

    fn say(&self, line: Vec<u8>, output: &Output) -> Outcome<()> {
        match self {
            Self::StandardOutput => output.json(&line),
            Self::File(path, file) => {
                let mut line = line;
                line.push(b'\n');
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match file.write_all(&line).and_then(|()| file.flush()) {
                    Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                        Err(Failure::check(format!("cannot write to {}: {}", shown(path), reason(&error))))
                    }
                    Ok(()) | Err(_) => Ok(()),
                }
            }
        }
    }
}

/// What asks the gateway to end.
struct Requests {
    interrupt: Signal,
    terminate: Signal,
    /// Fires when standard input ends; `None` when that is not watched.
    parent: Option<oneshot::Receiver<()>>,
}

impl Requests {
    fn new(exit_with_parent: bool) -> Outcome<Self> {
        let broken = |error: std::io::Error| Failure::check(format!("signals cannot be received: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(broken)?,
            terminate: signal(SignalKind::terminate()).map_err(broken)?,
            parent: exit_with_parent.then(watch_parent),
        })
    }

    /// Waits for the first request.
    async fn first(&mut self) -> Request {
        let parent = async {
            match &mut self.parent {
                Some(gone) => drop(gone.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Request::Signal,
            _ = self.terminate.recv() => Request::Signal,
            () = parent => Request::ParentGone,
        }
    }

    /// Waits until two signals have come, counting the first request if it was one.
    async fn second_signal(&mut self, first: Request) {
        let missing = match first {
            Request::Signal => 1,
            // A parent that closes the pipe and then sends a signal asks for the same thing twice.
            Request::ParentGone => 2,
        };
        for _ in 0..missing {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}

/// How the gateway was asked to end.
#[derive(Clone, Copy)]
enum Request {
    Signal,
    ParentGone,
}

/// Reads standard input to its end, on a thread of its own that nobody waits for.
fn watch_parent() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 256];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        // Nobody waits any more when the gateway ends for another reason.
        let _ = sender.send(());
    });
    receiver
}

async fn serve(
    config: Config,
    announcement: &Announcement,
    exit_with_parent: bool,
    output: &Output,
) -> Outcome<ExitStatus> {
    let mut requests = Requests::new(exit_with_parent)?;
    let gateway = tokio::select! {
        started = Gateway::start(config, StartOptions::default()) => started?,
        _ = requests.first() => {
            tracing::warn!("asked to end before the start was complete");
            return Ok(ExitStatus::Failed);
        }
    };
    announcement.say(ready_line(&gateway), output)?;
    let request = requests.first().await;
    tracing::info!("draining; a second signal ends it at once");
    tokio::select! {
        report = gateway.shutdown() => {
            let cut_off = i64::try_from(report.cut_off).unwrap_or(i64::MAX);
            let line = ObjectWriter::new()
                .text("event", "stopped")
                .text("audit_head", &report.audit_head)
                .integer("cut_off", cut_off);
            announcement.say(line.finish(), output)?;
            Ok(if report.cut_off == 0 { ExitStatus::Done } else { ExitStatus::Failed })
        }
        () = requests.second_signal(request) => {
            tracing::warn!("ended at once; calls under way are lost");
            Ok(ExitStatus::Failed)
        }
    }
}

fn ready_line(gateway: &RunningGateway) -> Vec<u8> {
    let token_file = gateway.operator_token_file().map(|path| path.display().to_string());
    ObjectWriter::new()
        .text("event", "ready")
        .text("url", gateway.url())
        .optional_text("operator_url", gateway.operator_url())
        .optional_text("operator_token_file", token_file.as_deref())
        .text("audit_file", &gateway.audit_file().display().to_string())
        .integer("pid", i64::from(std::process::id()))
        .finish()
}
