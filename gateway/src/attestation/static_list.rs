//! Workloads listed in the configuration, with registered keys or secrets.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};
use smcp_core::keys::PublicKey;
use smcp_core::smcp::attest::{AttestationRequest, Workload};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::{WorkloadVerifier, refused};

/// The most workloads of one list; every verification looks at all of them.
const MAXIMUM_WORKLOADS: usize = 10_000;
/// The shortest secret in bytes. Only its SHA-256 is kept, so it must be random rather than a password.
const MINIMUM_SECRET_BYTES: usize = 16;

type Digest = [u8; 32];

fn refuse(reason: String) -> Error {
    Error::new(ErrorKind::ConfigInvalid, reason)
}

/// A workload's secret, kept as its SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticSecret(Digest);

impl StaticSecret {
    /// From the secret itself.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when it has fewer than 16 bytes or characters that a Bearer credential cannot have.
    pub fn derive_from_text(secret: &str) -> Result<Self> {
        if secret.len() < MINIMUM_SECRET_BYTES {
            return Err(refuse(format!("a workload secret has at least `{MINIMUM_SECRET_BYTES}` characters")));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("a workload secret has visible ASCII characters only".to_owned()));
        }
        Ok(Self(Sha256::digest(secret.as_bytes()).into()))
    }

    /// From the SHA-256 of the secret in 64 hexadecimal digits.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the text is not that.
    pub fn parse_sha256(text: &str) -> Result<Self> {
        let wrong = || refuse("the SHA-256 of a workload secret has 64 hexadecimal digits".to_owned());
        let mut digest = Digest::default();
        let pairs = text.as_bytes().chunks(2);
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

impl std::fmt::Debug for StaticSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("StaticSecret")
    }
}

/// One workload of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticWorkload {
    /// Its id.
    pub workload_id: String,
    /// The only key it may attest with, when registered.
    pub public_key: Option<PublicKey>,
    /// The secret it must send as Bearer, when it has one.
    pub secret: Option<StaticSecret>,
}

/// An entry as it is compared: nothing of it depends on its id's or secret's length.
struct Entry {
    id: Digest,
    /// All zero when there is none; `has_secret` tells.
    secret: Digest,
    has_secret: u8,
}

/// A verifier with a fixed list of workloads.
pub struct Static {
    entries: Vec<Entry>,
    keys: Vec<Option<PublicKey>>,
}

impl Static {
    /// A verifier for these workloads.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when one is listed twice, one has a blank id, or there are more than 10 000.
    pub fn new(workloads: Vec<StaticWorkload>) -> Result<Self> {
        if workloads.len() > MAXIMUM_WORKLOADS {
            return Err(refuse(format!("a static list holds at most `{MAXIMUM_WORKLOADS}` workloads")));
        }
        let mut known = HashSet::new();
        for StaticWorkload { workload_id, .. } in &workloads {
            if workload_id.trim().is_empty() {
                return Err(refuse("a workload of the static list has no id".to_owned()));
            }
            if !known.insert(workload_id) {
                return Err(refuse(format!("workload `{}` is listed twice", workload_id.escape_debug())));
            }
        }
        let entry = |workload: &StaticWorkload| Entry {
            id: Sha256::digest(workload.workload_id.as_bytes()).into(),
            secret: workload.secret.as_ref().map_or(Digest::default(), |secret| secret.0),
            has_secret: u8::from(workload.secret.is_some()),
        };
        let entries = workloads.iter().map(entry).collect();
        Ok(Self { entries, keys: workloads.into_iter().map(|workload| workload.public_key).collect() })
    }

    /// The index of the workload whose id and secret fit. Every entry is compared, whatever was found before, and the
    /// presented secret is hashed and compared also for unknown ids and for ids without a secret.
    fn find(&self, workload_id: &str, bearer: Option<&str>) -> Option<usize> {
        let id: Digest = Sha256::digest(workload_id.as_bytes()).into();
        let presented: Digest = Sha256::digest(bearer.unwrap_or_default().as_bytes()).into();
        let (mut found, mut index) = (Choice::from(0), u64::MAX);
        for (position, entry) in (0_u64..).zip(&self.entries) {
            let secret_fits = entry.secret.ct_eq(&presented) | !Choice::from(entry.has_secret);
            let fits = entry.id.ct_eq(&id) & secret_fits;
            index.conditional_assign(&position, fits);
            found |= fits;
        }
        if bool::from(found) { usize::try_from(index).ok() } else { None }
    }
}

impl std::fmt::Debug for Static {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Static({} workloads)", self.entries.len())
    }
}

#[async_trait::async_trait]
impl WorkloadVerifier for Static {
    async fn verify(&self, request: &AttestationRequest, bearer: Option<&str>, _now: UnixTime) -> Result<Workload> {
        let index = self.find(&request.workload_id, bearer).ok_or_else(refused)?;
        let registered_key = self.keys.get(index).copied().flatten();
        // Without a secret, holding the registered key is all that tells the workload from whoever knows its public half.
        let has_secret = self.entries.get(index).is_some_and(|entry| entry.has_secret == 1);
        if registered_key.is_some() && !has_secret && request.proof.is_none() {
            return Err(refused());
        }
        Ok(Workload { registered_key, ..Workload::default() })
    }
}

#[cfg(test)]
mod tests {
    use smcp_core::smcp::attest::Proof;

    use super::super::test_request;
    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn workload(id: &str, secret: Option<&str>, key: Option<PublicKey>) -> StaticWorkload {
        let secret = secret.map(|text| StaticSecret::derive_from_text(text).unwrap());
        StaticWorkload { workload_id: id.to_owned(), public_key: key, secret }
    }

    #[test]
    fn refuses_lists_that_say_nothing_clear() {
        assert!(Static::new(vec![workload("a", None, None), workload("a", Some(SECRET), None)]).is_err());
        assert!(Static::new(vec![workload(" ", None, None)]).is_err());
        let many = (0..=MAXIMUM_WORKLOADS).map(|index| workload(&index.to_string(), None, None)).collect();
        assert!(Static::new(many).is_err());
        for secret in ["", "fifteen-bytes..", "with space in it all"] {
            assert!(StaticSecret::derive_from_text(secret).is_err());
        }
        for digest in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(StaticSecret::parse_sha256(digest).is_err());
        }
        let digest = "62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d";
        assert_eq!(StaticSecret::parse_sha256(digest), StaticSecret::derive_from_text(SECRET));
    }

    #[tokio::test]
    async fn every_failure_gives_the_same_answer() {
        let list = Static::new(vec![
            workload("with", Some(SECRET), None),
            workload("without", None, None),
            workload("other", Some("another-secret-of-length"), None),
        ])
        .unwrap();
        for (id, bearer) in [
            ("unknown", None),
            ("unknown", Some(SECRET)),
            ("", None),
            ("with", None),
            ("with", Some("")),
            ("with", Some("correct-horse-batterx")),
            ("with", Some("another-secret-of-length")),
            ("WITH", Some(SECRET)),
        ] {
            let error = list.verify(&test_request(id), bearer, UnixTime::EPOCH).await.unwrap_err();
            assert_eq!(error, refused(), "{id}");
        }
        for (id, bearer) in [("with", Some(SECRET)), ("without", None), ("without", Some("anything"))] {
            list.verify(&test_request(id), bearer, UnixTime::EPOCH).await.unwrap();
        }
        let nobody = Static::new(Vec::new()).unwrap();
        assert!(nobody.verify(&test_request("a"), None, UnixTime::EPOCH).await.is_err());
    }

    #[tokio::test]
    async fn an_empty_bearer_is_not_the_secret_of_an_entry_without_one() {
        // The digest of an absent secret is all zero; no text hashes to it, and the flag alone decides.
        let list = Static::new(vec![StaticWorkload {
            workload_id: "a".to_owned(),
            public_key: None,
            secret: Some(StaticSecret::parse_sha256(&"0".repeat(64)).unwrap()),
        }])
        .unwrap();
        assert!(list.verify(&test_request("a"), Some(""), UnixTime::EPOCH).await.is_err());
        assert!(list.verify(&test_request("a"), None, UnixTime::EPOCH).await.is_err());
    }

    #[tokio::test]
    async fn hands_on_the_registered_key() {
        let key = test_request("a").key;
        let list = Static::new(vec![workload("a", Some(SECRET), Some(key)), workload("b", None, None)]).unwrap();
        let verify = |id: &'static str, bearer: Option<&'static str>| {
            let list = &list;
            async move { list.verify(&test_request(id), bearer, UnixTime::EPOCH).await.unwrap().registered_key }
        };
        assert_eq!(verify("a", Some(SECRET)).await, Some(key));
        assert_eq!(verify("b", None).await, None);
    }

    /// Otherwise whoever knows the public key could use up the workload's attestations.
    #[tokio::test]
    async fn a_registered_key_without_a_secret_needs_its_proof() {
        let key = test_request("a").key;
        let list = Static::new(vec![workload("a", None, Some(key))]).unwrap();
        let mut request = test_request("a");
        assert!(list.verify(&request, None, UnixTime::EPOCH).await.is_err());
        // Whether the proof verifies was checked before, by the attestor.
        request.proof = Some(Proof { timestamp: 0, gateway: String::new(), signature: [0; 64] });
        assert_eq!(list.verify(&request, None, UnixTime::EPOCH).await.unwrap().registered_key, Some(key));
    }
}
