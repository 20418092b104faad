//! One PEM block (RFC 7468), read strictly and into memory that is overwritten.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smcp_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Characters on a line of base64.
const LINE: usize = 64;

fn refuse(reason: &'static str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, reason)
}

/// A block with its label and content.
pub(super) struct PemBlock {
    /// What stands after `BEGIN`.
    pub(super) label: String,
    /// The decoded content.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Reads the only block of `text`; text around it, a second block, and headers inside are refused.
pub(super) fn parse_pem(text: &[u8]) -> Result<PemBlock> {
    let text = std::str::from_utf8(text).map_err(|_| refuse("the PEM text is not UTF-8"))?.trim();
    let label = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .map(|(label, _)| label)
        .filter(|label| label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '))
        .ok_or_else(|| refuse("the file does not begin with a PEM block"))?;
    let body = text
        .strip_prefix(&format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----")))
        .ok_or_else(|| refuse("the PEM block has no matching end, or something follows it"))?;
    let mut encoded = Zeroizing::new(Vec::with_capacity(body.len()));
    encoded.extend(body.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    let mut der = Zeroizing::new(vec![0; body.len()]);
    let length =
        STANDARD.decode_slice(encoded.as_slice(), &mut der).map_err(|_| refuse("the PEM block is not base64"))?;
    der.truncate(length);
    Ok(PemBlock { label: label.to_owned(), der })
}

/// Writes a block.
pub(super) fn write_pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    // Twice the content leaves room for line ends and labels, so that the text never moves.
    let mut text = Zeroizing::new(String::with_capacity(encoded.len().saturating_mul(2).saturating_add(128)));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in encoded.as_bytes().chunks(LINE) {
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_everything_but_one_block() {
        let block = write_pem("PRIVATE KEY", &[7; 100]);
        for text in [
            String::new(),
            "junk".to_owned(),
            format!("junk\n{}", *block),
            format!("{}junk", *block),
            format!("{}{}", *block, *block),
            block.replace("END PRIVATE", "END PUBLIC"),
            block.replace("-----END PRIVATE KEY-----", ""),
            block.replacen('B', "*", 3),
            block.replacen("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n", 1),
        ] {
            assert!(parse_pem(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse_pem(b"-----BEGIN \xff-----").is_err());
    }

    #[test]
    fn round_trips() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let der = vec![9; length];
            let text = write_pem("PUBLIC KEY", &der);
            assert!(text.lines().all(|line| line.len() <= LINE));
            let block = parse_pem(text.replace('\n', "\r\n").as_bytes()).unwrap();
            assert_eq!((block.label.as_str(), block.der.as_slice()), ("PUBLIC KEY", der.as_slice()));
        }
    }
}
