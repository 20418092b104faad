//! The size of an answer as policy counts it: bytes of its compact JSON (section 7).

use std::io::{self, Write};

use serde_json::Value;
use smcp_core::error::{Error, ErrorKind, Executed};

/// Refuses a `result` whose compact JSON is larger than `limit` bytes; equal passes.
///
/// Counting stops at the limit and keeps nothing.
///
/// # Errors
///
/// `POLICY_VIOLATION_RESPONSE_TOO_LARGE` with `executed: true`.
pub(crate) fn check(result: &Value, limit: u64) -> Result<(), Error> {
    let mut counter = Counter { left: limit };
    serde_json::to_writer(&mut counter, result).map_err(|_full| too_large(limit))
}

/// The refusal of an answer larger than `limit` bytes.
pub(crate) fn too_large(limit: u64) -> Error {
    Error::new(
        ErrorKind::PolicyViolationResponseTooLarge,
        format!("the tool's answer is larger than the {limit} bytes the capability allows"),
    )
    .with_executed(Executed::Yes)
}

struct Counter {
    left: u64,
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(length).ok_or_else(|| io::Error::other("limit"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_passes_and_one_more_fails() {
        let result = json!({"a": ["é", 1.5, null]});
        let size = u64::try_from(serde_json::to_vec(&result).unwrap().len()).unwrap();
        assert_eq!(check(&result, size), Ok(()));
        let error = check(&result, size - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PolicyViolationResponseTooLarge);
        assert_eq!(error.details().executed, Some(Executed::Yes));
    }
}
