//! The page and this machine's models over HTTP, for this machine only.
//!
//! - `/...`: the files of the page's folder.
//! - `/models.json`: Ollama's models here, read-only: name, size, digest, address.
//! - `/blobs/sha256-<hex>`: their files, with `Range`; only those that a manifest names as a model.
//!
//! Text and wasm are compressed for those who take it; models and parts of files never are.
//!
//! It listens on 127.0.0.1. Requests under another host's name are refused, so that a site whose name
//! was rebound to this address reads nothing; so are requests that a browser says another site's page makes, and
//! no answer allows other origins to read or frame it. Nothing waits for ever: see [`connections`].

mod compress;
mod connections;
mod file;
mod models;

use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rullama_source::ollama::Store;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use connections::serve;

/// Longest time until an answer begins: a disk may hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is served.
pub struct Site {
    /// The page's folder.
    pub web: PathBuf,
    /// Where Ollama may have its models; looked at anew for each list.
    pub roots: Vec<PathBuf>,
}

/// The addresses and what answers them.
pub fn router(site: Site) -> Router {
    let site = Arc::new(site);
    Router::new()
        .route("/models.json", get(list))
        .route("/blobs/{digest}", get(blob))
        .route("/", get(index))
        .route("/{*path}", get(page))
        .layer(compress::layer())
        .layer(from_fn(guard))
        .with_state(site)
}

/// Answers what may be asked, and adds the headers that every answer has.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match refusal(&request) {
        Some(refusal) => refusal,
        None => tokio::time::timeout(PATIENCE, next.run(request))
            .await
            .unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, "the disk does not answer\n").into_response()),
    };
    let headers = response.headers_mut();
    compress::weaken(headers);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The page's own policy is in its <meta>, which cannot say this.
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets only this machine's own names through, what reads, and of other sites' pages nothing but a link to here.
fn refusal(request: &Request) -> Option<Response> {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if !text("host").is_some_and(is_this_machine) {
        return Some((StatusCode::MISDIRECTED_REQUEST, "only http://localhost and http://127.0.0.1 are served here\n").into_response());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
    }
    // Browsers tell; another port of this machine is the same site to them, and another one to us.
    let foreign = matches!(text("sec-fetch-site"), Some("cross-site" | "same-site"));
    let link = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
    (foreign && !link).then(|| (StatusCode::FORBIDDEN, "other sites read nothing here\n").into_response())
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

async fn index(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    file::answer(&site.web.join("index.html"), &headers, None).await
}

async fn page(State(site): State<Arc<Site>>, UrlPath(path): UrlPath<String>, headers: HeaderMap) -> Response {
    match inside(&site.web, &path) {
        Some(path) => file::answer(&path, &headers, None).await,
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The file of an address below `folder`: plain names only, and no link that leads out of it.
fn inside(folder: &Path, address: &str) -> Option<PathBuf> {
    let relative = Path::new(address);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.to_string_lossy().contains(['\\', '\0', ':']));
    if !relative.components().all(plain) {
        return None;
    }
    let mut path = folder.join(relative);
    if address.ends_with('/') || path.is_dir() {
        path.push("index.html");
    }
    let (folder, path) = (folder.canonicalize().ok()?, path.canonicalize().ok()?);
    path.starts_with(folder).then_some(path)
}

async fn list(State(site): State<Arc<Site>>) -> Response {
    let list = tokio::task::spawn_blocking(move || models::list(&site.roots)).await;
    match list {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json.to_string()).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn blob(State(site): State<Arc<Site>>, UrlPath(digest): UrlPath<String>, headers: HeaderMap) -> Response {
    let wanted = digest.clone();
    let found = tokio::task::spawn_blocking(move || Store::locate(&site.roots).ok().and_then(|store| models::blob(&store, &wanted))).await;
    match found {
        Ok(Some(path)) => file::answer(&path, &headers, Some(&digest)).await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "LOCALHOST"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example:8080", "127.0.0.1.evil.example", "127.0.0.2", "localhost:x"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn nothing_outside_of_the_folder() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("web");
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        for file in ["secret", "web/a.js", "web/index.html", "web/sub/index.html"] {
            std::fs::write(top.path().join(file), file).unwrap();
        }
        assert!(inside(&folder, "a.js").is_some_and(|path| path.ends_with("web/a.js")));
        assert!(inside(&folder, "sub").is_some_and(|path| path.ends_with("sub/index.html")));
        for address in ["../secret", "sub/../../secret", "/etc/hostname", "a.js/", "none", "..\\secret", "C:\\x", "./../secret"] {
            assert!(inside(&folder, address).is_none(), "{address}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(top.path().join("secret"), folder.join("link")).unwrap();
            assert!(inside(&folder, "link").is_none());
        }
    }
}
