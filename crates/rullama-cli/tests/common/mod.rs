//! Runs the program.

pub mod http;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// For commands that run a model: without an adapter (software is enough) the test is not run.
pub fn need_adapter() {
    let opened = pollster::block_on(rullama::Device::open(&rullama::OpenOptions::default()));
    rullama_testing::found(opened, |error| matches!(error, rullama::GpuError::NoAdapter { .. }));
}

/// The program with an empty environment as far as it looks at it.
pub fn rullama(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rullama"));
    command.args(arguments).stdin(Stdio::null());
    command.env("OLLAMA_MODELS", "/nonexistent").env_remove("NO_COLOR");
    command
}

/// What a run gave.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// Runs and expects success.
pub fn ok(command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.out
}

/// Runs and expects failure with `code`; gives the message.
pub fn fails(code: i32, command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran.err
}

/// Runs with text on standard input; gives code, standard output and standard error.
pub fn with_input(command: &mut Command, input: &[u8]) -> Ran {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses early closes its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// A store of Ollama's in a temporary folder.
pub struct Store {
    pub folder: tempfile::TempDir,
    blobs: std::cell::Cell<u32>,
}

impl Store {
    pub fn new() -> Store {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("blobs")).unwrap();
        Store { folder, blobs: std::cell::Cell::new(0) }
    }

    /// Writes a blob under a digest of its own and gives its manifest entry.
    fn layer(&self, kind: &str, content: &[u8]) -> serde_json::Value {
        self.blobs.set(self.blobs.get() + 1);
        let hex = format!("{:064x}", self.blobs.get());
        std::fs::write(self.folder.path().join(format!("blobs/sha256-{hex}")), content).unwrap();
        serde_json::json!({"mediaType": kind, "digest": format!("sha256:{hex}"), "size": content.len()})
    }

    /// Adds `name:latest` with these layers.
    pub fn add(&self, name: &str, layers: &[(&str, &[u8])]) {
        let layers: Vec<_> =
            layers.iter().map(|(kind, content)| self.layer(&format!("application/vnd.ollama.image.{kind}"), content)).collect();
        let config =
            self.layer("application/vnd.docker.container.image.v1+json", br#"{"model_format": "gguf", "renderer": "gemma4-small"}"#);
        let folder = self.folder.path().join("manifests/registry.ollama.ai/library").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("latest"), serde_json::json!({"config": config, "layers": layers}).to_string()).unwrap();
    }

    pub fn rullama(&self, arguments: &[&str]) -> Command {
        let mut command = rullama(arguments);
        command.env("OLLAMA_MODELS", self.folder.path());
        command
    }
}

/// The tensors of a file in `count` files, named as parts are.
pub fn split(whole: &Path, folder: &Path, count: usize) -> Vec<PathBuf> {
    use rullama_source::gguf::{Gguf, Metadata, Value, write::GgufWriter};
    let bytes = std::fs::read(whole).unwrap();
    let gguf = pollster::block_on(Gguf::open(&rullama_source::MemorySource::new("whole", bytes.clone()))).unwrap();
    let tensors: Vec<_> = gguf.tensors.iter().collect();
    let part = |(i, tensors): (usize, &[&rullama_source::gguf::TensorInfo])| {
        let mut metadata = if i == 0 { gguf.metadata.clone() } else { Metadata::default() };
        metadata.set("split.no", Value::U16(i as u16));
        metadata.set("split.count", Value::U16(count as u16));
        metadata.set("split.tensors.count", Value::I32(gguf.tensors.len() as i32));
        let mut writer = GgufWriter::new(metadata).unwrap();
        tensors.iter().for_each(|tensor| writer.add(&tensor.name, &tensor.dims, tensor.ggml_type()).unwrap());
        let mut stream = writer.start(Vec::new()).unwrap();
        for tensor in tensors {
            stream.write(&tensor.name, &bytes[tensor.range.start as usize..tensor.range.end as usize]).unwrap();
        }
        let path = folder.join(format!("m-{:05}-of-{count:05}.gguf", i + 1));
        std::fs::write(&path, stream.finish().unwrap()).unwrap();
        path
    };
    tensors.chunks(tensors.len().div_ceil(count)).enumerate().map(part).collect()
}
