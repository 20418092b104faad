//! A replay store in a file that the processes of one host share.
//!
//! The file is a log of fixed records behind a header. Whoever wants to know something takes the file's lock, reads the
//! records that others added since, decides, and adds its own record: since every process replays the same records, all
//! of them hold the same window, and the process that has the lock decides for all. A log that is mostly past is written
//! anew under another name and put in the old one's place.
//!
//! Nothing is forced to the disk. What a crash of the machine loses is made up for by the boot id in the header: a file
//! from before is that of a store that was just made (section 5 step 6). Where there is no boot id, every record is
//! forced.

mod log;
mod record;
mod window;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use smcp_core::replay::{ReplayAnswer, ReplayEntry, ReplayStore};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use log::Log;
use record::Record;
use window::{Limits, Window};

/// Longest time to wait for another process that has the lock.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Records of the past that a log may always have.
const FREE_RECORDS: usize = 4096;

/// A replay store in a file.
#[derive(Debug)]
pub(crate) struct ReplayFile {
    path: PathBuf,
    limits: Limits,
    /// `None` before the first use, after a failure and in a forked child.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    log: Log,
    window: Window,
    /// The process that opened it: a child of a fork shares the lock with its parent and must open its own.
    process: u32,
}

impl ReplayFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when there is something else under the name, or others may write to it; `OVERLOADED` and
    /// `INTERNAL_ERROR` as [`ReplayStore::check_and_insert`].
    pub(crate) fn open(path: &Path, capacity: usize, per_session: usize, now: UnixTime) -> Result<Self> {
        let path = std::path::absolute(path)
            .map_err(|error| Error::new(ErrorKind::ConfigInvalid, format!("`{}`: {error}", path.display())))?;
        let per_session = u32::try_from(per_session).unwrap_or(u32::MAX);
        let store = Self { path, limits: Limits { capacity, per_session }, open: Mutex::default() };
        store.with(now, |_| Ok(()))?;
        Ok(store)
    }

    /// Messages remembered now, some of which may be past.
    ///
    /// # Errors
    /// As [`ReplayStore::check_and_insert`].
    pub(crate) fn len(&self, now: UnixTime) -> Result<usize> {
        self.with(now, |open| Ok(open.window.len()))
    }

    /// Gives up the file until the next use. In a child of a fork the handle is only closed: the lock on it may be the
    /// parent's.
    pub(crate) fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs `work` with the lock of the file that has the name now, all records read.
    fn with<T>(&self, now: UnixTime, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut guard = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let current = guard.take().filter(|open| open.process == std::process::id());
        // Whatever fails leaves nothing behind that would be believed later.
        let mut open = self.locked(current, now)?;
        let outcome = open.refresh(&self.path, now).and_then(|()| work(&mut open));
        // Said and not left to closing: a child of a fork may still have the same handle.
        let unlocked = open.log.unlock();
        let outcome = outcome?;
        unlocked?;
        *guard = Some(open);
        Ok(outcome)
    }

    fn locked(&self, current: Option<Open>, now: UnixTime) -> Result<Open> {
        let deadline = Instant::now().checked_add(LONGEST_WAIT);
        let mut open = match current {
            Some(open) => open,
            None => Open::new(&self.path, now)?,
        };
        loop {
            lock(open.log.file(), deadline)?;
            if open.log.has_name(&self.path) {
                return Ok(open);
            }
            // Replaced, or removed, while this process waited or slept.
            open.log.unlock()?;
            open = Open::new(&self.path, now)?;
        }
    }
}

/// Takes the lock, waiting for as long as other processes may reasonably need it.
fn lock(file: &File, deadline: Option<Instant>) -> Result<()> {
    let mut pause = Duration::from_micros(20);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::Error(error)) => return Err(log::unusable(&error)),
            Err(std::fs::TryLockError::WouldBlock) => {}
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Err(Error::new(ErrorKind::Overloaded, "another process holds the replay file").with_retry_after(1));
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(Duration::from_millis(2));
    }
}

impl Open {
    fn new(path: &Path, now: UnixTime) -> Result<Self> {
        let log = Log::open(path, now)?;
        Ok(Self { log, window: Window::default(), process: std::process::id() })
    }

    /// Reads what others added, and begins anew with a file from before the machine started.
    fn refresh(&mut self, path: &Path, now: UnixTime) -> Result<()> {
        if self.log.is_unread() {
            let header = self.log.read_header()?;
            if header.boot != log::boot() {
                return self.replace(path, Window::new(now));
            }
            self.window = Window::restored(&header);
        }
        for record in self.log.read_new()? {
            self.window.apply(&record);
        }
        if self.log.records() > self.window.len().saturating_mul(2).saturating_add(FREE_RECORDS) {
            let window = std::mem::take(&mut self.window);
            return self.replace(path, window);
        }
        Ok(())
    }

    fn replace(&mut self, path: &Path, window: Window) -> Result<()> {
        let new = self.log.replace(path, &window.header(log::boot()), window.records())?;
        // Whoever waits for the old file finds out that it has lost its name.
        std::mem::replace(&mut self.log, new).unlock()?;
        self.window = window;
        Ok(())
    }
}

impl ReplayStore for ReplayFile {
    fn check_and_insert(&self, entry: &ReplayEntry, now: UnixTime) -> Result<ReplayAnswer> {
        self.with(now, |open| {
            let mut records: Vec<Record> = open.window.past(now.seconds()).into_iter().collect();
            for record in &records {
                open.window.apply(record);
            }
            let answer = open.window.check(entry, now, self.limits);
            if answer == ReplayAnswer::New {
                let record = Record::insert(entry);
                open.window.apply(&record);
                records.push(record);
            }
            // Only what is in the log counts; if it cannot be written, nothing was said and the window is read anew.
            open.log.append(&records)?;
            Ok(answer)
        })
    }
}
