//! `rullama serve`: what it gives, and to whom.

mod common;

use common::{fails, golden, rullama};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

struct Server {
    child: Child,
    port: u16,
    web: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn page() -> tempfile::TempDir {
    let web = tempfile::tempdir().unwrap();
    for (name, text) in [("index.html", "<!doctype html>"), ("main.js", "let x"), ("engine.wasm", "\0asm"), ("model.gguf", "0123456789")] {
        std::fs::write(web.path().join(name), text).unwrap();
    }
    web
}

fn start(store: Option<&Path>) -> Server {
    let web = page();
    let mut command = rullama(&["serve", "--port", "0", "--web", web.path().to_str().unwrap()]);
    command.env("OLLAMA_MODELS", store.unwrap_or(Path::new("/nonexistent")));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("localhost:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    Server { child, port, web }
}

/// Status, head (lower case) and body of an answer to a request written by hand.
fn ask(server: &Server, line: &str, headers: &[&str]) -> (u16, String, Vec<u8>) {
    let host = format!("Host: localhost:{}", server.port);
    let host = if headers.iter().any(|header| header.starts_with("Host:")) { vec![] } else { vec![host.as_str()] };
    let lines = [&[line][..], &host, headers, &["Connection: close", "", ""]].concat();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, answer[end + 4..].to_vec())
}

#[test]
fn files_with_types_tags_and_ranges() {
    let server = start(None);
    let get = |path: &str, headers: &[&str]| ask(&server, &format!("GET {path} HTTP/1.1"), headers);
    let (status, head, body) = get("/", &[]);
    assert_eq!((status, &body[..]), (200, &b"<!doctype html>"[..]));
    assert!(head.contains("content-type: text/html") && head.contains("nosniff") && !head.contains("access-control"), "{head}");
    assert!(get("/main.js", &[]).1.contains("content-type: text/javascript"));
    assert!(get("/engine.wasm", &[]).1.contains("content-type: application/wasm"));
    let (status, head, body) = get("/model.gguf", &["Range: bytes=2-4"]);
    assert_eq!((status, &body[..]), (206, &b"234"[..]));
    assert!(head.contains("content-range: bytes 2-4/10") && head.contains("content-length: 3"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    assert_eq!(get("/model.gguf", &["Range: bytes=2-4", &format!("If-Range: {tag}")]).0, 206);
    assert_eq!(get("/model.gguf", &["Range: bytes=2-4", "If-Range: \"old\""]).2.len(), 10);
    assert_eq!(get("/model.gguf", &[&format!("If-None-Match: {tag}")]).0, 304);
    assert_eq!(get("/model.gguf", &["Range: bytes=10-"]).0, 416);
    let (status, head, body) = ask(&server, "HEAD /model.gguf HTTP/1.1", &[]);
    assert_eq!((status, body.len()), (200, 0));
    assert!(head.contains("content-length: 10"));
}

#[test]
fn what_shrinks_is_compressed_and_ranges_are_not() {
    let server = start(None);
    let get = |path: &str, headers: &[&str]| ask(&server, &format!("GET {path} HTTP/1.1"), headers);
    let text = "let x = 1;\n".repeat(5000);
    for name in ["large.js", "large.wasm", "large.json", "large.html", "large.gguf"] {
        std::fs::write(server.web.path().join(name), &text).unwrap();
        let (status, head, body) = get(&format!("/{name}"), &["Accept-Encoding: br;q=1, gzip;q=0.8"]);
        assert_eq!(status, 200);
        assert!(head.contains("etag: "), "{name}: {head}");
        let packed = head.contains("content-encoding: gzip");
        assert_eq!(packed, name != "large.gguf", "{name}: {head}");
        // A browser or a cache must not take one form for the other.
        assert_eq!(head.contains("etag: w/"), packed, "{name}: {head}");
        assert_eq!(head.contains("vary: accept-encoding"), packed, "{name}: {head}");
        assert_eq!(body.len() < text.len() / 10, packed, "{name}: {} bytes", body.len());
        let (_, head, body) = get(&format!("/{name}"), &[]);
        assert!(!head.contains("content-encoding") && body == text.as_bytes(), "{name}: {head}");
        let (status, head, body) = get(&format!("/{name}"), &["Accept-Encoding: gzip", "Range: bytes=4-8"]);
        assert_eq!((status, &body[..]), (206, &b"x = 1"[..]), "{name}");
        assert!(!head.contains("content-encoding") && head.contains("content-range: bytes 4-8/"), "{name}: {head}");
    }
    let (_, head, _) = get("/large.js", &["Accept-Encoding: gzip"]);
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().replace("w/", "W/");
    assert_eq!(get("/large.js", &["Accept-Encoding: gzip", &format!("If-None-Match: {tag}")]).0, 304);
    // A few bytes would only grow.
    assert!(!get("/main.js", &["Accept-Encoding: gzip"]).1.contains("content-encoding"));
    let (status, head, body) = ask(&server, "HEAD /large.js HTTP/1.1", &["Accept-Encoding: gzip"]);
    assert_eq!((status, body.len()), (200, 0), "{head}");
}

#[test]
fn nobody_else_and_nothing_else() {
    let server = start(None);
    let get = |path: &str, headers: &[&str]| ask(&server, &format!("GET {path} HTTP/1.1"), headers).0;
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2fCargo.toml",
        "//etc/hostname",
        "/%2fetc%2fhostname",
        "/none.js",
        "/blobs/..%2f..",
        "/blobs/sha256-00",
    ] {
        assert_eq!(get(path, &[]), 404, "{path}");
    }
    assert_eq!(get("/", &["Host: evil.example"]), 421);
    assert_eq!(get("/models.json", &["Host: evil.example:80"]), 421);
    assert_eq!(get("/", &["Host: 127.0.0.1"]), 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(ask(&server, &format!("{method} / HTTP/1.1"), &[]).0, 405, "{method}");
    }
}

#[test]
fn models_of_the_store() {
    let Some(store) = golden("ollama_store") else { return };
    let server = start(Some(&store));
    let (status, _, body) = ask(&server, "GET /models.json HTTP/1.1", &[]);
    let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status, 200);
    let models = list["models"].as_array().unwrap();
    let model = models.iter().find(|model| model["name"] == "gemma4-tiny:latest").unwrap();
    let urls: Vec<&str> = models.iter().map(|model| model["url"].as_str().unwrap()).collect();
    let url = model["url"].as_str().unwrap();
    let (status, head, body) = ask(&server, &format!("GET {url} HTTP/1.1"), &["Range: bytes=0-3"]);
    assert_eq!((status, &body[..]), (206, &b"GGUF"[..]));
    assert!(head.contains(&format!("/{}", model["size"])), "{head}");
    // The store's other files (configuration, licence, ...) are nobody's business.
    for entry in std::fs::read_dir(store.join("blobs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let expected = if urls.iter().any(|url| url.ends_with(&name)) { 200 } else { 404 };
        assert_eq!(ask(&server, &format!("HEAD /blobs/{name} HTTP/1.1"), &[]).0, expected, "{name}");
    }
}

#[test]
fn refusals() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let web = page();
    let folder = web.path().to_str().unwrap();
    assert!(fails(1, &mut rullama(&["serve", "--port", &port, "--web", folder])).contains("is in use"));
    std::fs::remove_file(web.path().join("index.html")).unwrap();
    assert!(fails(1, &mut rullama(&["serve", "--port", "0", "--web", folder])).contains("index.html"));
}
