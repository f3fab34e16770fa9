//! Who may ask: under which names of this machine, from which pages, with which token.
//!
//! Requests under another host's name are refused, so that a site whose name was rebound to this address reads nothing. A browser
//! says whose page asks: the page's files and the models' are for the page of this server alone; the APIs are also for pages of other
//! ports of this machine, for programs made of pages, and for the origins that `OLLAMA_ORIGINS` lists, as Ollama has it.

use super::api::{Failure, Form};
use super::{compress, entrance};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest time until an answer begins that a disk gives: it may hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// Schemes of programs that are made of pages; no site can have them.
const PROGRAMS: [&str; 5] = ["app", "file", "tauri", "vscode-webview", "vscode-file"];

/// Who may ask.
#[derive(Default)]
pub struct Access {
    /// Further names of this machine.
    pub hosts: Vec<String>,
    /// Whether others can connect: then any address of a machine is one of its names.
    pub open: bool,
    /// What a request must bear.
    pub token: Option<String>,
    /// Whether it is served over https.
    pub https: bool,
    /// Origins whose pages may use the APIs, with `*` for any text.
    pub origins: Vec<String>,
}

/// Answers what may be asked, and adds the headers that every answer has.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let (path, api) = (request.uri().path().to_owned(), is_api(request.uri().path()));
    let origin = request.headers().get(header::ORIGIN).cloned();
    let refused = if api { access.of_api(&request) } else { access.of_page(&request) };
    let mut response = match refused {
        Some(failure) if api => failure.respond(Form::of(&path)),
        Some(failure) => page_failure(&failure),
        None if api && request.method() == Method::OPTIONS => preflight(request.headers()),
        None if entrance::given(&request).is_some() => access.enter(&request),
        // An answer of a model takes its time.
        None if api => next.run(request).await,
        None => tokio::time::timeout(PATIENCE, next.run(request))
            .await
            .unwrap_or_else(|_| (StatusCode::SERVICE_UNAVAILABLE, "the disk does not answer\n").into_response()),
    };
    if api && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let failure =
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} is not asked in this way: see the Allow header for the methods."));
        let allow = response.headers().get(header::ALLOW).cloned();
        response = failure.respond(Form::of(&path));
        allow.and_then(|allow| response.headers_mut().insert(header::ALLOW, allow));
    }
    let headers = response.headers_mut();
    compress::weaken(headers);
    if api {
        share(headers, origin.filter(|origin| origin.to_str().is_ok_and(|origin| access.allows(origin))));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // The page's own policy is in its <meta>, which cannot say this. It frames its sandbox.
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'self'"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_api(path: &str) -> bool {
    ["/api", "/v1"].iter().any(|top| path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn page_failure(failure: &Failure) -> Response {
    let mut response = (failure.status, format!("{}\n", failure.message)).into_response();
    if failure.status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if failure.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Lets the page of an origin read an answer.
fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
}

/// What a browser asks before it lets a page of another origin ask.
fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS"));
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if asked.contains_key("access-control-request-private-network") {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn text<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}

impl Access {
    /// Refuses what reads no page: only this machine's own names, what reads, and of other sites' pages nothing but a link to here.
    fn of_page(&self, request: &Request) -> Option<Failure> {
        self.of_host(request).or_else(|| {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return Some(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "only read here"));
            }
            // The page itself is no secret; what this machine has is one.
            let secret = request.uri().path() == "/models.json" || request.uri().path().starts_with("/blobs/");
            let admitted = || self.token.as_deref().is_some_and(|token| entrance::admitted(request, token, same));
            foreign(request).or_else(|| if secret && !admitted() { self.of_token(request) } else { None })
        })
    }

    /// Answers the link that holds the token.
    fn enter(&self, request: &Request) -> Response {
        let given = entrance::given(request).unwrap_or_default();
        match self.token.as_deref() {
            Some(token) if !entrance::opens(given, token, same) => {
                let message = "this link is of another start of the server. Open the one that `rullama serve` shows now.";
                page_failure(&Failure::new(StatusCode::UNAUTHORIZED, message))
            }
            token => entrance::admit(token.unwrap_or_default(), self.https),
        }
    }

    fn of_api(&self, request: &Request) -> Option<Failure> {
        self.of_host(request).or_else(|| {
            let refused = || {
                let message = "this origin's pages may not ask. Start the server with the origin in OLLAMA_ORIGINS.";
                Some(Failure::new(StatusCode::FORBIDDEN, message))
            };
            match request.headers().get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default()) {
                Some(origin) if !self.is_own(origin, request) && !self.allows(origin) => return refused(),
                Some(_) => {}
                None if foreign(request).is_some() => return refused(),
                None => {}
            }
            // A browser asks first, and without the token.
            if request.method() == Method::OPTIONS { None } else { self.of_token(request) }
        })
    }

    fn of_host(&self, request: &Request) -> Option<Failure> {
        let message =
            "only http://localhost and http://127.0.0.1 are served here. Another name of this machine is allowed with --host-name.";
        (!text(request, "host").is_some_and(|host| self.is_this_machine(host)))
            .then(|| Failure::new(StatusCode::MISDIRECTED_REQUEST, message))
    }

    fn of_token(&self, request: &Request) -> Option<Failure> {
        let token = self.token.as_deref()?;
        let given = text(request, "authorization").and_then(|value| {
            let (scheme, given) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| given.trim())
        });
        let known = given.is_some_and(|given| same(given.as_bytes(), token.as_bytes()));
        let message = "the token is missing or another. Send the one that the server was started with: `Authorization: Bearer TOKEN`.";
        (!known).then(|| Failure { code: Some("invalid_api_key"), ..Failure::new(StatusCode::UNAUTHORIZED, message) })
    }

    /// `localhost`, `127.0.0.1` or `[::1]`, or a name that was given, with any port.
    fn is_this_machine(&self, host: &str) -> bool {
        let name = without_port(host);
        is_local(name) || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) || (self.open && is_address(name))
    }

    /// The page of this server.
    fn is_own(&self, origin: &str, request: &Request) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some() && authority == text(request, "host")
    }

    /// Whether pages of an origin may use the APIs.
    fn allows(&self, origin: &str) -> bool {
        let usual = origin.split_once("://").is_some_and(|(scheme, authority)| match scheme {
            "http" | "https" => is_local(without_port(authority)) || without_port(authority) == "0.0.0.0",
            scheme => PROGRAMS.contains(&scheme),
        });
        usual || self.origins.iter().any(|pattern| matches(pattern, origin))
    }
}

/// Browsers tell whose page asks; another port of this machine is the same site to them, and another one to us.
fn foreign(request: &Request) -> Option<Failure> {
    let foreign = matches!(text(request, "sec-fetch-site"), Some("cross-site" | "same-site"));
    let link = text(request, "sec-fetch-mode") == Some("navigate") && text(request, "sec-fetch-dest") == Some("document");
    (foreign && !link).then(|| Failure::new(StatusCode::FORBIDDEN, "other sites read nothing here"))
}

/// The name of `name:port`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_local(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// A numeric address: no site's name can be rebound to it.
fn is_address(name: &str) -> bool {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.parse::<IpAddr>().is_ok()
}

/// Whether a text is of a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Compares in a time that does not tell how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let access = Access { hosts: vec!["host.docker.internal".to_owned()], ..Access::default() };
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "LOCALHOST", "host.docker.internal:11434"] {
            assert!(access.is_this_machine(host), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "localhost:x",
            "x.host.docker.internal",
        ];
        for host in others {
            assert!(!access.is_this_machine(host), "{host}");
        }
        let open = Access { open: true, ..Access::default() };
        assert!(open.is_this_machine("192.168.1.2:8080") && open.is_this_machine("[fe80::1]:80"));
        assert!(!open.is_this_machine("evil.example") && !open.is_this_machine("192.168.1.2.evil.example"));
    }

    #[test]
    fn origins() {
        let access = Access { origins: vec!["https://*.example.org".to_owned(), "chrome-extension://*".to_owned()], ..Access::default() };
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "app://x",
            "vscode-webview://1",
            "https://a.example.org",
            "chrome-extension://id",
        ] {
            assert!(access.allows(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "https://evil.example",
            "http://localhost.evil.example",
            "https://example.org",
            "https://a.example.org.evil",
            "http://192.168.1.2",
        ] {
            assert!(!access.allows(origin), "{origin}");
        }
        let all = Access { origins: vec!["*".to_owned()], ..Access::default() };
        assert!(all.allows("https://evil.example"));
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"ab", b"abc") && !same(b"", b"a"));
    }
}
