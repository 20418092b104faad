//! Sessions and the tokens that stand for them.

use std::path::PathBuf;
use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::{Fields, quote};

use super::base::Base;
use super::quantity::{HOUR, count, seconds};

/// Sessions, blocks and revocations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Where they are kept, default a file in the state folder.
    pub store: SessionStoreConfig,
    /// Live sessions held at one time, default 100 000.
    pub capacity: usize,
    /// Lifetime of a token, default 1 h, at most 24 h (section 3).
    pub token_ttl: Duration,
    /// Leeway of `exp` in seconds, 0 to 60, default 0.
    pub token_leeway: u32,
    /// Verified tokens remembered, default 10 000.
    pub token_cache: usize,
}

/// Where sessions, blocks and revocations are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStoreConfig {
    /// In memory: a restart forgets blocks and revocations.
    Memory,
    /// In this file.
    File(PathBuf),
}

impl SessionConfig {
    pub(super) fn read(root: &Fields<'_>, base: &Base<'_>) -> Result<Self> {
        let mut config = Self {
            store: SessionStoreConfig::File(base.state.join("sessions.redb")),
            capacity: 100_000,
            token_ttl: HOUR,
            token_leeway: 0,
            token_cache: 10_000,
        };
        let Some(field) = root.optional("session") else { return Ok(config) };
        let fields = field.fields(&["store", "capacity", "token_ttl", "token_leeway", "token_cache"])?;
        if let Some(store) = fields.optional("store") {
            config.store = if store.is_mapping() {
                SessionStoreConfig::File(base.path(&store.fields(&["file"])?.required("file")?)?)
            } else if store.text()? == "memory" {
                SessionStoreConfig::Memory
            } else {
                let found = quote(store.text()?);
                return Err(store.error(&format!("expected `memory` or a mapping with `file`, found {found}")));
            };
        }
        if let Some(field) = fields.optional("capacity") {
            config.capacity = count(&field, 1..=10_000_000)?;
        }
        if let Some(field) = fields.optional("token_ttl") {
            config.token_ttl = Duration::from_secs(u64::from(seconds(&field, 1..=86_400)?));
        }
        if let Some(field) = fields.optional("token_leeway") {
            config.token_leeway = seconds(&field, 0..=60)?;
        }
        if let Some(field) = fields.optional("token_cache") {
            config.token_cache = count(&field, 0..=10_000_000)?;
        }
        Ok(config)
    }
}
