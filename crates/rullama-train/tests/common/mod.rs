//! What the tests share.

use rullama_source::FileSource;
use rullama_source::gguf::{Gguf, StringArray};
use rullama_text::{Strings, Tokenizer, Vocabulary};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).expect("a file")).expect("JSON")
}

struct Borrowed<'a>(&'a StringArray);

impl Strings for Borrowed<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> &str {
        self.0.get(index).expect("in bounds")
    }
}

/// The vocabulary of a model file.
pub fn tokenizer(path: &Path) -> Tokenizer {
    let source = FileSource::open(path).expect("a file");
    let metadata = pollster::block_on(Gguf::open(&source)).expect("a model").metadata;
    let strings = |key: &str| Borrowed(metadata.strings(&format!("tokenizer.ggml.{key}")).expect("strings"));
    let vocabulary = Vocabulary {
        model: metadata.str("tokenizer.ggml.model").expect("a name"),
        pieces: &strings("tokens"),
        types: &metadata.i32_array("tokenizer.ggml.token_type").expect("types"),
        merges: &strings("merges"),
        scores: &[],
        bos: Some(2),
        eos: Some(1),
        unknown: Some(3),
        eos_ids: &[],
        end_of_turn: None,
    };
    Tokenizer::new(&vocabulary).expect("a vocabulary")
}

/// 2,048 pieces of the Gemma 4 vocabulary.
pub fn tiny() -> Tokenizer {
    tokenizer(&rullama_testing::golden("models/dense-ple-Q4_K_M.gguf"))
}
