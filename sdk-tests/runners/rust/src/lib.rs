//! Runs the shared vectors against the core. Every file's `count` is checked, every case type must be known.

pub mod envelopes;
pub mod gateway;
pub mod jwt;
pub mod policy;

use std::fs;
use std::path::Path;

use serde_json::Value;
use smcp_core::{Error, ErrorKind};

/// One vector file in memory.
pub struct VectorFile {
    /// File name without folder.
    pub name: String,
    /// The whole document, for shared tables.
    pub document: Value,
}

impl VectorFile {
    /// Reads a file; panics with its name when it cannot be read, since nothing can be said without it.
    pub fn read(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), document }
    }

    /// The vectors.
    pub fn vectors(&self) -> &[Value] {
        self.document["vectors"].as_array().expect("a list of vectors")
    }
}

/// What one file came to.
#[derive(Default)]
pub struct Report {
    /// Vectors run.
    pub run: usize,
    /// One line for each failure.
    pub failures: Vec<String>,
}

/// A check of one vector: `Err` says what went wrong.
pub type Check = fn(&VectorFile, &Value) -> Result<(), String>;

/// Every file this runner knows, with its check.
pub const FILES: &[(&str, Check)] = &[
    ("smcp-keys.json", envelopes::check_key),
    ("smcp-envelopes-py.json", envelopes::check_genuine),
    ("smcp-envelopes-ts.json", envelopes::check_genuine),
    ("smcp-divergence.json", envelopes::check_divergence),
    ("smcp-native-values.json", envelopes::check_native),
    ("smcp-rfc-examples.json", envelopes::check_example),
    ("smcp-envelope-checks.json", envelopes::check_envelope),
    ("smcp-ed25519-edge.json", envelopes::check_envelope),
    ("jwt.json", jwt::check_token),
    ("smcp-gateway.json", gateway::check_gateway),
    ("policy.json", policy::check_policy),
];

/// Runs one file.
pub fn run_file(folder: &Path, name: &str, check: Check) -> Report {
    let file = VectorFile::read(folder, name);
    let mut report = Report::default();
    for vector in file.vectors() {
        report.run += 1;
        if let Err(failure) = check(&file, vector) {
            report.failures.push(format!("{name} {}: {failure}", vector["id"]));
        }
    }
    let count = file.document["count"].as_u64().expect("a count") as usize;
    if report.run != count {
        report.failures.push(format!("{name}: ran {} of {count} vectors", report.run));
    }
    report
}

/// The text member `name` of a vector.
pub fn text<'v>(vector: &'v Value, name: &str) -> &'v str {
    vector[name].as_str().unwrap_or_else(|| panic!("{}: no text member {name}", vector["id"]))
}

/// The bytes of a member, from its `_b64` twin when there is one.
pub fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    match vector[format!("{name}_b64")].as_str() {
        Some(encoded) => smcp_core::keys::decode_base64(encoded).expect("base64"),
        None => text(vector, name).as_bytes().to_vec(),
    }
}

/// The kinds that a `stage` of a vector stands for (section 8).
pub fn stage_kinds(stage: &str) -> &'static [ErrorKind] {
    match stage {
        "json" | "envelope" | "timestamp-format" => &[ErrorKind::MalformedEnvelope, ErrorKind::UnsupportedProtocol],
        "timestamp-window" => &[ErrorKind::StaleTimestamp],
        "signature" => &[ErrorKind::InvalidSignature],
        "token" => &[ErrorKind::TokenExpired, ErrorKind::TokenVerificationFailed],
        other => panic!("unknown stage {other}"),
    }
}

/// Compares a result with `expect` and `stage`.
pub fn compare<T>(vector: &Value, result: Result<T, Error>) -> Result<Option<T>, String> {
    match (text(vector, "expect"), result) {
        ("accept", Ok(value)) => Ok(Some(value)),
        ("accept", Err(error)) => Err(format!("refused: {error}")),
        ("reject", Ok(_)) => Err("accepted".to_owned()),
        ("reject", Err(error)) => {
            let stages: Vec<&str> =
                vector["stage"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let kinds: Vec<ErrorKind> = stages.iter().flat_map(|stage| stage_kinds(stage)).copied().collect();
            if kinds.is_empty() || kinds.contains(&error.kind()) {
                Ok(None)
            } else {
                Err(format!("refused at {stages:?} expected, got {error}"))
            }
        }
        ("either", result) => Ok(result.ok()),
        (other, _) => Err(format!("unknown expectation `{other}`")),
    }
}
