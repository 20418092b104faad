//! Which gateway a command calls, as whom, and with what proof.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use smcp_client::{
    BlockingClient, ClientCertificate, ClientError, ClientOptions, Environment, EphemeralKey, FileCredential,
    SessionSigner,
};
use smcp_core::ErrorKind;
use smcp_core::smcp::Dialect;

use super::failure::{Failure, Outcome};
use super::input::shown;
use crate::signer::load_ed25519_key;

/// The options of every command that calls a gateway.
#[derive(Args, Clone, Debug)]
pub(super) struct Connection {
    /// URL of the gateway
    #[arg(long, value_name = "URL", env = "SMCP_GATEWAY_URL")]
    gateway: String,

    /// Who this workload says it is
    #[arg(long, value_name = "ID", env = "SMCP_WORKLOAD_ID")]
    workload: String,

    /// The security context to ask for
    #[arg(long, value_name = "CONTEXT", env = "SMCP_SECURITY_SCOPE")]
    scope: String,

    /// File with the workload's credential, sent as Bearer at attestation
    #[arg(long, value_name = "FILE", env = "SMCP_WORKLOAD_TOKEN_FILE")]
    credential_file: Option<PathBuf>,

    /// The workload's registered key (PEM), in place of a fresh one
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Speak `seal/v1` instead of `smcp/v1`
    #[arg(long)]
    seal: bool,

    /// Longest time for a call, in seconds
    #[arg(long, value_name = "SECONDS", env = "SMCP_TIMEOUT", default_value_t = 30.0, value_parser = parse_seconds)]
    timeout: f64,

    /// PEM file of the only certificate authorities to trust
    #[arg(long, value_name = "FILE", env = "SMCP_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// PEM file of a client certificate, with its key unless `--client-key` names one
    #[arg(long, value_name = "FILE", env = "SMCP_CLIENT_CERT")]
    client_cert: Option<PathBuf>,

    /// PEM file of the client certificate's key
    #[arg(long, value_name = "FILE", env = "SMCP_CLIENT_KEY", requires = "client_cert")]
    client_key: Option<PathBuf>,

    /// For development: plain http beyond this machine, where token and credential can be read on the way
    #[arg(long)]
    allow_insecure_http: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    seconds.ok_or_else(|| "expected a number of seconds above 0 and up to 86400".to_owned())
}

impl Connection {
    /// A client that has attested.
    pub(super) fn attest(&self) -> Outcome<BlockingClient> {
        let client = BlockingClient::new(self.options()?);
        client.attest().map_err(|error| failure_of(&error))?;
        Ok(client)
    }

    fn options(&self) -> Outcome<ClientOptions> {
        let mut options = ClientOptions::new(&self.gateway, &self.workload, &self.scope);
        options.environment = Environment::process();
        options.dialect = if self.seal { Dialect::Seal } else { Dialect::Smcp };
        options.timeout = Duration::try_from_secs_f64(self.timeout)
            .map_err(|_| Failure::usage("`--timeout` is no number of seconds"))?;
        options.allow_insecure_http = self.allow_insecure_http;
        options.ca_file.clone_from(&self.ca_file);
        if let Some(certificate) = &self.client_cert {
            let certificate = ClientCertificate { certificate: certificate.clone(), key: self.client_key.clone() };
            options.client_certificate = Some(certificate);
        }
        if let Some(path) = &self.credential_file {
            require_file(path)?;
            options.workload_credential = Some(Arc::new(FileCredential::new(path.clone())));
        }
        if let Some(path) = &self.key {
            require_file(path)?;
            let key = EphemeralKey::from_key(load_ed25519_key(path)?);
            options.key = Some(SessionSigner::memory(Arc::new(key)));
        }
        Ok(options)
    }
}

/// A file that the command line names and that is not there is a mistake of usage.
pub(super) fn require_file(path: &Path) -> Outcome<()> {
    if path.exists() {
        return Ok(());
    }
    Err(Failure::usage(format!("cannot read {}: no such file or folder", shown(path))))
}

/// What a client's error means for the shell.
pub(super) fn failure_of(error: &ClientError) -> Failure {
    let mut failure = Failure::from(error.error().clone());
    // A proxy's page or another server answered in the gateway's place.
    let gone = error.kind() == ErrorKind::BadResponse && error.http_status().is_some_and(|status| status >= 500);
    if gone {
        failure.status = super::ExitStatus::Unavailable;
    }
    let hint = if error.kind() == ErrorKind::ConnectionFailed {
        "is the gateway running, and does `--gateway` name it?"
    } else if error.kind() == ErrorKind::WorkloadVerificationFailed {
        "the gateway does not believe this workload; `--credential-file` or `--key` may be missing"
    } else if error.kind() == ErrorKind::ScopeNotFound {
        "the gateway's `grants` say which workload may ask for which context"
    } else {
        return failure;
    };
    failure.with_hint(hint)
}
