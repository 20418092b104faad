//! A gateway in a few lines: a TCP listener that answers each request as its script says.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes,
    reason = "each test program uses its own part of this"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smcp_core::json;
use smcp_core::keys::PublicKey;
use smcp_core::smcp::attest::AttestationRequest;
use smcp_core::smcp::{Dialect, VerifyRules, verify_envelope};
use smcp_core::time::UnixTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn is_attest(&self) -> bool {
        self.path.ends_with("/attest")
    }
}

/// What to answer.
pub enum Reply {
    /// Status and body.
    Json(u16, String),
    /// Status, further headers, body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Wait, then answer.
    After(Duration, Box<Self>),
    /// Promise more than is sent, then close.
    Truncated,
    /// Close without an answer.
    Close,
    /// Never answer.
    Silence,
    /// Send without end.
    Endless,
}

pub fn attested(token: &str, expires_at: &str) -> Reply {
    Reply::Json(
        200,
        format!(r#"{{"status":"success","security_token":"{token}","expires_at":"{expires_at}","session_id":"s-1"}}"#),
    )
}

pub fn far() -> &'static str {
    "2099-01-01T00:00:00Z"
}

pub fn result(json: &str) -> Reply {
    Reply::Json(
        200,
        format!(r#"{{"protocol":"smcp/v1","status":"success","payload":{{"jsonrpc":"2.0","id":1,"result":{json}}}}}"#),
    )
}

pub fn refusal(status: u16, code: &str, details: &str) -> Reply {
    Reply::Json(
        status,
        format!(
            r#"{{"protocol":"smcp/v1","status":"error","error":{{"code":"{code}","message":"SERVERTEXT","details":{details}}}}}"#
        ),
    )
}

type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// A running server.
pub struct Server {
    pub url: String,
    pub address: SocketAddr,
    pub requests: Arc<Mutex<Vec<Request>>>,
    pub connections: Arc<AtomicUsize>,
}

impl Server {
    pub async fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, script).await
    }

    pub async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let script: Arc<Script> = Arc::new(script);
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, script, log) = (tls.clone(), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url: format!("{scheme}://localhost:{}", address.port()), address, requests, connections }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many attestations and invocations were seen.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.seen();
        let attests = seen.iter().filter(|request| request.is_attest()).count();
        (attests, seen.len() - attests)
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, script: Arc<Script>, log: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = read_request(&mut stream).await {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let mut reply = script(&request, number);
        while let Reply::After(delay, then) = reply {
            tokio::time::sleep(delay).await;
            reply = *then;
        }
        let keep = match reply {
            Reply::Json(status, body) => write(&mut stream, status, &[], body.as_bytes()).await,
            Reply::Full(status, headers, body) => write(&mut stream, status, &headers, &body).await,
            Reply::Truncated => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":";
                drop(stream.write_all(head).await);
                drop(stream.shutdown().await);
                false
            }
            Reply::Close => false,
            Reply::Silence => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                false
            }
            Reply::Endless => {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
                false
            }
            Reply::After(..) => false,
        };
        if !keep {
            return;
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, status: u16, headers: &[(&str, String)], body: &[u8]) -> bool {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.is_ok() && stream.write_all(body).await.is_ok()
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse::<usize>().ok()?;
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut chunk = [0; 65536];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => body.extend_from_slice(&chunk[..count]),
        }
    }
    Some(Request { path, headers, body })
}

/// Checks an attestation as a gateway would and returns its key.
pub fn check_attestation(request: &Request, dialect: Dialect, gateway: &str, now: UnixTime) -> PublicKey {
    let parsed = AttestationRequest::parse(&request.body, dialect).unwrap();
    parsed.check_proof(true, Some(gateway), now).unwrap();
    parsed.key
}

/// Verifies an envelope and returns payload text and token.
pub fn check_envelope(request: &Request, dialect: Dialect, key: &PublicKey, now: UnixTime) -> (String, String) {
    let rules = VerifyRules { dialect, ..VerifyRules::default() };
    let message = verify_envelope(&request.body, key, &rules, now).unwrap();
    let payload = String::from_utf8(message.payload_bytes().to_vec()).unwrap();
    let document = json::scan(&request.body).unwrap();
    let token = document.root().get("security_token").unwrap().as_str().unwrap().into_owned();
    (payload, token)
}
