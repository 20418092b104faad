//! The process of a tool server: its own group, its own environment, never left behind.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::config::StdioConfig;

/// Variables of the gateway a tool server sees; all others come from its configuration.
const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR"];
/// How long a server may take to leave after its standard input closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// How long the output of a dead server is still read when a process outside its group keeps the pipe.
const DRAIN: Duration = Duration::from_millis(300);

/// A started tool server.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its standard input; closing it asks the server to leave.
    pub(crate) stdin: ChildStdin,
    /// Its standard output.
    pub(crate) stdout: ChildStdout,
    /// Its standard error.
    pub(crate) stderr: ChildStderr,
    /// Ends it when cancelled: SIGTERM after a grace time, then SIGKILL, to its whole group.
    pub(crate) stop: CancellationToken,
    /// Cancelled when the process is gone and its group was killed.
    pub(crate) gone: CancellationToken,
}

/// Starts a tool server and a task that looks after it.
///
/// # Errors
///
/// Whatever starting the program reports.
pub(crate) fn start(config: &StdioConfig) -> io::Result<Process> {
    let mut command = Command::new(&config.command);
    command.args(&config.args).env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(&config.env);
    if let Some(directory) = &config.cwd {
        command.current_dir(directory);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::Error::other("the process has no pipes"));
    };
    let group = Group::of(&child);
    let (stop, gone) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(look_after(child, group, stop.clone(), gone.clone()));
    Ok(Process { stdin, stdout, stderr, stop, gone })
}

async fn look_after(mut child: Child, group: Group, stop: CancellationToken, gone: CancellationToken) {
    let _announce = gone.drop_guard();
    let exit = group.exit_notice();
    tokio::select! {
        () = exited(exit.as_ref(), &mut child) => {}
        () = stop.cancelled() => {
            // The transport has closed standard input by now, which is MCP's way to say goodbye.
            if tokio::time::timeout(GRACE, exited(exit.as_ref(), &mut child)).await.is_err() {
                group.signal(Signal::TERM);
                let _exited_or_not = tokio::time::timeout(GRACE, exited(exit.as_ref(), &mut child)).await;
            }
        }
    }
    // Before the leader is reaped, so that the number of the group cannot belong to anybody else.
    group.signal(Signal::KILL);
    drop(group);
    match child.wait().await {
        Ok(status) => tracing::debug!(%status, "tool server process ended"),
        Err(error) => tracing::warn!(%error, "cannot wait for a tool server process"),
    }
    tokio::select! {
        () = tokio::time::sleep(DRAIN) => {}
        () = stop.cancelled() => {}
    }
}

/// Waits until the process has ended, without reaping it where the kernel can tell us so.
async fn exited(notice: Option<&AsyncFd<rustix::fd::OwnedFd>>, child: &mut Child) {
    match notice {
        Some(descriptor) => {
            let _readable = descriptor.readable().await;
        }
        None => {
            let _status = child.wait().await;
        }
    }
}

/// The process group of a server; killed when dropped, also when the runtime goes down.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// The child leads its group, so the group's number is its own.
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error only says that nobody is left.
            let _nobody_left = rustix::process::kill_process_group(group, signal);
        }
    }

    #[expect(deprecated, reason = "its successor is unsafe because a type may change its descriptor; OwnedFd does not")]
    fn exit_notice(&self) -> Option<AsyncFd<rustix::fd::OwnedFd>> {
        let descriptor = rustix::process::pidfd_open(self.0?, PidfdFlags::NONBLOCK).ok()?;
        AsyncFd::with_interest(descriptor, Interest::READABLE).ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
