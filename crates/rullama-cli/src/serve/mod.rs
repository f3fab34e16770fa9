//! The page, this machine's models, and the APIs that run them, over HTTP.
//!
//! - `/...`: the files of the page's folder, where there is one.
//! - `/models.json`: Ollama's models here, read-only: name, size, digest, address.
//! - `/blobs/sha256-<hex>`: their files, with `Range`; only those that a manifest names as a model.
//! - `/api/...`, `/v1/...`: Ollama's API and OpenAI's: see [`api`].
//!
//! Text and wasm are compressed for those who take it; models, parts of files and answers of models never are.
//!
//! It listens on 127.0.0.1 unless told otherwise. Who may ask is for [`access`] to say; no answer allows other origins to
//! frame it. Nothing waits for ever but a model's answer: see [`connections`].

mod access;
pub mod api;
mod compress;
mod connections;
mod entrance;
mod file;
pub mod host;
pub mod lan;
mod models;
pub mod tls;

use api::Api;
use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rullama_source::ollama::Store;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

pub use access::Access;
pub use connections::serve;
pub use entrance::query;

/// What Ollama's own server says of itself, and programs look for.
const RUNNING: &str = "Ollama is running";

/// What is served besides the APIs.
pub struct Site {
    /// The page's folder.
    pub web: Option<PathBuf>,
    /// Where Ollama may have its models; looked at anew for each list.
    pub roots: Vec<PathBuf>,
}

/// The addresses and what answers them.
pub fn router(site: Site, api: Arc<Api>, access: Access) -> Router {
    let pages = Router::new()
        .route("/models.json", get(list))
        .route("/blobs/{digest}", get(blob))
        .route("/", get(index))
        .route("/{*path}", get(page))
        .layer(compress::layer())
        .with_state(Arc::new(site));
    let apis = api::ollama::router().merge(api::openai::router()).with_state(api);
    pages.merge(apis).layer(from_fn_with_state(Arc::new(access), access::guard))
}

/// The page for those who ask for HTML, as browsers do; programs look whether Ollama is there.
async fn index(State(site): State<Arc<Site>>, request: Request) -> Response {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let html = accepts.to_ascii_lowercase().contains("text/html");
    let mut response = match &site.web {
        Some(web) if html => file::answer(&web.join("index.html"), request.headers(), None).await,
        None if html => {
            "The page is not built: run `cargo xtask web`, or give its folder with --web. The APIs are at /api and /v1.\n".into_response()
        }
        _ => RUNNING.into_response(),
    };
    response.headers_mut().append(header::VARY, header::HeaderValue::from_static("Accept"));
    response
}

async fn page(State(site): State<Arc<Site>>, UrlPath(path): UrlPath<String>, headers: HeaderMap) -> Response {
    match site.web.as_ref().and_then(|web| inside(web, &path)) {
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

    #[tokio::test]
    async fn without_a_page_there_are_the_apis() {
        let site = || State(Arc::new(Site { web: None, roots: Vec::new() }));
        let asked = |accept: &str| Request::builder().header(header::ACCEPT, accept).body(axum::body::Body::empty()).unwrap();
        for (accept, part) in [("text/html,*/*;q=0.8", "/api and /v1"), ("*/*", RUNNING)] {
            let response = index(site(), asked(accept)).await;
            assert_eq!(response.status(), StatusCode::OK);
            let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
            assert!(String::from_utf8_lossy(&body).contains(part), "{accept}");
        }
        assert_eq!(page(site(), UrlPath("main.js".to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND);
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
