//! The program as a server, and requests to it that are written by hand: so that a connection can be ended at will.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for an answer: the software adapter on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Server {
    pub child: Child,
    pub port: u16,
    /// The token that was printed.
    pub token: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A record a line.
    pub fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The data of server-sent events, but for `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

/// An answer as it comes.
pub struct Stream {
    reader: BufReader<TcpStream>,
    pub status: u16,
    pub head: String,
}

impl Stream {
    /// The next piece of a chunked body; empty at its end.
    pub fn chunk(&mut self) -> String {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).unwrap_or_default();
        bytes.truncate(size);
        String::from_utf8(bytes).unwrap()
    }

    /// All that is left.
    pub fn rest(mut self) -> Answer {
        let mut body = String::new();
        if self.head.contains("transfer-encoding: chunked") {
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    break;
                }
                body.push_str(&chunk);
            }
        } else {
            self.reader.read_to_string(&mut body).unwrap();
        }
        Answer { status: self.status, head: self.head, body }
    }
}

/// Starts a program that serves, on a free port.
pub fn start(command: &mut Command) -> Server {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let authority = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let port = authority.rsplit(':').next().unwrap().parse().unwrap();
    let told = !authority.starts_with("127.0.0.1") && !command.get_args().any(|argument| argument == "--token");
    let token = told.then(|| lines.next().unwrap().unwrap().split("Bearer ").nth(1).unwrap().trim_end_matches(')').to_owned());
    Server { child, port, token }
}

/// The program with its embedded model, or a test that is not run.
pub fn serve(more: &[&str]) -> Server {
    super::need_adapter();
    need_embedded();
    start(&mut super::rullama(&[&["serve", "--port", "0"], more].concat()))
}

/// The program carries its model where the repository has it.
pub fn need_embedded() {
    rullama_testing::existing(rullama_testing::workspace().join("web/app/public/model/rullama-demo.gguf"));
}

impl Server {
    /// Sends a request with a body and reads the head of its answer.
    pub fn send(&self, line: &str, headers: &[&str], body: &str) -> Stream {
        let stream = self.write(line, headers, body);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "no answer to {line}: {head}");
        }
        let head = head.to_lowercase();
        Stream { status: head.split(' ').nth(1).unwrap().parse().unwrap(), reader, head }
    }

    /// Sends a request without waiting for its answer.
    pub fn write(&self, line: &str, headers: &[&str], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = format!("Host: localhost:{}", self.port);
        let host = if headers.iter().any(|header| header.starts_with("Host:")) { vec![] } else { vec![host.as_str()] };
        // One that lies about its length says so itself.
        let told = headers.iter().any(|header| header.starts_with("Content-Length:"));
        let length = if told { "X-Length: told".to_owned() } else { format!("Content-Length: {}", body.len()) };
        let line = format!("{line} HTTP/1.1");
        let lines = [&[&line[..]][..], &host, headers, &[&length[..], "Connection: close", "", ""]].concat();
        stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
        // A server that refuses early closes its side.
        let _ = stream.write_all(body.as_bytes());
        stream
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[], "").rest()
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&format!("POST {path}"), &[], &body.to_string()).rest()
    }

    /// A request that is answered with 200.
    pub fn ok(&self, path: &str, body: &Value) -> Answer {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 200, "{path} {body}: {answer:?}");
        answer
    }
}

/// A question of the embedded model with one right answer, for `/api/chat`.
pub fn question(text: &str) -> Value {
    json!({"model": "embedded", "stream": false, "options": {"temperature": 0}, "messages": [{"role": "user", "content": text}]})
}

/// The same for OpenAI's API.
pub fn asked(text: &str) -> Value {
    json!({"model": "embedded", "temperature": 0, "messages": [{"role": "user", "content": text}]})
}

/// An answer that goes on until someone stops it: the tokens that end one are forbidden.
pub fn endless() -> Value {
    let mut request = asked("Tell a short story about an otter.");
    request["stream"] = json!(true);
    let never: serde_json::Map<String, Value> = (0..168).map(|id| (id.to_string(), json!(-1000))).collect();
    request["logit_bias"] = Value::Object(never);
    request
}
