//! A file that grows at its end only, and is cut back to its last good end when a write fails.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::FlockOperation;
use smcp_core::{Error, ErrorKind, Result};

use crate::private_file::open_append;

/// What a write that is to be taken back again consists of.
const PROBE: [u8; 4096] = [b' '; 4096];

/// First and last line of a file, and what stands behind the last newline.
pub(super) struct Ends {
    pub(super) first: Vec<u8>,
    pub(super) last: Vec<u8>,
    pub(super) torn: Vec<u8>,
}

/// The file with the length up to which it is good.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    length: u64,
    /// The file may be longer than `length`: a failed write could not be cut off yet.
    torn: bool,
}

impl AppendFile {
    /// Opens or creates a file (mode 0600) that belongs to this process until it is closed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let refuse =
            |reason: &str| Error::new(ErrorKind::ConfigInvalid, format!("audit file `{}` {reason}", path.display()));
        let file = open_append(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| refuse("is in use by another process"))?;
        let length = file.metadata().map_err(|error| refuse(&error.to_string()))?.len();
        Ok(Self { file, length, torn: false })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends `bytes` whole or not at all.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.repair()?;
        self.expect_length(self.length)?;
        let length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match self.file.write_all(bytes).and_then(|()| self.expect_length(length)) {
            Ok(()) => {
                self.length = length;
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                // If it cannot be cut back now, the next write tries again before it writes.
                drop(self.repair());
                Err(error)
            }
        }
    }

    /// Somebody else's bytes would break the chain, and a removed file loses it, without anyone noticing before the
    /// next audit.
    fn expect_length(&self, length: u64) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.nlink() == 0 {
            Err(io::Error::other("the file was removed by somebody else"))
        } else if metadata.len() != length {
            Err(io::Error::other("the file was changed by somebody else"))
        } else {
            Ok(())
        }
    }

    /// Takes back what was appended since the file had this length.
    pub(super) fn cut_back(&mut self, length: u64) {
        if length < self.length {
            self.length = length;
            self.torn = true;
            drop(self.repair());
        }
    }

    /// Brings the content to the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.repair()?;
        self.file.sync_data()
    }

    /// Whether there is room: writes a page and takes it back.
    pub(super) fn probe(&mut self) -> io::Result<()> {
        let length = self.length;
        self.append(&PROBE)?;
        self.cut_back(length);
        self.repair()
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.torn {
            if self.file.metadata()?.len() < self.length {
                // Making it longer again would put zeros where records were.
                return Err(io::Error::other("the file was cut by somebody else"));
            }
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Reads the ends of a file that has at least one byte; `limit` bounds each line.
    pub(super) fn ends(&mut self, limit: u64) -> io::Result<Ends> {
        let too_long = || io::Error::other("a line is longer than any this program writes");
        let window = self.length.min(limit.saturating_mul(2));
        let start = self.read_at(0, self.length.min(limit))?;
        let end = self.read_at(self.length.saturating_sub(window), window)?;
        let (whole, torn) = match end.iter().rposition(|byte| *byte == b'\n') {
            Some(position) => end.split_at(position.saturating_add(1)),
            None if window < self.length => return Err(too_long()),
            None => (&[][..], end.as_slice()),
        };
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        let last = match whole.iter().rposition(|byte| *byte == b'\n') {
            Some(position) => whole.get(position.saturating_add(1)..).unwrap_or_default(),
            None if window < self.length => return Err(too_long()),
            None => whole,
        };
        let first = match start.iter().position(|byte| *byte == b'\n') {
            Some(position) => start.get(..position).unwrap_or_default(),
            None if whole.is_empty() => &[],
            None => return Err(too_long()),
        };
        Ok(Ends { first: first.to_vec(), last: last.to_vec(), torn: torn.to_vec() })
    }

    fn read_at(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        (&self.file).take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, AppendFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        crate::private_file::create_private(&path, content).unwrap();
        let file = AppendFile::open(&path).unwrap();
        (folder, file)
    }

    #[test]
    fn one_process_at_a_time() {
        let (folder, _file) = file(b"");
        let error = AppendFile::open(&folder.path().join("log")).unwrap_err();
        assert!(error.message().contains("in use"), "{error}");
    }

    #[test]
    fn what_others_do_to_the_file_is_noticed() {
        let (folder, mut file) = file(b"a\n");
        let path = folder.path().join("log");
        let read = || std::fs::read_to_string(&path).unwrap();
        let mut other = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.append(b"b\n").unwrap();
        file.probe().unwrap();
        file.sync().unwrap();
        assert_eq!(read(), "a\nb\n");
        file.cut_back(2);
        assert_eq!((read().as_str(), file.length()), ("a\n", 2));
        other.write_all(b"x").unwrap();
        assert!(file.append(b"b\n").is_err());
        assert!(file.append(b"b\n").is_err(), "foreign bytes are not cut off");
        assert_eq!(read(), "a\nx");
        other.set_len(1).unwrap();
        assert!(file.append(b"b\n").is_err());
        assert_eq!(read(), "a", "nothing is written behind a gap");
        other.set_len(0).unwrap();
        other.write_all(b"a\n").unwrap();
        file.append(b"b\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(file.append(b"b\n").is_err());
    }

    #[test]
    fn finds_the_ends() {
        for (content, first, last, torn) in [
            ("a\n", "a", "a", ""),
            ("a\nb", "a", "a", "b"),
            ("a\nb\n", "a", "b", ""),
            ("a\nb\nc\nd", "a", "c", "d"),
            ("torn", "", "", "torn"),
            ("\n", "", "", ""),
        ] {
            let (_folder, mut file) = file(content.as_bytes());
            let ends = file.ends(100).unwrap();
            assert_eq!((ends.first, ends.last, ends.torn), (first.into(), last.into(), torn.into()), "{content:?}");
        }
        let long = "x".repeat(50);
        for content in [format!("{long}\na\n"), format!("a\n{long}\n"), format!("a\n{long}")] {
            let (_folder, mut file) = file(content.as_bytes());
            assert!(file.ends(20).is_err(), "{content}");
        }
    }
}
