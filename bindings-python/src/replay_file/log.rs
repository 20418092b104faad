//! The file: opening, reading what is new, appending, replacing.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::record::{Half, Header, Record, SIZE, half_digest};

/// Group and others may write.
const OPEN_TO_OTHERS: u32 = 0o022;
/// Bytes read at one time.
const CHUNK: usize = 1 << 16;

/// A log that this process opened.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// Bytes that were read, the header included.
    offset: u64,
    records: usize,
}

pub(super) fn unusable(error: &io::Error) -> Error {
    Error::new(ErrorKind::InternalError, format!("the replay file cannot be used: {error}"))
}

fn broken() -> Error {
    Error::new(ErrorKind::InternalError, "the replay file is damaged")
}

/// Half of the SHA-256 of the id under which this machine runs since it was started; zeros where there is none.
pub(super) fn boot() -> Half {
    static BOOT: OnceLock<Half> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.trim().is_empty() { Half::default() } else { half_digest(id.trim().as_bytes()) }
    })
}

/// Whether a crash of the machine goes unnoticed, so that records have to be forced to the disk.
fn must_sync() -> bool {
    boot() == Half::default()
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Log {
    /// Opens the file of this name, or puts an empty log there.
    pub(super) fn open(path: &Path, now: UnixTime) -> Result<Self> {
        let refuse =
            |reason: &str| Error::new(ErrorKind::ConfigInvalid, format!("replay file `{}`: {reason}", path.display()));
        loop {
            match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    make(path, now).map_err(|error| refuse(&error.to_string()))?;
                    continue;
                }
                Err(error) => return Err(refuse(&error.to_string())),
                Ok(metadata) if !metadata.is_file() => return Err(refuse("is no regular file")),
                Ok(metadata) if metadata.mode() & OPEN_TO_OTHERS != 0 => {
                    return Err(refuse("may be written by others; give it mode 0600"));
                }
                Ok(_) => {}
            }
            let opened = OpenOptions::new().read(true).write(true).open(path);
            let file = match opened {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(|error| refuse(&error.to_string()))?,
            };
            let metadata = file.metadata().map_err(|error| unusable(&error))?;
            let log = Self { file, identity: identity(&metadata), offset: 0, records: 0 };
            // What was looked at must be what was opened, or a link could be in its place.
            if log.has_name(path) {
                return Ok(log);
            }
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the name still stands for this file.
    pub(super) fn has_name(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| identity(&metadata) == self.identity)
    }

    pub(super) fn unlock(&self) -> Result<()> {
        self.file.unlock().map_err(|error| unusable(&error))
    }

    /// Whether not even the header was read.
    pub(super) fn is_unread(&self) -> bool {
        self.offset == 0
    }

    /// Records in the file, as far as it was read.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn read_header(&mut self) -> Result<Header> {
        let mut bytes = [0; SIZE];
        let read = self.file.read_exact_at(&mut bytes, 0);
        read.map_err(|error| if error.kind() == io::ErrorKind::UnexpectedEof { broken() } else { unusable(&error) })?;
        let header = Header::parse(&bytes).ok_or_else(|| {
            Error::new(ErrorKind::ConfigInvalid, "the replay file is no replay file of this version of smcp")
        })?;
        self.offset = 64;
        Ok(header)
    }

    /// The records added since the last call. A part of one at the end is from a process that was killed before it said
    /// anything, and is cut off.
    pub(super) fn read_new(&mut self) -> Result<Vec<Record>> {
        let length = self.file.metadata().map_err(|error| unusable(&error))?.len();
        if length < self.offset {
            return Err(broken());
        }
        let torn = length % 64;
        let end = length.saturating_sub(torn);
        if torn != 0 {
            self.file.set_len(end).map_err(|error| unusable(&error))?;
        }
        let mut records = Vec::new();
        let mut buffer = vec![0; CHUNK.min(usize::try_from(end.saturating_sub(self.offset)).unwrap_or(CHUNK))];
        while self.offset < end {
            let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(CHUNK);
            let chunk = buffer.get_mut(..left.min(CHUNK)).ok_or_else(broken)?;
            self.file.read_exact_at(chunk, self.offset).map_err(|error| unusable(&error))?;
            for bytes in chunk.chunks_exact(SIZE) {
                records.push(Record::parse(bytes).ok_or_else(broken)?);
            }
            self.offset = self.offset.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        }
        self.records = self.records.saturating_add(records.len());
        Ok(records)
    }

    /// Adds records behind everything that was read.
    pub(super) fn append(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_bytes()).collect();
        let written = self.file.write_all_at(&bytes, self.offset);
        let synced = written.and_then(|()| if must_sync() { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = synced {
            // A full disk: what was said to nobody must not stand there.
            drop(self.file.set_len(self.offset));
            return Err(unusable(&error));
        }
        self.offset = self.offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.records = self.records.saturating_add(records.len());
        Ok(())
    }

    /// Puts a new log in place of this one, whose lock is held; that of the new one is held from before it has the name.
    pub(super) fn replace(&self, path: &Path, header: &Header, records: impl Iterator<Item = Record>) -> Result<Self> {
        let work = || -> io::Result<Self> {
            let beside = beside(path, "new");
            // Left by a process that was killed; nobody else is here as long as the lock is held.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let file = create(&beside)?;
            file.lock()?;
            let mut writer = io::BufWriter::new(&file);
            writer.write_all(&header.to_bytes())?;
            let mut count: usize = 0;
            for record in records {
                writer.write_all(&record.to_bytes())?;
                count = count.saturating_add(1);
            }
            writer.flush()?;
            drop(writer);
            sync(&file)?;
            fs::rename(&beside, path)?;
            sync_folder(path)?;
            let metadata = file.metadata()?;
            Ok(Self { identity: identity(&metadata), offset: metadata.len(), records: count, file })
        };
        work().map_err(|error| unusable(&error))
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{what}"));
    path.with_file_name(name)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Puts an empty log there, unless another process was first.
fn make(path: &Path, now: UnixTime) -> io::Result<()> {
    // Made whole under another name, so that nobody sees half a header.
    let beside = beside(path, &format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = create(&beside)?;
    let header = Header { created_at: now, low_water: None, boot: boot() };
    let made = (&file).write_all(&header.to_bytes()).and_then(|()| sync(&file)).and_then(|()| {
        match fs::hard_link(&beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    });
    fs::remove_file(&beside)?;
    made.and_then(|()| sync_folder(path))
}

fn sync(file: &File) -> io::Result<()> {
    if must_sync() { file.sync_all() } else { Ok(()) }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if must_sync() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}
