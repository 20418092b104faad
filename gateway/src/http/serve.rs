//! Accepting connections: plain or TLS, bounded in number, drained on shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::PeerAddress;
use super::prompt::Prompt;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;

/// What bounds a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Largest header block in bytes.
    pub header_bytes: usize,
    /// Longest time to send a request's headers, to finish a TLS handshake, and to say a first word.
    pub header_timeout: Duration,
    /// Longest time to finish calls under way at shutdown.
    pub drain_timeout: Duration,
}

/// Where a listener's TLS configuration comes from; asked anew for each connection, so that a changed certificate is
/// used without a restart.
pub type TlsSource = Arc<dyn Fn() -> Arc<rustls::ServerConfig> + Send + Sync>;

/// Serves `router` on `listener` until `shutdown`, then drains. Returns how many connections had to be cut off.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsSource>,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
) -> usize {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&permits).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let (stream, address) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: wait for connections to end instead of spinning.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "small answers may be delayed");
        }
        let (router, tls, watcher, cut) = (router.clone(), tls.clone(), graceful.watcher(), cut.clone());
        let served = async move {
            match tls {
                None => connection(stream, address, router, limits, watcher).await,
                Some(tls) => {
                    let acceptor = tokio_rustls::TlsAcceptor::from(tls());
                    match tokio::time::timeout(limits.header_timeout, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => connection(stream, address, router, limits, watcher).await,
                        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake failed"),
                        Err(_) => tracing::debug!(%address, "TLS handshake timed out"),
                    }
                }
            }
        };
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    match tokio::time::timeout(limits.drain_timeout, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => {
            let open = limits.connections.saturating_sub(permits.available_permits());
            cut.cancel();
            open
        }
    }
}

async fn connection<S>(
    stream: S,
    address: SocketAddr,
    router: Router,
    limits: ServeLimits,
    watcher: hyper_util::server::graceful::Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Prompt::new(stream, limits.header_timeout);
    let service = router.layer(axum::Extension(PeerAddress(address)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(20)));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%address, %error, "connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn start(header_timeout: Duration) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(std::future::pending::<()>));
        let limits = ServeLimits {
            connections: 8,
            header_bytes: 8192,
            header_timeout,
            drain_timeout: Duration::from_millis(100),
        };
        let stop = CancellationToken::new();
        (address, stop.clone(), tokio::spawn(serve(listener, None, router, limits, stop)))
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_closed() {
        let (address, stop, served) = start(Duration::from_millis(100)).await;
        for begin in ["", "PRI * HTTP", "GET / HT"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            assert!(is_closed(&mut stream).await, "{begin:?}");
        }
        stop.cancel();
        assert_eq!(served.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_does_not_end_in_time_is_cut_off_and_counted() {
        let (address, stop, served) = start(Duration::from_secs(60)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
        assert_eq!(served.await.unwrap(), 1);
        assert!(is_closed(&mut stream).await);
    }
}
