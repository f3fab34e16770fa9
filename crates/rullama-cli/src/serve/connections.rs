//! Connections: as many as a browser needs, none for ever.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// Longest time for the head of a request, from the first moment that one may come; also how long a connection
/// may lie idle.
const HEAD: Duration = Duration::from_secs(10);
/// Longest time in which a reader takes nothing; a page that stores a model stops reading now and then.
const STALLED: Duration = Duration::from_secs(120);
/// Most connections at a time; further ones wait. Each takes up to two of a process's 1,024 descriptors or so.
const MOST: usize = 256;

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is free: one will be.
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(STALLED));
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // A connection that breaks or takes too long concerns nobody else.
            let _ = http.serve_connection(TokioIo::new(Box::pin(stream)), service).await;
            drop(place);
        });
    }
}
