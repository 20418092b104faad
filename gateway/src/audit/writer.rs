//! The one task that writes the log: bounded queues in front, group commit behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smcp_core::audit::{AuditRecord, Head, RedactionKey};
use smcp_core::keys::Signer;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use super::AuditSettings;
use super::head_post::{self, HeadPost};
use super::ledger::{Entry, Ledger};
use crate::{clock, random};

/// Records that wait to be written; senders beyond wait in turn.
const QUEUE: usize = 1024;
/// Refusals from anyone that wait; further ones are dropped and counted.
const REFUSAL_QUEUE: usize = 256;
/// Records written together.
const BATCH: usize = 256;
/// How long a sender waits for its record, with a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the time is looked at when nothing else happens.
const IDLE: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<()>>;

/// What handles and the writer's task share.
struct Shared {
    required: bool,
    keeps_evidence: bool,
    healthy: AtomicBool,
    /// Records that were not written although nobody was refused for it.
    lost: AtomicU64,
    head: Mutex<Head>,
    redaction: RedactionKey,
}

/// Appends to the audit log. Cheap to clone.
#[derive(Clone)]
pub struct AuditHandle {
    shared: Arc<Shared>,
    records: mpsc::Sender<(Entry, Option<Answer>)>,
    refusals: mpsc::Sender<Entry>,
}

fn unavailable(reason: &'static str) -> Error {
    Error::new(ErrorKind::AuditUnavailable, reason)
}

impl AuditHandle {
    /// Appends a record and waits until it is written (with `sync: every`, until it is on the disk). A log that is not
    /// `required` takes the record without waiting and never fails.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when the record cannot be written; the caller must not go on with the call.
    pub async fn append(&self, record: AuditRecord, now: UnixTime) -> Result<()> {
        self.send(Entry::Record { record: Box::new(record), message: None, now }).await
    }

    /// Appends a record together with the canonical message of its call, which goes into the evidence file if there is
    /// one.
    ///
    /// # Errors
    /// As [`AuditHandle::append`].
    pub async fn append_with_evidence(&self, record: AuditRecord, message: &[u8], now: UnixTime) -> Result<()> {
        let message = self.shared.keeps_evidence.then(|| message.to_vec());
        self.send(Entry::Record { record: Box::new(record), message, now }).await
    }

    /// Counts a refusal that can come from anyone; the first ones of its source and minute are written in full, outside
    /// `required`. `source` is the name under which addresses are counted together.
    #[expect(clippy::unused_async, reason = "callers need not change when it has to wait one day")]
    pub async fn refused(&self, record: AuditRecord, source: &str, now: UnixTime) {
        let entry = Entry::Refusal { record: Box::new(record), source: source.to_owned(), now };
        if self.refusals.try_send(entry).is_err() {
            self.shared.lose(1);
        }
    }

    async fn send(&self, entry: Entry) -> Result<()> {
        if !self.shared.required {
            if self.records.try_send((entry, None)).is_err() {
                self.shared.lose(1);
            }
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let sent = async {
            let ended = || unavailable("the audit log is closed");
            self.records.send((entry, Some(answer))).await.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        };
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(result) => result,
            Err(_) => Err(unavailable("the audit log did not take the record in time")),
        }
    }

    /// The last record that was written, as `SEQ:HASH`.
    #[must_use]
    pub fn head(&self) -> String {
        self.shared.head.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }

    /// Whether the last write went well and the writer runs.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Acquire)
    }

    /// Records and refusals that were dropped: those of a log that is not `required`, and refusals from anyone beyond
    /// what the queue holds.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The key under which secrets in arguments are written, random for each start.
    #[must_use]
    pub fn redaction(&self) -> &RedactionKey {
        &self.shared.redaction
    }
}

impl std::fmt::Debug for AuditHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AuditHandle({})", self.head())
    }
}

impl Shared {
    fn lose(&self, count: u64) {
        let before = self.lost.fetch_add(count, Ordering::Relaxed);
        let lost = before.saturating_add(count);
        if before == 0 || lost / 1000 > before / 1000 {
            tracing::warn!(lost, "audit records are dropped");
        }
    }
}

/// The running writer; to be shut down at the end.
#[derive(Debug)]
pub struct AuditWriter {
    close: oneshot::Sender<()>,
    task: JoinHandle<Head>,
    posting: Option<JoinHandle<()>>,
}

impl AuditWriter {
    /// Opens the log and starts the task that writes it. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when a file is refused, in use, no log, or of another audit key; `AUDIT_UNAVAILABLE` when it
    /// cannot be written.
    pub fn start(settings: &AuditSettings, signer: Arc<dyn Signer>, now: UnixTime) -> Result<(AuditHandle, Self)> {
        // Without a handler, a file size limit would end the process instead of failing the write.
        let size_limit = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))
            .map_err(|error| Error::new(ErrorKind::InternalError, format!("no signal handler: {error}")))?;
        let ledger = Ledger::open(settings, signer, now)?;
        let (heads, posting) = match &settings.head_url {
            None => (None, None),
            Some(url) => {
                let (sender, receiver) = watch::channel(ledger.head());
                let post = HeadPost::new(url, ledger.log_id())?;
                (Some(sender), Some(tokio::spawn(post.run(receiver))))
            }
        };
        let shared = Arc::new(Shared {
            required: settings.required,
            keeps_evidence: settings.evidence_file.is_some(),
            healthy: AtomicBool::new(true),
            lost: AtomicU64::new(0),
            head: Mutex::new(ledger.head()),
            redaction: RedactionKey::new(Zeroizing::new(random::bytes()?)),
        });
        let (records_in, records) = mpsc::channel(QUEUE);
        let (refusals_in, refusals) = mpsc::channel(REFUSAL_QUEUE);
        let (close, closing) = oneshot::channel();
        let task = Task {
            shared: Arc::clone(&shared),
            ledger: Some(ledger),
            interval: settings.checkpoint_interval,
            heads,
            _size_limit: size_limit,
        };
        let task = tokio::spawn(task.run(records, refusals, closing));
        let handle = AuditHandle { shared, records: records_in, refusals: refusals_in };
        Ok((handle, Self { close, task, posting }))
    }

    /// Writes what waits, a last record and a last checkpoint, brings them to the disk and returns the head as
    /// `SEQ:HASH`. Records appended later are refused.
    pub async fn shutdown(self) -> String {
        if self.close.send(()).is_err() {
            tracing::debug!("the audit writer has ended already");
        }
        let head = match self.task.await {
            Ok(head) => head.to_string(),
            Err(error) => {
                tracing::error!(%error, "the audit writer ended in a defect");
                String::new()
            }
        };
        if let Some(posting) = self.posting {
            let patience = head_post::TIMEOUT.saturating_mul(2).saturating_add(head_post::PACE);
            if tokio::time::timeout(patience, posting).await.is_err() {
                tracing::warn!("the last audit head could not be sent in time");
            }
        }
        head
    }
}

/// The checkpoint interval is an hour at most, so the sum exists.
fn after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or(now)
}

/// The task's side.
struct Task {
    shared: Arc<Shared>,
    /// Away while a blocking thread works with it; gone for good if that thread panicked.
    ledger: Option<Ledger>,
    interval: Duration,
    heads: Option<watch::Sender<Head>>,
    _size_limit: Signal,
}

impl Task {
    async fn run(
        mut self,
        mut records: mpsc::Receiver<(Entry, Option<Answer>)>,
        mut refusals: mpsc::Receiver<Entry>,
        mut closing: oneshot::Receiver<()>,
    ) -> Head {
        let mut due = after(IDLE);
        loop {
            let mut batch = Vec::new();
            let mut uninvited = Vec::new();
            tokio::select! {
                biased;
                _ = &mut closing => break,
                () = sleep_until(due) => {
                    self.tick().await;
                    due = after(IDLE);
                }
                count = records.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                }
                count = refusals.recv_many(&mut uninvited, BATCH) => {
                    if count == 0 {
                        break;
                    }
                }
            }
            // A steady stream of records must not keep refusals waiting until their queue drops them.
            while uninvited.len() < BATCH / 4
                && let Ok(refusal) = refusals.try_recv()
            {
                uninvited.push(refusal);
            }
            batch.extend(uninvited.into_iter().map(|entry| (entry, None)));
            if !batch.is_empty() {
                let was_unsigned = self.is_unsigned();
                self.write(batch).await;
                if !was_unsigned && self.is_unsigned() {
                    due = due.min(after(self.interval));
                }
            }
        }
        self.close(records, refusals).await
    }

    async fn close(
        mut self,
        mut records: mpsc::Receiver<(Entry, Option<Answer>)>,
        mut refusals: mpsc::Receiver<Entry>,
    ) -> Head {
        records.close();
        refusals.close();
        let mut batch = Vec::new();
        while records.recv_many(&mut batch, BATCH).await > 0 {
            self.write(std::mem::take(&mut batch)).await;
        }
        let mut uninvited = Vec::new();
        while refusals.recv_many(&mut uninvited, BATCH).await > 0 {
            self.write(uninvited.drain(..).map(|entry| (entry, None)).collect()).await;
        }
        let closed = self.work(|ledger| ledger.close(clock::now())).await;
        if let Err(error) = closed.and_then(std::convert::identity) {
            tracing::error!(%error, "the audit log could not be closed in an orderly way");
        }
        self.shared.healthy.store(false, Ordering::Release);
        self.publish();
        *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_unsigned(&self) -> bool {
        self.ledger.as_ref().is_some_and(Ledger::is_unsigned)
    }

    /// Runs file work on a thread that may block.
    async fn work<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Ledger) -> T + Send + 'static) -> Result<T> {
        let mut ledger = self.ledger.take().ok_or_else(|| unavailable("the audit writer ended in a defect"))?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&mut ledger);
            (ledger, result)
        });
        let (ledger, result) = worked.await.map_err(|_| unavailable("the audit writer ended in a defect"))?;
        *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner) = ledger.head();
        self.ledger = Some(ledger);
        Ok(result)
    }

    async fn write(&mut self, batch: Vec<(Entry, Option<Answer>)>) {
        let (entries, waiting): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let written = self.work(move |ledger| ledger.write(entries)).await;
        let (answers, checkpoint) = match written {
            Ok(written) => (written.answers, written.checkpoint),
            Err(error) => (vec![Err(error); waiting.len()], false),
        };
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        // Before the answers, so that nobody who was refused still finds the log healthy.
        self.report(answers.iter().find_map(|answer| answer.clone().err()).map_or(Ok(()), Err), failed);
        let mut unheard: u64 = 0;
        for (answer, sender) in answers.into_iter().zip(waiting) {
            match sender {
                // The sender may have lost patience; the record stands all the same.
                Some(sender) => drop(sender.send(answer)),
                None => unheard = unheard.saturating_add(u64::from(answer.is_err())),
            }
        }
        if unheard > 0 {
            self.shared.lose(unheard);
        }
        if checkpoint {
            self.sync().await;
        }
    }

    async fn tick(&mut self) {
        if !self.shared.healthy.load(Ordering::Acquire) {
            let probed = self.work(Ledger::probe).await.and_then(std::convert::identity);
            let recovered = probed.is_ok();
            self.report(probed, 0);
            if !recovered {
                return;
            }
        }
        match self.work(|ledger| ledger.tick(clock::now())).await.and_then(std::convert::identity) {
            Ok(true) => self.sync().await,
            Ok(false) => {}
            Err(error) => self.report(Err(error), 0),
        }
    }

    async fn sync(&mut self) {
        let synced = self.work(Ledger::sync).await.and_then(std::convert::identity);
        let is_synced = synced.is_ok();
        self.report(synced, 0);
        if is_synced {
            self.publish();
        }
    }

    /// Gives the head that is on the disk to whoever sends it elsewhere.
    fn publish(&self) {
        if let (Some(heads), Some(ledger)) = (&self.heads, &self.ledger) {
            heads.send_replace(ledger.head());
        }
    }

    /// Keeps the state of health, and says once when it changes.
    fn report(&self, result: Result<()>, records: usize) {
        let was_healthy = self.shared.healthy.swap(result.is_ok(), Ordering::AcqRel);
        match result {
            Ok(()) if !was_healthy => tracing::info!("the audit log takes records again"),
            Ok(()) => {}
            Err(error) if was_healthy => {
                tracing::error!(%error, records, required = self.shared.required, "the audit log fails");
            }
            Err(error) => tracing::debug!(%error, records, "the audit log still fails"),
        }
    }
}

#[cfg(test)]
mod tests;
