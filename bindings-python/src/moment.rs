//! Python's times, seconds with a fraction, as the core's and back.

use std::time::Duration;

use pyo3::prelude::*;
use smcp_core::smcp::Dialect;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};

use crate::envelope::time;
use crate::errors::raise;

/// A time given as Unix seconds.
pub(crate) fn moment(py: Python<'_>, name: &str, seconds: f64) -> PyResult<UnixTime> {
    let millis = Duration::try_from_secs_f64(seconds).ok().and_then(|since| i64::try_from(since.as_millis()).ok());
    millis.map(UnixTime::from_millis).ok_or_else(|| {
        let message = format!("`{name}` is no time in seconds since 1970");
        raise(py, &Error::new(ErrorKind::InvalidArgument, message), Dialect::Smcp)
    })
}

/// `now` of a call; the system's clock when it is not given.
pub(crate) fn moment_or_now(py: Python<'_>, seconds: Option<f64>) -> PyResult<UnixTime> {
    seconds.map_or_else(|| Ok(time(None)), |seconds| moment(py, "now", seconds))
}

/// Unix seconds with their fraction; times before 1970 are 0.
pub(crate) fn seconds(moment: UnixTime) -> f64 {
    Duration::from_millis(u64::try_from(moment.millis()).unwrap_or(0)).as_secs_f64()
}
