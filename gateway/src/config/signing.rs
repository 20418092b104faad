//! The key that signs security tokens (section 6).

use std::path::PathBuf;
use std::time::Duration;

use smcp_core::error::Result;
use smcp_core::settings::{Fields, quote};
use smcp_core::time::UnixTime;

use super::base::Base;
use super::quantity::{DAY, SECOND, duration, show_duration};

/// The signing key and its predecessors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningConfig {
    /// File of the key, made at the first start.
    pub key_file: PathBuf,
    /// Keys that signed before it.
    pub retired: Vec<RetiredKey>,
    /// How long a retired key goes on verifying, default 24 h; never shorter than a token lives.
    pub overlap: Duration,
}

/// A key that signs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKey {
    /// Its file.
    pub key_file: PathBuf,
    /// When it signed last; it verifies until `overlap` later.
    pub retired_at: UnixTime,
}

impl SigningConfig {
    pub(super) fn read(root: &Fields<'_>, base: &Base<'_>, token_ttl: Duration) -> Result<Self> {
        let mut config = Self { key_file: base.state.join("signing.key"), retired: Vec::new(), overlap: DAY };
        let Some(field) = root.optional("signing") else { return Ok(config) };
        let fields = field.fields(&["key_file", "retired", "overlap"])?;
        if let Some(field) = fields.optional("key_file") {
            config.key_file = base.path(&field)?;
        }
        if let Some(field) = fields.optional("overlap") {
            config.overlap = duration(&field, SECOND..=DAY.saturating_mul(90))?;
            if config.overlap < token_ttl {
                return Err(field.error(&format!(
                    "`{}` is shorter than `session.token_ttl` (`{}`), so tokens would outlive the key that verifies them",
                    show_duration(config.overlap),
                    show_duration(token_ttl)
                )));
            }
        }
        for field in fields.optional("retired").map_or(Ok(Vec::new()), |field| field.list())? {
            let fields = field.fields(&["key_file", "retired_at"])?;
            let file = fields.required("key_file")?;
            let key_file = base.file(&file)?;
            if key_file == config.key_file {
                return Err(file.error("is the key that signs now"));
            }
            let at = fields.required("retired_at")?;
            let text = at.text()?;
            let retired_at = UnixTime::parse_rfc3339(text).map_err(|_| {
                at.error(&format!("{} is not a time with a zone such as `2026-02-17T14:32:01Z`", quote(text)))
            })?;
            config.retired.push(RetiredKey { key_file, retired_at });
        }
        Ok(config)
    }
}
