//! Adapters in memory, for tests.

use rullama_adapter::{Adapter, AdapterError, Blob, Module, Pair, Target, read};
use rullama_source::{ByteSource, MemorySource};
use serde_json::{Value, json};
use std::sync::Arc;

pub const MODEL: &str = "adapter_model.safetensors";
pub const CONFIG: &str = "adapter_config.json";

/// Reads files by name and content.
pub fn read_all(files: &[(&str, &[u8])]) -> Result<Adapter, AdapterError> {
    let source = |(name, bytes): &(&str, &[u8])| Arc::new(MemorySource::new(*name, bytes.to_vec())) as Arc<dyn ByteSource>;
    pollster::block_on(read(&files.iter().map(source).collect::<Vec<_>>()))
}

pub fn read_blobs(blobs: &[Blob]) -> Result<Adapter, AdapterError> {
    read_all(&blobs.iter().filter(|blob| blob.name != "Modelfile").map(|blob| (&*blob.name, &*blob.bytes)).collect::<Vec<_>>())
}

/// Values between -1 and 1 that differ from each other.
pub fn values(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((seed * 131 + i * 37) % 257) as f32 / 128.0 - 1.0).collect()
}

pub fn pair(rank: usize, alpha: f32, rslora: bool, inputs: usize, outputs: usize) -> Pair {
    Pair::new(rank as u32, alpha, rslora, values(inputs, rank * inputs), values(outputs + 7, rank * outputs))
}

/// Pairs of different ranks and alphas on some layers.
pub fn adapter() -> Adapter {
    let mut adapter = Adapter { name: "small".into(), ..Adapter::default() };
    adapter.info.base = Some("google/gemma-4-E2B-it".into());
    for layer in [0, 1, 12] {
        adapter.pairs.insert(Target::layer(layer, Module::Q), pair(2, 4.0, false, 6, 4));
        adapter.pairs.insert(Target::layer(layer, Module::Down), pair(2, 4.0, false, 5, 6));
    }
    adapter.pairs.insert(Target::layer(12, Module::O), pair(3, 1.0, false, 4, 6));
    adapter.pairs.insert(Target::model(Module::PerLayerModelProjection), pair(2, 3.0, false, 6, 8));
    adapter
}

/// [`adapter`] with pairs that only PEFT's form can hold.
pub fn with_table() -> Adapter {
    let mut adapter = adapter();
    adapter.pairs.insert(Target::model(Module::Embedding), pair(2, 4.0, false, 9, 6));
    adapter.pairs.insert(Target::model(Module::Head), pair(2, 4.0, false, 6, 9));
    adapter
}

/// The whole term of a pair, as the weight lies in a file.
pub fn delta(target: Target, pair: &Pair) -> Vec<f32> {
    let mut delta = vec![0.0; pair.inputs as usize * pair.outputs as usize];
    pair.add_to(1.0, target.is_table(), 0, &mut delta);
    delta
}

/// Asserts equal terms within a share of the largest value.
pub fn assert_same_terms(a: &Adapter, b: &Adapter, tolerance: f32) {
    assert!(a.pairs.keys().eq(b.pairs.keys()));
    for (target, pair) in &a.pairs {
        let (a, b) = (delta(*target, pair), delta(*target, &b.pairs[target]));
        let most = a.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(most > 0.0);
        let off = a.iter().zip(&b).fold(0f32, |off, (a, b)| off.max((a - b).abs()));
        assert!(a.len() == b.len() && off <= tolerance * most, "{target}: {off} of {most}");
    }
}

/// A safetensors file: name, type, shape, bytes; and texts.
pub fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)], texts: Value) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    if !texts.is_null() {
        header.insert("__metadata__".into(), texts);
    }
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert((*name).into(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        data.extend_from_slice(bytes);
    }
    framed(&Value::Object(header).to_string(), &data)
}

/// A header and data, whatever they say.
pub fn framed(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

pub fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A configuration with changes; `null` takes a key out.
pub fn config(changes: Value) -> Vec<u8> {
    let mut config =
        json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["q_proj", "embed_tokens", "lm_head"]});
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config.to_string().into_bytes()
}

/// The two matrices of one query projection, `[2, 4]` and `[3, 2]`.
pub fn query(layer: usize) -> Vec<(String, &'static str, &'static [usize], Vec<u8>)> {
    let name = |half: &str| format!("base_model.model.model.language_model.layers.{layer}.self_attn.q_proj.lora_{half}.weight");
    vec![(name("A"), "F32", &[2, 4], f32s(&values(1, 8))), (name("B"), "F32", &[3, 2], f32s(&values(2, 6)))]
}

/// A PEFT adapter of these tensors under a configuration with changes.
pub fn peft(tensors: &[(String, &str, &[usize], Vec<u8>)], changes: Value) -> Result<Adapter, AdapterError> {
    let tensors: Vec<_> = tensors.iter().map(|(name, dtype, shape, bytes)| (&**name, *dtype, *shape, bytes.clone())).collect();
    read_all(&[(CONFIG, &config(changes)), (MODEL, &safetensors(&tensors, json!({"format": "pt"})))])
}
