//! `smcp verify`.

use std::path::PathBuf;

use clap::Args;
use smcp_core::json::{Limits, ObjectWriter};
use smcp_core::keys::{KeyMaterial, KeySet, PublicKey};
use smcp_core::smcp::token::{Claims, TokenRules, TokenVerifier};
use smcp_core::smcp::{
    CanonicalMessage, Dialect, EnvelopeRules, PayloadRule, VerifyRules, WireEnvelope, verify_envelope,
};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};

use super::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{LARGEST, parse_time, read_file, shown};
use super::output::{Output, Style, one_line};
use crate::clock;

const EXAMPLES: &str = "\
Says whether the signature covers exactly this payload, token and time. It does not look at replays, sessions or policy.

Examples:
  smcp verify envelope.json --key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= --at 2026-02-17T14:32:01Z
                                     against the agent's key, as of the time it was sent
  smcp verify envelope.json --jwks agents.jwks --max-age 3600
                                     against any of several agents' keys
  curl -s http://127.0.0.1:8787/.well-known/jwks.json > gateway.jwks
  smcp verify envelope.json --token-jwks gateway.jwks --json
                                     the token against the gateway's keys, the envelope against the key the token is bound to";

/// Verify the signature of an envelope in a file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// The envelope as it was sent; `-` reads standard input
    envelope: PathBuf,

    #[command(flatten)]
    key: KeySource,

    /// Greatest distance between the envelope's timestamp and the clock, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    max_age: u32,

    /// The time to take for now
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<UnixTime>,

    /// Issuer the token must have, with `--token-jwks`
    #[arg(long)]
    issuer: Option<String>,

    /// Audience the token must have, with `--token-jwks`
    #[arg(long)]
    audience: Option<String>,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct KeySource {
    /// The agent's public key: 32 bytes in base64
    #[arg(long, value_name = "BASE64")]
    key: Option<String>,

    /// A JWKS with the keys of agents, of which one must fit
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    /// The gateway's JWKS: verifies the token too, and takes the agent's key from it
    #[arg(long, value_name = "FILE")]
    token_jwks: Option<PathBuf>,
}

/// What was proved.
struct Proof {
    message: CanonicalMessage,
    dialect: Dialect,
    timestamp: UnixTime,
    key: PublicKey,
    /// With `--token-jwks`.
    claims: Option<Claims>,
}

impl Verify {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        if self.key.token_jwks.is_none() && (self.issuer.is_some() || self.audience.is_some()) {
            return Err(Failure::usage(
                "`--issuer` and `--audience` need `--token-jwks`: without it no token is verified",
            ));
        }
        let wire = read_file(&self.envelope)?;
        let now = self.at.unwrap_or_else(clock::now);
        match self.verify(&wire, now)? {
            Some(proof) => {
                self.show(&proof, now, output)?;
                Ok(ExitStatus::Done)
            }
            None => {
                let message = "the token is valid, but bound to no key, so that nothing says who may sign with it";
                if self.json {
                    output.json(&ObjectWriter::new().text("status", "incomplete").text("message", message).finish())?;
                } else {
                    output.line(format_args!("{}: {message}", output.paint(Style::Caution, "incomplete")))?;
                }
                Ok(ExitStatus::Incomplete)
            }
        }
    }

    /// The proof; `None` when the token is good and names no key.
    fn verify(&self, wire: &[u8], now: UnixTime) -> Outcome<Option<Proof>> {
        let limits = Limits { bytes: LARGEST, ..Limits::default() };
        let shape = EnvelopeRules { limits, dialect: None, payload: PayloadRule::AnyObject };
        let envelope = WireEnvelope::parse(wire, &shape)?;
        let Some((keys, claims)) = self.keys(&envelope, now)? else { return Ok(None) };
        let dialect = envelope.dialect();
        let rules = VerifyRules { dialect, max_age_seconds: i64::from(self.max_age), limits };
        let mut refusal = None;
        for key in keys {
            match verify_envelope(wire, &key, &rules, now) {
                Ok(message) => {
                    return Ok(Some(Proof { message, dialect, timestamp: envelope.timestamp(), key, claims }));
                }
                Err(error) => refusal = Some(error),
            }
        }
        let refusal =
            refusal.unwrap_or_else(|| Error::new(ErrorKind::ConfigInvalid, "there is no Ed25519 key to verify with"));
        let stale = refusal.kind() == ErrorKind::StaleTimestamp;
        let failure = Failure::from(refusal);
        Err(if stale {
            failure.with_hint(format!(
                "the envelope is of {}; give the time it was received with `--at`, or a larger `--max-age`",
                envelope.timestamp()
            ))
        } else {
            failure
        })
    }

    /// The keys of which one must fit, and the token's claims where it was verified; `None` when it names no key.
    fn keys(&self, envelope: &WireEnvelope<'_>, now: UnixTime) -> Outcome<Option<(Vec<PublicKey>, Option<Claims>)>> {
        if let Some(text) = &self.key.key {
            let key = PublicKey::parse_base64(text)
                .map_err(|error| Failure::usage(format!("`--key`: {}", error.message())))?;
            return Ok(Some((vec![key], None)));
        }
        if let Some(path) = &self.key.jwks {
            return Ok(Some((agent_keys(&read_key_set(path)?), None)));
        }
        let Some(path) = &self.key.token_jwks else {
            return Err(Failure::usage("give `--key`, `--jwks` or `--token-jwks`"));
        };
        let rules = TokenRules {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            cache_capacity: 0,
            ..TokenRules::default()
        };
        let verifier = TokenVerifier::new(read_key_set(path)?, rules)?;
        let token = verifier.verify(&envelope.security_token(), now)?;
        let claims = token.claims().clone();
        if claims.dialect.is_some_and(|dialect| dialect != envelope.dialect()) {
            let message = "the token was attested under the other protocol";
            return Err(Error::new(ErrorKind::UnsupportedProtocol, message).into());
        }
        Ok(claims.key.map(|key| (vec![key], Some(claims))))
    }

    fn show(&self, proof: &Proof, now: UnixTime, output: &Output) -> Outcome<()> {
        let payload = String::from_utf8_lossy(proof.message.payload_bytes());
        let age = now.seconds().saturating_sub(proof.timestamp.seconds());
        let digest = hexadecimal(&proof.message.sha256());
        if self.json {
            let mut object = ObjectWriter::new()
                .text("status", "valid")
                .text("protocol", proof.dialect.protocol())
                .text("timestamp", &proof.timestamp.to_rfc3339())
                .integer("age_seconds", age)
                .text("public_key", &proof.key.to_base64())
                .text("key_id", &proof.key.thumbprint())
                .text("message_sha256", &digest)
                .boolean("token_verified", proof.claims.is_some());
            if let Some(claims) = &proof.claims {
                object = object.raw("claims", &claims_object(claims));
            }
            return output.json(&object.raw("payload", payload.as_bytes()).finish());
        }
        output.line(format_args!("{} {} signature", output.paint(Style::Good, "valid"), proof.dialect))?;
        output.line(format_args!("signed at  {} ({age} s before now)", proof.timestamp))?;
        output.line(format_args!("agent key  {}", proof.key.to_base64()))?;
        output.line(format_args!("sha-256    {digest}"))?;
        match &proof.claims {
            Some(claims) => {
                output.line(format_args!("workload   {}", one_line(&claims.workload_id)))?;
                output.line(format_args!("context    {}", one_line(&claims.scope)))?;
                output.line(format_args!("token      valid until {}", UnixTime::from_seconds(claims.expires_at)))?;
            }
            None => output.line("token      not verified (that takes `--token-jwks`)")?,
        }
        output.line(format_args!("payload    {}", one_line(&payload)))
    }
}

/// The claims a person asks for; the token itself is a secret and is not shown.
pub(super) fn claims_object(claims: &Claims) -> Vec<u8> {
    ObjectWriter::new()
        .text("sub", &claims.agent_id)
        .text("scp", &claims.scope)
        .text("wid", &claims.workload_id)
        .integer("iat", claims.issued_at)
        .integer("exp", claims.expires_at)
        .optional_text("jti", claims.session_id.as_deref())
        .optional_text("iss", claims.issuer.as_deref())
        .list("aud", claims.audience.iter().map(String::as_str))
        .optional_text("protocol", claims.dialect.map(Dialect::protocol))
        .optional_text("exec_id", claims.execution_id.as_deref())
        .optional_text("tenant_id", claims.tenant_id.as_deref())
        .finish()
}

/// Reads a JWKS file.
pub(super) fn read_key_set(path: &std::path::Path) -> Outcome<KeySet> {
    let text = read_file(path)?;
    KeySet::parse_jwks(&text).map_err(|error| Failure::check(format!("{}: {}", shown(path), error.message())))
}

/// The Ed25519 keys of a set.
pub(super) fn agent_keys(set: &KeySet) -> Vec<PublicKey> {
    let keys = set.keys().iter().filter_map(|key| match key.material() {
        KeyMaterial::Ed25519(key) => Some(*key),
        KeyMaterial::Rsa(_) => None,
    });
    keys.collect()
}

/// Lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
