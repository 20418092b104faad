//! Winning sessions: one attestation for everybody who asks at the same time (sections 4 and 5).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smcp_core::error::Executed;
use smcp_core::smcp::send::{AttestAnswer, SessionRecord, attest_body};
use smcp_core::{Error, ErrorKind};
use tokio::{task, time};
use zeroize::{Zeroize as _, Zeroizing};

use super::process::Process;
use super::{Client, SessionSigner, jitter, on_the_right_thread, redirected};
use crate::credential::bearer;
use crate::{ClientError, ClientOptions, EphemeralKey, Level, Result, Stage, retry};

/// Milliseconds without a new try after an early renewal failed while the old token still works.
const RENEWAL_PAUSE_MILLIS: i64 = 5_000;

impl Client {
    /// The record to call with, renewed when its end is near.
    pub(super) async fn current_record(&self, process: &Arc<Process>) -> Result<Arc<SessionRecord>> {
        let record = self.inner.session.require().map_err(|error| self.local(error))?;
        let now = self.inner.clock.corrected((self.inner.options.clock)());
        if !self.inner.options.reattest || !record.needs_renewal(now) {
            return Ok(record);
        }
        let expired = record.expires_at.is_some_and(|expires_at| expires_at <= now);
        if !expired && now.millis() < process.renewal_pause.load(Ordering::Relaxed) {
            return Ok(record);
        }
        let seen = process.finished.load(Ordering::Acquire);
        match self.attest_once(process, seen, Some(&record)).await {
            Ok(renewed) => Ok(renewed),
            // The old token still has a few seconds; the gateway judges it, not this clock.
            Err(error) if !expired => {
                process.renewal_pause.store(now.millis().saturating_add(RENEWAL_PAUSE_MILLIS), Ordering::Relaxed);
                process
                    .events
                    .report(Level::Warning, format!("the session could not be renewed: {}", error.kind().name()));
                Ok(record)
            }
            Err(error) => Err(error),
        }
    }

    /// One attestation for everybody who asks at the same time. `seen` is the number of attestations finished when the
    /// caller asked; `instead_of` the record the caller found wanting.
    pub(super) async fn attest_once(
        &self,
        process: &Process,
        seen: u64,
        instead_of: Option<&Arc<SessionRecord>>,
    ) -> Result<Arc<SessionRecord>> {
        let mut last = process.attesting.lock().await;
        if let Some((_, result)) = last.as_ref().filter(|(number, _)| *number > seen) {
            return result.clone();
        }
        if let (Some(old), Some(current)) = (instead_of, self.inner.session.record())
            && !Arc::ptr_eq(old, &current)
        {
            return Ok(current);
        }
        let result = self.attest_with_retries(process).await;
        let number = process.finished.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        *last = Some((number, result.clone()));
        result
    }

    async fn attest_with_retries(&self, process: &Process) -> Result<Arc<SessionRecord>> {
        let (mut corrected, mut attempt) = (false, 0_u32);
        loop {
            let offset = self.inner.clock.offset_millis();
            let error = match self.try_attest(process).await {
                Ok(record) => return Ok(record),
                Err(error) => error,
            };
            let skewed = matches!(error.kind(), ErrorKind::AttestationFailed | ErrorKind::StaleTimestamp);
            if error.is_said_by_gateway() && !corrected && skewed && self.is_worth_correcting(offset) {
                corrected = true;
                continue;
            }
            let Some(delay) = retry::delay(&error, attempt, self.inner.options.max_retries, jitter()) else {
                process.events.report(Level::Warning, format!("attestation failed: {}", error.kind().name()));
                return Err(error);
            };
            attempt = attempt.saturating_add(1);
            let kind = error.kind().name();
            process.events.report(Level::Info, format!("attesting again after {kind}, attempt {attempt}"));
            time::sleep(delay).await;
        }
    }

    async fn try_attest(&self, process: &Process) -> Result<Arc<SessionRecord>> {
        let options = &self.inner.options;
        let dialect = options.dialect;
        let fail = |error: Error| ClientError::at(Stage::Attest, error, dialect);
        let (signer, own_key) = match &options.key {
            Some(key) => (key.clone(), None),
            None => {
                let key = Arc::new(EphemeralKey::generate().map_err(fail)?);
                (SessionSigner::memory(Arc::clone(&key)), Some(key))
            }
        };
        let credential = self.fetch_credential().await.map_err(fail)?;
        let (now, identity, own) = (self.signing_time(), options.clone(), Arc::clone(&signer.signer));
        let compose = move || {
            let ClientOptions { workload_id, security_scope, gateway_url, .. } = &identity;
            attest_body(dialect, workload_id, security_scope, gateway_url, own.as_ref(), now)
        };
        let body = on_the_right_thread(signer.blocking, compose).await.map_err(fail)?;
        let bearer = credential.as_ref().map(|credential| credential.as_str());
        let answer = self.exchange(process, dialect.attest_path(), body, bearer, options.attest_timeout).await;
        let mut answer = answer.map_err(fail)?;
        let granted =
            redirected(&answer).and_then(|()| AttestAnswer::parse(answer.status, &answer.body, dialect, self.limits()));
        let granted = match granted {
            Ok(granted) => granted,
            Err(refused) => {
                let error = ClientError::answered(true, refused, answer, dialect);
                let secret = bearer.and_then(|bearer| bearer.strip_prefix("Bearer "));
                return Err(error.without(secret.unwrap_or_default()));
            }
        };
        answer.body.zeroize();
        let received = self.inner.clock.corrected((options.clock)());
        let record = Arc::new(SessionRecord::attested(signer.signer, signer.blocking, granted, received));
        self.inner.own_key.store(own_key);
        self.inner.session.replace(Some(Arc::clone(&record)));
        if self.inner.closed.load(Ordering::Acquire) {
            self.inner.forget_session();
            return Err(self.local(Error::new(ErrorKind::InvalidArgument, "the client is closed")));
        }
        let session = record.session_id.as_deref().unwrap_or("without id").escape_debug().take(64).collect::<String>();
        process.events.report(Level::Info, format!("attested, session `{session}`"));
        Ok(record)
    }

    async fn fetch_credential(&self) -> smcp_core::Result<Option<Zeroizing<String>>> {
        let Some(credential) = self.inner.options.credential() else { return Ok(None) };
        let deadline = self.inner.options.attest_timeout;
        let fetching = task::spawn_blocking(move || credential.fetch());
        match time::timeout(deadline, fetching).await {
            Ok(Ok(fetched)) => bearer(&fetched?).map(Some),
            Ok(Err(_)) => Err(Error::new(ErrorKind::InternalError, "the workload credential's source panicked")),
            Err(_) => {
                let message =
                    format!("the workload credential did not come within `{}` seconds", deadline.as_secs_f64());
                Err(Error::new(ErrorKind::Timeout, message).with_executed(Executed::No))
            }
        }
    }
}
