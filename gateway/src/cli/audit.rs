//! `smcp audit`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use smcp_core::audit::{AuditReport, Finding, Head, Proof, Verifier, VerifierKeys};
use smcp_core::json::ObjectWriter;
use smcp_core::keys::{KeyMaterial, PublicKey};

use super::ExitStatus;
use super::failure::{Failure, Outcome};
use super::input::{reason, shown};
use super::output::{Output, Style, one_line};
use super::verify::{agent_keys, read_key_set};
use crate::signer::load_public_key;

/// The longest line of a log or an evidence file in bytes; a longer one cannot be a record.
const LONGEST_LINE: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  smcp audit verify smcp-state/audit.jsonl --key smcp-state/audit.key";
const VERIFY_EXAMPLES: &str = "\
Three verdicts. Intact: every record follows from the one before. Complete: nothing is missing at the end. Signed: the
audit key vouches for every record. Whoever can write the log can write it anew, so a key or a head kept elsewhere is
what proves that nobody did.

Exit status: 0 all three hold; 1 one of them fails; 3 the chain is intact, and a proof is missing, such as the signer's key.

Examples:
  smcp audit verify audit.jsonl --key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
  smcp audit verify audit.jsonl --key smcp-state/audit.key            a PEM file, public or private
  smcp audit verify audit.jsonl --jwks audit.jwks --expect-head 128:3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b
  smcp audit verify audit.jsonl --key smcp-state/audit.key --evidence audit.jsonl.evidence --json";

/// Prove what an audit log says.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct Audit {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Verify the chain, its end and its signatures
    Verify(VerifyLog),
}

/// Verify the chain, its end and its signatures.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
struct VerifyLog {
    /// The log
    file: PathBuf,

    /// The audit key: 32 bytes in base64, or a PEM file
    #[arg(long, value_name = "KEY", conflicts_with = "jwks")]
    key: Option<String>,

    /// A JWKS with the audit keys, for a log that outlived one
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    /// The head of the log as it was kept elsewhere
    #[arg(long, value_name = "SEQ:HASH", value_parser = parse_head)]
    expect_head: Option<Head>,

    /// The evidence file: check the agents' own signatures too
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn parse_head(text: &str) -> Result<Head, String> {
    Head::parse(text).map_err(|error| error.message().to_owned())
}

impl Audit {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        match &self.command {
            AuditCommand::Verify(command) => command.run(output),
        }
    }

    pub(super) fn writes_json(&self) -> bool {
        match &self.command {
            AuditCommand::Verify(command) => command.json,
        }
    }
}

impl VerifyLog {
    fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let evidence = self.evidence.as_deref().map(EvidenceFile::open).transpose()?;
        let report = verify_log(&self.file, self.keys()?, self.expect_head, evidence)?;
        if self.json {
            output.json(&to_json(&report))?;
        } else {
            show(&report, output)?;
        }
        Ok(status(&report))
    }

    fn keys(&self) -> Outcome<VerifierKeys> {
        if let Some(path) = &self.jwks {
            return Ok(VerifierKeys::Trusted(agent_keys(&read_key_set(path)?)));
        }
        let Some(text) = &self.key else { return Ok(VerifierKeys::Unknown) };
        if let Ok(key) = PublicKey::parse_base64(text) {
            return Ok(VerifierKeys::Trusted(vec![key]));
        }
        let path = Path::new(text);
        if !path.exists() {
            return Err(Failure::usage("`--key` is neither the base64 of an Ed25519 key nor a file that exists"));
        }
        match load_public_key(path)?.material() {
            KeyMaterial::Ed25519(key) => Ok(VerifierKeys::Trusted(vec![*key])),
            KeyMaterial::Rsa(_) => Err(Failure::usage(format!("{}: an audit key is an Ed25519 key", shown(path)))),
        }
    }
}

/// 0 when everything is proved, 1 when something is wrong, 3 when a proof is missing.
pub(super) fn status(report: &AuditReport) -> ExitStatus {
    match report.overall() {
        Proof::Holds => ExitStatus::Done,
        Proof::Unproven(_) => ExitStatus::Incomplete,
        Proof::Fails(_) => ExitStatus::Failed,
    }
}

/// Reads a log from its file, line by line.
pub(super) fn verify_log(
    path: &Path,
    keys: VerifierKeys,
    expected: Option<Head>,
    evidence: Option<EvidenceFile>,
) -> Outcome<AuditReport> {
    let unreadable = |error: std::io::Error| Failure::usage(format!("cannot read {}: {}", shown(path), reason(&error)));
    let mut verifier = Verifier::new(keys, expected);
    if let Some(evidence) = evidence {
        verifier = verifier.with_evidence(Box::new(move |offset| evidence.line(offset)));
    }
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        match line.strip_suffix(b"\n") {
            Some(line) => verifier.line(line),
            // A longer line goes on behind this piece, and none of the pieces is a record.
            None if u64::try_from(read).is_ok_and(|read| read >= LONGEST_LINE) => verifier.line(&line),
            None => verifier.torn(&line),
        }
    }
    Ok(verifier.finish())
}

/// The evidence file, read where records point.
pub(super) struct EvidenceFile(RefCell<BufReader<File>>);

impl EvidenceFile {
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let file = File::open(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {}", shown(path), reason(&error))))?;
        Ok(Self(RefCell::new(BufReader::new(file))))
    }

    fn line(&self, offset: u64) -> Option<Vec<u8>> {
        let mut reader = self.0.try_borrow_mut().ok()?;
        reader.seek(SeekFrom::Start(offset)).ok()?;
        let mut line = Vec::new();
        reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).ok()?;
        line.strip_suffix(b"\n").map(<[u8]>::to_vec)
    }
}

fn show(report: &AuditReport, output: &Output) -> Outcome<()> {
    for (name, proof) in [("intact", &report.intact), ("complete", &report.complete), ("signed", &report.signed)] {
        show_proof(name, proof, output)?;
    }
    if let Some(evidence) = &report.evidence {
        show_proof("evidence", &evidence.proof, output)?;
        output.line(format_args!("{} agent signatures verified, {} missing", evidence.verified, evidence.missing))?;
    }
    let checkpoints = report.checkpoints;
    output.line(format_args!("{} records, {checkpoints} checkpoints", report.records))?;
    if report.late_signed > 0 {
        output.line(format_args!("{} records were written before a crash and signed after it", report.late_signed))?;
    }
    if let Some(log_id) = report.log_id {
        output.line(format_args!("log   {log_id}"))?;
    }
    if let Some(head) = report.head {
        output.line(format_args!("head  {head}"))?;
    }
    if status(report) == ExitStatus::Incomplete {
        output.line(format_args!(
            "{}: the chain is intact, but a proof is missing",
            output.paint(Style::Caution, "incomplete")
        ))?;
    }
    Ok(())
}

fn show_proof(name: &str, proof: &Proof, output: &Output) -> Outcome<()> {
    match proof {
        Proof::Holds => output.line(format_args!("{name:<9} {}", output.paint(Style::Good, "yes"))),
        Proof::Unproven(finding) => output.line(format_args!(
            "{name:<9} {}  {}",
            output.paint(Style::Caution, "not proved"),
            one_line(&finding.to_string())
        )),
        Proof::Fails(finding) => output.line(format_args!(
            "{name:<9} {}  {}",
            output.paint(Style::Bad, "NO"),
            one_line(&finding.to_string())
        )),
    }
}

fn finding_object(object: ObjectWriter, finding: &Finding) -> ObjectWriter {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let object = match finding.record {
        Some(record) => object.integer("record", whole(record)),
        None => object,
    };
    object.integer("line", whole(finding.line.saturating_add(1))).text("reason", &finding.reason)
}

fn proof_object(proof: &Proof) -> Vec<u8> {
    match proof {
        Proof::Holds => ObjectWriter::new().text("verdict", "holds"),
        Proof::Unproven(finding) => finding_object(ObjectWriter::new().text("verdict", "unproven"), finding),
        Proof::Fails(finding) => finding_object(ObjectWriter::new().text("verdict", "fails"), finding),
    }
    .finish()
}

fn to_json(report: &AuditReport) -> Vec<u8> {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let status = match report.overall() {
        Proof::Holds => "verified",
        Proof::Unproven(_) => "incomplete",
        Proof::Fails(_) => "failed",
    };
    let mut object = ObjectWriter::new()
        .text("status", status)
        .raw("intact", &proof_object(&report.intact))
        .raw("complete", &proof_object(&report.complete))
        .raw("signed", &proof_object(&report.signed));
    if let Some(evidence) = &report.evidence {
        let verdict = ObjectWriter::new()
            .integer("verified", whole(evidence.verified))
            .integer("missing", whole(evidence.missing))
            .raw("proof", &proof_object(&evidence.proof));
        object = object.raw("evidence", &verdict.finish());
    }
    object = object
        .integer("records", whole(report.records))
        .integer("checkpoints", whole(report.checkpoints))
        .integer("late_signed", whole(report.late_signed));
    if let Some(signed) = report.signed_through {
        object = object.integer("signed_through", whole(signed));
    }
    object
        .optional_text("log_id", report.log_id.map(|log_id| log_id.to_string()).as_deref())
        .optional_text("head", report.head.map(|head| head.to_string()).as_deref())
        .finish()
}
