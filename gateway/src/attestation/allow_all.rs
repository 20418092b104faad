//! Believing everybody, for development on one machine.

use std::net::SocketAddr;

use smcp_core::smcp::attest::{AttestationRequest, Workload};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind, Result};

use super::WorkloadVerifier;

/// A verifier that accepts every workload. It exists only for listeners that nobody else can reach.
#[derive(Debug)]
pub struct AllowAll(());

impl AllowAll {
    /// A verifier for these listeners.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when one of them is not on loopback.
    pub fn for_listeners(addresses: &[SocketAddr]) -> Result<Self> {
        match addresses.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
            None => Ok(Self(())),
            Some(address) => Err(Error::new(
                ErrorKind::ConfigInvalid,
                format!("workload verifier `allow_all` is for development on loopback only, not for `{address}`"),
            )),
        }
    }
}

#[async_trait::async_trait]
impl WorkloadVerifier for AllowAll {
    async fn verify(&self, _request: &AttestationRequest, _bearer: Option<&str>, _now: UnixTime) -> Result<Workload> {
        Ok(Workload::default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_request;
    use super::*;

    #[tokio::test]
    async fn serves_loopback_only() {
        let address = |text: &str| text.parse().unwrap();
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let error = AllowAll::for_listeners(&[address("127.0.0.1:1"), address(text)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        }
        let listeners = [address("127.0.0.1:1"), address("[::1]:1"), address("[::ffff:127.0.0.1]:1")];
        let verifier = AllowAll::for_listeners(&listeners).unwrap();
        let workload = verifier.verify(&test_request("any"), None, UnixTime::EPOCH).await.unwrap();
        assert_eq!(workload, Workload::default());
    }
}
