//! Lines of a byte stream with a limit on their length.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::upstream::message_id::MessageId;

/// One step through the stream.
#[derive(Debug)]
pub(crate) enum Line {
    /// A whole line without its newline.
    Whole(Vec<u8>),
    /// A line beyond the limit was thrown away; with the JSON-RPC id it had.
    Oversized(Option<i64>),
    /// The stream has ended. An unfinished line before the end is dropped.
    End,
}

/// Reads lines of at most `limit` bytes; longer ones are skipped without being kept.
///
/// `next` may be dropped and called again without losing bytes, as `select!` needs it.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    limit: usize,
    skipping: Option<MessageId>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, reader), line: Vec::new(), limit, skipping: None }
    }

    /// The next line.
    ///
    /// # Errors
    ///
    /// Whatever reading reports.
    pub(crate) async fn next(&mut self) -> io::Result<Line> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(Line::End);
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let part = available.get(..newline.unwrap_or(available.len())).unwrap_or_default();
            let used = part.len().saturating_add(usize::from(newline.is_some()));
            if let Some(scan) = &mut self.skipping {
                scan.feed(part);
            } else if self.line.len().saturating_add(part.len()) > self.limit {
                let mut scan = MessageId::default();
                scan.feed(&self.line);
                scan.feed(part);
                self.line = Vec::new();
                self.skipping = Some(scan);
            } else {
                self.line.extend_from_slice(part);
            }
            self.reader.consume(used);
            if newline.is_some() {
                return Ok(match self.skipping.take() {
                    Some(scan) => Line::Oversized(scan.finish()),
                    None => Line::Whole(std::mem::take(&mut self.line)),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &[u8], limit: usize) -> Vec<String> {
        let mut lines = Lines::new(input, limit);
        let mut seen = Vec::new();
        loop {
            match lines.next().await.unwrap() {
                Line::Whole(line) => seen.push(String::from_utf8(line).unwrap()),
                Line::Oversized(id) => seen.push(format!("too long {id:?}")),
                Line::End => return seen,
            }
        }
    }

    #[tokio::test]
    async fn lines_up_to_the_limit_pass_and_longer_ones_are_skipped() {
        assert_eq!(read(b"abcd\n\nabcde\nxy\ncut", 4).await, ["abcd", "", "too long None", "xy"]);
    }

    #[tokio::test]
    async fn the_id_of_a_skipped_line_is_known() {
        let text = format!("{{\"result\":\"{}\",\"id\":17}}\nok\n", "x".repeat(300_000));
        assert_eq!(read(text.as_bytes(), 1000).await, ["too long Some(17)", "ok"]);
    }
}
