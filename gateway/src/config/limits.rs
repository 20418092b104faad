//! Limits of the HTTP front and of the stores in memory.

use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::Fields;

use super::quantity::{HOUR, SECOND, count, duration, memory_size};

/// Limits of the HTTP front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Largest body in bytes, default 4 MiB (section 1).
    pub body_size: usize,
    /// Largest request head in bytes, default 32 KiB.
    pub header_size: usize,
    /// Longest time for the head of a request, default 10 s.
    pub header_timeout: Duration,
    /// Longest time for a whole request, default 60 s.
    pub request_timeout: Duration,
    /// How long a shutdown waits for calls in flight, default 30 s.
    pub drain_timeout: Duration,
    /// Requests in work at one time, default 512; one more is answered OVERLOADED.
    pub concurrency: usize,
    /// Open connections, default 2048.
    pub connections: usize,
}

impl LimitsConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let mut config = Self {
            body_size: 4 << 20,
            header_size: 32 << 10,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            concurrency: 512,
            connections: 2048,
        };
        let Some(field) = root.optional("limits") else { return Ok(config) };
        let fields = field.fields(&[
            "body_size",
            "header_size",
            "header_timeout",
            "request_timeout",
            "drain_timeout",
            "concurrency",
            "connections",
        ])?;
        if let Some(field) = fields.optional("body_size") {
            config.body_size = memory_size(&field, 1 << 10..=256 << 20)?;
        }
        if let Some(field) = fields.optional("header_size") {
            config.header_size = memory_size(&field, 4 << 10..=1 << 20)?;
        }
        if let Some(field) = fields.optional("header_timeout") {
            config.header_timeout = duration(&field, SECOND..=HOUR)?;
        }
        if let Some(field) = fields.optional("request_timeout") {
            config.request_timeout = duration(&field, SECOND..=HOUR)?;
        }
        if let Some(field) = fields.optional("drain_timeout") {
            config.drain_timeout = duration(&field, Duration::ZERO..=HOUR)?;
        }
        if let Some(field) = fields.optional("concurrency") {
            config.concurrency = count(&field, 1..=100_000)?;
        }
        if let Some(field) = fields.optional("connections") {
            config.connections = count(&field, 1..=1_000_000)?;
        }
        Ok(config)
    }
}

/// The replay store (section 5, step 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// Entries the store holds, default 500 000.
    pub capacity: usize,
    /// Entries one session may hold, default 50 000, or `capacity` if that is less.
    pub per_session: usize,
}

impl ReplayConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let mut config = Self { capacity: 500_000, per_session: 50_000 };
        let Some(field) = root.optional("replay") else { return Ok(config) };
        let fields = field.fields(&["capacity", "per_session"])?;
        if let Some(field) = fields.optional("capacity") {
            config.capacity = count(&field, 1..=100_000_000)?;
        }
        match fields.optional("per_session") {
            Some(field) => {
                config.per_session = count(&field, 1..=100_000_000)?;
                if config.per_session > config.capacity {
                    return Err(field.error(&format!(
                        "`{}` is more than `replay.capacity` (`{}`)",
                        config.per_session, config.capacity
                    )));
                }
            }
            None => config.per_session = config.per_session.min(config.capacity),
        }
        Ok(config)
    }
}

/// Counters of the contexts' rate limits (section 7, "Rate limit").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatesConfig {
    /// Counters held at one time, one per workload, context and limited capability; default 100 000.
    pub counters: usize,
}

impl RatesConfig {
    pub(super) fn read(root: &Fields<'_>) -> Result<Self> {
        let mut config = Self { counters: 100_000 };
        if let Some(field) = root.optional("rates")
            && let Some(field) = field.fields(&["counters"])?.optional("counters")
        {
            config.counters = count(&field, 1..=100_000_000)?;
        }
        Ok(config)
    }
}
