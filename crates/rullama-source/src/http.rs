//! A file on a web server, read with `Range` requests.
//!
//! Every request asks the address that was given, so that redirects to links that expire are
//! resolved anew. `If-Range` with the file's tag turns a changed file into a whole answer (200),
//! which is reported instead of mixing two versions.

use std::{
    io::{ErrorKind, Read},
    ops::Range,
    time::{Duration, Instant},
};

use ureq::{Agent, Body, config::ConfigBuilder, http::Response, typestate::AgentScope};

use crate::{
    coalesce::read_coalesced,
    foreign::{HEAD, WEB_PAGE, foreign, is_page},
    source::{BoxFuture, ByteSource, Locality, SourceError},
};

/// Reading over a gap of this size costs less than a round trip.
const GAP: u64 = 256 << 10;
/// Largest joined read; bounds the memory that gaps can waste.
const MAX_JOINED: u64 = 8 << 20;
/// An attempt that brought this many bytes does not count as a failed one.
const PROGRESS: usize = 256 << 10;
/// A body that brings less than this within the time that it may be silent counts as one that came to a halt.
const TRICKLE: usize = 16 << 10;

/// How patient a source is.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Attempts in a row without progress before a read fails.
    pub attempts: u32,
    /// Pause after the first failure; doubles with each further one, up to 8 s.
    pub backoff: Duration,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of an answer.
    pub response_timeout: Duration,
    /// Longest time for the body of one answer; what came until then is kept.
    pub body_timeout: Duration,
    /// Longest time in which nothing comes of an answer, or next to nothing of its body.
    pub silence: Duration,
    /// Proxy URL.
    pub proxy: Option<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            attempts: 6,
            backoff: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(120),
            silence: Duration::from_secs(20),
            proxy: None,
        }
    }
}

/// A remote file of which every read is one request. Reads block the calling thread.
#[derive(Debug)]
pub struct HttpSource {
    url: String,
    len: u64,
    /// A strong `ETag` or a `Last-Modified` date: what `If-Range` takes.
    validator: Option<String>,
    /// Any `ETag`, or a `Last-Modified` date: what every answer must repeat.
    tag: Option<String>,
    agent: Agent,
    options: HttpOptions,
}

/// Why one attempt failed.
enum Failure {
    /// Worth another attempt.
    Retry(String),
    Final(SourceError),
}

impl HttpSource {
    /// Asks the server for the first byte, which gives length, tag and whether it knows ranges.
    ///
    /// # Errors
    /// [`SourceError::RangeIgnored`], [`SourceError::Status`], [`SourceError::Untrusted`],
    /// [`SourceError::Network`] and others.
    pub fn open(url: &str, options: HttpOptions) -> Result<Self, SourceError> {
        let bad = |reason: String| SourceError::Address { url: url.to_owned(), reason };
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(bad("no http:// or https:// in front".to_owned()));
        }
        let proxy = match &options.proxy {
            Some(proxy) => Some(ureq::Proxy::new(proxy).map_err(|e| bad(format!("proxy: {e}")))?),
            None => None,
        };
        let agent = config(url, &options).proxy(proxy).build().new_agent();
        Self::open_with(agent, url, options)
    }

    fn open_with(agent: Agent, url: &str, options: HttpOptions) -> Result<Self, SourceError> {
        let mut source = Self { url: url.to_owned(), len: 0, validator: None, tag: None, agent, options };
        source.with_retries(|source| source.probe())?;
        Ok(source)
    }

    fn probe(&mut self) -> Result<usize, Failure> {
        let mut response = self.request(0, 1)?;
        if response.status().as_u16() == 200 {
            return Err(Failure::Final(self.not_in_pieces(&mut response)));
        }
        let range = header(&response, "content-range").unwrap_or_default();
        match response.status().as_u16() {
            206 => {
                self.check_encoding(&response)?;
                let total = range.strip_prefix("bytes 0-0/").and_then(|total| total.parse().ok());
                self.len = total.ok_or_else(|| self.unusable("Content-Range", range))?;
            }
            // An empty file has no first byte.
            416 if range == "bytes */0" => self.len = 0,
            416 => return Err(self.unusable("Content-Range", range)),
            _ => return Err(self.status_failure(&response)),
        }
        let strong = header(&response, "etag").filter(|tag| !tag.starts_with("W/"));
        self.validator = strong.or_else(|| header(&response, "last-modified")).map(str::to_owned);
        self.tag = tag_of(&response).map(str::to_owned);
        Ok(0)
    }

    /// The whole of something, where a piece was asked for: servers answer so where they have a page in place of a file.
    fn not_in_pieces(&self, response: &mut Response<Body>) -> SourceError {
        let page = header(response, "content-type").is_some_and(is_page);
        let len = header(response, "content-length").and_then(|len| len.parse().ok()).unwrap_or(u64::MAX);
        let mut head = Vec::new();
        // What could be read is enough to judge by.
        let _ = response.body_mut().as_reader().take(HEAD as u64).read_to_end(&mut head);
        let name = self.url.clone();
        match foreign(&head, len) {
            _ if page && !head.starts_with(b"GGUF") => SourceError::Foreign { name, foreign: WEB_PAGE },
            Some(foreign) => SourceError::Foreign { name, foreign },
            None => SourceError::RangeIgnored { url: name },
        }
    }

    fn request(&self, offset: u64, len: u64) -> Result<Response<Body>, Failure> {
        let last = offset + len - 1;
        let mut request = self.agent.get(&self.url).header("range", format!("bytes={offset}-{last}")).header("accept-encoding", "identity");
        if let Some(validator) = &self.validator {
            request = request.header("if-range", validator);
        }
        request.call().map_err(|error| {
            let url = self.url.clone();
            Failure::Final(match error {
                ureq::Error::BadUri(reason) => SourceError::Address { url, reason },
                ureq::Error::Http(error) => SourceError::Address { url, reason: error.to_string() },
                ureq::Error::RequireHttpsOnly(to) => SourceError::Untrusted { url, reason: format!("it redirects to {to}") },
                // A certificate that is refused, or no TLS at all.
                ureq::Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
                    SourceError::Untrusted { url, reason: error.to_string() }
                }
                other => return Failure::Retry(other.to_string()),
            })
        })
    }

    /// A range of a compressed body is not a range of the file, whatever was asked for.
    fn check_encoding(&self, response: &Response<Body>) -> Result<(), Failure> {
        match header(response, "content-encoding") {
            None | Some("" | "identity") => Ok(()),
            Some(encoding) => Err(self.unusable("Content-Encoding", encoding)),
        }
    }

    fn unusable(&self, header: &'static str, value: &str) -> Failure {
        Failure::Final(SourceError::Header { url: self.url.clone(), header, value: value.to_owned() })
    }

    fn status_failure(&self, response: &Response<Body>) -> Failure {
        let status = response.status().as_u16();
        match status {
            408 | 429 | 500..=599 => Failure::Retry(format!("status {status}")),
            _ => Failure::Final(SourceError::Status { url: self.url.clone(), status }),
        }
    }

    fn changed(&self, what: impl Into<String>) -> Failure {
        Failure::Final(SourceError::Changed { name: self.url.clone(), what: what.into() })
    }

    /// One request for what `bytes` still lacks of `offset..offset + len`; gives what came of it.
    fn attempt(&self, offset: u64, len: usize, bytes: &mut Vec<u8>) -> Result<usize, Failure> {
        let from = offset + bytes.len() as u64;
        let missing = len - bytes.len();
        let mut response = self.request(from, missing as u64)?;
        match response.status().as_u16() {
            206 => {}
            200 if self.validator.is_some() => return Err(self.changed("it has a new tag")),
            200 => {
                let url = self.url.clone();
                return Err(Failure::Final(SourceError::RangeIgnored { url }));
            }
            416 => return Err(self.changed("it became shorter")),
            _ => return Err(self.status_failure(&response)),
        }
        if self.tag.is_some() && tag_of(&response) != self.tag.as_deref() {
            return Err(self.changed("it has a new tag"));
        }
        self.check_encoding(&response)?;
        let range = header(&response, "content-range").unwrap_or_default();
        let expected = format!("bytes {from}-{}/{}", from + missing as u64 - 1, self.len);
        if range.rsplit_once('/').is_some_and(|(_, total)| total.parse().is_ok_and(|total: u64| total != self.len)) {
            return Err(self.changed(format!("asked for {expected}, got {range}")));
        }
        if range != expected {
            return Err(self.unusable("Content-Range", range));
        }
        let before = bytes.len();
        self.take_body(&mut response.body_mut().as_reader(), len, bytes)?;
        Ok(bytes.len() - before)
    }

    /// Reads on until there are `len` bytes; what came before a failure is kept.
    fn take_body(&self, body: &mut impl Read, len: usize, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let mut piece = vec![0; (64 << 10).min(len)];
        let (mut since, mut counted) = (Instant::now(), bytes.len());
        while bytes.len() < len {
            let most = piece.len().min(len - bytes.len());
            match body.read(&mut piece[..most]) {
                Ok(0) => return Err(Failure::Retry("the connection closed early".to_owned())),
                Ok(got) => bytes.extend_from_slice(&piece[..got]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Retry(error.to_string())),
            }
            if bytes.len() - counted >= TRICKLE {
                (since, counted) = (Instant::now(), bytes.len());
            } else if since.elapsed() >= self.options.silence && bytes.len() < len {
                let reason = format!("{} bytes came in {:.0} s", bytes.len() - counted, since.elapsed().as_secs_f64());
                return Err(Failure::Retry(reason));
            }
        }
        Ok(())
    }

    fn read_blocking(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        SourceError::check(&self.url, self.len, offset, len)?;
        let mut bytes = SourceError::allocate(&self.url, len)?;
        bytes.clear();
        let (mut failures, mut counted) = (0, 0);
        while bytes.len() < len {
            match self.attempt(offset, len, &mut bytes) {
                Ok(_) => {}
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Retry(reason)) => {
                    if bytes.len() - counted >= PROGRESS {
                        (failures, counted) = (0, bytes.len());
                    } else {
                        failures += 1;
                    }
                    self.pause(failures, reason)?;
                }
            }
        }
        Ok(bytes)
    }

    fn with_retries(&mut self, mut attempt: impl FnMut(&mut Self) -> Result<usize, Failure>) -> Result<(), SourceError> {
        let mut failures = 0;
        loop {
            match attempt(self) {
                Ok(_) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Retry(reason)) => {
                    failures += 1;
                    self.pause(failures, reason)?;
                }
            }
        }
    }

    /// Waits before the next attempt, or gives up after too many failures in a row.
    fn pause(&self, failures: u32, reason: String) -> Result<(), SourceError> {
        if failures >= self.options.attempts {
            let url = self.url.clone();
            return Err(SourceError::Network { url, attempts: failures, reason });
        }
        let factor = 1u32 << failures.saturating_sub(1).min(16);
        std::thread::sleep((self.options.backoff * factor).min(Duration::from_secs(8)));
        Ok(())
    }
}

/// What both the agent of a source and that of its tests keep to.
fn config(url: &str, options: &HttpOptions) -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        // A redirect too many is an answer like any other.
        .max_redirects_will_error(false)
        // What was to come over a secure connection does not come over another one.
        .https_only(url.starts_with("https://"))
        .user_agent(concat!("rullama/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_recv_response(Some(options.response_timeout))
        .timeout_recv_body(Some(options.body_timeout))
        .timeout_per_read(Some(options.silence))
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// What identifies the version of the file that an answer belongs to.
fn tag_of(response: &Response<Body>) -> Option<&str> {
    header(response, "etag").or_else(|| header(response, "last-modified"))
}

impl ByteSource for HttpSource {
    fn name(&self) -> &str {
        &self.url
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn locality(&self) -> Locality {
        Locality::Remote
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(async move { self.read_blocking(offset, len) })
    }

    fn read_many<'a>(&'a self, ranges: &'a [Range<u64>]) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SourceError>> {
        Box::pin(read_coalesced(self, ranges, GAP, MAX_JOINED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, net::TcpListener, sync::Arc, thread};
    use ureq::tls::TlsConfig;

    /// A server that answers everything with a redirect; its certificate is nobody's.
    fn secure_server(to: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/model.gguf", listener.local_addr().unwrap().port());
        let certificate = include_bytes!("../tests/untrusted/certificate.der").to_vec().into();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(include_bytes!("../tests/untrusted/key.der").to_vec()).into();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = rustls::ServerConnection::new(config.clone()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                let mut request = [0; 4096];
                // A client that leaves ends only its own connection.
                let _ = stream.read(&mut request);
                let _ = write!(stream, "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.flush();
            }
        });
        url
    }

    #[test]
    fn a_secure_address_does_not_lead_to_an_open_one() {
        let url = secure_server("http://127.0.0.1:9/model.gguf");
        let options = HttpOptions { backoff: Duration::from_secs(60), ..HttpOptions::default() };
        let anyone = TlsConfig::builder().disable_verification(true).build();
        let agent = config(&url, &options).tls_config(anyone).build().new_agent();
        let error = HttpSource::open_with(agent, &url, options).unwrap_err();
        assert!(matches!(error, SourceError::Untrusted { .. }), "{error:?}");
        assert!(error.to_string().contains("http://127.0.0.1:9/model.gguf"), "{error}");
    }
}
