//! A tool server's standard error, forwarded to the log line by line.

use tokio::io::AsyncRead;
use tokio::time::{Duration, Instant};

use super::lines::{Line, Lines};
use crate::upstream::wire::excerpt;

/// Longest line that is looked at in bytes; longer ones are only counted.
const LONGEST_LINE: usize = 16 * 1024;
/// Lines written to the log per second and server; a flood must not fill the operator's disk.
const LINES_PER_SECOND: u32 = 50;

/// Forwards lines until the stream ends.
pub(crate) async fn forward<R: AsyncRead + Unpin>(server: &str, stderr: R) {
    let mut lines = Lines::new(stderr, LONGEST_LINE);
    let mut second = Instant::now();
    let mut written: u32 = 0;
    let mut dropped: u64 = 0;
    while let Ok(line) = lines.next().await {
        if second.elapsed() >= Duration::from_secs(1) {
            if dropped > 0 {
                tracing::info!(upstream = %server, dropped, "tool server wrote too much to standard error");
            }
            (second, written, dropped) = (Instant::now(), 0, 0);
        }
        match line {
            Line::End => return,
            Line::Whole(text) if written < LINES_PER_SECOND => {
                written = written.saturating_add(1);
                let text = String::from_utf8_lossy(&text);
                tracing::info!(upstream = %server, line = %excerpt(&text), "tool server wrote to standard error");
            }
            Line::Whole(_) | Line::Oversized(_) => dropped = dropped.saturating_add(1),
        }
    }
}
