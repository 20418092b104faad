//! The second file: canonical messages, so that the agents' own signatures can be checked again.

use sha2::{Digest as _, Sha256};

use super::hex::{decode_hex, encode_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Limits, ObjectWriter, Value};

/// The longest line: a message of the largest envelope with every character escaped.
const LIMITS: Limits = Limits { bytes: 32 << 20, depth: 1 };

/// The line for a canonical message, with its newline. The message holds token and arguments: the file is secret.
///
/// # Errors
/// `INTERNAL_ERROR` when the message is not UTF-8, which no canonical message is.
pub fn evidence_line(message: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(message)
        .map_err(|_| Error::new(ErrorKind::InternalError, "a canonical message is not UTF-8"))?;
    let digest: [u8; 32] = Sha256::digest(message).into();
    let mut line = ObjectWriter::new().text("message_sha256", &encode_hex(&digest)).text("message", text).finish();
    line.push(b'\n');
    Ok(line)
}

/// Reads a line (without its newline) back to the message and its SHA-256.
///
/// # Errors
/// `INVALID_ARGUMENT` when the line has another form, or when the message is not the one its digest names.
pub fn parse_evidence_line(line: &[u8]) -> Result<(Vec<u8>, [u8; 32])> {
    let refuse = |reason: &'static str| Error::new(ErrorKind::InvalidArgument, reason);
    let document = json::scan_with(line, LIMITS).map_err(|_| refuse("the evidence is no line of strict JSON"))?;
    let text = |name: &str| document.root().get(name).and_then(Value::as_str);
    let named: [u8; 32] = text("message_sha256")
        .and_then(|digits| decode_hex(&digits))
        .ok_or_else(|| refuse("the evidence names no SHA-256"))?;
    let message = text("message").ok_or_else(|| refuse("the evidence has no message"))?.into_owned().into_bytes();
    let digest: [u8; 32] = Sha256::digest(&message).into();
    if digest != named {
        return Err(refuse("the evidence is not the message that its SHA-256 names"));
    }
    Ok((message, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_is_refused() {
        let line = evidence_line("{\"a\":\"\u{1F600}\\n\"}".as_bytes()).unwrap();
        let line = line.strip_suffix(b"\n").unwrap();
        let (message, _) = parse_evidence_line(line).unwrap();
        assert_eq!(message, "{\"a\":\"\u{1F600}\\n\"}".as_bytes());
        for index in 0..line.len() {
            let mut changed = line.to_vec();
            changed[index] ^= 1;
            assert!(parse_evidence_line(&changed).is_err(), "{index}");
        }
        assert!(evidence_line(b"\xFF").is_err());
    }
}
