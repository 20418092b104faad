use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest as _, Sha256};
use smcp_core::audit::{AuditEvent, AuditReport, Proof, Verifier, VerifierKeys};
use smcp_core::keys::AgentKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::SyncMode;
use super::*;

fn key(seed: u8) -> AgentKey {
    AgentKey::derive_from_slice(&[seed; 32]).unwrap()
}

fn record(number: usize) -> AuditRecord {
    let mut record = AuditRecord::new(AuditEvent::ToolCallCompleted, clock::now());
    record.request_id = Some(format!("request-{number}"));
    record
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("audit.jsonl")
    }

    fn settings(&self) -> AuditSettings {
        AuditSettings {
            file: self.log(),
            evidence_file: None,
            required: true,
            sync: SyncMode::Checkpoint,
            checkpoint_records: 1000,
            checkpoint_interval: Duration::from_secs(1),
            head_url: None,
            config_digest: [7; 32],
        }
    }

    fn start(&self) -> (AuditHandle, AuditWriter) {
        AuditWriter::start(&self.settings(), Arc::new(key(1)), clock::now()).unwrap()
    }

    fn refused(&self, settings: &AuditSettings, seed: u8) -> String {
        let error = AuditWriter::start(settings, Arc::new(key(seed)), clock::now()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error.message().to_owned()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap()
    }
}

fn verify(log: &Path, head: &str) -> AuditReport {
    let expected = Head::parse(head).unwrap();
    let keys = VerifierKeys::Trusted(vec![*key(1).public()]);
    Verifier::new(keys, Some(expected)).verify(&std::fs::read(log).unwrap())
}

fn assert_whole(log: &Path, head: &str) {
    let report = verify(log, head);
    assert_eq!(report.overall(), &Proof::Holds, "{report:?}");
    assert_eq!(report.head.unwrap().to_string(), head);
}

#[tokio::test]
async fn refuses_files_that_are_no_log_of_ours() {
    for content in ["hello", "hello\n", "{}\n", "\n", "{\"seq\":0}\n"] {
        let place = Place::new();
        crate::private_file::create_private(&place.log(), content.as_bytes()).unwrap();
        place.refused(&place.settings(), 1);
        assert_eq!(place.text(), content, "a refused file is left alone");
    }
    let place = Place::new();
    let (_handle, writer) = place.start();
    assert!(place.refused(&place.settings(), 1).contains("in use"));
    writer.shutdown().await;
    assert!(place.refused(&place.settings(), 2).contains("another audit key"));
    std::fs::set_permissions(place.log(), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.refused(&place.settings(), 1).contains("open to group or others"));
    let other = Place::new();
    std::os::unix::fs::symlink(place.log(), other.log()).unwrap();
    assert!(other.refused(&other.settings(), 1).contains("symbolic link"));
    let evidence = AuditSettings { evidence_file: Some(place.log()), ..other.settings() };
    std::fs::remove_file(other.log()).unwrap();
    std::fs::set_permissions(place.log(), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(other.refused(&evidence, 1).contains("no evidence file"));
    for url in ["ftp://x/", "http://example.org/", "nonsense"] {
        let settings = AuditSettings { head_url: Some(url.to_owned()), ..Place::new().settings() };
        assert!(settings.file.parent().is_some());
        let place = Place::new();
        let settings = AuditSettings { file: place.log(), ..settings };
        assert!(place.refused(&settings, 1).contains("audit head URL"), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_record_is_in_the_log_once_and_the_log_verifies() {
    for sync in [SyncMode::Checkpoint, SyncMode::Every] {
        let place = Place::new();
        let settings = AuditSettings { sync, checkpoint_records: 7, ..place.settings() };
        let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
        assert_eq!(std::fs::metadata(place.log()).unwrap().permissions().mode() & 0o7777, 0o600);
        let senders = (0..8).map(|sender| {
            let handle = handle.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    handle.append(record(sender * 100 + number), clock::now()).await.unwrap();
                }
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
        let text = place.text();
        for sender in 0..8 {
            for number in 0..25 {
                let wanted = format!("\"request-{}\"", sender * 100 + number);
                assert_eq!(text.matches(&wanted).count(), 1, "{wanted} is written before it is acknowledged");
            }
        }
        assert!(handle.is_healthy());
        let head = writer.shutdown().await;
        assert_eq!(handle.head(), head);
        assert_whole(&place.log(), &head);
        assert!(place.text().matches("\"Checkpoint\"").count() >= 200 / 7);
        let error = handle.append(record(0), clock::now()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuditUnavailable);
        assert!(!handle.is_healthy());
    }
}

#[tokio::test]
async fn goes_on_with_an_existing_log_and_says_what_was_torn() {
    let place = Place::new();
    let (handle, writer) = place.start();
    handle.append(record(1), clock::now()).await.unwrap();
    writer.shutdown().await;
    let before = place.text();
    let torn = "{\"seq\":99,\"prev\":\"abc";
    std::fs::write(place.log(), format!("{before}{torn}")).unwrap();
    let (handle, writer) = place.start();
    handle.append(record(2), clock::now()).await.unwrap();
    let head = writer.shutdown().await;
    let text = place.text();
    assert!(text.starts_with(&before) && !text.contains("\"seq\":99"));
    assert!(text.contains("\"LogResumed\"") && text.contains(&format!("\"torn_bytes\":{}", torn.len())));
    assert_whole(&place.log(), &head);
    // A crash while the very first line was written leaves nothing that was ever acknowledged.
    let place = Place::new();
    crate::private_file::create_private(&place.log(), &before.as_bytes()[..40]).unwrap();
    let (_handle, writer) = place.start();
    let head = writer.shutdown().await;
    assert_whole(&place.log(), &head);
}

#[tokio::test]
async fn evidence_lets_the_agents_signatures_be_checked_again() {
    let place = Place::new();
    let evidence = place.0.path().join("evidence.jsonl");
    let settings = AuditSettings { evidence_file: Some(evidence.clone()), ..place.settings() };
    let agent = key(9);
    let signed = |message: &[u8]| {
        let mut record = AuditRecord::new(AuditEvent::ToolCallAuthorized, clock::now());
        record.authenticated = Some(true);
        record.signature = Some(agent.sign_message(message));
        record.agent_key = Some(*agent.public());
        record.message_sha256 = Some(Sha256::digest(message).into());
        record
    };
    let mut head = String::new();
    for round in 0..2 {
        let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
        let appended = (0..5).map(|number| {
            let (handle, message) = (handle.clone(), format!("{{\"payload\":[{round},{number}]}}").into_bytes());
            let record = signed(&message);
            async move { handle.append_with_evidence(record, &message, clock::now()).await.unwrap() }
        });
        futures::future::join_all(appended).await;
        head = writer.shutdown().await;
        // A torn line of evidence belongs to no record and is cut off at the next start.
        let mut bytes = std::fs::read(&evidence).unwrap();
        bytes.extend_from_slice(b"{\"message_sha256\":\"00");
        std::fs::write(&evidence, bytes).unwrap();
    }
    assert_eq!(std::fs::metadata(&evidence).unwrap().permissions().mode() & 0o7777, 0o600);
    let bytes = std::fs::read(&evidence).unwrap();
    let read = |offset: u64| {
        let rest = bytes.get(usize::try_from(offset).unwrap()..)?;
        Some(rest.split(|byte| *byte == b'\n').next()?.to_vec())
    };
    let keys = VerifierKeys::Trusted(vec![*key(1).public()]);
    let verifier = Verifier::new(keys, Some(Head::parse(&head).unwrap())).with_evidence(Box::new(read));
    let report = verifier.verify(&std::fs::read(place.log()).unwrap());
    assert_eq!(report.overall(), &Proof::Holds, "{report:?}");
    assert_eq!(report.evidence.unwrap().verified, 10);
    // Without an evidence file the message is not kept anywhere.
    let place = Place::new();
    let (handle, writer) = place.start();
    handle.append_with_evidence(signed(b"{\"secret\":1}"), b"{\"secret\":1}", clock::now()).await.unwrap();
    writer.shutdown().await;
    assert!(!place.text().contains("secret"));
}

#[tokio::test]
async fn refusals_from_anyone_are_summed_up() {
    let place = Place::new();
    let (handle, writer) = place.start();
    let now = clock::now();
    for number in 0..25 {
        let mut refusal = AuditRecord::new(AuditEvent::EnvelopeRefused, now);
        refusal.request_id = Some(format!("request-{number}"));
        refusal.violation = Some(Error::new(ErrorKind::MalformedEnvelope, "x"));
        handle.refused(refusal, "192.0.2.7", now).await;
    }
    let head = writer.shutdown().await;
    let text = place.text();
    assert_eq!(text.matches("\"EnvelopeRefused\"").count(), 10);
    assert!(text.contains("\"refused\":25") && text.contains("\"192.0.2.7\":25"), "{text}");
    assert_eq!(handle.lost(), 0);
    assert_whole(&place.log(), &head);
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_is_signed_when_its_time_has_come_and_not_before() {
    let place = Place::new();
    let count = || place.text().matches("\"Checkpoint\"").count();
    let interval = Duration::from_millis(50);
    let settings = AuditSettings { checkpoint_interval: interval, ..place.settings() };
    let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
    handle.append(record(1), clock::now()).await.unwrap();
    wait_for(|| count() == 2).await;
    writer.shutdown().await;
    let settings = AuditSettings { checkpoint_interval: Duration::from_secs(3600), ..place.settings() };
    let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
    let before = count();
    handle.append(record(1), clock::now()).await.unwrap();
    tokio::time::sleep(IDLE * 2).await;
    assert_eq!(count(), before);
    writer.shutdown().await;
}

#[tokio::test]
async fn a_removed_file_is_noticed_before_the_call_is_forwarded() {
    let place = Place::new();
    let (handle, writer) = place.start();
    std::fs::remove_file(place.log()).unwrap();
    let error = handle.append(record(1), clock::now()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuditUnavailable);
    assert!(!handle.is_healthy());
    writer.shutdown().await;
}

#[tokio::test]
async fn the_head_is_sent_elsewhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/heads", listener.local_addr().unwrap());
    let (bodies_in, mut bodies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            drop(bodies_in.send(String::from_utf8(request).unwrap()));
            let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            drop(stream.write_all(answer).await);
        }
    });
    let place = Place::new();
    let settings = AuditSettings { head_url: Some(url), checkpoint_records: 1, ..place.settings() };
    let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
    handle.append(record(1), clock::now()).await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(10), bodies.recv()).await.unwrap().unwrap();
    assert!(first.starts_with("POST /heads") && first.contains("\"log_id\":\""), "{first}");
    let head = writer.shutdown().await;
    let mut last = first;
    while let Ok(body) = bodies.try_recv() {
        last = body;
    }
    assert!(last.contains(&format!("\"head\":\"{head}\"")), "the last head is sent at shutdown: {last}");
}

/// Runs one of the ignored tests below in a process of its own, since its limit is one of the whole process.
fn run_alone(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("audit::writer::tests::{name}")])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_full_disk_refuses_calls_and_recovers_when_there_is_room_again() {
    run_alone("alone_full_disk_required");
}

#[test]
fn a_full_disk_is_counted_when_the_log_is_not_required() {
    run_alone("alone_full_disk_not_required");
}

/// Lets no file of this process grow beyond `bytes`; `None` lifts that again.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "limits the whole process; run by another test"]
async fn alone_full_disk_required() {
    let place = Place::new();
    let evidence = place.0.path().join("evidence.jsonl");
    let settings = AuditSettings { evidence_file: Some(evidence), ..place.settings() };
    let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
    // An odd number, so that the last line that fits is written in part.
    limit_files(Some(8191));
    let append = |number| handle.append_with_evidence(record(number), b"{\"payload\":{}}", clock::now());
    let mut acknowledged = 0;
    let error = loop {
        match append(acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000);
    };
    assert_eq!(error.kind(), ErrorKind::AuditUnavailable);
    assert!(error.message().contains("cannot be written"), "{error}");
    assert!(acknowledged > 5 && !handle.is_healthy());
    for number in 0..20 {
        append(1000 + number).await.unwrap_err();
    }
    assert!(place.text().ends_with('\n'), "no half line stays");
    limit_files(None);
    wait_for(|| handle.is_healthy()).await;
    append(5000).await.unwrap();
    let head = writer.shutdown().await;
    let text = place.text();
    for number in 0..acknowledged {
        assert_eq!(text.matches(&format!("\"request-{number}\"")).count(), 1);
    }
    assert!(!text.contains("\"request-1000\""), "what was refused is not in the log");
    assert!(text.contains("\"request-5000\""));
    assert_whole(&place.log(), &head);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "limits the whole process; run by another test"]
async fn alone_full_disk_not_required() {
    let place = Place::new();
    let settings = AuditSettings { required: false, ..place.settings() };
    let (handle, writer) = AuditWriter::start(&settings, Arc::new(key(1)), clock::now()).unwrap();
    limit_files(Some(8191));
    for number in 0..200 {
        handle.append(record(number), clock::now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    wait_for(|| handle.lost() > 0 && !handle.is_healthy()).await;
    limit_files(None);
    wait_for(|| handle.is_healthy()).await;
    handle.append(record(5000), clock::now()).await.unwrap();
    let head = writer.shutdown().await;
    assert!(place.text().contains("\"request-5000\""));
    assert_whole(&place.log(), &head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_steady_stream_of_records_does_not_starve_refusals() {
    let place = Place::new();
    let (handle, writer) = place.start();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..600)
        .map(|number| {
            let (handle, stop) = (handle.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    handle.append(record(number), clock::now()).await.unwrap();
                }
            })
        })
        .collect();
    for number in 0..2 * REFUSAL_QUEUE {
        handle.refused(record(number), "192.0.2.1", clock::now()).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let head = writer.shutdown().await;
    assert_eq!(handle.lost(), 0);
    assert_whole(&place.log(), &head);
}
