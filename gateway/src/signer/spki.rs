//! SubjectPublicKeyInfo (RFC 5280, RFC 8410): the DER of public keys, for PEM files.

use smcp_core::keys::{KeyMaterial, PublicKey, RsaPublicKey};
use smcp_core::{Error, ErrorKind, Result};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
/// `SEQUENCE { OID 1.3.101.112 }`.
const ED25519_ALGORITHM: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70];
/// `SEQUENCE { OID 1.2.840.113549.1.1.1, NULL }`.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];

fn refuse() -> Error {
    Error::new(ErrorKind::ConfigInvalid, "the public key is neither an Ed25519 nor an RSA key in SubjectPublicKeyInfo")
}

/// Writes the DER of a key.
pub(super) fn write_spki(material: &KeyMaterial) -> Vec<u8> {
    let (algorithm, key) = match material {
        KeyMaterial::Ed25519(key) => (ED25519_ALGORITHM, key.as_bytes().to_vec()),
        KeyMaterial::Rsa(key) => {
            let numbers = [unsigned(key.modulus()), unsigned(key.exponent())].concat();
            (RSA_ALGORITHM, element(SEQUENCE, &numbers))
        }
    };
    let bits = element(BIT_STRING, &[&[0], key.as_slice()].concat());
    element(SEQUENCE, &[algorithm, bits.as_slice()].concat())
}

/// Reads the DER of a key; anything but the one canonical form is refused.
pub(super) fn parse_spki(der: &[u8]) -> Result<KeyMaterial> {
    let mut outer = Reader(der);
    let info = outer.element(SEQUENCE)?;
    outer.end()?;
    let bits = |mut info: Reader<'_>| -> Result<Vec<u8>> {
        let content = info.element(BIT_STRING)?;
        info.end()?;
        content.strip_prefix(&[0]).map(<[u8]>::to_vec).ok_or_else(refuse)
    };
    let material = if let Some(rest) = info.strip_prefix(ED25519_ALGORITHM) {
        KeyMaterial::Ed25519(PublicKey::parse_bytes(&bits(Reader(rest))?)?)
    } else if let Some(rest) = info.strip_prefix(RSA_ALGORITHM) {
        let key = bits(Reader(rest))?;
        let mut key = Reader(&key);
        let mut numbers = Reader(key.element(SEQUENCE)?);
        key.end()?;
        let (modulus, exponent) = (numbers.unsigned()?, numbers.unsigned()?);
        numbers.end()?;
        KeyMaterial::Rsa(RsaPublicKey::parse_components(modulus, exponent)?)
    } else {
        return Err(refuse());
    };
    // What would not be written back as it was read is not the canonical form.
    if write_spki(&material) == der { Ok(material) } else { Err(refuse()) }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut output = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7F) => output.push(short),
        _ => {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            output.push(0x80_u8.saturating_add(u8::try_from(length.len()).unwrap_or(4)));
            output.extend_from_slice(&length);
        }
    }
    output.extend_from_slice(content);
    output
}

/// An INTEGER of a positive number without leading zero bytes.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[sign, number].concat())
}

/// Reads elements off the front of DER text.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn element(&mut self, tag: u8) -> Result<&'a [u8]> {
        let (length, rest) = match self.0 {
            [first, length @ 0..=0x7F, rest @ ..] if *first == tag => (usize::from(*length), rest),
            [first, 0x81, length, rest @ ..] if *first == tag => (usize::from(*length), rest),
            [first, 0x82, high, low, rest @ ..] if *first == tag => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            _ => return Err(refuse()),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or_else(refuse)?;
        self.0 = rest;
        Ok(content)
    }

    fn unsigned(&mut self) -> Result<&'a [u8]> {
        let content = self.element(INTEGER)?;
        match content {
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            [first, ..] if first & 0x80 == 0 => Ok(content),
            _ => Err(refuse()),
        }
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(refuse()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smcp_core::keys::AgentKey;

    #[test]
    fn round_trips_and_refuses_every_cut_and_flip_of_the_frame() {
        let key = AgentKey::derive_from_slice(&[5; 32]).unwrap();
        let mut modulus = vec![0xC1; 256];
        modulus[255] = 0x55;
        let rsa = RsaPublicKey::parse_components(&modulus, &[1, 0, 1]).unwrap();
        for material in [KeyMaterial::Ed25519(*key.public()), KeyMaterial::Rsa(rsa)] {
            let der = write_spki(&material);
            assert_eq!(parse_spki(&der).unwrap(), material);
            for length in 0..der.len() {
                assert!(parse_spki(&der[..length]).is_err());
            }
            assert!(parse_spki(&[der.as_slice(), &[0]].concat()).is_err());
            for index in 0..12 {
                let mut broken = der.clone();
                broken[index] ^= 1;
                assert!(parse_spki(&broken).is_err(), "{index}");
            }
        }
    }
}
