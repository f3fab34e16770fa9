//! The HTTP source against a small server that misbehaves on order.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rullama_source::{ByteSource, HttpOptions, HttpSource, Locality, SourceError};

/// What the server does with one request.
#[derive(Clone, Copy, Debug)]
enum Act {
    Serve,
    /// Answers with this status.
    Fail(u16),
    /// Closes the connection before the answer.
    Hang,
    /// Says nothing for longer than the client waits.
    Stall,
    /// Closes the connection in the middle of the body.
    Cut,
    /// Sends the whole file.
    Whole,
    /// Sends all of something else, of this type.
    Instead(&'static str, &'static str),
    /// Serves the range under another tag, ignoring `If-Range`.
    OtherTag,
    /// Redirects with this status.
    Moved(u16, &'static str),
    /// Serves the range, but with this header changed (name, value).
    Says(&'static str, &'static str),
    /// Stops in the middle of the body for longer than the client waits.
    Halt,
    /// Sends the body a byte at a time, so that there always is one soon.
    Drip,
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    plan: Arc<Mutex<Vec<Act>>>,
}

const TAG: &str = "\"v1\"";

fn content() -> Vec<u8> {
    (0..2_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

impl Server {
    /// Serves `content`, then follows `plan`, then serves.
    fn start(plan: &[Act]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/model.gguf", listener.local_addr().unwrap());
        let plan = Arc::new(Mutex::new(plan.iter().rev().copied().collect::<Vec<_>>()));
        let requests = Arc::new(AtomicUsize::new(0));
        let server = Self { url, requests: requests.clone(), plan: plan.clone() };
        let content = Arc::new(content());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (plan, requests, content) = (plan.clone(), requests.clone(), content.clone());
                // A connection that the client closes ends its thread.
                thread::spawn(move || while serve(&stream, &plan, &requests, &content).is_some() {});
            }
        });
        server
    }

    fn open(&self) -> Result<HttpSource, SourceError> {
        let options = HttpOptions {
            attempts: 4,
            backoff: Duration::from_millis(5),
            response_timeout: Duration::from_millis(300),
            silence: Duration::from_millis(300),
            ..HttpOptions::default()
        };
        HttpSource::open(&self.url, options)
    }

    fn then(&self, plan: &[Act]) {
        *self.plan.lock().unwrap() = plan.iter().rev().copied().collect();
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Reads a request; its range, both ends inside.
fn requested(stream: &TcpStream) -> Option<(usize, usize)> {
    let mut range = None;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let line = lines.next()?.ok()?.to_ascii_lowercase();
        if line.is_empty() {
            return Some(range.expect("every request is for a range"));
        }
        if let Some(value) = line.strip_prefix("range: bytes=") {
            let (first, last) = value.split_once('-')?;
            range = Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
        }
        assert!(!line.starts_with("accept-encoding") || line.ends_with("identity"), "{line}");
    }
}

fn serve(mut stream: &TcpStream, plan: &Mutex<Vec<Act>>, requests: &AtomicUsize, content: &[u8]) -> Option<()> {
    let (first, last) = requested(stream)?;
    requests.fetch_add(1, Ordering::SeqCst);
    let act = plan.lock().unwrap().pop().unwrap_or(Act::Serve);
    let last = last.min(content.len() - 1);
    let body = &content[first..=last];
    let head = |status: &str, tag: &str, len: usize| {
        let range = format!("bytes {first}-{last}/{}", content.len());
        format!("HTTP/1.1 {status}\r\netag: {tag}\r\ncontent-range: {range}\r\ncontent-length: {len}\r\n\r\n")
    };
    let partial = head("206 Partial Content", TAG, body.len());
    match act {
        Act::Serve => write!(stream, "{partial}").ok()?,
        Act::Says(name, value) => {
            let others = partial.trim_end().split("\r\n").filter(|line| !line.starts_with(&format!("{name}:")));
            write!(stream, "{}\r\n{name}: {value}\r\n\r\n", others.collect::<Vec<_>>().join("\r\n")).ok()?;
            stream.write_all(body).ok()?;
            return None;
        }
        Act::Moved(status, to) => {
            write!(stream, "HTTP/1.1 {status} X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").ok()?;
            return Some(());
        }
        Act::Drip => {
            write!(stream, "{partial}").ok()?;
            for byte in body {
                stream.write_all(&[*byte]).ok()?;
                thread::sleep(Duration::from_millis(10));
            }
            return None;
        }
        Act::OtherTag => write!(stream, "{}", head("206 Partial Content", "\"v2\"", body.len())).ok()?,
        Act::Fail(status) => {
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").ok()?;
            return Some(());
        }
        Act::Hang => return None,
        Act::Stall => {
            thread::sleep(Duration::from_millis(800));
            return None;
        }
        Act::Cut | Act::Halt => {
            write!(stream, "{partial}").ok()?;
            stream.write_all(&body[..body.len() / 2]).ok()?;
            thread::sleep(Duration::from_millis(if matches!(act, Act::Halt) { 800 } else { 0 }));
            return None;
        }
        Act::Instead(kind, body) => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
            return None;
        }
        Act::Whole => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len()).ok()?;
            stream.write_all(content).ok()?;
            return None;
        }
    }
    stream.write_all(body).ok()
}

fn read(source: &HttpSource, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
    pollster::block_on(source.read(offset, len))
}

fn ranges() {
    let server = Server::start(&[]);
    let source = server.open().unwrap();
    let content = content();
    assert_eq!((source.len(), source.locality()), (2_000_000, Locality::Remote));
    assert_eq!(read(&source, 1_000, 5_000).unwrap(), content[1_000..6_000]);
    assert_eq!(read(&source, 1_999_999, 1).unwrap(), content[1_999_999..]);
    assert!(matches!(read(&source, 1_999_999, 2), Err(SourceError::OutOfBounds { .. })));
    let before = server.count();
    assert!(read(&source, 7, 0).unwrap().is_empty());
    let ranges = [900_000..900_010, 0..100, 200..300, 100_000..100_001];
    let parts = pollster::block_on(source.read_many(&ranges)).unwrap();
    for (range, part) in ranges.iter().zip(parts) {
        assert_eq!(part, content[range.start as usize..range.end as usize]);
    }
    assert_eq!(server.count() - before, 2, "neighbours share a request");
}

fn failures_that_pass() {
    for act in [Act::Fail(503), Act::Fail(429), Act::Hang, Act::Stall, Act::Cut, Act::Halt] {
        let server = Server::start(&[act]);
        let source = server.open().unwrap_or_else(|error| panic!("{act:?}: {error}"));
        server.then(&[act, act]);
        let got = read(&source, 10, 100_000).unwrap_or_else(|error| panic!("{act:?}: {error}"));
        assert!(got == content()[10..100_010], "{act:?}");
    }
}

fn a_cut_body_is_continued_not_repeated() {
    let server = Server::start(&[]);
    let source = server.open().unwrap();
    // Each attempt brings over 256 KiB, so more cuts than attempts are survived.
    server.then(&[Act::Cut, Act::Cut, Act::Fail(500), Act::Fail(500), Act::Fail(500)]);
    assert!(read(&source, 0, 2_000_000).unwrap() == content());
}

fn failures_that_stay() {
    let server = Server::start(&[Act::Fail(500); 10]);
    assert!(matches!(server.open(), Err(SourceError::Network { attempts: 4, .. })));
    assert_eq!(server.count(), 4);
    for status in [401, 403, 404, 410] {
        let server = Server::start(&[Act::Fail(status)]);
        assert!(matches!(server.open(), Err(SourceError::Status { status: s, .. }) if s == status));
        assert_eq!(server.count(), 1, "a refusal is not asked for again");
    }
    for address in ["ftp://a/b", "/a/b", "http://"] {
        let error = HttpSource::open(address, HttpOptions::default()).unwrap_err();
        assert!(matches!(error, SourceError::Address { .. }), "{error:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = HttpOptions { attempts: 2, backoff: Duration::ZERO, ..HttpOptions::default() };
    let error = HttpSource::open(&format!("http://{closed}/x"), options).unwrap_err();
    assert!(matches!(error, SourceError::Network { attempts: 2, .. }), "{error:?}");
}

fn a_body_that_trickles_is_given_up() {
    let server = Server::start(&[]);
    let source = server.open().unwrap();
    server.then(&[Act::Drip; 10]);
    let before = server.count();
    let error = read(&source, 0, 100_000).unwrap_err();
    assert!(matches!(&error, SourceError::Network { attempts: 4, reason, .. } if reason.contains("bytes came in")), "{error:?}");
    assert_eq!(server.count() - before, 4);
    // What has come by then is kept, and one that goes on in earnest is waited for.
    server.then(&[Act::Drip, Act::Drip]);
    assert!(read(&source, 0, 100_000).unwrap() == content()[..100_000]);
}

fn a_server_without_ranges_is_refused() {
    let server = Server::start(&[Act::Whole]);
    assert!(matches!(server.open(), Err(SourceError::RangeIgnored { .. })));
}

fn what_came_in_place_of_the_file_is_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n";
    let answers = [
        (Act::Instead("text/html; charset=utf-8", "<div>no doctype</div>"), "/resolve/"),
        (Act::Instead("application/octet-stream", "<!DOCTYPE html><html></html>"), "/resolve/"),
        (Act::Instead("text/plain", pointer), "git lfs pull"),
        (Act::Instead("application/json", "{\"error\":\"Repository not found\"}"), "JSON"),
    ];
    for (answer, words) in answers {
        let error = Server::start(&[answer]).open().unwrap_err();
        assert!(matches!(error, SourceError::Foreign { .. }) && error.to_string().contains(words), "{error}");
    }
}

fn a_changed_file_is_noticed() {
    for act in [Act::Whole, Act::OtherTag, Act::Fail(416)] {
        let server = Server::start(&[]);
        let source = server.open().unwrap();
        server.then(&[act]);
        let error = read(&source, 0, 100).unwrap_err();
        assert!(matches!(error, SourceError::Changed { .. }), "{act:?}: {error:?}");
    }
}

/// Text that lives as long as the test's servers.
fn kept(text: String) -> &'static str {
    text.leak()
}

fn redirects_are_followed_each_time() {
    let host = Server::start(&[]);
    let elsewhere = kept(host.url.replace("127.0.0.1", "localhost"));
    for (status, to) in [(301, "/other/path"), (302, elsewhere), (303, elsewhere), (307, "sibling.gguf"), (308, elsewhere)] {
        let server = Server::start(&[Act::Moved(status, to)]);
        let source = server.open().unwrap_or_else(|error| panic!("{status} to {to}: {error}"));
        server.then(&[Act::Moved(status, to), Act::Serve, Act::Moved(302, to)]);
        for offset in [10, 70_000] {
            assert!(read(&source, offset, 1000).unwrap() == content()[offset as usize..][..1000], "{status} to {to}");
        }
    }
}

fn redirects_that_lead_nowhere_are_named() {
    let server = Server::start(&[Act::Moved(302, "/again"); 50]);
    assert!(matches!(server.open(), Err(SourceError::Status { status: 302, .. })));
    assert!(server.count() < 20, "{} requests", server.count());
    for to in ["ftp://127.0.0.1/x", "http://", ""] {
        let server = Server::start(&[Act::Moved(302, to); 50]);
        let error = server.open().unwrap_err();
        let typed = matches!(error, SourceError::Address { .. } | SourceError::Status { .. } | SourceError::Network { .. });
        assert!(typed && server.count() < 60, "{to}: {error:?} after {} requests", server.count());
    }
}

fn headers_that_do_not_fit_are_refused() {
    let lies = [
        Act::Says("content-range", "bytes 1-1/2000000"),
        Act::Says("content-range", "bytes 0-0/*"),
        Act::Says("content-range", "all of it"),
        Act::Says("content-range", ""),
        Act::Says("content-encoding", "gzip"),
    ];
    for lie in lies {
        let error = Server::start(&[lie]).open().unwrap_err();
        assert!(matches!(error, SourceError::Header { .. }), "{lie:?}: {error:?}");
        let server = Server::start(&[]);
        let source = server.open().unwrap();
        server.then(&[lie]);
        let error = read(&source, 5, 100).unwrap_err();
        assert!(matches!(error, SourceError::Header { .. }), "{lie:?}: {error:?}");
    }
}

fn lengths_that_do_not_fit_bring_right_bytes_or_an_error() {
    for length in ["40", "100000000", "0", "many"] {
        let server = Server::start(&[]);
        let source = server.open().unwrap();
        server.then(&[Act::Says("content-length", length)]);
        assert!(read(&source, 5, 1000).unwrap() == content()[5..1005], "{length}");
        server.then(&[Act::Says("content-length", length); 20]);
        match read(&source, 5, 1000) {
            Ok(bytes) => assert!(bytes == content()[5..1005], "{length}"),
            Err(error) => assert!(matches!(error, SourceError::Network { .. }), "{length}: {error:?}"),
        }
    }
}

fn another_length_or_date_is_a_change() {
    for act in [Act::Says("content-range", "bytes 5-104/1999999"), Act::Says("etag", "")] {
        let server = Server::start(&[]);
        let source = server.open().unwrap();
        server.then(&[act]);
        let error = read(&source, 5, 100).unwrap_err();
        assert!(matches!(error, SourceError::Changed { .. }), "{act:?}: {error:?}");
    }
}

/// A server with a certificate that nobody has signed.
fn untrusted_server() -> String {
    let certificate = include_bytes!("untrusted/certificate.der").to_vec().into();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(include_bytes!("untrusted/key.der").to_vec()).into();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    accept(move |mut stream| {
        let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
        // The client ends the handshake.
        let _ = connection.complete_io(&mut stream);
    })
}

/// An https address at which `answer` takes the connections.
fn accept(answer: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/model.gguf", listener.local_addr().unwrap().port());
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
    url
}

fn servers_that_cannot_be_trusted_are_refused_at_once() {
    let plain = accept(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        thread::sleep(Duration::from_secs(1));
    });
    for address in [untrusted_server(), plain] {
        let options = HttpOptions { backoff: Duration::from_secs(60), ..HttpOptions::default() };
        let error = HttpSource::open(&address, options).unwrap_err();
        assert!(matches!(error, SourceError::Untrusted { .. }), "{address}: {error:?}");
    }
}

rullama_testing::tests! {
    ranges,
    failures_that_pass,
    a_cut_body_is_continued_not_repeated,
    failures_that_stay,
    a_body_that_trickles_is_given_up,
    a_server_without_ranges_is_refused,
    what_came_in_place_of_the_file_is_named,
    a_changed_file_is_noticed,
    redirects_are_followed_each_time,
    redirects_that_lead_nowhere_are_named,
    headers_that_do_not_fit_are_refused,
    lengths_that_do_not_fit_bring_right_bytes_or_an_error,
    another_length_or_date_is_a_change,
    servers_that_cannot_be_trusted_are_refused_at_once,
}
