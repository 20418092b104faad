//! Verifying envelopes and attestation requests; checks of host values before they are signed.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};
use smcp_core::json::{self, ObjectWriter};
use smcp_core::keys::PublicKey;
use smcp_core::smcp::attest::AttestationRequest;
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, VerifyRules, WireEnvelope};
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};

use crate::errors::{raise, raise_as};

/// Nesting beyond this is no payload: the interpreter's own limit is near.
const DEEPEST: usize = 900;

pub(crate) fn dialect(name: &str) -> PyResult<Dialect> {
    Dialect::from_protocol(name).ok_or_else(|| PyValueError::new_err("unknown protocol"))
}

pub(crate) fn time(now_millis: Option<i64>) -> UnixTime {
    now_millis.map_or_else(
        || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        },
        UnixTime::from_millis,
    )
}

/// Verifies an envelope and returns the canonical payload that was signed.
///
/// With `host_text` the envelope's text was made from host values, whose numbers lost their spelling: Python's spelling
/// is tried, then ECMAScript's.
#[pyfunction]
#[pyo3(signature = (wire, public_key, max_age_seconds, now_millis, protocol, host_text))]
pub(crate) fn verify_envelope<'py>(
    py: Python<'py>,
    wire: PyBackedBytes,
    public_key: PyBackedBytes,
    max_age_seconds: i64,
    now_millis: Option<i64>,
    protocol: &str,
    host_text: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let rules = VerifyRules { dialect: dialect(protocol)?, max_age_seconds, ..VerifyRules::default() };
    let now = time(now_millis);
    let payload =
        py.detach(|| verify(&wire, &public_key, &rules, now, host_text)).map_err(|failure| match failure {
            Failure::Key(error) => raise_as(py, ErrorKind::WorkloadVerificationFailed, &error, rules.dialect),
            Failure::Envelope(error) => raise(py, &error, rules.dialect),
        })?;
    Ok(PyBytes::new(py, &payload))
}

enum Failure {
    /// The verifier's own key is unusable.
    Key(Error),
    Envelope(Error),
}

fn verify(wire: &[u8], key: &[u8], rules: &VerifyRules, now: UnixTime, host_text: bool) -> Result<Vec<u8>, Failure> {
    let key = match PublicKey::parse_bytes(key) {
        Ok(key) => key,
        Err(error) => {
            // As published: an envelope that is wrong in itself is reported before the verifier's key.
            let payload = PayloadRule::AnyObject;
            let shape = EnvelopeRules { limits: rules.limits, dialect: Some(rules.dialect), payload };
            let envelope = WireEnvelope::parse(wire, &shape).map_err(Failure::Envelope)?;
            envelope.check_freshness(rules.max_age_seconds, now).map_err(Failure::Envelope)?;
            return Err(Failure::Key(error));
        }
    };
    let first = smcp_core::smcp::verify_envelope(wire, &key, rules, now);
    let verified = match first {
        Err(error) if host_text && error.kind() == ErrorKind::InvalidSignature => match respelled(wire) {
            Some(other) if other != wire => {
                let second = smcp_core::smcp::verify_envelope(&other, &key, rules, now);
                second.map(|message| message.payload_bytes().to_vec())
            }
            Some(_) | None => Err(error),
        },
        Err(error) => Err(error),
        Ok(message) => Ok(message.payload_bytes().to_vec()),
    };
    verified.map_err(Failure::Envelope)
}

/// The envelope with the payload's numbers in ECMAScript spelling.
fn respelled(wire: &[u8]) -> Option<Vec<u8>> {
    let document = json::scan(wire).ok()?;
    let mut envelope = ObjectWriter::new();
    for (name, value) in document.root().members() {
        let spelled;
        let raw = if name == "payload" {
            spelled = json::respell(value).ok()?;
            &spelled
        } else {
            value.raw().as_bytes()
        };
        envelope = envelope.raw(&name, raw);
    }
    Some(envelope.finish())
}

/// Unix seconds of RFC 3339 text with a zone; ValueError for anything else.
#[pyfunction]
pub(crate) fn parse_timestamp(text: &str) -> PyResult<i64> {
    match UnixTime::parse_rfc3339(text) {
        Ok(time) => Ok(time.seconds()),
        Err(error) => Err(PyValueError::new_err(error.message().to_owned())),
    }
}

/// The wire text of a time in Unix milliseconds, and its whole seconds.
#[pyfunction]
pub(crate) fn write_timestamp(millis: i64) -> (String, i64) {
    let time = UnixTime::from_millis(millis);
    (time.to_rfc3339(), time.seconds())
}

/// Whether every name in dictionaries at any depth is a string, which `json.dumps` does not ask.
#[pyfunction]
pub(crate) fn check_names(value: &Bound<'_, PyAny>) -> bool {
    names_are_strings(value, 0)
}

fn names_are_strings(value: &Bound<'_, PyAny>, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let below = depth.saturating_add(1);
    if let Ok(dict) = value.cast::<PyDict>() {
        dict.iter().all(|(name, member)| name.is_instance_of::<PyString>() && names_are_strings(&member, below))
    } else if let Ok(list) = value.cast::<PyList>() {
        list.iter().all(|element| names_are_strings(&element, below))
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        tuple.iter().all(|element| names_are_strings(&element, below))
    } else {
        true
    }
}

/// Reads an attestation request and verifies its proof: public key, workload id and scope.
#[pyfunction]
#[pyo3(signature = (body, protocol, gateway_url, now_millis, require_proof))]
pub(crate) fn parse_attestation<'py>(
    py: Python<'py>,
    body: PyBackedBytes,
    protocol: &str,
    gateway_url: Option<&str>,
    now_millis: Option<i64>,
    require_proof: bool,
) -> PyResult<(Bound<'py, PyBytes>, String, String)> {
    let dialect = dialect(protocol)?;
    let request = py.detach(|| {
        let request = AttestationRequest::parse(&body, dialect)?;
        request.check_proof(require_proof, gateway_url, time(now_millis))?;
        Ok(request)
    });
    let request = request.map_err(|error: Error| raise(py, &error, dialect))?;
    Ok((PyBytes::new(py, request.key.as_bytes()), request.workload_id, request.scope))
}
