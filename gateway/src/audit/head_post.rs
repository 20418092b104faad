//! Sending the head of the chain elsewhere, so that a log cut short shows.

use std::time::Duration;

use smcp_core::audit::{Head, LogId};
use smcp_core::json::ObjectWriter;
use smcp_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use url::{Host, Url};

use crate::clock;
use crate::tls::load_client_config;

/// How long one attempt may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time between two attempts.
pub(super) const PACE: Duration = Duration::from_secs(1);

fn invalid(reason: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("audit head URL: {reason}"))
}

/// Sends heads to one URL.
pub(super) struct HeadPost {
    client: reqwest::Client,
    url: Url,
    log_id: LogId,
}

impl HeadPost {
    pub(super) fn new(url: &str, log_id: LogId) -> Result<Self> {
        let url = Url::parse(url).map_err(invalid)?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
            return Err(invalid("is neither `https` nor `http` on loopback"));
        }
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(load_client_config(None)?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(invalid)?;
        Ok(Self { client, url, log_id })
    }

    /// Sends each new head, the newest one when several came meanwhile, until the sender is dropped. One that could not
    /// be sent is not sent again: the next one covers it.
    pub(super) async fn run(self, mut heads: watch::Receiver<Head>) {
        let mut failed = false;
        while heads.changed().await.is_ok() {
            let head = *heads.borrow_and_update();
            match self.send(head).await {
                Ok(()) if failed => {
                    failed = false;
                    tracing::info!("the audit head is taken again");
                }
                Ok(()) => {}
                Err(error) if failed => tracing::debug!(error, "the audit head could not be sent"),
                Err(error) => {
                    failed = true;
                    tracing::warn!(error, "the audit head could not be sent");
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn send(&self, head: Head) -> std::result::Result<(), String> {
        let body = ObjectWriter::new()
            .text("head", &head.to_string())
            .text("log_id", &self.log_id.to_string())
            .text("time", &clock::now().to_rfc3339())
            .finish();
        let request = self.client.post(self.url.clone()).header("content-type", "application/json").body(body);
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(format!("status {}", response.status().as_u16())) }
    }
}
