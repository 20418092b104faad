//! Logging.

use smcp_core::error::Result;
use smcp_core::settings::Fields;

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important lines to write, default `info`.
    pub level: LogLevel,
    /// Form of the lines, default text.
    pub format: LogFormat,
}

/// Importance of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Defects and refused starts.
    Error,
    /// What an operator should look at.
    Warn,
    /// Starts, stops, reconnects.
    Info,
    /// Single requests.
    Debug,
    /// Everything.
    Trace,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogLevel {
    /// The word used in configurations and by `tracing`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LogConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let mut config = Self { level: LogLevel::Info, format: LogFormat::Text };
        let Some(field) = root.optional("log") else { return Ok(config) };
        let fields = field.fields(&["level", "format"])?;
        if let Some(field) = fields.optional("level") {
            let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
            config.level = field.choice(&levels.map(|level| (level.name(), level)))?;
        }
        if let Some(field) = fields.optional("format") {
            config.format = field.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])?;
        }
        Ok(config)
    }
}
