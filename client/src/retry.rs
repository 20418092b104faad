//! When a failed exchange is tried again, and after how long (section 11: only where it is safe).

use std::time::Duration;

use smcp_core::ErrorKind;
use smcp_core::error::Executed;

use crate::{ClientError, Stage};

const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A gateway that asks for a longer pause gets the error to its caller instead.
const LONGEST_PAUSE_SECONDS: u64 = 10;

/// How long to wait before try number `attempt + 1`; `None` when the error is final.
///
/// `jitter` is a fraction of 256, fresh for each delay, so that many clients do not come back together.
pub(crate) fn delay(error: &ClientError, attempt: u32, maximum: u32, jitter: u8) -> Option<Duration> {
    if attempt >= maximum || !is_safe(error) {
        return None;
    }
    let ceiling = FIRST_DELAY.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(LONGEST_DELAY);
    let half = ceiling.mul_f64(0.5);
    let pause = half.saturating_add(half.mul_f64(f64::from(jitter) / 256.0));
    match error.error().details().retry_after {
        None => Some(pause),
        Some(seconds) if seconds <= LONGEST_PAUSE_SECONDS => Some(pause.saturating_add(Duration::from_secs(seconds))),
        Some(_) => None,
    }
}

/// Whether sending again can neither run a tool twice nor hide an answer the caller should see at once.
fn is_safe(error: &ClientError) -> bool {
    let proven = error.error().details().executed == Some(Executed::No);
    match error.stage() {
        Stage::Local | Stage::Tool => false,
        Stage::Attest => {
            matches!(error.kind(), ErrorKind::ConnectionFailed | ErrorKind::Overloaded | ErrorKind::AuditUnavailable)
                || matches!(error.http_status(), Some(502..=504))
        }
        Stage::Rejected | Stage::Gateway => {
            let passing = matches!(
                error.kind(),
                ErrorKind::ConnectionFailed
                    | ErrorKind::Overloaded
                    | ErrorKind::AuditUnavailable
                    | ErrorKind::UpstreamUnavailable
            );
            proven && passing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smcp_core::Error;
    use smcp_core::smcp::Dialect;

    fn failure(stage: Stage, kind: ErrorKind, executed: Executed) -> ClientError {
        ClientError::at(stage, Error::new(kind, "m").with_executed(executed), Dialect::Smcp)
    }

    #[test]
    fn a_call_is_repeated_only_when_no_tool_can_have_run() {
        for kind in ErrorKind::ALL {
            for executed in [Executed::Yes, Executed::Unknown] {
                let error = failure(Stage::Gateway, *kind, executed);
                assert_eq!(delay(&error, 0, 9, 0), None, "{kind:?}");
            }
            assert_eq!(delay(&failure(Stage::Local, *kind, Executed::No), 0, 9, 0), None, "{kind:?}");
        }
        assert!(delay(&failure(Stage::Gateway, ErrorKind::ConnectionFailed, Executed::No), 0, 9, 0).is_some());
        for kind in [ErrorKind::ReplayDetected, ErrorKind::PolicyViolationRateLimitExceeded, ErrorKind::Timeout] {
            assert_eq!(delay(&failure(Stage::Rejected, kind, Executed::No), 0, 9, 0), None, "{kind:?}");
        }
    }

    #[test]
    fn delays_grow_are_bounded_and_obey_the_gateway() {
        let error = failure(Stage::Attest, ErrorKind::ConnectionFailed, Executed::No);
        assert_eq!(delay(&error, 0, 2, 0), Some(Duration::from_millis(100)));
        assert!(delay(&error, 0, 2, 255).unwrap() < Duration::from_millis(200));
        assert_eq!(delay(&error, 1, 2, 0), Some(Duration::from_millis(200)));
        assert_eq!(delay(&error, 2, 2, 0), None);
        assert_eq!(delay(&error, 40, 99, 0), Some(Duration::from_millis(2500)));
        let asked = |seconds| {
            let error = Error::new(ErrorKind::Overloaded, "m").with_executed(Executed::No).with_retry_after(seconds);
            delay(&ClientError::at(Stage::Rejected, error, Dialect::Smcp), 0, 2, 0)
        };
        assert_eq!(asked(3), Some(Duration::from_millis(3100)));
        assert_eq!(asked(11), None);
    }
}
