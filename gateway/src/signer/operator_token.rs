//! The operator's token: a secret file that opens the operator API (section 5).

use std::path::Path;

use sha2::{Digest as _, Sha256};
use smcp_core::keys::encode_base64url;
use smcp_core::{Error, ErrorKind, Result};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::private_file::{create_private, read_private};

/// Random bytes of a token we make.
const RANDOM_BYTES: usize = 32;
/// The largest token file in bytes.
const MAXIMUM_BYTES: usize = 4096;
/// Characters of 128 bits in hexadecimal.
const MINIMUM_HEXADECIMAL: usize = 32;
/// Characters of 128 bits in base64.
const MINIMUM_BASE64: usize = 22;
/// A random text of these lengths has more different characters than this in all but one of 10^9 cases.
const MINIMUM_VARIETY: usize = 6;

fn refuse(path: &Path, reason: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("operator token file `{}` {reason}", path.display()))
}

/// Makes a token of 256 random bits and writes it to a file that did not exist, mode 0600.
///
/// # Errors
/// `CONFIG_INVALID` when the file exists or cannot be written; `INTERNAL_ERROR` without randomness.
pub fn create_operator_token(path: &Path) -> Result<()> {
    let mut random = Zeroizing::new([0_u8; RANDOM_BYTES]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|_| Error::new(ErrorKind::InternalError, "the operating system gives no random bytes"))?;
    let text = Zeroizing::new(encode_base64url(random.as_slice()));
    let mut line = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1)));
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    create_private(path, &line)
}

/// Reads the token's text, for a command that calls the operator API.
///
/// # Errors
/// `CONFIG_INVALID` when the file is open to others, or the token has white space inside or cannot have 128 random bits.
pub fn read_operator_token(path: &Path) -> Result<Zeroizing<String>> {
    let content = read_private(path, MAXIMUM_BYTES)?;
    let text = std::str::from_utf8(&content).map_err(|_| refuse(path, "is not text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse(path, "has white space or characters other than visible ASCII inside"));
    }
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let minimum = if hexadecimal { MINIMUM_HEXADECIMAL } else { MINIMUM_BASE64 };
    let variety = (0..=u8::MAX).filter(|byte| text.as_bytes().contains(byte)).count();
    if text.len() < minimum || variety < MINIMUM_VARIETY {
        return Err(refuse(path, "is shorter than 128 random bits; `smcp keygen --kind operator-token` makes one"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// What the gateway keeps of the token: its digest.
pub struct OperatorToken {
    digest: [u8; 32],
}

impl OperatorToken {
    /// Reads the token file.
    ///
    /// # Errors
    /// As [`read_operator_token`].
    pub fn load(path: &Path) -> Result<Self> {
        Ok(Self { digest: Sha256::digest(read_operator_token(path)?.as_bytes()).into() })
    }

    /// Whether a presented token is the operator's. Compared in constant time; its length does not show either.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        self.digest.ct_eq(&presented).into()
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OperatorToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_weak_tokens() {
        let folder = tempfile::tempdir().unwrap();
        for (index, (text, accepted)) in [
            ("", false),
            ("\n", false),
            ("0123456789abcdef0123456789abcde", false),
            ("0123456789abcdef0123456789abcdef", true),
            ("0123456789abcdef0123456789abcdef\r\n", true),
            ("abcdefghijklmnopqrstu", false),
            ("abcdefghijklmnopqrstuv", true),
            ("abcdefghijklmnopqrstuv\n\n", false),
            ("abcdefghijk lmnopqrstuv", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("changemechangemechangemeé", false),
        ]
        .into_iter()
        .enumerate()
        {
            let path = folder.path().join(index.to_string());
            create_private(&path, text.as_bytes()).unwrap();
            assert_eq!(OperatorToken::load(&path).is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn a_made_token_opens_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create_operator_token(&path).unwrap();
        assert!(create_operator_token(&path).is_err());
        let text = read_operator_token(&path).unwrap();
        assert_eq!(text.len(), 43);
        let token = OperatorToken::load(&path).unwrap();
        assert!(token.matches(&text));
        for wrong in ["", text.get(1..).unwrap(), &format!("{}x", *text), &text.to_uppercase()] {
            assert!(!token.matches(wrong));
        }
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(OperatorToken::load(&path).is_err());
    }
}
