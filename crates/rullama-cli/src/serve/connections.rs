//! Connections: as many as a browser needs, none for ever.

use super::tls::Tls;
use axum::Router;
use axum::http::Uri;
use axum::response::Redirect;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

/// Longest time for the head of a request, from the first moment that one may come; also how long a connection
/// may lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// Longest time in which a reader takes nothing; a page that stores a model stops reading now and then.
const STALLED: Duration = Duration::from_secs(120);
/// Most connections at a time; further ones wait. Each takes up to two of a process's 1,024 descriptors or so.
const MOST: usize = 256;
/// What a record of TLS begins with when a connection does.
const HANDSHAKE: u8 = 22;

/// Answers until it is dropped; with `tls` over https, to which http is sent on.
pub async fn serve(listener: TcpListener, router: Router, tls: Option<Tls>) {
    let free = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is free: one will be.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let (router, tls) = (router.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => answer(patient(stream), router).await,
                Some(tls) => secured(stream, router, tls).await,
            }
            drop(place);
        });
    }
}

type Patient = Pin<Box<TimeoutStream<TcpStream>>>;

fn patient(stream: TcpStream) -> Patient {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALLED));
    Box::pin(stream)
}

/// A connection that breaks or takes too long concerns nobody else.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

/// The first byte tells a handshake of TLS (RFC 8446, section 5.1) from a request.
async fn secured(stream: TcpStream, router: Router, tls: Tls) {
    let mut first = [0];
    match timeout(HEAD, stream.peek(&mut first)).await {
        Ok(Ok(1)) if first[0] == HANDSHAKE => {
            if let Ok(Ok(stream)) = timeout(HEAD, tls.acceptor.accept(patient(stream))).await {
                answer(stream, router).await;
            }
        }
        Ok(Ok(1)) => {
            let to = move |uri: Uri| async move {
                let rest = uri.path_and_query().map_or("", |rest| rest.as_str().trim_start_matches('/'));
                Redirect::permanent(&format!("{}{rest}", tls.url))
            };
            answer(patient(stream), Router::new().fallback(to)).await;
        }
        _ => {}
    }
}
