//! Server-sent events of a tool server, limited in size, with answers of ours taken out.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use rmcp::transport::streamable_http_client::SseError;
use smcp_core::error::Error;
use sse_stream::{Sse, SseStream};

use crate::upstream::pending::Pending;
use crate::upstream::wire::{self, Received};

/// Shortest pause before a stream is resumed, whatever the server asks for.
const SHORTEST_RETRY_MS: u64 = 500;
/// Requests of the server passed on per stream; rmcp queues the answers without limit.
const MAX_REQUESTS: usize = 64;

/// The call a response stream belongs to.
#[derive(Debug)]
pub(crate) struct Owner {
    /// The id of the call.
    pub(crate) id: i64,
    /// What the caller gets when an event is beyond the limit.
    pub(crate) oversized: Error,
}

/// Turns the bytes of a response into events rmcp may read.
///
/// An event beyond `limit` ends the stream, and the call of its `owner` with it.
pub(crate) fn events(
    bytes: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
    limit: usize,
    pending: Arc<Pending>,
    owner: Option<Owner>,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let oversized = Arc::new(AtomicBool::new(false));
    let source = SseStream::from_bytes_stream(bounded(bytes, limit, Arc::clone(&oversized)).boxed());
    let reader = Reader { source, oversized, pending, owner, requests: 0, ended: false };
    futures::stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
}

struct Reader<S> {
    source: S,
    oversized: Arc<AtomicBool>,
    pending: Arc<Pending>,
    owner: Option<Owner>,
    requests: usize,
    ended: bool,
}

impl<S: Stream<Item = Result<Sse, SseError>> + Unpin> Reader<S> {
    async fn next(&mut self) -> Option<Result<Sse, SseError>> {
        if self.ended {
            return None;
        }
        match self.source.next().await? {
            Ok(event) => Some(Ok(self.read(event))),
            Err(error) => {
                self.ended = true;
                Some(self.failed(error))
            }
        }
    }

    fn failed(&mut self, error: SseError) -> Result<Sse, SseError> {
        if !self.oversized.load(Ordering::Relaxed) {
            return Err(error);
        }
        tracing::warn!("the tool server sent an event beyond the limit, its stream was ended");
        // As a final answer, or rmcp would ask for the same event again and again.
        let Some(Owner { id, oversized }) = self.owner.take() else { return Err(error) };
        Ok(Sse { data: self.shown(wire::fail(id, oversized, &self.pending), ""), ..Sse::default() })
    }

    fn read(&mut self, mut event: Sse) -> Sse {
        event.retry = event.retry.map(|pause| pause.max(SHORTEST_RETRY_MS));
        if let Some(data) = event.data.take() {
            let received = wire::read(data.as_bytes(), &self.pending);
            event.data = self.shown(received, &data);
        }
        event
    }

    /// The text of an event as rmcp gets to see it.
    fn shown(&mut self, received: Received, text: &str) -> Option<String> {
        match received {
            Received::Answered(id) => serde_json::to_string(&wire::stub(id)).ok(),
            Received::Message(message) => serde_json::to_string(&message).ok(),
            Received::Request { .. } => {
                self.requests = self.requests.saturating_add(1);
                (self.requests <= MAX_REQUESTS).then(|| text.to_owned())
            }
            Received::Nothing => None,
        }
    }
}

/// Passes bytes on until one event is longer than `limit`, counting before anything is kept.
fn bounded(
    bytes: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
    limit: usize,
    oversized: Arc<AtomicBool>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut length = EventLength::default();
    bytes.map(move |chunk| {
        let chunk = chunk.map_err(|error| io::Error::other(error.without_url()))?;
        if length.longest_after(&chunk) > limit {
            oversized.store(true, Ordering::Relaxed);
            return Err(io::Error::other("event beyond the limit"));
        }
        Ok(chunk)
    })
}

/// Length of the event being received, without comments, which nobody keeps.
#[derive(Debug, Default)]
struct EventLength {
    lines: usize,
    line: usize,
    is_comment: bool,
    after_return: bool,
}

impl EventLength {
    /// Counts `chunk` and says how long the longest event became.
    fn longest_after(&mut self, chunk: &[u8]) -> usize {
        let mut longest = 0;
        for byte in chunk {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(),
                first => {
                    if self.line == 0 {
                        self.is_comment = *first == b':';
                    }
                    self.line = self.line.saturating_add(1);
                }
            }
            longest = longest.max(self.lines.saturating_add(self.line));
        }
        longest
    }

    fn end_line(&mut self) {
        if self.line == 0 {
            self.lines = 0;
        } else if !self.is_comment {
            self.lines = self.lines.saturating_add(self.line).saturating_add(1);
        }
        self.line = 0;
        self.is_comment = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::pending::ReplySlot;
    use crate::upstream::request::UpstreamAnswer;
    use serde_json::json;
    use smcp_core::error::ErrorKind;

    fn chunks(text: &str, size: usize) -> impl Stream<Item = Result<Bytes, reqwest::Error>> + use<> {
        let chunks: Vec<_> = text.as_bytes().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        futures::stream::iter(chunks)
    }

    #[test]
    fn events_are_counted_one_by_one() {
        let mut length = EventLength::default();
        assert_eq!(length.longest_after(b"data: 12345\r\n\r\ndata: 1\n\n: a long comment\n\n"), 16);
        assert_eq!(length.longest_after(b"data: 1\ndata: 2\ndata"), 20);
        assert_eq!(length.longest_after(b": 3"), 23);
    }

    #[tokio::test]
    async fn our_answer_goes_to_its_slot_and_rmcp_sees_a_stub() {
        for size in [1, 7, 4096] {
            let pending = Arc::new(Pending::default());
            let (slot, reply) = ReplySlot::new(None, false);
            pending.register(3, slot);
            let text = "id: a\nretry: 0\ndata:\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"x\":1}}\n\n";
            let seen: Vec<_> = events(chunks(text, size), 1000, pending, None).collect().await;
            assert_eq!(seen.len(), 2);
            let first = seen[0].as_ref().unwrap();
            assert_eq!((first.id.as_deref(), first.retry), (Some("a"), Some(SHORTEST_RETRY_MS)));
            let second = seen[1].as_ref().unwrap().data.as_deref().unwrap();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(second).unwrap(),
                json!({"jsonrpc": "2.0", "id": 3, "result": {}})
            );
            assert_eq!(reply.await.unwrap(), Ok(UpstreamAnswer::Result(json!({"x": 1}))));
        }
    }

    #[tokio::test]
    async fn an_event_beyond_the_limit_ends_its_call_once() {
        let pending = Arc::new(Pending::default());
        let (slot, reply) = ReplySlot::new(None, false);
        pending.register(3, slot);
        let owner = Owner { id: 3, oversized: wire::protocol_error("too large") };
        let text = format!("data: {}\n\ndata: {{}}\n\n", "x".repeat(2000));
        let seen: Vec<_> = events(chunks(&text, 100), 1000, pending, Some(owner)).collect().await;
        assert_eq!(seen.len(), 1);
        assert_eq!(reply.await.unwrap().unwrap_err().kind(), ErrorKind::UpstreamProtocolError);
    }

    #[tokio::test]
    async fn a_flood_of_requests_is_cut() {
        let text = "data: {\"jsonrpc\":\"2.0\",\"id\":\"q\",\"method\":\"roots/list\"}\n\n".repeat(MAX_REQUESTS * 2);
        let seen: Vec<_> = events(chunks(&text, 4096), 1000, Arc::default(), None).collect().await;
        assert_eq!(seen.iter().filter(|event| event.as_ref().unwrap().data.is_some()).count(), MAX_REQUESTS);
    }
}
