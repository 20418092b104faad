//! Using sessions: one signed message, with the retries, renewals and corrections that are safe (section 5).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use smcp_core::error::Executed;
use smcp_core::json::{self, Limits};
use smcp_core::smcp::send::{CallAnswer, SessionRecord, compose_request, read_response};
use smcp_core::{Error, ErrorKind};
use tokio::time;

use super::process::Process;
use super::{Client, jitter, on_the_right_thread, redirected};
use crate::{ClientError, Level, Result, Stage, ToolFailure, retry};

/// What to send in one try.
#[derive(Clone, Copy)]
pub(super) enum Message<'m> {
    /// A request with an id of its own for each try.
    Request { method: &'m str, params: Option<&'m [u8]> },
    /// A payload of the caller.
    Payload(&'m [u8]),
}

impl Client {
    pub(super) async fn request(&self, method: &str, params: Option<&[u8]>) -> Result<Vec<u8>> {
        let response = self.invoke(Message::Request { method, params }).await?;
        let dialect = self.inner.options.dialect;
        let missing =
            || Error::new(ErrorKind::BadResponse, "the answer has no `payload`").with_executed(Executed::Unknown);
        let response = response.ok_or_else(|| ClientError::at(Stage::Gateway, missing(), dialect))?;
        match CallAnswer::parse(&response, self.limits()) {
            Ok(CallAnswer::Result(result)) => Ok(result),
            Ok(CallAnswer::ToolError { code, message, data }) => {
                Err(ClientError::tool(message, ToolFailure { code, data }, dialect))
            }
            Err(refused) => {
                Err(ClientError::at(Stage::Gateway, refused.error.with_executed(Executed::Unknown), dialect))
            }
        }
    }

    /// Sends one message under the current session, with the retries, renewals and corrections that are safe.
    pub(super) async fn invoke(&self, message: Message<'_>) -> Result<Option<Vec<u8>>> {
        let process = self.process()?;
        let options = &self.inner.options;
        let mut record = self.current_record(&process).await?;
        let (mut renewed, mut corrected, mut attempt) = (false, false, 0_u32);
        loop {
            let offset = self.inner.clock.offset_millis();
            let error = match self.try_invoke(&process, &record, message).await {
                Ok(response) => return Ok(response),
                Err(error) => error.without(&record.token),
            };
            let said = error.is_said_by_gateway();
            if said && !renewed && options.reattest && record.cured_by_attestation(error.kind()) {
                renewed = true;
                process.events.report(Level::Info, format!("attesting anew after {}", error.kind().name()));
                let seen = process.finished.load(Ordering::Acquire);
                record = self.attest_once(&process, seen, Some(&record)).await?;
                continue;
            }
            if said && !corrected && error.kind() == ErrorKind::StaleTimestamp && self.is_worth_correcting(offset) {
                corrected = true;
                continue;
            }
            let Some(delay) = retry::delay(&error, attempt, options.max_retries, jitter()) else {
                process.events.report(Level::Debug, format!("call failed: {}", error.kind().name()));
                return Err(error);
            };
            attempt = attempt.saturating_add(1);
            let kind = error.kind().name();
            process.events.report(Level::Info, format!("trying again after {kind}, attempt {attempt}"));
            time::sleep(self.spread(message, delay)).await;
        }
    }

    async fn try_invoke(
        &self,
        process: &Process,
        record: &Arc<SessionRecord>,
        message: Message<'_>,
    ) -> Result<Option<Vec<u8>>> {
        let options = &self.inner.options;
        let dialect = options.dialect;
        let (payload, notification) = match message {
            Message::Request { method, params } => {
                let payload = request_id().and_then(|id| compose_request(&id, method, params));
                (payload.map_err(|error| self.local(error))?, false)
            }
            Message::Payload(payload) => (payload.to_vec(), is_notification(payload)),
        };
        let now = self.signing_time();
        let owned = Arc::clone(record);
        let compose = move || owned.compose(&payload, dialect, now);
        let envelope = on_the_right_thread(record.blocking, compose).await.map_err(|error| self.local(error))?;
        let answer = self.exchange(process, dialect.invoke_path(), envelope, None, options.timeout).await;
        let answer = answer.map_err(|error| ClientError::at(Stage::Gateway, error, dialect))?;
        let response = redirected(&answer)
            .and_then(|()| read_response(answer.status, &answer.body, dialect, notification, self.limits()));
        match response {
            Ok(response) => Ok(response),
            Err(refused) => Err(ClientError::answered(false, refused, answer, dialect)),
        }
    }

    /// The same payload signed in the same second is a replay, so a caller's own payload waits for the next one.
    fn spread(&self, message: Message<'_>, delay: Duration) -> Duration {
        match message {
            Message::Request { .. } => delay,
            Message::Payload(_) => delay.max(Duration::from_millis(1_000)),
        }
    }
}

fn is_notification(payload: &[u8]) -> bool {
    let limits = Limits { bytes: usize::MAX, ..Limits::default() };
    json::scan_with(payload, limits).is_ok_and(|document| document.root().get("id").is_none())
}

fn request_id() -> smcp_core::Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system's random generator failed"))?;
    Ok(random.iter().fold("req-".to_owned(), |id, byte| format!("{id}{byte:02x}")))
}
