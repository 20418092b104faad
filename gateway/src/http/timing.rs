//! Time spent in each step, sent as `Server-Timing` when the configuration asks for it.

use std::fmt::Write as _;
use std::time::Instant;

use axum::http::HeaderValue;
use axum::response::Response;

use crate::pipeline::Step;

/// Collects the time between steps.
#[derive(Debug)]
pub(super) struct Timing {
    last: Instant,
    steps: Vec<(Step, f64)>,
}

impl Timing {
    /// Starts with the arrival of the body.
    pub(super) fn start() -> Self {
        Self { last: Instant::now(), steps: Vec::with_capacity(8) }
    }

    /// Notes that a step has ended.
    pub(super) fn passed(&mut self, step: Step) {
        let now = Instant::now();
        self.steps.push((step, now.duration_since(self.last).as_secs_f64() * 1000.0));
        self.last = now;
    }

    /// Adds the header, in milliseconds as the standard says.
    pub(super) fn write(&self, response: &mut Response) {
        let mut text = String::new();
        for (step, millis) in &self.steps {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{comma}{};dur={millis:.4}", step.name());
        }
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert("server-timing", value);
        }
    }
}
