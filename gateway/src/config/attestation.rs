//! How workloads prove who they are (section 4).

use std::path::PathBuf;

use smcp_core::error::Result;
use smcp_core::keys::PublicKey;
use smcp_core::settings::{Cursor, Fields, quote};

use super::address::secure_url;
use super::base::Base;
use super::issuer::{filled, non_empty_choices};
use super::listen::ListenConfig;
use super::secret::Secret;

/// Shortest workload secret: 22 characters of base64 carry 128 bits.
const SHORTEST_SECRET: usize = 22;

/// Attestation.
#[derive(Clone, Debug)]
pub struct AttestationConfig {
    /// Who decides that a workload is real.
    pub verifier: VerifierConfig,
    /// Whether a request without proof of possession is refused, default false.
    pub require_proof: bool,
    /// Failed attempts per minute and source, default 30.
    pub failures_per_source: u32,
    /// Successes per minute and workload, default 30.
    pub successes_per_workload: u32,
}

/// The built-in workload verifiers.
#[derive(Clone, Debug)]
pub enum VerifierConfig {
    /// Everybody is who they say; for development on loopback.
    AllowAll,
    /// A list of workloads.
    Static(Vec<StaticWorkload>),
    /// Tokens of an identity provider.
    Oidc(OidcConfig),
}

/// One workload of the `static` verifier.
#[derive(Clone, Debug)]
pub struct StaticWorkload {
    /// Its id.
    pub id: String,
    /// The only key it may attest with.
    pub public_key: Option<PublicKey>,
    /// What it must send as Bearer.
    pub secret: Option<Secret>,
}

/// The `oidc` verifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// Required `iss`.
    pub issuer: String,
    /// Required `aud`.
    pub audience: String,
    /// The claim that must equal the workload id.
    pub workload_claim: String,
    /// Where the provider's keys are.
    pub jwks: JwksSource,
    /// PEM file of the only authorities trusted for a JWKS URL.
    pub ca_file: Option<PathBuf>,
    /// Accepted algorithms, default all three.
    pub algorithms: Vec<WorkloadAlgorithm>,
}

/// Where a set of public keys is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file.
    File(PathBuf),
    /// An `https` URL (or `http` on loopback), read again on an unknown `kid` at most once a minute.
    Url(String),
}

/// Algorithms of workload tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadAlgorithm {
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA over P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl AttestationConfig {
    pub(super) fn read(
        root: &Fields<'_>,
        base: &Base<'_>,
        listen: &ListenConfig,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let field = root.required("attestation")?;
        let fields = field.fields(&["verifier", "require_proof", "rate"])?;
        let place = fields.required("verifier")?;
        let verifier = VerifierConfig::read(&place, base)?;
        check_exposure(&verifier, &place, listen, warnings)?;
        let mut config = Self {
            verifier,
            require_proof: fields.optional("require_proof").map_or(Ok(false), |field| field.boolean())?,
            failures_per_source: 30,
            successes_per_workload: 30,
        };
        if let Some(rate) = fields.optional("rate") {
            let fields = rate.fields(&["per_source", "per_workload"])?;
            let per_minute = |name, default| match fields.optional(name) {
                Some(field) => u32::try_from(field.integer(1..=1_000_000)?).map_err(|_| field.error("is out of range")),
                None => Ok(default),
            };
            config.failures_per_source = per_minute("per_source", config.failures_per_source)?;
            config.successes_per_workload = per_minute("per_workload", config.successes_per_workload)?;
        }
        Ok(config)
    }
}

/// Refuses a verifier that believes everybody where everybody can connect.
fn check_exposure(
    verifier: &VerifierConfig,
    place: &Cursor<'_>,
    listen: &ListenConfig,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let mutual = listen.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let exposed = !listen.is_loopback() || listen.behind_tls_proxy;
    match verifier {
        VerifierConfig::AllowAll if !listen.is_loopback() => Err(place.error(&format!(
            "`allow_all` believes everybody and is for loopback only, but `listen` is `{}`",
            listen.address
        ))),
        VerifierConfig::AllowAll => {
            let more = if listen.behind_tls_proxy { ", also everybody behind the proxy" } else { "" };
            let warning = format!("`allow_all` believes every workload id{more}; for development only");
            warnings.push(place.error(&warning).message().to_owned());
            Ok(())
        }
        VerifierConfig::Static(workloads) => {
            let bare = workloads.iter().find(|workload| workload.public_key.is_none() && workload.secret.is_none());
            if let (Some(workload), true, false) = (bare, exposed, mutual) {
                let id = quote(&workload.id);
                let warning =
                    format!("workload {id} has neither public key nor secret: whoever knows its id may attest");
                warnings.push(place.error(&warning).message().to_owned());
            }
            Ok(())
        }
        VerifierConfig::Oidc(_) => Ok(()),
    }
}

impl VerifierConfig {
    fn read(field: &Cursor<'_>, base: &Base<'_>) -> Result<Self> {
        let forms = "`allow_all`, or a mapping with `static` or `oidc`";
        if !field.is_mapping() {
            let text = field.text().map_err(|_| field.error(&format!("expected {forms}")))?;
            if text == "allow_all" {
                return Ok(Self::AllowAll);
            }
            return Err(field.error(&format!("expected {forms}, found {}", quote(text))));
        }
        let fields = field.fields(&["static", "oidc"])?;
        match (fields.optional("static"), fields.optional("oidc")) {
            (Some(list), None) => read_static(&list, base).map(Self::Static),
            (None, Some(oidc)) => OidcConfig::read(&oidc, base).map(Self::Oidc),
            (Some(_), Some(_)) | (None, None) => Err(field.error("expected exactly one of `static` and `oidc`")),
        }
    }
}

fn read_static(field: &Cursor<'_>, base: &Base<'_>) -> Result<Vec<StaticWorkload>> {
    let list = field.fields(&["workloads"])?.required("workloads")?;
    let mut workloads: Vec<StaticWorkload> = Vec::new();
    for field in list.list()? {
        let fields = field.fields(&["id", "public_key", "secret", "secret_file"])?;
        let place = fields.required("id")?;
        let id = filled(&place)?;
        if workloads.iter().any(|workload| workload.id == id) {
            return Err(place.error(&format!("the workload {} stands here twice", quote(&id))));
        }
        let public_key = fields
            .optional("public_key")
            .map(|field| PublicKey::parse_base64(field.text()?).map_err(|error| field.locate(&error)))
            .transpose()?;
        workloads.push(StaticWorkload { id, public_key, secret: read_secret(&fields, base)? });
    }
    if workloads.is_empty() { Err(list.error("is empty")) } else { Ok(workloads) }
}

fn read_secret(fields: &Fields<'_>, base: &Base<'_>) -> Result<Option<Secret>> {
    let (place, secret) = match (fields.optional("secret"), fields.optional("secret_file")) {
        (None, None) => return Ok(None),
        (Some(_), Some(second)) => return Err(second.error("stands beside `secret`; give one of them")),
        (Some(inline), None) => {
            let secret = inline.non_empty_text()?.to_owned();
            base.has_inline_secrets.set(true);
            (inline, secret)
        }
        (None, Some(file)) => {
            let secret = base.secret_in_file(&file)?;
            (file, secret)
        }
    };
    if secret.len() < SHORTEST_SECRET {
        return Err(place.error(&format!("the secret is shorter than {SHORTEST_SECRET} characters")));
    }
    // It travels in a header.
    if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(place.error("the secret holds characters other than printable ASCII without space"));
    }
    Ok(Some(Secret::new(secret)))
}

impl OidcConfig {
    fn read(field: &Cursor<'_>, base: &Base<'_>) -> Result<Self> {
        let fields = field.fields(&[
            "issuer",
            "audience",
            "workload_claim",
            "jwks_file",
            "jwks_url",
            "ca_file",
            "algorithms",
        ])?;
        let jwks = match (fields.optional("jwks_file"), fields.optional("jwks_url")) {
            (Some(file), None) => JwksSource::File(base.file(&file)?),
            (None, Some(url)) => JwksSource::Url(secure_url(&url)?.into()),
            (Some(_), Some(_)) | (None, None) => {
                return Err(field.error("expected exactly one of `jwks_file` and `jwks_url`"));
            }
        };
        let ca_file = match (fields.optional("ca_file"), &jwks) {
            (Some(file), JwksSource::File(_)) => return Err(file.error("serves `jwks_url` only")),
            (Some(file), JwksSource::Url(_)) => Some(base.file(&file)?),
            (None, JwksSource::File(_) | JwksSource::Url(_)) => None,
        };
        let words = [
            ("RS256", WorkloadAlgorithm::Rs256),
            ("ES256", WorkloadAlgorithm::Es256),
            ("EdDSA", WorkloadAlgorithm::EdDsa),
        ];
        Ok(Self {
            issuer: filled(&fields.required("issuer")?)?,
            audience: filled(&fields.required("audience")?)?,
            workload_claim: filled(&fields.required("workload_claim")?)?,
            jwks,
            ca_file,
            algorithms: match fields.optional("algorithms") {
                Some(field) => non_empty_choices(&field, &words)?,
                None => words.map(|(_, algorithm)| algorithm).to_vec(),
            },
        })
    }
}
