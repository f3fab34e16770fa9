//! One model in other files: with parts that it does not need, without parts that follow from others, in other formats, in
//! several files; and files whose tensors would change it without being used.

use rullama::source::gguf::write::GgufWriter;
use rullama::source::gguf::{GgmlType, Gguf, Metadata, Value};
use rullama::source::{ByteSource, JoinedSource, MemorySource};
use rullama::{Engine, Error, ExpertMode, KvType, LoadOptions};
use rullama_quant::{DType, decode, encode};
use std::path::Path;
use std::sync::Arc;

/// A tensor with its bytes.
#[derive(Clone)]
struct Tensor {
    name: String,
    dims: Vec<u64>,
    kind: GgmlType,
    bytes: Vec<u8>,
}

impl Tensor {
    /// Small numbers that differ.
    fn f32(name: &str, dims: &[u64]) -> Tensor {
        let values = (0..dims.iter().product()).map(|i: u64| ((i * 37 % 101) as f32 - 50.0) / 400.0);
        Tensor { name: name.into(), dims: dims.into(), kind: GgmlType::F32, bytes: values.flat_map(f32::to_le_bytes).collect() }
    }

    /// The same values, as near as the other format comes.
    fn in_format(&self, to: DType) -> Tensor {
        let mut values = vec![0.0; self.dims.iter().product::<u64>() as usize];
        decode(self.kind.dtype().unwrap(), &self.bytes, &mut values).unwrap();
        let mut bytes = Vec::new();
        encode(to, &values, &mut bytes).unwrap();
        Tensor { kind: to.into(), bytes, ..self.clone() }
    }
}

/// A model's file in pieces.
#[derive(Clone)]
struct File {
    metadata: Metadata,
    tensors: Vec<Tensor>,
}

impl File {
    fn golden(name: &str) -> File {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens/models").join(name);
        let bytes = std::fs::read(path).unwrap();
        let gguf = pollster::block_on(Gguf::open(&MemorySource::new(name, bytes.clone()))).unwrap();
        let tensors = gguf.tensors.iter().map(|tensor| Tensor {
            name: tensor.name.clone(),
            dims: tensor.dims.clone(),
            kind: tensor.ggml_type(),
            bytes: bytes[tensor.range.start as usize..tensor.range.end as usize].to_vec(),
        });
        File { tensors: tensors.collect(), metadata: gguf.metadata }
    }

    fn with(&self, more: impl IntoIterator<Item = Tensor>) -> File {
        let mut file = self.clone();
        file.tensors.extend(more);
        file
    }

    fn bytes(&self) -> Vec<u8> {
        let mut writer = GgufWriter::new(self.metadata.clone()).unwrap();
        for tensor in &self.tensors {
            writer.add(&tensor.name, &tensor.dims, tensor.kind).unwrap();
        }
        let mut stream = writer.start(Vec::new()).unwrap();
        for tensor in &self.tensors {
            stream.write(&tensor.name, &tensor.bytes).unwrap();
        }
        stream.finish().unwrap()
    }

    fn source(&self) -> Arc<dyn ByteSource> {
        Arc::new(MemorySource::new("variant", self.bytes()))
    }

    /// The same in `count` files, each with a run of the tensors.
    fn split(&self, count: usize) -> Vec<Vec<u8>> {
        let each = self.tensors.len().div_ceil(count);
        let part = |(i, tensors): (usize, &[Tensor])| {
            let mut metadata = if i == 0 { self.metadata.clone() } else { Metadata::default() };
            metadata.set("split.no", Value::U16(i as u16));
            metadata.set("split.count", Value::U16(count as u16));
            metadata.set("split.tensors.count", Value::I32(self.tensors.len() as i32));
            File { metadata, tensors: tensors.to_vec() }.bytes()
        };
        self.tensors.chunks(each).enumerate().map(part).collect()
    }
}

fn load(source: Arc<dyn ByteSource>) -> Result<Engine, Error> {
    let options = LoadOptions { kv: KvType::F32, ..LoadOptions::default() };
    pollster::block_on(Engine::load(source, options, &mut |_| ()))
}

/// The likeliest continuation of a few tokens.
fn tokens(source: Arc<dyn ByteSource>) -> Vec<u32> {
    continued(&load(source).unwrap())
}

/// The same with as few experts on the GPU as a token needs.
fn streamed_tokens(source: Arc<dyn ByteSource>) -> Vec<u32> {
    let load = |memory_budget| {
        let options = LoadOptions { kv: KvType::F32, experts: ExpertMode::Streamed, memory_budget, ..LoadOptions::default() };
        pollster::block_on(Engine::load(source.clone(), options, &mut |_| ()))
    };
    let Err(Error::ExpertBudget { need, .. }) = load(Some(1)) else { panic!("one byte holds experts") };
    continued(&load(Some(need)).unwrap())
}

fn continued(engine: &Engine) -> Vec<u32> {
    pollster::block_on(async { engine.session().await.unwrap().greedy(&[2, 105, 200, 17], 24).await.unwrap() })
}

fn what_a_model_does_not_need_changes_nothing() {
    let file = File::golden("dense-ple-Q4_K_M.gguf");
    let want = tokens(file.source());
    // Layers 4 to 6 read the keys and values of others.
    let shared = (4..7).flat_map(|i| {
        let head = if i == 6 { 256 } else { 128 };
        let keys = [("attn_k", vec![256, head]), ("attn_v", vec![256, head]), ("attn_k_norm", vec![head])];
        keys.map(|(name, dims)| Tensor::f32(&format!("blk.{i}.{name}.weight"), &dims))
    });
    let towers = ["v.blk.0.attn_q.weight", "a.conv1d.0.bias", "mm.input_projection.weight", "blk.0.attn_q.input_scale"];
    let towers = towers.map(|name| Tensor::f32(name, &[32, 2]));
    assert_eq!(tokens(file.with(shared.chain(towers)).source()), want);
    let mut without = file;
    without.tensors.retain(|tensor| tensor.name != "rope_freqs.weight");
    assert_eq!(tokens(without.source()), want);
}

fn a_model_in_several_files_is_the_same() {
    let file = File::golden("dense-Q4_0.gguf");
    let want = tokens(file.source());
    for count in [2, 5] {
        let parts = file.split(count).into_iter().map(|part| Arc::new(MemorySource::new("part", part)) as Arc<dyn ByteSource>);
        assert_eq!(tokens(Arc::new(JoinedSource::new(parts.collect()))), want, "{count} parts");
    }
    let alone = load(Arc::new(MemorySource::new("part", file.split(3).swap_remove(1)))).err().unwrap();
    assert!(alone.code() == "model-truncated" && alone.to_string().contains("part 2 of 3"), "{alone}");
}

fn every_role_in_another_format() {
    let mut mixed = File::golden("dense-ple-Q4_K_M.gguf");
    let roles = [
        ("per_layer_token_embd", DType::Q5_1),
        ("token_embd", DType::Q8_0),
        ("attn_q.", DType::Q8_0),
        ("attn_k.", DType::Q5_0),
        ("attn_v.", DType::BF16),
        ("ffn_gate.", DType::Q4_0),
        ("ffn_up.", DType::Q5_1),
        ("ffn_down.", DType::F32),
        ("inp_gate.", DType::F32),
    ];
    for tensor in &mut mixed.tensors {
        if let Some((_, dtype)) = roles.iter().find(|(role, _)| tensor.name.contains(role)) {
            *tensor = tensor.in_format(*dtype);
        }
    }
    let mut plain = mixed.clone();
    plain.tensors = plain.tensors.iter().map(|tensor| tensor.in_format(DType::F32)).collect();
    assert_eq!(tokens(mixed.source()), tokens(plain.source()));
}

fn what_would_be_left_out_is_named() {
    let file = File::golden("dense-Q4_0.gguf");
    for (name, words) in [
        ("blk.0.attn_q.scale", "NVFP4"),
        ("blk.1.ffn_down.bias", "bias"),
        ("output_norm.bias", "bias"),
        ("blk.0.attn_q.weight.lora_a", "LoRA"),
        ("blk.1.ffn_down_exps.bias", "experts"),
        ("blk.3.ffn_up_exps.scale", "experts"),
        ("blk.99.attn_norm.weight", "no place"),
        ("blk.0.attn_qkv_norm.weight", "no place"),
        ("per_layer_token_embd.weight", "no place"),
        ("blk.0.attn_post_norm.weight", "no place"),
        ("altup_proj.weight", "no place"),
    ] {
        let error =
            load(file.with([Tensor::f32(name, &[32, 2])]).source()).err().unwrap_or_else(|| panic!("{name} is left out in silence"));
        assert!(error.to_string().contains(name) && error.to_string().contains(words), "{name}: {error}");
        assert_eq!(error.code(), "model-unsupported", "{error}");
    }
    let scales = (0..3).map(|i| Tensor::f32(&format!("blk.{i}.attn_q.scale"), &[1]));
    assert!(load(file.with(scales).source()).err().unwrap().to_string().contains("2 more"));
    for name in ["blk.1.ffn_down_exps.weight", "blk.3.ffn_gate_up_exps.weight", "blk.2.ffn_gate_inp.weight"] {
        let experts = load(file.with([Tensor::f32(name, &[32, 2])]).source()).err().unwrap();
        assert!(experts.to_string().contains("expert_count"), "{name}: {experts}");
    }
    let mut adapter = file;
    adapter.metadata.set("general.type", Value::String("adapter".into()));
    assert!(load(adapter.source()).err().unwrap().to_string().contains("adapter"));
}

const EXPERTS: &str = "moe-small-fused-Q4_0.gguf";

/// The experts' gate and up projections in two tensors, in formats of their own.
fn split_experts(file: &File, formats: [DType; 2]) -> File {
    let mut tensors = Vec::new();
    for tensor in &file.tensors {
        let Some(layer) = tensor.name.strip_suffix("ffn_gate_up_exps.weight") else {
            tensors.push(tensor.clone());
            continue;
        };
        let (rows, experts) = (tensor.dims[1] / 2, tensor.dims[2]);
        let half = tensor.bytes.len() / (2 * experts as usize);
        for (side, name) in ["gate", "up"].into_iter().enumerate() {
            let bytes = tensor.bytes.chunks_exact(half).skip(side).step_by(2).flatten().copied().collect();
            let part =
                Tensor { name: format!("{layer}ffn_{name}_exps.weight"), dims: vec![tensor.dims[0], rows, experts], bytes, ..*tensor };
            tensors.push(if part.kind.dtype() == Some(formats[side]) { part } else { part.in_format(formats[side]) });
        }
    }
    File { tensors, ..file.clone() }
}

fn experts_in_every_layout_are_the_same() {
    let file = File::golden(EXPERTS);
    let want = tokens(file.source());
    assert_eq!(streamed_tokens(file.source()), want, "streamed");
    for (formats, name) in [
        ([DType::Q4_0; 2], "split"),
        // What Q4_0 holds, F32 holds exactly.
        ([DType::F32; 2], "split, in F32"),
        ([DType::Q4_0, DType::F32], "split, in two formats"),
    ] {
        let split = split_experts(&file, formats).source();
        assert_eq!(tokens(split.clone()), want, "{name}");
        assert_eq!(streamed_tokens(split), want, "{name}, streamed");
    }
    let mut renamed = file.clone();
    for tensor in &mut renamed.tensors {
        let aliases = [
            ("ffn_down_exps.scale", "ffn_gate_inp.per_expert_scale"),
            ("pre_ffw_norm_2", "ffn_pre_norm_2"),
            ("post_ffw_norm_1", "ffn_post_norm_1"),
            ("post_ffw_norm_2", "ffn_post_norm_2"),
        ];
        for (name, alias) in aliases {
            tensor.name = tensor.name.replace(name, alias);
        }
    }
    assert_eq!(tokens(renamed.source()), want, "other names");
    // Without factors they are 1.
    let (mut ones, mut without) = (file.clone(), file);
    without.tensors.retain(|tensor| !tensor.name.ends_with("ffn_down_exps.scale"));
    for tensor in ones.tensors.iter_mut().filter(|tensor| tensor.name.ends_with("ffn_down_exps.scale")) {
        tensor.bytes = 1f32.to_le_bytes().repeat(tensor.dims[0] as usize);
    }
    assert_eq!(tokens(without.source()), tokens(ones.source()), "no factors");
}

fn experts_that_do_not_fit_are_told() {
    let file = File::golden(EXPERTS);
    let refused = |file: File, words: &str| {
        let error = load(file.source()).err().unwrap_or_else(|| panic!("{words}: loads"));
        assert!(error.to_string().contains(words), "{words}: {error}");
    };
    for (key, values) in [
        ("expert_used_count", &[0, 9, u32::MAX][..]),
        ("expert_count", &[0, 7, 9, 1025, u32::MAX]),
        ("expert_feed_forward_length", &[0, 32, 63, 96, u32::MAX]),
    ] {
        for value in values {
            let mut other = file.clone();
            other.metadata.set(format!("gemma4.{key}"), Value::U32(*value));
            // Counts that are possible differ from the tensors' shapes.
            let words = match (key, value) {
                ("expert_count", 7 | 9) => "blk.0.ffn_gate_inp.weight",
                ("expert_feed_forward_length", 32 | 96) => "_exps.weight",
                _ => key,
            };
            refused(other, words);
        }
    }
    let split = split_experts(&file, [DType::Q4_0; 2]);
    let without =
        |file: &File, name: &str| File { tensors: file.tensors.iter().filter(|t| t.name != name).cloned().collect(), ..file.clone() };
    for (file, name) in [
        (&file, "blk.1.ffn_gate_inp.weight"),
        (&file, "blk.1.ffn_gate_inp.scale"),
        (&file, "blk.2.ffn_gate_up_exps.weight"),
        (&file, "blk.0.ffn_down_exps.weight"),
        (&file, "blk.3.pre_ffw_norm_2.weight"),
        (&file, "blk.3.post_ffw_norm_1.weight"),
        (&file, "blk.3.post_ffw_norm_2.weight"),
        (&split, "blk.0.ffn_gate_exps.weight"),
        (&split, "blk.3.ffn_up_exps.weight"),
    ] {
        refused(without(file, name), name);
    }
    // One of two halves with other shapes, and both layouts at once.
    let mut uneven = split.clone();
    let up = uneven.tensors.iter_mut().find(|tensor| tensor.name == "blk.2.ffn_up_exps.weight").unwrap();
    *up = Tensor { name: up.name.clone(), ..Tensor::f32("", &[128, 32, 8]) };
    refused(uneven, "blk.2.ffn_up_exps.weight");
    let both = split.tensors.iter().filter(|tensor| tensor.name == "blk.0.ffn_gate_exps.weight").cloned();
    refused(file.with(both), "blk.0.ffn_gate_exps.weight");
    // Counts without experts.
    let mut dense = File::golden("dense-Q4_0.gguf");
    dense.metadata.set("gemma4.expert_count", Value::U32(8));
    refused(dense, "blk.0.ffn_gate_inp.weight");
}

rullama_testing::tests! {
    what_a_model_does_not_need_changes_nothing,
    a_model_in_several_files_is_the_same,
    every_role_in_another_format,
    what_would_be_left_out_is_named,
    experts_in_every_layout_are_the_same,
    experts_that_do_not_fit_are_told,
}
