//! rmcp's own Streamable HTTP service, as a tool server nobody here wrote: it speaks MCP 2026-07-28 and the versions
//! before it, over HTTP or TLS. Prints its URL as one JSON line and serves until it is killed.

mod echo;
mod tls;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use clap::Parser;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A tool server for tests.
#[derive(Parser)]
struct Arguments {
    /// Port on loopback; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Newest MCP version to speak.
    #[arg(long, default_value = "2026-07-28")]
    newest: String,
    /// Keep sessions and answer in event streams, as versions before 2026-07-28 do.
    #[arg(long)]
    sessions: bool,
    /// PEM certificate chain; with it the server speaks TLS.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// PEM private key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// PEM authority of client certificates, which are then required.
    #[arg(long)]
    client_ca: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let acceptor = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key, arguments.client_ca.as_deref())?),
        _ => None,
    };
    let echo = echo::Echo::new(&arguments.newest)?;
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(arguments.sessions)
        .with_json_response(!arguments.sessions);
    let service: StreamableHttpService<_, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(echo.clone()), Arc::default(), config);
    let router = Router::new().nest_service("/mcp", service);

    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let port = listener.local_addr()?.port();
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    writeln!(std::io::stdout(), "{{\"url\":\"{scheme}://localhost:{port}/mcp\"}}")?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, acceptor.clone(), router.clone()));
    }
}

/// Serves one connection; what goes wrong on it concerns nobody but its client.
async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) {
    let service = TowerToHyperService::new(router);
    let builder = Builder::new(TokioExecutor::new());
    match acceptor {
        None => drop(builder.serve_connection(TokioIo::new(stream), service).await),
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                drop(builder.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}
