//! Opening a gateway's parts from its configuration.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use smcp_core::ErrorKind;
use smcp_core::error::{Error, Result};
use smcp_core::keys::{AgentKey, KeySet};
use smcp_core::time::UnixTime;

use crate::attestation::{
    AllowAll, KeySource, Oidc, OidcSettings, ProviderAlgorithm, Static, StaticSecret, StaticWorkload, WorkloadVerifier,
};
use crate::audit::{AuditHandle, AuditSettings, AuditWriter, SyncMode};
use crate::config::{
    Config, HostPattern, JwksSource, OidcConfig, SyncPolicy, TlsConfig, VerifierConfig, WorkloadAlgorithm,
};
use crate::signer::{
    KeyRing, KeyRingRules, OperatorToken, RetiredKeyFile, create_ed25519_key, create_operator_token, load_audit_key,
};
use crate::tls::TlsFiles;

/// Makes the state folder, closed to others.
pub(crate) fn make_state_folder(folder: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::new(ErrorKind::ConfigInvalid, format!("state folder `{}`: {error}", folder.display())))
}

/// Opens the signing keys; the active one is made at the first start.
pub(crate) fn open_key_ring(config: &Config) -> Result<KeyRing> {
    let signing = &config.signing;
    if !signing.key_file.exists() {
        let key = create_ed25519_key(&signing.key_file)?;
        tracing::info!(file = %signing.key_file.display(), kid = key.thumbprint(), "made a signing key");
    }
    let retired: Vec<RetiredKeyFile> = signing
        .retired
        .iter()
        .map(|key| RetiredKeyFile { path: key.key_file.clone(), retired_at: key.retired_at })
        .collect();
    let seconds = |duration: std::time::Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
    KeyRing::open(
        &signing.key_file,
        &retired,
        KeyRingRules::new(seconds(signing.overlap), seconds(config.session.token_ttl))?,
    )
}

/// Opens the operator's token; it is made at the first start.
pub(crate) fn open_operator_token(file: &Path) -> Result<OperatorToken> {
    if !file.exists() {
        create_operator_token(file)?;
    }
    OperatorToken::load(file)
}

/// Opens the audit key, which must not be a token key; it is made at the first start.
pub(crate) fn open_audit_key(config: &Config, token_keys: &KeySet) -> Result<AgentKey> {
    let file = &config.audit.key_file;
    if !file.exists() {
        create_ed25519_key(file)?;
    }
    load_audit_key(file, token_keys)
}

/// Makes the configured workload verifier.
pub(crate) fn workload_verifier(
    config: &Config,
    address: SocketAddr,
    now: UnixTime,
) -> Result<Arc<dyn WorkloadVerifier>> {
    Ok(match &config.attestation.verifier {
        VerifierConfig::AllowAll => Arc::new(AllowAll::for_listeners(&[address])?),
        VerifierConfig::Static(workloads) => {
            let mut list = Vec::with_capacity(workloads.len());
            for workload in workloads {
                let secret = match &workload.secret {
                    None => None,
                    Some(secret) => Some(StaticSecret::derive_from_text(secret.expose())?),
                };
                list.push(StaticWorkload { workload_id: workload.id.clone(), public_key: workload.public_key, secret });
            }
            Arc::new(Static::new(list)?)
        }
        VerifierConfig::Oidc(oidc) => Arc::new(Oidc::new(oidc_settings(oidc)?, now)?),
    })
}

fn oidc_settings(oidc: &OidcConfig) -> Result<OidcSettings> {
    Ok(OidcSettings {
        issuer: oidc.issuer.clone(),
        audience: oidc.audience.clone(),
        workload_claim: oidc.workload_claim.clone(),
        execution_claim: None,
        tenant_claim: None,
        algorithms: oidc
            .algorithms
            .iter()
            .map(|algorithm| match algorithm {
                WorkloadAlgorithm::Rs256 => ProviderAlgorithm::Rs256,
                WorkloadAlgorithm::Es256 => ProviderAlgorithm::Es256,
                WorkloadAlgorithm::EdDsa => ProviderAlgorithm::EdDsa,
            })
            .collect(),
        keys: match &oidc.jwks {
            JwksSource::File(path) => KeySource::File(path.clone()),
            JwksSource::Url(url) => KeySource::Url { url: url.clone(), ca_file: oidc.ca_file.clone() },
        },
        leeway_seconds: 0,
    })
}

/// The files of the agents' listener.
pub(crate) fn tls_files(tls: &TlsConfig) -> TlsFiles {
    TlsFiles { certificate: tls.cert.clone(), key: tls.key.clone(), client_ca: tls.client_ca.clone() }
}

/// Names under which the operator's socket is called.
pub(crate) fn loopback_hosts(address: SocketAddr) -> Vec<HostPattern> {
    let port = address.port();
    [address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
        .iter()
        .filter_map(|host| HostPattern::parse(host))
        .collect()
}

/// Opens the audit log and starts its writer.
pub(crate) fn open_audit(config: &Config, key: AgentKey, now: UnixTime) -> Result<(AuditHandle, AuditWriter)> {
    let audit = &config.audit;
    let settings = AuditSettings {
        file: audit.file.clone(),
        evidence_file: audit.evidence.clone(),
        required: audit.required,
        sync: match audit.sync {
            SyncPolicy::Checkpoint => SyncMode::Checkpoint,
            SyncPolicy::Every => SyncMode::Every,
        },
        checkpoint_records: u32::try_from(audit.checkpoint_records).unwrap_or(u32::MAX),
        checkpoint_interval: audit.checkpoint_interval,
        head_url: audit.head_url.clone(),
        config_digest: config.digest,
    };
    AuditWriter::start(&settings, Arc::new(key), now)
}
