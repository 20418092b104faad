//! rmcp's transport over the pipes of a child process.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use smcp_core::error::{Error, ErrorKind, Executed};
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::child::Process;
use super::lines::{Line, Lines};
use crate::upstream::pending::{Pending, ReplySlot};
use crate::upstream::wire::{self, Received};

/// Bytes that may wait for a server that does not read its standard input.
const MAX_QUEUED: usize = 64 * 1024 * 1024;
/// Answers to requests of the server that may wait; it can ask faster than it reads.
const MAX_REFUSALS: usize = 64;

/// The two pipes of one process.
#[derive(Debug)]
pub(crate) struct StdioTransport {
    lines: Lines<ChildStdout>,
    outgoing: Option<Outgoing>,
    pending: Arc<Pending>,
    max_message_size: usize,
    stop: CancellationToken,
    gone: CancellationToken,
}

impl StdioTransport {
    /// Takes over the pipes of `process`; its standard error is somebody else's.
    pub(crate) fn new(
        stdin: ChildStdin,
        stdout: ChildStdout,
        (stop, gone): (CancellationToken, CancellationToken),
        pending: Arc<Pending>,
        max_message_size: usize,
    ) -> Self {
        let outgoing = Some(Outgoing::start(stdin));
        Self { lines: Lines::new(stdout, max_message_size), outgoing, pending, max_message_size, stop, gone }
    }

    /// Starts a transport and the log of the server's standard error.
    pub(crate) fn over(process: Process, server: Arc<str>, pending: Arc<Pending>, max_message_size: usize) -> Self {
        let Process { stdin, stdout, stderr, stop, gone } = process;
        tokio::spawn(async move { super::stderr::forward(&server, stderr).await });
        Self::new(stdin, stdout, (stop, gone), pending, max_message_size)
    }

    async fn line(&mut self) -> Line {
        tokio::select! {
            biased;
            line = self.lines.next() => line.unwrap_or(Line::End),
            () = self.gone.cancelled() => Line::End,
        }
    }

    fn oversized(&self, id: Option<i64>) -> Received {
        let limit = self.max_message_size;
        tracing::warn!(limit, "the tool server sent a message beyond the limit, which was thrown away");
        let Some(id) = id else { return Received::Nothing };
        let Some(slot) = self.pending.take(id) else { return wire::fail(id, oversized_error(limit), &self.pending) };
        slot.fill(Err(match slot.max_response_size() {
            Some(allowed) if u64::try_from(limit).is_ok_and(|limit| allowed <= limit) => {
                crate::upstream::size::too_large(allowed)
            }
            Some(_) | None => oversized_error(limit),
        }));
        Received::Answered(id)
    }

    /// Answers a request of the server here: rmcp would queue answers without limit.
    fn refuse(&self, id: &serde_json::Value, method: &str) {
        let Some(outgoing) = &self.outgoing else { return };
        if let Ok(bytes) = serde_json::to_vec(&wire::refusal(id, method)) {
            outgoing.refuse(bytes);
        }
    }
}

/// The failure of a call whose answer is beyond the transport's limit.
pub(crate) fn oversized_error(limit: usize) -> Error {
    Error::new(ErrorKind::UpstreamProtocolError, format!("the tool server's answer is larger than {limit} bytes"))
        .with_executed(Executed::Yes)
}

impl Transport<RoleClient> for StdioTransport {
    type Error = io::Error;

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        // Everything up to the queue happens here and now, so that a cancellation cannot overtake its request.
        let queued = match &self.outgoing {
            Some(outgoing) => {
                if let Some((id, slot)) = ReplySlot::of(&message) {
                    self.pending.register(id, slot);
                }
                outgoing.queue(&message)
            }
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        if queued.is_err()
            && let Some((id, slot)) = ReplySlot::of(&message)
        {
            drop(self.pending.take(id));
            slot.fill(Err(Error::new(ErrorKind::UpstreamUnavailable, "the tool server takes no requests now")
                .with_executed(Executed::No)));
        }
        async move { queued?.await.unwrap_or_else(|_closed| Err(io::ErrorKind::BrokenPipe.into())) }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let received = match self.line().await {
                Line::Whole(line) if line.is_empty() => Received::Nothing,
                Line::Whole(line) => wire::read(&line, &self.pending),
                Line::Oversized(id) => self.oversized(id),
                Line::End => {
                    self.pending.abandon_all();
                    return None;
                }
            };
            match received {
                Received::Answered(id) => return Some(wire::stub(id)),
                Received::Message(message) => match serde_json::from_value(message) {
                    Ok(message) => return Some(message),
                    Err(error) => tracing::debug!(%error, "the tool server sent a message that is not MCP"),
                },
                Received::Request { id, method } => self.refuse(&id, &method),
                Received::Nothing => {}
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.outgoing = None;
        self.pending.abandon_all();
        self.stop.cancel();
        self.gone.cancelled().await;
        Ok(())
    }
}

impl Drop for StdioTransport {
    fn drop(&mut self) {
        self.pending.abandon_all();
        self.stop.cancel();
    }
}

/// A line on its way to the server, and who wants to know how that went.
type Queued = (Vec<u8>, Option<oneshot::Sender<io::Result<()>>>);

/// The queue in front of the server's standard input.
#[derive(Debug)]
struct Outgoing {
    queue: mpsc::UnboundedSender<Queued>,
    bytes: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
}

impl Outgoing {
    fn start(stdin: ChildStdin) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let outgoing = Self { queue, bytes: Arc::default(), refusals: Arc::default() };
        tokio::spawn(write_all(stdin, waiting, Arc::clone(&outgoing.bytes), Arc::clone(&outgoing.refusals)));
        outgoing
    }

    fn queue(&self, message: &ClientJsonRpcMessage) -> io::Result<oneshot::Receiver<io::Result<()>>> {
        let mut line = wire::encode(message)?;
        line.push(b'\n');
        let length = line.len();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before.saturating_add(length) > MAX_QUEUED {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the tool server does not read its input"));
        }
        let (sender, written) = oneshot::channel();
        self.queue.send((line, Some(sender))).map_err(|_closed| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(written)
    }

    fn refuse(&self, mut line: Vec<u8>) {
        if self.refusals.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSALS {
            self.refusals.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        line.push(b'\n');
        self.bytes.fetch_add(line.len(), Ordering::Relaxed);
        // The writer is gone only when the server is.
        let _server_gone = self.queue.send((line, None));
    }
}

async fn write_all(
    mut stdin: ChildStdin,
    mut waiting: mpsc::UnboundedReceiver<Queued>,
    bytes: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
) {
    while let Some((line, sender)) = waiting.recv().await {
        let written = async {
            stdin.write_all(&line).await?;
            stdin.flush().await
        }
        .await;
        bytes.fetch_sub(line.len(), Ordering::Relaxed);
        let failed = written.is_err();
        match sender {
            Some(sender) => {
                let _nobody_waits = sender.send(written);
            }
            None => {
                refusals.fetch_sub(1, Ordering::Relaxed);
            }
        }
        if failed {
            return;
        }
    }
}
