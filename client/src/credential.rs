//! What a workload shows to prove that it is real (section 4, `workload_credential`).

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use smcp_core::{Error, ErrorKind, Result};
use zeroize::{Zeroize as _, Zeroizing};

/// The largest credential in bytes.
const MAXIMUM_BYTES: usize = 64 << 10;

/// A source of workload credentials, asked anew at each attestation. It may block; it is never asked on an async thread.
pub trait Credential: Send + Sync {
    /// The credential, sent as `Authorization: Bearer`.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when there is none.
    fn fetch(&self) -> Result<Zeroizing<String>>;
}

/// A credential that never changes.
pub struct StaticCredential(Zeroizing<String>);

impl StaticCredential {
    /// Takes the text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Credential for StaticCredential {
    fn fetch(&self) -> Result<Zeroizing<String>> {
        Ok(self.0.clone())
    }
}

/// A file that another program keeps up to date, such as a projected service-account token.
#[derive(Debug)]
pub struct FileCredential(PathBuf);

impl FileCredential {
    /// Names the file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Credential for FileCredential {
    fn fetch(&self) -> Result<Zeroizing<String>> {
        let refuse = |reason: String| {
            Error::new(ErrorKind::ConfigInvalid, format!("the credential file `{}` {reason}", self.0.display()))
        };
        let file = File::open(&self.0).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAXIMUM_BYTES));
        let limit = u64::try_from(MAXIMUM_BYTES).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut bytes).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if bytes.len() >= MAXIMUM_BYTES {
            return Err(refuse("is too large".to_owned()));
        }
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Zeroizing::new(text)),
            Err(error) => {
                error.into_bytes().zeroize();
                Err(refuse("is not UTF-8".to_owned()))
            }
        }
    }
}

/// Checks a fetched credential and writes the header's value.
pub(crate) fn bearer(credential: &str) -> Result<Zeroizing<String>> {
    let credential = credential.trim();
    // The characters of a JWT and of RFC 6750's token form; nothing that could begin another header.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte);
    if credential.is_empty() || credential.len() > MAXIMUM_BYTES || !credential.bytes().all(allowed) {
        return Err(Error::new(
            ErrorKind::ConfigInvalid,
            "the workload credential is empty, too long or no bearer token",
        ));
    }
    Ok(Zeroizing::new(format!("Bearer {credential}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn refuses_what_is_no_token() {
        for text in ["", " \n", "a b", "a\r\nX-Evil: 1", "a\u{e9}", &"x".repeat(MAXIMUM_BYTES + 1)] {
            assert_eq!(bearer(text).unwrap_err().kind(), ErrorKind::ConfigInvalid);
        }
        assert_eq!(bearer(" a.b-c_~+/=\n").unwrap().as_str(), "Bearer a.b-c_~+/=");
    }

    #[test]
    fn reads_the_file_each_time() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let credential = FileCredential::new(file.path().to_owned());
        file.write_all(b"one\n").unwrap();
        assert_eq!(credential.fetch().unwrap().as_str(), "one\n");
        file.as_file().set_len(0).unwrap();
        std::fs::write(file.path(), b"two").unwrap();
        assert_eq!(credential.fetch().unwrap().as_str(), "two");
        std::fs::write(file.path(), vec![b'x'; MAXIMUM_BYTES]).unwrap();
        assert!(credential.fetch().unwrap_err().message().contains("too large"));
        std::fs::write(file.path(), [0xFF]).unwrap();
        assert!(credential.fetch().unwrap_err().message().contains("not UTF-8"));
        let missing = FileCredential::new("/nonexistent/token".into());
        assert_eq!(missing.fetch().unwrap_err().kind(), ErrorKind::ConfigInvalid);
    }
}
