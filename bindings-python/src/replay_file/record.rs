//! The bytes of the log: a header and records of 64 bytes each, integers little-endian.

use sha2::{Digest as _, Sha256};
use smcp_core::replay::ReplayEntry;
use smcp_core::time::UnixTime;

/// Bytes of the header and of every record.
pub(super) const SIZE: usize = 64;
pub(super) type Bytes = [u8; SIZE];

const MAGIC: [u8; 16] = *b"smcp-replay-1\n\0\0";
const INSERT: u64 = 1;
const FORGET: u64 = 2;
const CHECKSUM: usize = 8;

/// Half of a SHA-256.
pub(super) type Half = [u8; 16];

/// The first 64 bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// When the store was made.
    pub(super) created_at: UnixTime,
    /// Messages stamped up to here may have been forgotten.
    pub(super) low_water: Option<i64>,
    /// Half of the SHA-256 of the boot id; zeros where there is none.
    pub(super) boot: Half,
}

/// One change of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A message was taken.
    Insert {
        /// Its stamp in Unix seconds.
        timestamp: i64,
        /// The last second in which it is fresh.
        expires_at: i64,
        /// Of its digest. Two messages that agree in it make the second be refused, never accepted.
        key: Half,
        /// Of the session's id.
        session: Half,
    },
    /// Everything stamped up to here was forgotten.
    Forget(i64),
}

impl Record {
    pub(super) fn insert(entry: &ReplayEntry) -> Self {
        Self::Insert {
            timestamp: entry.timestamp,
            expires_at: entry.expires_at,
            key: key_of(entry),
            session: session_of(entry),
        }
    }

    pub(super) fn to_bytes(self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Insert { timestamp, expires_at, key, session } => {
                writer.put(&INSERT.to_le_bytes());
                writer.put(&timestamp.to_le_bytes());
                writer.put(&expires_at.to_le_bytes());
                writer.put(&key);
                writer.put(&session);
            }
            Self::Forget(timestamp) => {
                writer.put(&FORGET.to_le_bytes());
                writer.put(&timestamp.to_le_bytes());
            }
        }
        writer.finish()
    }

    /// `None` for bytes that are no record.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::checked(bytes)?;
        Some(match u64::from_le_bytes(reader.take()?) {
            INSERT => Self::Insert {
                timestamp: i64::from_le_bytes(reader.take()?),
                expires_at: i64::from_le_bytes(reader.take()?),
                key: reader.take()?,
                session: reader.take()?,
            },
            FORGET => Self::Forget(i64::from_le_bytes(reader.take()?)),
            _ => return None,
        })
    }
}

impl Header {
    pub(super) fn to_bytes(self) -> Bytes {
        let mut writer = Writer::new();
        writer.put(&MAGIC);
        writer.put(&self.created_at.millis().to_le_bytes());
        writer.put(&self.low_water.unwrap_or(i64::MIN).to_le_bytes());
        writer.put(&self.boot);
        writer.finish()
    }

    /// `None` for a file that is no log of this version.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::checked(bytes)?;
        if reader.take()? != MAGIC {
            return None;
        }
        let created_at = UnixTime::from_millis(i64::from_le_bytes(reader.take()?));
        let low_water = Some(i64::from_le_bytes(reader.take()?)).filter(|mark| *mark != i64::MIN);
        Some(Self { created_at, low_water, boot: reader.take()? })
    }
}

pub(super) fn key_of(entry: &ReplayEntry) -> Half {
    entry.key.first_chunk().copied().unwrap_or_default()
}

pub(super) fn session_of(entry: &ReplayEntry) -> Half {
    half_digest(entry.session.as_bytes())
}

pub(super) fn half_digest(bytes: &[u8]) -> Half {
    Sha256::digest(bytes).first_chunk().copied().unwrap_or_default()
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    Sha256::digest(content).first_chunk().copied().unwrap_or_default()
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        Self(Vec::with_capacity(SIZE))
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(mut self) -> Bytes {
        self.0.resize(SIZE.saturating_sub(CHECKSUM), 0);
        let checksum = checksum(&self.0);
        self.0.extend_from_slice(&checksum);
        self.0.first_chunk().copied().unwrap_or([0; SIZE])
    }
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// A reader of bytes whose checksum holds.
    fn checked(bytes: &'b [u8]) -> Option<Self> {
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM>()?;
        (bytes.len() == SIZE && checksum(content) == *sum).then_some(Self(content))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}
