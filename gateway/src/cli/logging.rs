//! Log lines of the gateway, on standard error.

use tracing_subscriber::EnvFilter;

use super::output::Output;
use crate::config::{LogConfig, LogFormat, LogLevel};

/// Sends log lines to standard error from now on. A host program's own subscriber stays if it has one.
pub(super) fn start(config: LogConfig, output: &Output) {
    // Other crates at `debug` print what passes through them, tokens and arguments included.
    let others = if config.level == LogLevel::Error { LogLevel::Error } else { LogLevel::Warn };
    let level = config.level.name();
    let filter = format!("{},smcp_gateway={level},smcp_core={level},smcp_client={level},smcp={level}", others.name());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_target(false);
    let started = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(output.has_colour(true)).try_init(),
    };
    drop(started);
}
