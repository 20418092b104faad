//! One active token-signing key and the retired ones whose tokens still live (section 6, rotation).
//!
//! A key folder holds `active.pem` and, for every retired key, only its public half in
//! `retired-<unix seconds>-<kid>.pem`: a rotation destroys the private key it retires.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode};
use smcp_core::keys::{KeySet, PublicKey, TokenKey};
use smcp_core::smcp::token::MAXIMUM_LIFETIME_SECONDS;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::file::{FileSigner, create_ed25519_key, load_public_key, public_key_to_pem};
use crate::private_file::{create_public, sync_folder};

const ACTIVE: &str = "active.pem";
/// A rotation's new key before it takes the active one's place; it also keeps out a second rotation.
const NEXT: &str = "next.pem";
const RETIRED_PREFIX: &str = "retired-";
/// The most retired keys; a key set has room for 64.
const MAXIMUM_RETIRED: usize = 60;

fn refuse(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("key folder `{}`: {reason}", path.display()))
}

/// How long retired keys go on verifying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRingRules {
    overlap_seconds: u32,
}

impl KeyRingRules {
    /// An overlap that covers the longest token.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when tokens live longer than the overlap.
    pub fn new(overlap_seconds: u32, longest_token_seconds: u32) -> Result<Self> {
        if overlap_seconds < longest_token_seconds {
            return Err(Error::new(
                ErrorKind::ConfigInvalid,
                format!(
                    "the key overlap of `{overlap_seconds}` seconds is shorter than a token's `{longest_token_seconds}`"
                ),
            ));
        }
        Ok(Self { overlap_seconds })
    }

    fn end(self, retired_at: UnixTime) -> UnixTime {
        retired_at.plus_seconds(i64::from(self.overlap_seconds))
    }
}

impl Default for KeyRingRules {
    /// 24 hours, the longest lifetime of a token.
    fn default() -> Self {
        Self { overlap_seconds: u32::try_from(MAXIMUM_LIFETIME_SECONDS).unwrap_or(86_400) }
    }
}

/// A retired key as a configuration lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredKeyFile {
    /// Its public (or private) key in PEM.
    pub path: PathBuf,
    /// When it stopped signing.
    pub retired_at: UnixTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct RetiredKey {
    key: TokenKey,
    retired_at: UnixTime,
}

#[derive(Clone, Debug)]
enum Source {
    Files { active: PathBuf, retired: Vec<RetiredKeyFile> },
    Folder(PathBuf),
}

/// The keys of a gateway as they stood when the ring was opened.
#[derive(Clone, Debug)]
pub struct KeyRing {
    source: Source,
    rules: KeyRingRules,
    active: Arc<FileSigner>,
    retired: Vec<RetiredKey>,
}

impl KeyRing {
    /// Opens a ring of listed files.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when a file is refused or there are more than 60 retired keys.
    pub fn open(active: &Path, retired: &[RetiredKeyFile], rules: KeyRingRules) -> Result<Self> {
        Self::read(Source::Files { active: active.to_owned(), retired: retired.to_vec() }, rules)
    }

    /// Opens a key folder.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the folder is not ours or writable by others, a file is refused, or a `.pem` file has
    /// another name than those of this module.
    pub fn open_folder(folder: &Path, rules: KeyRingRules) -> Result<Self> {
        Self::read(Source::Folder(folder.to_owned()), rules)
    }

    fn read(source: Source, rules: KeyRingRules) -> Result<Self> {
        let (active, files) = match &source {
            Source::Files { active, retired } => (active.clone(), retired.clone()),
            Source::Folder(folder) => (folder.join(ACTIVE), list_retired(folder)?),
        };
        if files.len() > MAXIMUM_RETIRED {
            let reason = format!("`{}` retired keys are more than `{MAXIMUM_RETIRED}`", files.len());
            return Err(Error::new(ErrorKind::ConfigInvalid, reason));
        }
        let active = Arc::new(FileSigner::load(&active)?);
        let mut retired: Vec<RetiredKey> = Vec::with_capacity(files.len());
        for RetiredKeyFile { path, retired_at } in files {
            let key = load_public_key(&path)?;
            match retired.iter_mut().find(|known| known.key == key) {
                // A rotation that was cut short and done again leaves two files of one key.
                Some(known) => known.retired_at = known.retired_at.max(retired_at),
                None => retired.push(RetiredKey { key, retired_at }),
            }
        }
        retired.retain(|retired| retired.key != *active.public());
        Ok(Self { source, rules, active, retired })
    }

    /// Reads the same files again. A key that was still active in this ring counts as retired now at the earliest,
    /// because it signed until now, whatever the files say.
    ///
    /// # Errors
    /// As [`KeyRing::open`] and [`KeyRing::open_folder`]; this ring stays as it is.
    pub fn reopen(&self, now: UnixTime) -> Result<Self> {
        let mut fresh = Self::read(self.source.clone(), self.rules)?;
        for retired in &mut fresh.retired {
            if retired.key == *self.active.public() {
                retired.retired_at = retired.retired_at.max(now);
            } else if let Some(known) = self.retired.iter().find(|known| known.key == retired.key) {
                retired.retired_at = retired.retired_at.max(known.retired_at);
            }
        }
        Ok(fresh)
    }

    /// The key that signs tokens.
    #[must_use]
    pub fn signer(&self) -> Arc<FileSigner> {
        Arc::clone(&self.active)
    }

    /// The keys that verify at `now`: the active one and the retired ones within their overlap.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when two keys have one id, which two different keys cannot.
    pub fn key_set(&self, now: UnixTime) -> Result<KeySet> {
        let retired = self.retired.iter().filter(|retired| self.rules.end(retired.retired_at) > now);
        let keys = std::iter::once(self.active.public()).chain(retired.map(|retired| &retired.key));
        KeySet::new(keys.cloned().collect())
    }

    /// When the next retired key stops verifying; [`KeyRing::key_set`] is to be asked again then.
    #[must_use]
    pub fn next_lapse(&self, now: UnixTime) -> Option<UnixTime> {
        self.retired.iter().map(|retired| self.rules.end(retired.retired_at)).filter(|end| *end > now).min()
    }

    /// Removes the files of keys whose overlap is over from a key folder; listed files are the operator's and stay.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when a file cannot be removed.
    pub fn prune_files(&self, now: UnixTime) -> Result<usize> {
        let Source::Folder(folder) = &self.source else { return Ok(0) };
        let mut removed: usize = 0;
        for file in list_retired(folder)? {
            if self.rules.end(file.retired_at) <= now && !self.verifies(&file, now)? {
                std::fs::remove_file(&file.path)
                    .map_err(|error| refuse(folder, format_args!("`{}` stays: {error}", file.path.display())))?;
                removed = removed.saturating_add(1);
            }
        }
        Ok(removed)
    }

    /// Whether the key of a file verifies in this ring for longer than its own file name says.
    fn verifies(&self, file: &RetiredKeyFile, now: UnixTime) -> Result<bool> {
        let key = load_public_key(&file.path)?;
        Ok(self.retired.iter().any(|retired| retired.key == key && self.rules.end(retired.retired_at) > now))
    }
}

fn list_retired(folder: &Path) -> Result<Vec<RetiredKeyFile>> {
    check_folder(folder)?;
    let unreadable = |error: std::io::Error| refuse(folder, format_args!("cannot be read: {error}"));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if [ACTIVE, NEXT].contains(&name.as_ref()) || !name.ends_with(".pem") {
            continue;
        }
        let retired_at = name
            .strip_prefix(RETIRED_PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(seconds, _)| seconds.parse::<i64>().ok())
            .ok_or_else(|| {
                refuse(folder, format_args!("`{name}` is neither `{ACTIVE}` nor `retired-SECONDS-KID.pem`"))
            })?;
        files.push(RetiredKeyFile { path: entry.path(), retired_at: UnixTime::from_seconds(retired_at) });
    }
    files.sort_by(|one, other| other.retired_at.cmp(&one.retired_at).then_with(|| one.path.cmp(&other.path)));
    Ok(files)
}

/// Whoever may write into the folder could put a key of his own there.
fn check_folder(folder: &Path) -> Result<()> {
    let stat = rustix::fs::stat(folder).map_err(|error| refuse(folder, format_args!("cannot be opened: {error}")))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(refuse(folder, "is no folder"));
    }
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(refuse(folder, "belongs to another user"));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(refuse(folder, "can be written by group or others (`chmod 700` it)"));
    }
    Ok(())
}

/// Makes a key folder (mode 0700) with a new Ed25519 key in it.
///
/// # Errors
/// `CONFIG_INVALID` when it exists or cannot be made.
pub fn create_key_folder(folder: &Path) -> Result<PublicKey> {
    rustix::fs::mkdirat(CWD, folder, Mode::RWXU)
        .map_err(|error| refuse(folder, format_args!("cannot be created: {error}")))?;
    create_ed25519_key(&folder.join(ACTIVE))
}

/// Replaces the active key of a key folder by a new Ed25519 key; the old one's public half goes on verifying.
///
/// # Errors
/// `CONFIG_INVALID` when the folder is refused, a rotation is under way, or a file cannot be written. The active key is
/// then the old one.
pub fn rotate_key_folder(folder: &Path, now: UnixTime) -> Result<PublicKey> {
    check_folder(folder)?;
    let (active, next) = (folder.join(ACTIVE), folder.join(NEXT));
    let old = FileSigner::load(&active)?;
    let public = create_ed25519_key(&next).map_err(|error| {
        refuse(
            folder,
            format_args!("{} (another rotation runs, or one was cut short: remove `{NEXT}`)", error.message()),
        )
    })?;
    let rotated = retire(folder, &old, now).and_then(|()| {
        std::fs::rename(&next, &active)
            .and_then(|()| sync_folder(&active))
            .map_err(|error| refuse(folder, format_args!("`{ACTIVE}` cannot be replaced: {error}")))
    });
    if rotated.is_err() {
        // The new key was never used; if it cannot be removed either, the next rotation says what to do.
        drop(std::fs::remove_file(&next));
    }
    rotated.map(|()| public)
}

fn retire(folder: &Path, old: &FileSigner, now: UnixTime) -> Result<()> {
    let name = format!("{RETIRED_PREFIX}{}-{}.pem", now.seconds(), old.public().id());
    create_public(&folder.join(name), public_key_to_pem(old.public().material()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use smcp_core::smcp::token::TokenSigner as _;
    use std::os::unix::fs::PermissionsExt as _;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    fn ids(ring: &KeyRing, now: i64) -> Vec<String> {
        ring.key_set(at(now)).unwrap().keys().iter().map(|key| key.id().to_owned()).collect()
    }

    #[test]
    fn the_overlap_covers_the_longest_token() {
        assert!(KeyRingRules::new(3599, 3600).is_err());
        assert_eq!(KeyRingRules::new(86_400, 3600).unwrap(), KeyRingRules::default());
    }

    #[test]
    fn rotation_keeps_the_old_key_for_the_overlap_and_no_longer() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let first = create_key_folder(&folder).unwrap().thumbprint();
        assert!(create_key_folder(&folder).is_err());
        let rules = KeyRingRules::new(100, 100).unwrap();
        let second = rotate_key_folder(&folder, at(1000)).unwrap().thumbprint();
        let ring = KeyRing::open_folder(&folder, rules).unwrap();
        assert_eq!(ring.signer().key_id(), second);
        assert_eq!(ids(&ring, 1099), [second.clone(), first.clone()]);
        assert_eq!(ids(&ring, 1100), std::slice::from_ref(&second));
        assert_eq!((ring.next_lapse(at(1099)), ring.next_lapse(at(1100))), (Some(at(1100)), None));
        let private_keys = std::fs::read_dir(&folder)
            .unwrap()
            .filter(|entry| std::fs::read_to_string(entry.as_ref().unwrap().path()).unwrap().contains("PRIVATE"))
            .count();
        assert_eq!(private_keys, 1, "the private half of a retired key is destroyed");
        assert_eq!(ring.prune_files(at(1099)).unwrap(), 0);
        assert_eq!(ring.prune_files(at(1100)).unwrap(), 1);
        assert_eq!(ids(&KeyRing::open_folder(&folder, rules).unwrap(), 1000), [second]);
    }

    #[test]
    fn a_gateway_that_notices_late_keeps_the_key_it_signed_with() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let first = create_key_folder(&folder).unwrap().thumbprint();
        let rules = KeyRingRules::new(100, 100).unwrap();
        let ring = KeyRing::open_folder(&folder, rules).unwrap();
        let second = rotate_key_folder(&folder, at(1000)).unwrap().thumbprint();
        let reopened = ring.reopen(at(5000)).unwrap();
        assert_eq!(ids(&reopened, 5099), [second.clone(), first.clone()]);
        assert_eq!(ids(&reopened.reopen(at(5050)).unwrap(), 5099), [second.clone(), first]);
        assert_eq!(reopened.prune_files(at(5050)).unwrap(), 0);
        assert_eq!(ids(&reopened, 5100), [second]);
        assert_eq!(reopened.prune_files(at(5100)).unwrap(), 1);
    }

    #[test]
    fn an_interrupted_rotation_changes_nothing_and_says_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let first = create_key_folder(&folder).unwrap().thumbprint();
        create_ed25519_key(&folder.join(NEXT)).unwrap();
        let message = rotate_key_folder(&folder, at(1)).unwrap_err().message().to_owned();
        assert!(message.contains("remove `next.pem`"), "{message}");
        let ring = KeyRing::open_folder(&folder, KeyRingRules::default()).unwrap();
        assert_eq!(ids(&ring, 0), [first]);
    }

    #[test]
    fn refuses_folders_and_files_that_are_not_as_they_should_be() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("keys");
        let rules = KeyRingRules::default();
        let message = |folder: &Path| KeyRing::open_folder(folder, rules).unwrap_err().message().to_owned();
        assert!(message(&folder).contains("cannot be opened"));
        create_key_folder(&folder).unwrap();
        create_ed25519_key(&folder.join("other.pem")).unwrap();
        assert!(message(&folder).contains("`other.pem`"));
        std::fs::rename(folder.join("other.pem"), folder.join("retired-x-y.pem")).unwrap();
        assert!(message(&folder).contains("`retired-x-y.pem`"));
        std::fs::rename(folder.join("retired-x-y.pem"), folder.join("retired-5-y.pem")).unwrap();
        KeyRing::open_folder(&folder, rules).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(message(&folder).contains("written by group or others"));
        assert!(message(&folder.join(ACTIVE)).contains("is no folder"));
    }

    #[test]
    fn listed_files_work_alike() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.pem"), folder.path().join("two.pem"));
        let (first, second) = (create_ed25519_key(&one).unwrap(), create_ed25519_key(&two).unwrap());
        let retired = |path: &Path, seconds| RetiredKeyFile { path: path.to_owned(), retired_at: at(seconds) };
        let rules = KeyRingRules::new(10, 10).unwrap();
        let ring = KeyRing::open(&two, &[retired(&one, 5), retired(&one, 7), retired(&two, 9)], rules).unwrap();
        assert_eq!(ids(&ring, 16), [second.thumbprint(), first.thumbprint()]);
        assert_eq!(ids(&ring, 17), [second.thumbprint()]);
        assert_eq!(ring.prune_files(at(100)).unwrap(), 0);
        let many: Vec<_> = (0..61).map(|seconds| retired(&one, seconds)).collect();
        assert!(KeyRing::open(&two, &many, rules).is_err());
    }
}
