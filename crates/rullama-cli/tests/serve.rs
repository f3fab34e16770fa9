//! `rullama serve`: what it gives, and to whom.

use crate::common::{fails, rullama};
use rullama_testing::golden;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

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
    serve(page(), store)
}

fn serve(web: tempfile::TempDir, store: Option<&Path>) -> Server {
    let mut command = rullama(&["serve", "--port", "0", "--web", web.path().to_str().unwrap()]);
    command.env("OLLAMA_MODELS", store.unwrap_or(Path::new("/nonexistent")));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("http://127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
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

fn files_with_types_tags_and_ranges() {
    let server = start(None);
    let get = |path: &str, headers: &[&str]| ask(&server, &format!("GET {path} HTTP/1.1"), headers);
    let (status, head, body) = get("/", &["Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"]);
    assert_eq!((status, &body[..]), (200, &b"<!doctype html>"[..]));
    // Programs look here whether Ollama runs.
    for headers in [&[][..], &["Accept: */*"]] {
        assert_eq!(get("/", headers).2, b"Ollama is running");
    }
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
    // What a browser says of who asks; another port of this machine is "same-site".
    let from = |site: &str, mode: &str, dest: &str| {
        get("/models.json", &[&format!("Sec-Fetch-Site: {site}"), &format!("Sec-Fetch-Mode: {mode}"), &format!("Sec-Fetch-Dest: {dest}")])
    };
    for site in ["cross-site", "same-site"] {
        assert_eq!((from(site, "no-cors", "script"), from(site, "navigate", "iframe"), from(site, "cors", "empty")), (403, 403, 403));
        assert_eq!(from(site, "navigate", "document"), 200);
    }
    assert_eq!((from("same-origin", "cors", "empty"), from("none", "navigate", "document")), (200, 200));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(ask(&server, &format!("{method} / HTTP/1.1"), &[]).0, 405, "{method}");
    }
    // Whatever the answer, nobody may read it across origins, frame it, or take it for another type.
    for (line, headers, status) in [
        ("GET / HTTP/1.1", "", 200),
        ("GET /none HTTP/1.1", "", 404),
        ("POST / HTTP/1.1", "", 405),
        ("GET / HTTP/1.1", "Host: evil.example", 421),
        ("GET / HTTP/1.1", "Sec-Fetch-Site: cross-site", 403),
        ("GET /model.gguf HTTP/1.1", "Range: bytes=10-", 416),
    ] {
        let headers = if headers.is_empty() { vec![] } else { vec![headers] };
        let (got, head, _) = ask(&server, line, &headers);
        assert_eq!(got, status, "{line}: {head}");
        for wanted in ["nosniff", "cross-origin-resource-policy: same-origin", "frame-ancestors 'self'", "x-frame-options: sameorigin"] {
            assert!(head.contains(wanted), "{line}: {head}");
        }
        assert!(status != 405 || head.contains("allow: get, head"), "{head}");
    }
}

fn models_of_the_store() {
    let store = golden("ollama_store");
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

fn refusals() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let web = page();
    let folder = web.path().to_str().unwrap();
    assert!(fails(1, &mut rullama(&["serve", "--port", &port, "--web", folder])).contains("is in use"));
    std::fs::remove_file(web.path().join("index.html")).unwrap();
    assert!(fails(1, &mut rullama(&["serve", "--port", "0", "--web", folder])).contains("index.html"));
}

fn the_address_printed_is_the_one_listened_on() {
    // Another server under the same port on [::1], which browsers try first for `localhost`.
    let other = rullama_testing::found(TcpListener::bind("[::1]:0"), |_| true);
    let port = other.local_addr().unwrap().port().to_string();
    let web = page();
    let mut child = rullama(&["serve", "--port", &port, "--web", web.path().to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains(&format!("http://127.0.0.1:{port}/")) && !line.contains("localhost"), "{line}");
}

/// What is left to read of a connection, once the server closes it.
fn closed(mut stream: TcpStream, within: Duration) -> Option<String> {
    stream.set_read_timeout(Some(within)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok().map(|_| text)
}

/// Waits; true, to go on.
fn pause(milliseconds: u64) -> bool {
    sleep(Duration::from_millis(milliseconds));
    true
}

fn connections_end() {
    let server = start(None);
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let half: Vec<TcpStream> = (0..150).map(|_| connect("GET / HTTP/1.1\r\nHost: lo")).collect();
    let (silent, idle) = (connect(""), connect("GET /main.js HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let mut slow = connect("GET / HT");
    assert_eq!(ask(&server, "GET / HTTP/1.1", &[]).0, 200);
    // A byte now and then does not make the head's time longer.
    let dripping = std::thread::spawn(move || (0..40).all(|_| slow.write_all(b"x").is_ok() && pause(500)));
    for stream in half.into_iter().chain([silent]) {
        assert!(closed(stream, Duration::from_secs(20)).is_some_and(|text| !text.contains("200 OK")));
    }
    assert!(closed(idle, Duration::from_secs(20)).is_some_and(|text| text.ends_with("let x")));
    assert!(!dripping.join().unwrap());
}

#[cfg(unix)]
fn pipes_are_no_files_and_ctrl_c_ends_it() {
    use std::process::Command;
    let web = page();
    let store = tempfile::tempdir().unwrap();
    let model = store.path().join("manifests/registry.ollama.ai/library/tiny");
    std::fs::create_dir_all(&model).unwrap();
    for pipe in [web.path().join("pipe.js"), model.join("latest")] {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    let mut server = serve(web, Some(store.path()));
    assert_eq!(ask(&server, "GET /pipe.js HTTP/1.1", &[]).0, 404);
    // Whether or not this one waits for the pipe, it keeps nobody.
    let mut list = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    list.write_all(b"GET /models.json HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    pause(300);
    assert!(Command::new("kill").args(["-INT", &server.child.id().to_string()]).status().unwrap().success());
    let ended = (0..100).any(|_| server.child.try_wait().unwrap().is_some() || !pause(50));
    assert!(ended, "Ctrl-C does not end the server");
}

#[cfg(unix)]
fn a_blob_is_served_when_it_is_a_model() {
    let store = tempfile::tempdir().unwrap();
    let (digest, config) = ("ab".repeat(32), "cd".repeat(32));
    let at = |name: &str| store.path().join(name);
    std::fs::create_dir_all(at("blobs")).unwrap();
    std::fs::create_dir_all(at("manifests/registry.ollama.ai/library/tiny")).unwrap();
    let (secret, blob) = (at("secret"), at(&format!("blobs/sha256-{digest}")));
    std::fs::write(&secret, "root:x:0:0").unwrap();
    std::fs::write(at(&format!("blobs/sha256-{config}")), "{}").unwrap();
    let layer =
        |kind: &str, digest: &str, size: u64| serde_json::json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": layer("application/vnd.docker.container.image.v1+json", &config, 2),
        "layers": [layer("application/vnd.ollama.image.model", &digest, 10)],
    });
    std::fs::write(at("manifests/registry.ollama.ai/library/tiny/latest"), manifest.to_string()).unwrap();
    std::os::unix::fs::symlink(&secret, &blob).unwrap();
    let server = start(Some(store.path()));
    let get = |headers: &[&str]| ask(&server, &format!("GET /blobs/sha256-{digest} HTTP/1.1"), headers);
    assert_eq!(get(&[]).0, 404);
    // A model on another disk may be linked.
    std::fs::write(&secret, "GGUF345678").unwrap();
    let (status, head, body) = get(&["Range: bytes=2-5"]);
    assert_eq!((status, &body[..]), (206, &b"UF34"[..]));
    let tag = |head: &str| head.lines().find_map(|line| line.strip_prefix("etag: ").map(str::to_owned)).unwrap();
    // Another content under the digest is not continued as if it were the same.
    std::fs::write(&secret, "GGUF876543").unwrap();
    let (status, changed, body) = get(&["Range: bytes=2-5", &format!("If-Range: {}", tag(&head))]);
    assert_eq!((status, &body[..]), (200, &b"GGUF876543"[..]));
    assert_ne!(tag(&head), tag(&changed));
}

rullama_testing::tests! {
    files_with_types_tags_and_ranges,
    what_shrinks_is_compressed_and_ranges_are_not,
    nobody_else_and_nothing_else,
    models_of_the_store,
    refusals,
    the_address_printed_is_the_one_listened_on,
    connections_end,
    #[cfg(unix)]
    pipes_are_no_files_and_ctrl_c_ends_it,
    #[cfg(unix)]
    a_blob_is_served_when_it_is_a_model,
}
