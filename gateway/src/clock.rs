//! The gateway's clock. The core has none; every step is handed the time.

use std::time::{SystemTime, UNIX_EPOCH};

use smcp_core::time::UnixTime;

/// The current time.
#[must_use]
pub fn now() -> UnixTime {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis());
    UnixTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}
