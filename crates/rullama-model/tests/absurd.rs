//! Numbers of the metadata that cannot be: an error that names the key, or a model that keeps to them; never a panic.

use rullama_model::encoder::EncoderShape;
use rullama_model::model;
use rullama_source::FileSource;
use rullama_source::gguf::{Array, Gguf, Value};

fn header(name: &str) -> Gguf {
    let source = FileSource::open(format!("{}/../../goldens/models/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    pollster::block_on(Gguf::open(&source)).unwrap()
}

/// Other values of the same type.
fn absurd(value: &Value) -> Vec<Value> {
    let u32s = [0, 1, 3, 1 << 16, 1 << 31, u32::MAX - 8, u32::MAX];
    let f32s = [0.0, -1.0, f32::MAX, f32::NAN, f32::INFINITY];
    match value {
        Value::U32(_) => u32s.map(Value::U32).to_vec(),
        Value::F32(_) => f32s.map(Value::F32).to_vec(),
        Value::Array(Array::I32(items)) => {
            let each = [i32::MIN, -1, 0, 1, i32::MAX];
            each.iter().map(|item| Value::Array(Array::I32([&[*item], &items[1..]].concat()))).collect()
        }
        Value::Array(Array::U32(items)) => u32s.iter().map(|item| Value::Array(Array::U32([&[*item], &items[1..]].concat()))).collect(),
        _ => Vec::new(),
    }
}

fn numbers_of_the_metadata_never_panic() {
    for name in ["dense-Q4_0.gguf", "dense-ple-Q4_K_M.gguf"] {
        let gguf = header(name);
        let mut pairs: Vec<(String, Value)> = gguf.metadata.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        // Keys that some files have.
        let rare = ["attention.global_head_count_kv", "attention.head_count_kv", "attention.shared_kv_layers", "feed_forward_length"];
        pairs.extend(rare.map(|key| (format!("gemma4.{key}"), Value::U32(1))));
        let mut tried = 0;
        for (key, value) in pairs.iter().filter(|(key, _)| key.starts_with("gemma4.")) {
            for other in absurd(value) {
                let mut changed = gguf.clone();
                changed.metadata.set(key, other);
                tried += 1;
                if let Ok(model) = model::open(&changed) {
                    let _ = model.specs();
                }
            }
        }
        assert!(tried > 50, "{tried}");
    }
}

/// The same of encoders in both dialects, and the graph that comes of it.
fn numbers_of_an_encoders_metadata_never_panic() {
    for (file, prefix) in [("gemma-embedding-F16", "gemma-embedding."), ("gemma3-Q8_0", "gemma3.")] {
        let gguf = header(&format!("../embedding/models/embeddinggemma-tiny-{file}.gguf"));
        let mut pairs: Vec<(String, Value)> = gguf.metadata.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        // Keys that some files have.
        pairs.push((format!("{prefix}attention.sliding_window_pattern"), Value::U32(6)));
        pairs.push((format!("{prefix}rope.scaling.factor"), Value::F32(1.0)));
        let mut tried = 0;
        for (key, value) in pairs.iter().filter(|(key, _)| key.starts_with(prefix)) {
            for other in absurd(value) {
                let mut changed = gguf.clone();
                changed.metadata.set(key, other);
                tried += 1;
                match model::open_encoder(&changed) {
                    Ok(encoder) => {
                        let shape = EncoderShape { tokens: 16, texts: 1, taps: true };
                        assert!(encoder.forward(shape).checked().is_ok() && !encoder.describe().is_empty(), "{key}");
                    }
                    Err(error) => assert!(error.to_string().len() > 20, "{key}: {error}"),
                }
            }
        }
        assert!(tried > 50, "{tried}");
    }
}

fn a_count_of_heads_that_overflows_is_named() {
    for name in ["dense-Q4_0.gguf", "dense-ple-Q4_K_M.gguf"] {
        let mut gguf = header(name);
        gguf.metadata.set("gemma4.attention.global_head_count_kv", Value::U32(u32::MAX));
        let error = model::open(&gguf).err().unwrap().to_string();
        assert!(error.contains("attention.global_head_count_kv") && error.contains("4294967295"), "{error}");
    }
}

rullama_testing::tests! {
    numbers_of_the_metadata_never_panic,
    numbers_of_an_encoders_metadata_never_panic,
    a_count_of_heads_that_overflows_is_named,
}
