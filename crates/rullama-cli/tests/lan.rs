//! `rullama serve --lan`: https by a certificate made here, and the link that opens it to a phone's browser.

use crate::common::{fails, rullama};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
    cache: tempfile::TempDir,
    _web: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(more: &[&str]) -> Server {
    let (cache, web) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(web.path().join("index.html"), "<!doctype html>").unwrap();
    let mut command = rullama(&["serve", "--lan", "--address", "127.0.0.1", "--port", "0", "--web", web.path().to_str().unwrap()]);
    command.args(more).env("XDG_CACHE_HOME", cache.path()).env("HOME", cache.path()).env("LOCALAPPDATA", cache.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let port = line.split("https://127.0.0.1:").nth(1).unwrap_or_else(|| panic!("{line}"));
    let port = port.split('/').next().unwrap().parse().unwrap();
    Server { child, lines, port, cache, _web: web }
}

impl Server {
    /// The certificate that the server made, which is all that this client trusts.
    fn client(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let find = |folder: &std::path::Path| {
            let entries = walk(folder);
            entries.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "pem")).unwrap()
        };
        let pem = std::fs::read(find(self.cache.path())).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = "127.0.0.1".try_into().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
    }

    /// Head of the answer to a request over https, and its body.
    fn get(&self, path: &str, headers: &[&str]) -> String {
        self.ask(self.client(), path, headers)
    }

    fn ask(&self, mut stream: impl Read + Write, path: &str, headers: &[&str]) -> String {
        let host = format!("Host: 127.0.0.1:{}", self.port);
        let line = format!("GET {path} HTTP/1.1");
        let lines = [&[&line[..], &host[..]][..], headers, &["Connection: close", "", ""]].concat();
        stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer}")).parse().unwrap()
}

fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let found = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name}: {answer}"))
}

fn a_link_opens_the_page_and_its_lists_alone() {
    let mut server = start(&[]);
    let line = server.lines.next().unwrap().unwrap();
    let link = line.split("open https://").nth(1).unwrap();
    let path = &link[link.find('/').unwrap()..];
    assert!(path.starts_with("/?token=") && path.len() >= 8 + 32, "{line}");
    let entered = server.get(path, &["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"]);
    assert_eq!((status(&entered), header(&entered, "location")), (303, "/"), "{entered}");
    let cookie = header(&entered, "set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(&path[8..]), "the token itself goes nowhere: {cookie}");
    let pair = format!("Cookie: other=1; {}", cookie.split(';').next().unwrap());
    let page = server.get("/", &["Accept: text/html"]);
    assert!(page.ends_with("<!doctype html>"), "{page}");
    assert_eq!(status(&server.get("/models.json", &[])), 401);
    assert_eq!(status(&server.get("/models.json", &[&pair])), 200);
    assert_eq!(status(&server.get("/models.json", &["Cookie: rullama=", "Cookie: rullama"])), 401);
    // Another page of this host bears the cookie as well.
    assert_eq!(status(&server.get("/models.json", &[&pair, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"])), 403);
    assert_eq!(status(&server.get("/api/version", &[&pair])), 401, "the APIs want the token itself");
    assert_eq!(status(&server.get("/api/version", &[&format!("Authorization: Bearer {}", &path[8..])])), 200);
    let other = server.get("/?token=wrong", &[]);
    assert!(status(&other) == 401 && other.contains("rullama serve") && !other.contains("set-cookie"), "{other}");
}

fn http_is_sent_on() {
    let server = start(&["--token", "a+b/c"]);
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let answer = server.ask(stream, "/x?token=1", &[]);
    let to = format!("https://127.0.0.1:{}/x?token=1", server.port);
    assert_eq!((status(&answer), header(&answer, "location")), (308, &to[..]), "{answer}");
    // A token with signs that an address escapes.
    assert_eq!(status(&server.get("/?token=a%2Bb%2Fc", &[])), 303);
    // What is neither TLS nor HTTP ends, and nobody else is held up.
    let mut noise = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    noise.write_all(&[22, 3, 1, 0, 5, 1, 2, 3, 4, 5]).unwrap();
    let _silent = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    noise.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut end = Vec::new();
    let _ = noise.read_to_end(&mut end);
    assert_eq!(status(&server.get("/", &["Accept: text/html"])), 200);
}

fn certificates_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let file = file.to_str().unwrap();
    let told = fails(1, &mut rullama(&["serve", "--port", "0", "--certificate", file, "--key", file]));
    assert!(told.contains("c.pem") && told.contains("PEM"), "{told}");
    assert!(fails(2, &mut rullama(&["serve", "--certificate", file])).contains("--key"));
}

rullama_testing::tests! {
    a_link_opens_the_page_and_its_lists_alone,
    http_is_sent_on,
    certificates_that_are_none,
}
