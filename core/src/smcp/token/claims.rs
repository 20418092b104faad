//! The claims of a security token: reading, checking and writing them (section 3).

use super::{MAXIMUM_LIFETIME_SECONDS, refuse};
use crate::error::{Error, ErrorKind, Result};
use crate::json::{self, Kind, ObjectWriter, Value};
use crate::keys::PublicKey;
use crate::smcp::Dialect;
use crate::time::UnixTime;

/// How far `iat` may lie in the future, in seconds.
const ISSUED_AHEAD_SECONDS: i64 = 60;

/// The claims of section 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: agent id.
    pub agent_id: String,
    /// `scp`: name of the security context.
    pub scope: String,
    /// `wid`: workload id.
    pub workload_id: String,
    /// `iat` in Unix seconds.
    pub issued_at: i64,
    /// `exp` in Unix seconds.
    pub expires_at: i64,
    /// `nbf` in Unix seconds.
    pub not_before: Option<i64>,
    /// `jti`: session id.
    pub session_id: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `cnf.jwk`: the agent key the token is bound to.
    pub key: Option<PublicKey>,
    /// `protocol`: the dialect the session was attested under.
    pub dialect: Option<Dialect>,
    /// `exec_id`.
    pub execution_id: Option<String>,
    /// `tenant_id`.
    pub tenant_id: Option<String>,
}

impl Claims {
    /// Reads the decoded claims part. With `lenient` a token without `wid` takes its `sub` for it.
    pub(super) fn parse(bytes: &[u8], lenient: bool) -> Result<Self> {
        let document = json::scan_with(bytes, super::jws::JSON_LIMITS)
            .map_err(|error| refuse(format!("token claims: {error}")))?;
        let claims = document.root();
        if claims.kind() != Kind::Object {
            return Err(refuse("the token claims are no object"));
        }
        let agent_id = required_text(claims, "sub")?;
        let workload_id = match claims.get("wid") {
            None if lenient => agent_id.clone(),
            _ => required_text(claims, "wid")?,
        };
        Ok(Self {
            scope: parse_scope(claims)?,
            workload_id,
            issued_at: required_seconds(claims, "iat")?,
            expires_at: required_seconds(claims, "exp")?,
            not_before: claims.get("nbf").map(|_| required_seconds(claims, "nbf")).transpose()?,
            session_id: optional_text(claims, "jti")?,
            issuer: optional_text(claims, "iss")?,
            audience: parse_audience(claims)?,
            key: claims.get("cnf").map(parse_confirmation).transpose()?,
            dialect: parse_dialect(claims)?,
            execution_id: optional_text(claims, "exec_id")?,
            tenant_id: optional_text(claims, "tenant_id")?,
            agent_id,
        })
    }

    /// Checks lifetime, `iat`, `nbf` and `exp` against `now`; `leeway` seconds are granted on `exp` only.
    pub(super) fn check_times(&self, now: UnixTime, leeway: u32) -> Result<()> {
        let now = now.seconds();
        if self.expires_at.saturating_sub(self.issued_at) > MAXIMUM_LIFETIME_SECONDS {
            return Err(refuse("the token is valid for more than 24 hours"));
        }
        if self.issued_at > now.saturating_add(ISSUED_AHEAD_SECONDS) {
            return Err(refuse("the token was issued in the future"));
        }
        if self.expires_at < self.issued_at {
            return Err(refuse("the token expires before it was issued"));
        }
        if self.not_before.is_some_and(|not_before| not_before > now) {
            return Err(refuse("the token is not valid yet"));
        }
        if self.expires_at.saturating_add(i64::from(leeway)) <= now {
            return Err(Error::new(ErrorKind::TokenExpired, "the token has expired"));
        }
        Ok(())
    }

    /// Writes the claims as JSON, members in code point order; `with_ctx` adds `ctx` beside `scp`.
    pub(super) fn to_json(&self, with_ctx: bool) -> Vec<u8> {
        let mut object = match self.audience.as_slice() {
            [] => ObjectWriter::new(),
            [one] => ObjectWriter::new().text("aud", one),
            several => ObjectWriter::new().list("aud", several.iter().map(String::as_str)),
        };
        if let Some(key) = &self.key {
            let jwk = ObjectWriter::new().text("crv", "Ed25519").text("kty", "OKP").text("x", &key.to_base64url());
            object = object.raw("cnf", &ObjectWriter::new().raw("jwk", &jwk.finish()).finish());
        }
        object = object
            .optional_text("ctx", with_ctx.then_some(self.scope.as_str()))
            .optional_text("exec_id", self.execution_id.as_deref())
            .integer("exp", self.expires_at)
            .integer("iat", self.issued_at)
            .optional_text("iss", self.issuer.as_deref())
            .optional_text("jti", self.session_id.as_deref());
        if let Some(not_before) = self.not_before {
            object = object.integer("nbf", not_before);
        }
        object
            .optional_text("protocol", self.dialect.map(Dialect::protocol))
            .text("scp", &self.scope)
            .text("sub", &self.agent_id)
            .optional_text("tenant_id", self.tenant_id.as_deref())
            .text("wid", &self.workload_id)
            .finish()
    }
}

fn optional_text(claims: Value<'_>, name: &str) -> Result<Option<String>> {
    claims.get(name).map(|_| required_text(claims, name)).transpose()
}

fn required_text(claims: Value<'_>, name: &str) -> Result<String> {
    let value = claims.get(name).ok_or_else(|| refuse(format!("claim `{name}` is missing")))?;
    let text = value.as_str().ok_or_else(|| refuse(format!("claim `{name}` is no string")))?;
    if text.trim().is_empty() {
        return Err(refuse(format!("claim `{name}` is empty")));
    }
    Ok(text.into_owned())
}

fn required_seconds(claims: Value<'_>, name: &str) -> Result<i64> {
    let value = claims.get(name).ok_or_else(|| refuse(format!("claim `{name}` is missing")))?;
    value.as_i64().ok_or_else(|| refuse(format!("claim `{name}` is no integer")))
}

fn parse_scope(claims: Value<'_>) -> Result<String> {
    match (claims.get("scp"), claims.get("ctx")) {
        (None, Some(_)) => required_text(claims, "ctx"),
        (_, None) => required_text(claims, "scp"),
        (Some(_), Some(_)) => {
            let scope = required_text(claims, "scp")?;
            if required_text(claims, "ctx")? != scope {
                return Err(refuse("claims `scp` and `ctx` disagree"));
            }
            Ok(scope)
        }
    }
}

fn parse_audience(claims: Value<'_>) -> Result<Vec<String>> {
    let wrong = || refuse("claim `aud` is no string or list of strings");
    let Some(audience) = claims.get("aud") else { return Ok(Vec::new()) };
    match audience.kind() {
        Kind::String => Ok(vec![audience.as_str().ok_or_else(wrong)?.into_owned()]),
        Kind::Array => audience.elements().map(|one| Ok(one.as_str().ok_or_else(wrong)?.into_owned())).collect(),
        Kind::Null | Kind::Boolean | Kind::Number | Kind::Object => Err(wrong()),
    }
}

/// A confirmation that is not an Ed25519 `jwk` cannot be checked, so the token is refused.
fn parse_confirmation(confirmation: Value<'_>) -> Result<PublicKey> {
    let wrong = || refuse("claim `cnf` holds no Ed25519 `jwk`");
    let jwk = confirmation.get("jwk").filter(|_| confirmation.members().count() == 1).ok_or_else(wrong)?;
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    if jwk.get("d").is_some() || member("kty").as_deref() != Some("OKP") || member("crv").as_deref() != Some("Ed25519")
    {
        return Err(wrong());
    }
    PublicKey::parse_base64url(&member("x").ok_or_else(wrong)?).map_err(|_| wrong())
}

fn parse_dialect(claims: Value<'_>) -> Result<Option<Dialect>> {
    let Some(protocol) = optional_text(claims, "protocol")? else { return Ok(None) };
    Dialect::from_protocol(&protocol).map(Some).ok_or_else(|| refuse("claim `protocol` names an unknown protocol"))
}
