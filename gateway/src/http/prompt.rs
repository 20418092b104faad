//! Connections that say nothing are cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Length of HTTP/2's preface: only after so many bytes is it sure which version of HTTP a connection speaks.
const PREFACE_BYTES: usize = 24;

/// A stream whose first bytes must come before a deadline.
///
/// `hyper` starts its own clock for a request's head when it knows the version of HTTP, and finds that out without any
/// limit of time: a connection that sends nothing, or a part of HTTP/2's preface, would stay for ever.
#[derive(Debug)]
pub(super) struct Prompt<S> {
    stream: S,
    /// Gone once the first bytes are there.
    deadline: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl<S> Prompt<S> {
    /// Gives the peer `patience` for its first bytes, from now on.
    pub(super) fn new(stream: S, patience: Duration) -> Self {
        Self { stream, deadline: Some(Box::pin(sleep(patience))), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some(deadline) = &mut this.deadline else { return polled };
        if polled.is_ready() {
            this.read = this.read.saturating_add(buffer.filled().len().saturating_sub(before));
            if this.read >= PREFACE_BYTES {
                this.deadline = None;
            }
            return polled;
        }
        deadline.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn a_silent_peer_runs_out_of_time() {
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            let (mut peer, stream) = duplex(64);
            let mut stream = Prompt::new(stream, Duration::from_millis(20));
            peer.write_all(said).await.unwrap();
            let mut heard = Vec::new();
            let error = stream.read_to_end(&mut heard).await.unwrap_err();
            assert_eq!((error.kind(), heard.as_slice()), (io::ErrorKind::TimedOut, said));
        }
    }

    #[tokio::test]
    async fn a_peer_that_spoke_may_wait() {
        let (mut peer, stream) = duplex(64);
        let mut stream = Prompt::new(stream, Duration::from_millis(20));
        peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.unwrap();
        let mut heard = [0; 25];
        stream.read_exact(&mut heard).await.unwrap();
        sleep(Duration::from_millis(60)).await;
        peer.write_all(b"\r\n").await.unwrap();
        stream.read_exact(&mut heard[..2]).await.unwrap();
    }
}
