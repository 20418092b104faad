//! The client against a scripted gateway: what is sent, what is returned, when it attests anew and what it repeats.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "what a test does not expect ends it"
)]

mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use server::{Reply, Server, attested, check_attestation, check_envelope, far, refusal, result};
use smcp_client::{
    BlockingClient, Client, ClientOptions, Credential, Environment, EphemeralKey, SessionSigner, Stage,
    StaticCredential,
};
use smcp_core::error::Executed;
use smcp_core::keys::{AgentKey, PublicKey, Signature, Signer};
use smcp_core::smcp::Dialect;
use smcp_core::time::UnixTime;
use smcp_core::{Error, ErrorKind};

fn options(url: &str) -> ClientOptions {
    let mut options = ClientOptions::new(url, "workload", "scope");
    options.environment = Environment::fixed([]);
    options
}

fn now() -> UnixTime {
    (options("http://x").clock)()
}

async fn attested_client(server: &Server, change: impl FnOnce(&mut ClientOptions)) -> Client {
    let mut options = options(&server.url);
    change(&mut options);
    let client = Client::new(options);
    client.attest().await.unwrap();
    client
}

#[tokio::test]
async fn attests_with_proof_and_calls_with_a_signed_envelope() {
    for dialect in Dialect::ALL {
        let server = Server::start(move |request, _| {
            if request.is_attest() {
                return attested("t.o.k", far());
            }
            let protocol = dialect.protocol();
            Reply::Json(200, format!(r#"{{"protocol":"{protocol}","payload":{{"result":{{"a":1.50}}}}}}"#))
        })
        .await;
        let client = attested_client(&server, |options| {
            options.dialect = dialect;
            options.headers = vec![("X-Team".to_owned(), "blue".to_owned())];
        })
        .await;
        let record = client.record().unwrap();
        assert_eq!((record.token.as_str(), record.session_id.as_deref()), ("t.o.k", Some("s-1")));
        assert_eq!(record.expires_at.unwrap().to_rfc3339(), "2099-01-01T00:00:00.000Z");
        let arguments = r#"{"path": "/é","n":1.0,"big":123456789012345678901}"#;
        assert_eq!(client.call_tool("fs.\"read", arguments.as_bytes()).await.unwrap(), br#"{"a":1.50}"#);

        let seen = server.seen();
        assert_eq!(seen[0].path, dialect.attest_path());
        assert_eq!(seen[1].path, dialect.invoke_path());
        assert!(seen.iter().all(|request| request.header("content-type") == Some("application/json")));
        assert!(seen.iter().all(|request| request.header("x-team") == Some("blue")));
        let key = check_attestation(&seen[0], dialect, &server.url, now());
        assert_eq!(key, client.key().unwrap().public_key().unwrap());
        let (payload, token) = check_envelope(&seen[1], dialect, &key, now());
        assert_eq!(token, "t.o.k");
        assert!(payload.starts_with(r#"{"id":"req-"#), "{payload}");
        let params = r#""params":{"arguments":{"big":123456789012345678901,"n":1,"path":"/é"},"name":"fs.\"read"}}"#;
        assert!(payload.ends_with(params), "{payload}");
    }
}

#[tokio::test]
async fn nothing_is_sent_without_a_session_or_with_broken_arguments() {
    let server = Server::start(|_, _| attested("t", far())).await;
    let client = Client::new(options(&server.url));
    let error = client.call_tool("t", b"{}").await.unwrap_err();
    assert_eq!((error.kind(), error.status_code()), (ErrorKind::NotAttested, None));
    assert_eq!(error.to_string(), "No security token available. Must attest() first.");
    client.attest().await.unwrap();
    for arguments in
        ["", "[]", "{\"a\":1}{}", "{\"a\":1},\"method\":\"x\",\"z\":{}", "{\"a\":1,\"a\":2}", "{\"a\":NaN}"]
    {
        let error = client.call_tool("t", arguments.as_bytes()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{arguments}");
        assert_eq!(error.error().details().executed, Some(Executed::No));
    }
    assert_eq!(client.send(b"{}").await.unwrap_err().kind(), ErrorKind::MalformedEnvelope);
    assert_eq!(server.counts(), (1, 0));
}

/// Status and body of an answer, and what the client makes of it.
type Mapping = (u16, &'static str, Stage, ErrorKind, Option<u16>, &'static str, Executed);

#[tokio::test]
async fn maps_every_kind_of_refusal() {
    let bodies: Arc<[Mapping]> = Arc::new([
        (
            403,
            r#"{"status":"error","error":{"code":"POLICY_VIOLATION_TOOL_DENIED","message":"SERVERTEXT"}}"#,
            Stage::Rejected,
            ErrorKind::PolicyViolationToolDenied,
            Some(2001),
            "SMCP Gateway Rejected: SERVERTEXT",
            Executed::No,
        ),
        (
            403,
            r#"{"error":{"message":"SERVERTEXT"}}"#,
            Stage::Rejected,
            ErrorKind::BadResponse,
            None,
            "SMCP Gateway Rejected: SERVERTEXT",
            Executed::Unknown,
        ),
        (
            200,
            r#"{"status":"error","error":{"code":"INVALID_SIGNATURE","message":"SERVERTEXT"}}"#,
            Stage::Gateway,
            ErrorKind::InvalidSignature,
            Some(1001),
            "SMCP Gateway Error: SERVERTEXT",
            Executed::No,
        ),
        (
            403,
            r#"{"status":"error","error":{"code":"POLICY_VIOLATION_RESPONSE_TOO_LARGE","message":"m"}}"#,
            Stage::Rejected,
            ErrorKind::PolicyViolationResponseTooLarge,
            Some(2008),
            "SMCP Gateway Rejected: m",
            Executed::Yes,
        ),
        (
            504,
            r#"{"status":"error","error":{"code":"UPSTREAM_TIMEOUT","message":"m","details":{"executed":"unknown"}}}"#,
            Stage::Rejected,
            ErrorKind::UpstreamTimeout,
            Some(4003),
            "SMCP Gateway Rejected: m",
            Executed::Unknown,
        ),
        (
            403,
            r#"{"status":"error","error":{"code":"CONNECTION_FAILED","number":6002,"message":"m"}}"#,
            Stage::Rejected,
            ErrorKind::BadResponse,
            Some(6002),
            "SMCP Gateway Rejected: m",
            Executed::Unknown,
        ),
        (500, "oops", Stage::Gateway, ErrorKind::BadResponse, None, "SMCP Gateway Error: HTTP 500", Executed::Unknown),
        (
            200,
            "oops",
            Stage::Gateway,
            ErrorKind::BadResponse,
            None,
            "SMCP Gateway Error: the answer is not one of the protocol",
            Executed::Unknown,
        ),
        (
            200,
            "[]",
            Stage::Gateway,
            ErrorKind::BadResponse,
            None,
            "SMCP Gateway Error: the answer is not one of the protocol",
            Executed::Unknown,
        ),
        (
            200,
            r#"{"status":"success"}"#,
            Stage::Gateway,
            ErrorKind::BadResponse,
            None,
            "SMCP Gateway Error: the answer has no `payload`",
            Executed::Unknown,
        ),
        (
            200,
            r#"{"protocol":"seal/v1","payload":{"result":1}}"#,
            Stage::Gateway,
            ErrorKind::BadResponse,
            None,
            "SMCP Gateway Error: the answer is of another protocol",
            Executed::Unknown,
        ),
        (
            200,
            r#"{"payload":{"error":{"code":-32602,"message":"SERVERTEXT","data":[1]}}}"#,
            Stage::Tool,
            ErrorKind::UpstreamProtocolError,
            None,
            "MCP Tool Error: SERVERTEXT",
            Executed::Unknown,
        ),
    ]);
    let script = Arc::clone(&bodies);
    let server = Server::start(move |request, number| {
        if request.is_attest() {
            return attested("t", far());
        }
        let (status, body, ..) = script[number - 1];
        Reply::Json(status, body.to_owned())
    })
    .await;
    let client = attested_client(&server, |_| {}).await;
    for (status, body, stage, kind, number, text, executed) in bodies.iter() {
        let error = client.call_tool("t", b"{}").await.unwrap_err();
        assert_eq!((error.stage(), error.kind(), error.status_code()), (*stage, *kind, *number), "{body}");
        assert_eq!(&error.to_string(), text);
        assert_eq!(error.error().details().executed, Some(*executed), "{body}");
        assert_eq!(error.http_status(), Some(*status));
        assert_eq!(error.answer().map(|answer| answer.body.as_slice()), (*status >= 400).then_some(body.as_bytes()));
    }
}

#[tokio::test]
async fn maps_refused_attestations() {
    for (status, body, kind, number, text) in [
        (
            401,
            r#"{"status":"error","error_code":"WORKLOAD_VERIFICATION_FAILED","message":"SERVERTEXT"}"#,
            ErrorKind::WorkloadVerificationFailed,
            Some(3000),
            "Attestation failed: SERVERTEXT",
        ),
        (
            200,
            r#"{"status":"error","message":"SERVERTEXT"}"#,
            ErrorKind::AttestationFailed,
            Some(3003),
            "Attestation failed: SERVERTEXT",
        ),
        (401, "", ErrorKind::BadResponse, None, "Attestation failed: HTTP 401"),
        (
            200,
            r#"{"status":"success"}"#,
            ErrorKind::BadResponse,
            None,
            "Attestation failed: the answer has no `security_token`",
        ),
        (
            200,
            r#"{"status":"success","security_token":""}"#,
            ErrorKind::BadResponse,
            None,
            "Attestation failed: the answer has no `security_token`",
        ),
    ] {
        let server = Server::start(move |_, _| Reply::Json(status, body.to_owned())).await;
        let client = Client::new(options(&server.url));
        let error = client.attest().await.unwrap_err();
        assert_eq!((error.kind(), error.status_code(), error.to_string().as_str()), (kind, number, text));
        assert!(client.record().is_none());
        assert!(client.key().is_none());
    }
}

#[tokio::test]
async fn a_gateway_that_repeats_the_token_does_not_get_it_into_the_error() {
    let server = Server::start(|request, _| match request.is_attest() {
        true => attested("secret-token-1234", far()),
        false => Reply::Json(403, r#"{"error":{"message":"no secret-token-1234\u0007\n"}}"#.to_owned()),
    })
    .await;
    let client = attested_client(&server, |_| {}).await;
    let error = client.call_tool("t", b"{}").await.unwrap_err();
    assert_eq!(error.to_string(), "SMCP Gateway Rejected: no [secret]\\u{7}\\n");
    assert!(!format!("{error:?} {client:?} {:?}", client.record()).contains("1234"));
}

#[tokio::test]
async fn attests_anew_once_when_the_gateway_forgot_the_session() {
    for code in ["TOKEN_EXPIRED", "SESSION_NOT_FOUND"] {
        let attests = AtomicUsize::new(0);
        let server = Server::start(move |request, _| {
            if request.is_attest() {
                return attested(&format!("t{}", attests.fetch_add(1, Ordering::SeqCst)), far());
            }
            let body = String::from_utf8_lossy(&request.body).into_owned();
            if body.contains("\"t0\"") { refusal(401, code, "{}") } else { result("{}") }
        })
        .await;
        let client = attested_client(&server, |_| {}).await;
        let old = client.key().unwrap();
        client.call_tool("t", b"{}").await.unwrap();
        assert_eq!(server.counts(), (2, 2));
        let new = client.key().unwrap();
        assert_ne!(old.public_key().unwrap(), new.public_key().unwrap());
        check_envelope(&server.seen()[3], Dialect::Smcp, &new.public_key().unwrap(), now());
    }
}

#[tokio::test]
async fn attests_anew_only_once_and_only_when_that_helps() {
    for (code, reattest, counts) in [
        ("TOKEN_EXPIRED", true, (2, 2)),
        ("SESSION_NOT_FOUND", false, (1, 1)),
        ("SESSION_INACTIVE", true, (1, 1)),
        ("INVALID_SIGNATURE", true, (1, 1)),
    ] {
        let server = Server::start(move |request, _| match request.is_attest() {
            true => attested("t", far()),
            false => refusal(401, code, "{}"),
        })
        .await;
        let client = attested_client(&server, |options| options.reattest = reattest).await;
        assert_eq!(client.call_tool("t", b"{}").await.unwrap_err().kind().name(), code);
        assert_eq!(server.counts(), counts, "{code}");
    }
}

#[tokio::test]
async fn a_provisioned_session_is_used_and_never_renewed() {
    let server = Server::start(|_, _| refusal(401, "TOKEN_EXPIRED", "{}")).await;
    let client = Client::new(options(&server.url));
    let key = Arc::new(EphemeralKey::from_key(AgentKey::derive_from_slice(&[9; 32]).unwrap()));
    client.provision(Some((SessionSigner::memory(Arc::clone(&key)), "given".to_owned())));
    assert_eq!(client.call_tool("t", b"{}").await.unwrap_err().kind(), ErrorKind::TokenExpired);
    assert_eq!(server.counts(), (0, 1));
    let (_, token) = check_envelope(&server.seen()[0], Dialect::Smcp, &key.public_key().unwrap(), now());
    assert_eq!(token, "given");
    client.close();
    assert!(!key.is_erased(), "a key of the caller is the caller's to erase");
    client.provision(None);
}

#[tokio::test]
async fn renews_before_expiry_once_for_all_callers() {
    let attests = AtomicUsize::new(0);
    let server = Server::start(move |request, _| {
        if !request.is_attest() {
            return result("{}");
        }
        let number = attests.fetch_add(1, Ordering::SeqCst);
        let expires_at = now().plus_seconds(if number == 0 { 100 } else { 3600 }).to_rfc3339();
        Reply::After(Duration::from_millis(200), Box::new(attested(&format!("t{number}"), &expires_at)))
    })
    .await;
    let ahead = Arc::new(AtomicI64::new(0));
    let shift = Arc::clone(&ahead);
    let client = attested_client(&server, |options| {
        let system = Arc::clone(&options.clock);
        options.clock = Arc::new(move || system().plus_seconds(shift.load(Ordering::SeqCst)));
    })
    .await;
    client.call_tool("t", b"{}").await.unwrap();
    assert_eq!(server.counts(), (1, 1));
    ahead.store(76, Ordering::SeqCst);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call_tool("t", b"{}").await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(server.counts(), (2, 9));
    assert_eq!(client.record().unwrap().token.as_str(), "t1");
}

#[tokio::test]
async fn concurrent_attests_share_one_also_when_it_fails() {
    let server = Server::start(|_, _| {
        let refused = Reply::Json(401, r#"{"status":"error","message":"no"}"#.to_owned());
        Reply::After(Duration::from_millis(300), Box::new(refused))
    })
    .await;
    let client = Client::new(options(&server.url));
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.attest().await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().to_string(), "Attestation failed: no");
    }
    assert_eq!(server.counts(), (1, 0));
    client.attest().await.unwrap_err();
    assert_eq!(server.counts(), (2, 0));
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_old_session() {
    let server = Server::start(|request, number| match (request.is_attest(), number) {
        (true, 0) => attested("t0", &now().plus_seconds(3600).to_rfc3339()),
        (true, _) => Reply::Json(401, r#"{"status":"error","message":"no"}"#.to_owned()),
        (false, _) => result("{}"),
    })
    .await;
    let ahead = Arc::new(AtomicI64::new(0));
    let shift = Arc::clone(&ahead);
    let client = attested_client(&server, |options| {
        let system = Arc::clone(&options.clock);
        options.clock = Arc::new(move || system().plus_seconds(shift.load(Ordering::SeqCst)));
    })
    .await;
    client.attest().await.unwrap_err();
    assert_eq!(client.record().unwrap().token.as_str(), "t0");
    ahead.store(3590, Ordering::SeqCst);
    client.call_tool("t", b"{}").await.unwrap();
    client.call_tool("t", b"{}").await.unwrap();
    assert_eq!(server.counts(), (3, 2), "one early renewal, then a pause");
    ahead.store(3601, Ordering::SeqCst);
    assert_eq!(client.call_tool("t", b"{}").await.unwrap_err().stage(), Stage::Attest);
    assert_eq!(server.counts(), (4, 2));
    let warnings: Vec<_> = client.drain_events().into_iter().map(|event| event.message).collect();
    assert!(warnings.iter().any(|text| text.contains("could not be renewed")), "{warnings:?}");
}

#[tokio::test]
async fn an_early_renewal_goes_by_the_gateways_clock() {
    let date = || vec![("date", "Tue, 17 Feb 2026 14:32:01 GMT".to_owned())];
    let server = Server::start(move |request, _| match request.is_attest() {
        true => {
            let body = r#"{"security_token":"t","expires_at":"2026-02-17T15:32:01Z"}"#;
            Reply::Full(200, date(), body.as_bytes().to_vec())
        }
        false => Reply::Full(200, date(), br#"{"payload":{"result":{}}}"#.to_vec()),
    })
    .await;
    let client = attested_client(&server, |_| {}).await;
    client.call_tool("t", b"{}").await.unwrap();
    client.call_tool("t", b"{}").await.unwrap();
    assert_eq!(server.counts(), (1, 2), "by this machine's clock the token expired long ago");
    let events = client.drain_events();
    assert_eq!(events.iter().filter(|event| event.message.contains("clock is")).count(), 1, "{events:?}");
    assert!(client.clock_offset_millis() < -86_400_000);
}

#[tokio::test]
async fn clock_correction_signs_with_the_gateways_time() {
    let gateway_time = UnixTime::from_seconds(1_771_338_721);
    let server = Server::start(move |request, number| {
        let date = vec![("date", "Tue, 17 Feb 2026 14:32:01 GMT".to_owned())];
        match (request.is_attest(), number) {
            (true, 0) => Reply::Full(401, date, br#"{"status":"error","message":"proof is stale"}"#.to_vec()),
            (true, _) => Reply::Full(200, date, br#"{"security_token":"t"}"#.to_vec()),
            (false, _) => Reply::Full(200, date, br#"{"payload":{"result":{}}}"#.to_vec()),
        }
    })
    .await;
    let client = attested_client(&server, |options| options.clock_correction = true).await;
    client.call_tool("t", b"{}").await.unwrap();
    let key = check_attestation(&server.seen()[1], Dialect::Smcp, &server.url, gateway_time);
    check_envelope(&server.seen()[2], Dialect::Smcp, &key, gateway_time);

    let without = Client::new(options(&server.url));
    without.attest().await.unwrap();
    without.call_tool("t", b"{}").await.unwrap();
    let last = server.seen().pop().unwrap();
    check_envelope(&last, Dialect::Smcp, &without.key().unwrap().public_key().unwrap(), now());
}

#[tokio::test]
async fn repeats_only_what_cannot_have_run() {
    for (status, code, details, invokes) in [
        (503, "OVERLOADED", r#"{"retry_after":0}"#, 3),
        (503, "AUDIT_UNAVAILABLE", "{}", 3),
        (502, "UPSTREAM_UNAVAILABLE", r#"{"executed":false}"#, 3),
        (502, "UPSTREAM_UNAVAILABLE", "{}", 1),
        (503, "OVERLOADED", r#"{"executed":"unknown"}"#, 1),
        (503, "OVERLOADED", r#"{"retry_after":3600}"#, 1),
        (504, "UPSTREAM_TIMEOUT", "{}", 1),
        (500, "INTERNAL_ERROR", r#"{"executed":false}"#, 1),
        (429, "POLICY_VIOLATION_RATE_LIMIT_EXCEEDED", r#"{"retry_after":1}"#, 1),
        (401, "REPLAY_DETECTED", "{}", 1),
    ] {
        let server = Server::start(move |request, _| match request.is_attest() {
            true => attested("t", far()),
            false => refusal(status, code, details),
        })
        .await;
        let client = attested_client(&server, |_| {}).await;
        assert_eq!(client.call_tool("t", b"{}").await.unwrap_err().kind().name(), code);
        assert_eq!(server.counts().1, invokes, "{code} {details}");
        let ids: std::collections::HashSet<_> = server.seen()[1..]
            .iter()
            .map(|request| request.body.windows(40).find(|part| part.starts_with(b"\"req-")).unwrap().to_vec())
            .collect();
        assert_eq!(ids.len(), invokes, "every try has an id of its own");
    }
}

#[tokio::test]
async fn the_header_says_when_the_body_does_not() {
    for (header, details, expected) in
        [("7", "{}", Some(7)), ("7", r#"{"retry_after":9}"#, Some(9)), ("Wed, 21 Oct 2026 07:28:00 GMT", "{}", None)]
    {
        let server = Server::start(move |request, _| {
            if request.is_attest() {
                return attested("t", far());
            }
            let body = format!(r#"{{"error":{{"code":"POLICY_VIOLATION_RATE_LIMIT_EXCEEDED","details":{details}}}}}"#);
            Reply::Full(429, vec![("retry-after", header.to_owned())], body.into_bytes())
        })
        .await;
        let client = attested_client(&server, |_| {}).await;
        let error = client.call_tool("t", b"{}").await.unwrap_err();
        assert_eq!(error.error().details().retry_after, expected);
    }
}

#[tokio::test]
async fn a_callers_own_payload_is_never_signed_twice_in_one_second() {
    let server = Server::start(|request, number| match (request.is_attest(), number) {
        (true, _) => attested("t", far()),
        (false, 1) => refusal(503, "OVERLOADED", "{}"),
        (false, _) => Reply::Json(200, r#"{"payload":{"jsonrpc":"2.0","id":7,"error":{"code":1}}}"#.to_owned()),
    })
    .await;
    let client = attested_client(&server, |_| {}).await;
    let response = client.send(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).await.unwrap().unwrap();
    assert_eq!(response, br#"{"jsonrpc":"2.0","id":7,"error":{"code":1}}"#);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert_ne!(seen[1].body, seen[2].body);
}

#[tokio::test]
async fn notifications_and_pages() {
    let server = Server::start(|request, _| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        if request.is_attest() {
            attested("t", far())
        } else if body.contains("notifications/") {
            Reply::Json(202, r#"{"protocol":"smcp/v1","status":"success"}"#.to_owned())
        } else if body.contains("\"cursor\":\"2\"") {
            result(r#"{"tools":[{"name":"b"}]}"#)
        } else {
            result(r#"{"tools":[{"name":"a"}],"nextCursor":"2"}"#)
        }
    })
    .await;
    let client = attested_client(&server, |_| {}).await;
    assert_eq!(client.send(br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#).await.unwrap(), None);
    assert_eq!(client.list_tools().await.unwrap(), br#"[{"name":"a"},{"name":"b"}]"#);
}

struct Counting(AtomicUsize);

impl Credential for Counting {
    fn fetch(&self) -> smcp_core::Result<zeroize::Zeroizing<String>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        if number == 2 {
            return Err(Error::new(ErrorKind::ConfigInvalid, "gone"));
        }
        Ok(zeroize::Zeroizing::new(format!("cred-{number}\n")))
    }
}

#[tokio::test]
async fn the_credential_goes_with_attestations_only_and_is_fetched_anew() {
    let server =
        Server::start(|request, _| if request.is_attest() { attested("t", far()) } else { result("{}") }).await;
    let client = attested_client(&server, |options| {
        options.workload_credential = Some(Arc::new(Counting(AtomicUsize::new(0))));
    })
    .await;
    client.call_tool("t", b"{}").await.unwrap();
    client.attest().await.unwrap();
    let error = client.attest().await.unwrap_err();
    assert_eq!(error.to_string(), "Attestation failed: gone");
    let bearers: Vec<_> =
        server.seen().iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    assert_eq!(bearers, [Some("Bearer cred-0".to_owned()), None, Some("Bearer cred-1".to_owned())]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from-file\n").unwrap();
    let mut from_file = options(&server.url);
    from_file.environment = Environment::fixed([("SMCP_WORKLOAD_TOKEN_FILE", file.path().to_str().unwrap())]);
    Client::new(from_file.clone()).attest().await.unwrap();
    assert_eq!(server.seen().pop().unwrap().header("authorization"), Some("Bearer from-file"));
    std::fs::remove_file(file.path()).unwrap();
    let error = Client::new(from_file).attest().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "a missing file is an error, never an attestation without");
}

#[tokio::test]
async fn an_echoed_credential_does_not_get_into_the_error() {
    let server =
        Server::start(|_, _| Reply::Json(401, r#"{"status":"error","message":"bad cred-secret-9"}"#.to_owned())).await;
    let mut options = options(&server.url);
    options.workload_credential = Some(Arc::new(StaticCredential::new("cred-secret-9".to_owned())));
    let error = Client::new(options).attest().await.unwrap_err();
    assert_eq!(error.to_string(), "Attestation failed: bad [secret]");
}

struct Foreign(AgentKey);

impl Signer for Foreign {
    fn public_key(&self) -> smcp_core::Result<PublicKey> {
        Ok(*self.0.public())
    }

    fn sign(&self, message: &[u8]) -> smcp_core::Result<Signature> {
        std::thread::sleep(Duration::from_millis(50));
        Ok(self.0.sign_message(message))
    }
}

#[tokio::test]
async fn a_foreign_signer_signs_proof_and_calls() {
    let server =
        Server::start(|request, _| if request.is_attest() { attested("t", far()) } else { result("{}") }).await;
    let signer = Arc::new(Foreign(AgentKey::derive_from_slice(&[5; 32]).unwrap()));
    let public = *signer.0.public();
    let client = attested_client(&server, |options| options.key = Some(SessionSigner::foreign(signer))).await;
    client.call_tool("t", b"{}").await.unwrap();
    let seen = server.seen();
    assert_eq!(check_attestation(&seen[0], Dialect::Smcp, &server.url, now()), public);
    check_envelope(&seen[1], Dialect::Smcp, &public, now());
    assert!(client.key().is_none());
}

#[tokio::test]
async fn closing_erases_the_key_and_ends_the_client() {
    let server =
        Server::start(|request, _| if request.is_attest() { attested("t", far()) } else { result("{}") }).await;
    let client = attested_client(&server, |_| {}).await;
    let (key, other) = (client.key().unwrap(), client.clone());
    client.close();
    client.close();
    assert!(key.is_erased());
    assert!(other.record().is_none());
    assert_eq!(other.call_tool("t", b"{}").await.unwrap_err().to_string(), "the client is closed");
    assert_eq!(other.attest().await.unwrap_err().to_string(), "the client is closed");
    let dropped = attested_client(&server, |_| {}).await;
    let key = dropped.key().unwrap();
    drop(dropped);
    assert!(key.is_erased());
}

#[tokio::test]
async fn an_erased_key_signs_nothing() {
    let server =
        Server::start(|request, _| if request.is_attest() { attested("t", far()) } else { result("{}") }).await;
    let client = attested_client(&server, |_| {}).await;
    client.key().unwrap().erase();
    let error = client.call_tool("t", b"{}").await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::KeyErased, Stage::Local));
    assert_eq!(server.counts(), (1, 0));
}

#[test]
fn the_blocking_client_works_from_many_threads() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(|request, _| match request.is_attest() {
        true => attested("t", far()),
        false => Reply::After(Duration::from_millis(100), Box::new(result("{}"))),
    }));
    let client = BlockingClient::new(options(&server.url));
    client.attest().unwrap();
    let begun = Instant::now();
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            std::thread::spawn(move || client.call_tool("t", b"{}").unwrap())
        })
        .collect();
    threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    assert!(begun.elapsed() < Duration::from_millis(1500), "calls run at the same time");
    assert_eq!(client.list_tools().unwrap_err().error().message(), "the answer has no list of tools");
    let error = runtime.block_on(async { client.attest().map(drop) }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
