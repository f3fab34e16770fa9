//! EmbeddingGemma against transformers, for every file and dialect: vectors, stages, batches, lengths, cancelling.

use rullama::source::gguf::write::GgufWriter;
use rullama::source::gguf::{Array, Gguf, StringArray};
use rullama::source::{ByteSource, FileSource, MemorySource};
use rullama::{Cancel, EmbedOptions, EmbedPrompt, Embedder, Engine, Error, GpuError, LoadOptions, OpenOptions};
use rullama_testing::{found, golden};
use safetensors::SafeTensors;
use serde_json::Value;
use std::sync::Arc;

const MODEL: &str = "embedding/models/embeddinggemma-tiny";

fn device() -> rullama::Device {
    found(pollster::block_on(rullama::Device::open(&OpenOptions::default())), |error| matches!(error, GpuError::NoAdapter { .. }))
}

fn load_from(source: Arc<dyn ByteSource>) -> Result<Embedder, Error> {
    load_with(source, LoadOptions::default())
}

fn load_with(source: Arc<dyn ByteSource>, options: LoadOptions) -> Result<Embedder, Error> {
    pollster::block_on(Embedder::load_on(device(), source, options, &Cancel::new(), &mut |_| ()))
}

fn load(file: &str) -> Embedder {
    load_from(Arc::new(FileSource::open(golden(&format!("{MODEL}-{file}.gguf"))).unwrap())).unwrap()
}

/// The reference data.
struct Golden {
    texts: Vec<(String, String, Vec<u32>)>,
    bytes: Vec<u8>,
}

impl Golden {
    fn read() -> Self {
        let json: Value = serde_json::from_slice(&std::fs::read(golden("embedding/embedding.json")).unwrap()).unwrap();
        let text = |of: &Value| of.as_str().unwrap().to_owned();
        let ids = |of: &Value| of.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let texts = json["texts"].as_array().unwrap().iter().map(|of| (text(&of["name"]), text(&of["text"]), ids(&of["ids"])));
        Golden { texts: texts.collect(), bytes: std::fs::read(golden("embedding/embedding.safetensors")).unwrap() }
    }

    /// Rows of a tensor.
    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = all.tensor(name).unwrap();
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        values.chunks_exact(tensor.shape()[1]).map(<[f32]>::to_vec).collect()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn normalised(values: &[f32]) -> Vec<f32> {
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    values.iter().map(|v| v / length).collect()
}

/// Vectors of the references' ids, each text by itself.
fn alone(embedder: &Embedder, texts: &[&[u32]]) -> Vec<Vec<f32>> {
    let one = |ids: &&[u32]| pollster::block_on(embedder.stages(&[ids], false, &Cancel::new())).unwrap()["embedding"].0.clone();
    texts.iter().map(|ids| normalised(&one(ids))).collect()
}

/// Holds texts of up to `longest` tokens of a file to the references; `own`: to those of its own, dequantised weights.
fn agrees(file: &str, own: bool, longest: usize) {
    let golden = Golden::read();
    let wanted = golden.rows(&if own { format!("embeddinggemma-tiny-{file}.gguf.l2") } else { "l2".into() });
    let plain = golden.rows("l2");
    let embedder = load(file);
    let chosen: Vec<usize> = (0..golden.texts.len()).filter(|i| golden.texts[*i].2.len() <= longest).collect();
    assert!(chosen.len() > 15);
    let ids: Vec<&[u32]> = chosen.iter().map(|i| &golden.texts[*i].2[..]).collect();
    for (vector, at) in alone(&embedder, &ids).iter().zip(chosen) {
        let (wanted, plain, name) = (&wanted[at], &plain[at], &golden.texts[at].0);
        assert!(furthest(vector, wanted) < 1e-4, "{file}, {name}: {}", furthest(vector, wanted));
        assert!(cosine(vector, wanted) >= 0.99999, "{file}, {name}: {}", cosine(vector, wanted));
        // What quantisation itself costs these weights, which were never trained.
        if file.ends_with("Q8_0") {
            assert!(cosine(vector, plain) >= 0.998, "{file}, {name}: {}", cosine(vector, plain));
        }
    }
}

/// Texts longer than the window many times over, and short enough for every run of the tests.
const SHORT: usize = 150;

fn half_precision_files_agree_with_transformers() {
    agrees("gemma-embedding-F16", false, SHORT);
}

fn quantised_files_agree_with_their_dequantised_weights() {
    agrees("gemma3-Q8_0", true, SHORT);
}

fn every_file_agrees_on_every_text() {
    rullama_testing::variable("RULLAMA_FULL");
    for file in ["gemma-embedding-F16", "gemma3-F16", "gemma3-BF16"] {
        agrees(file, false, usize::MAX);
    }
    for file in ["gemma-embedding-Q8_0", "gemma-embedding-Q4_0", "gemma3-Q8_0", "gemma3-Q4_0"] {
        agrees(file, true, usize::MAX);
    }
}

fn stages_agree_with_transformers() {
    let (golden, embedder) = (Golden::read(), load("gemma-embedding-F16"));
    for text in ["short", "document_title"] {
        let place = golden.texts.iter().position(|(name, ..)| name == text).unwrap();
        let ids = &golden.texts[place].2;
        let outputs = pollster::block_on(embedder.stages(&[ids], true, &Cancel::new())).unwrap();
        let layers = (0..7).map(|i| format!("layer_{i}"));
        for stage in ["embed_scaled".into(), "final_norm".into()].into_iter().chain(layers) {
            let wanted = golden.rows(&format!("hidden.{text}.{stage}")).concat();
            let largest = wanted.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            let off = furthest(&outputs[&stage].0[..wanted.len()], &wanted);
            assert!(off < 1e-4 * largest, "{text}, {stage}: {off} of {largest}");
        }
        for stage in ["pooled", "dense_2", "dense_3"] {
            let wanted = &golden.rows(stage)[place];
            let largest = wanted.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            let off = furthest(&outputs[stage].0, wanted);
            assert!(off < 1e-4 * largest, "{text}, {stage}: {off} of {largest}");
        }
    }
}

/// Texts of many lengths together, in more than one step: each gives what it gives alone; and cut to the lengths of the model.
fn batches_equal_single_texts_at_every_length() {
    let (golden, embedder) = (Golden::read(), load("gemma-embedding-F16"));
    // Text that spells a turn mark is plain text here, and a token in the reference.
    let known = (0..golden.texts.len()).filter(|i| embedder.ids(&golden.texts[*i].1) == golden.texts[*i].2);
    let known: Vec<usize> = known.filter(|i| golden.texts[*i].2.len() <= SHORT).collect();
    let twice: Vec<usize> = known.iter().chain(&known).copied().collect();
    assert!(twice.len() > 32, "{known:?}");
    let embed = |of: &[usize], dims| {
        let texts: Vec<&str> = of.iter().map(|i| golden.texts[*i].1.as_str()).collect();
        pollster::block_on(embedder.embed(&texts, &EmbedOptions { dims, ..Default::default() }, &Cancel::new())).unwrap()
    };
    assert_eq!(embedder.info().embedding, [96, 64, 32, 16]);
    for (dims, name) in [(None, "l2"), (Some(64), "l2_trunc_64"), (Some(32), "l2_trunc_32"), (Some(16), "l2_trunc_16")] {
        let of = if dims.is_none() { &twice[..] } else { &twice[..5] };
        let (found, wanted) = (embed(of, dims), golden.rows(name));
        assert!(found.truncated.is_empty());
        for (vector, at) in found.vectors.iter().zip(of) {
            assert!(furthest(vector, &wanted[*at]) < 1e-4, "{name}, {}", golden.texts[*at].0);
        }
        let tokens: Vec<u32> = of.iter().map(|at| golden.texts[*at].2.len() as u32).collect();
        assert_eq!((found.vectors.len(), found.tokens), (of.len(), tokens));
    }
    let ids: Vec<&[u32]> = known.iter().map(|i| &golden.texts[*i].2[..]).collect();
    for ((vector, alone), at) in embed(&known, None).vectors.iter().zip(alone(&embedder, &ids)).zip(&known) {
        assert!(furthest(vector, &alone) < 2e-6, "{}: {}", golden.texts[*at].0, furthest(vector, &alone));
    }
}

fn prompts_are_those_of_the_model_card() {
    let golden = Golden::read();
    let of = |name: &str| golden.texts.iter().find(|text| text.0 == name).unwrap().1.clone();
    assert_eq!(EmbedPrompt::named("query").unwrap().of("How do I bake bread at home?"), of("query"));
    let document = "Bread is baked in a hot oven for about forty minutes.";
    assert_eq!(EmbedPrompt::named("document").unwrap().of(document), of("document"));
    let titled = of("document_title");
    let body = titled.strip_prefix("title: Bread | text: ").unwrap();
    assert_eq!(EmbedPrompt::Document(Some("Bread".into())).of(body), titled);
    let error = EmbedPrompt::named("poem").unwrap_err().to_string();
    assert!(error.contains("\"poem\"") && error.contains("sentence-similarity"), "{error}");
}

fn long_texts_are_cut_or_refused_and_wrong_lengths_named() {
    let source = || Arc::new(FileSource::open(golden(&format!("{MODEL}-gemma-embedding-F16.gguf"))).unwrap());
    let embedder = load_with(source(), LoadOptions { context: Some(64), ..Default::default() }).unwrap();
    let wrong = load_with(source(), LoadOptions { context: Some(4096), ..Default::default() }).err().unwrap();
    assert!(wrong.to_string().contains("3..=2048"), "{wrong}");
    let long = "t ".repeat(3000);
    let embed = |texts: &[&str], options: &EmbedOptions| pollster::block_on(embedder.embed(texts, options, &Cancel::new()));
    let cut = embed(&["a", &long, ""], &EmbedOptions::default()).unwrap();
    assert_eq!((cut.truncated, cut.tokens[1], cut.tokens[2]), (vec![1], 64, 2));
    let kept = embed(&["a", &long], &EmbedOptions { truncate: false, ..Default::default() }).unwrap_err();
    assert!(kept.code() == "context-full" && kept.to_string().starts_with("text 2 has "), "{kept}");
    for dims in [0, 97, u32::MAX] {
        let error = embed(&["a"], &EmbedOptions { dims: Some(dims), ..Default::default() }).unwrap_err();
        assert!(error.code() == "invalid-argument" && error.to_string().contains("1..=96"), "{error}");
    }
    assert!(embed(&[], &EmbedOptions::default()).unwrap().vectors.is_empty());
    let cancel = Cancel::new();
    cancel.cancel();
    let cancelled = pollster::block_on(embedder.embed(&["a"], &EmbedOptions::default(), &cancel)).unwrap_err();
    assert_eq!(cancelled.code(), "cancelled");
    // Of a step that was cancelled nothing is left.
    assert_eq!(embed(&["a"], &EmbedOptions::default()).unwrap().vectors, embed(&["a"], &EmbedOptions::default()).unwrap().vectors);
    let outside = pollster::block_on(embedder.stages(&[&[2, 900, 1]], false, &Cancel::new())).unwrap_err();
    assert!(outside.to_string().contains("row 900"), "{outside}");
}

fn models_of_the_other_kind_are_named_with_a_remedy() {
    let text = Arc::new(FileSource::open(golden("models/dense-Q4_0.gguf")).unwrap());
    let error = load_from(text).unwrap_err();
    assert!(
        error.code() == "model-unsupported" && error.to_string().contains("gemma4") && error.to_string().contains("EmbeddingGemma"),
        "{error}"
    );
    for file in ["gemma-embedding-F16", "gemma3-Q8_0"] {
        let source = Arc::new(FileSource::open(golden(&format!("{MODEL}-{file}.gguf"))).unwrap());
        let error =
            pollster::block_on(Engine::load_on(device(), source, LoadOptions::default(), &Cancel::new(), &mut |_| ())).err().unwrap();
        assert!(error.code() == "model-unsupported" && error.to_string().contains("rullama embed"), "{error}");
    }
}

/// A file whose header has other bytes in one place.
fn changed(from: &str, to: &str) -> Arc<MemorySource> {
    let mut bytes = std::fs::read(golden(&format!("{MODEL}-gemma-embedding-F16.gguf"))).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    assert_eq!(from.len(), to.len());
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    Arc::new(MemorySource::new("changed", bytes))
}

fn damaged_files_are_refused_by_the_name_of_what_is_wrong() {
    for (from, to, named) in [
        ("gemma-embedding.block_count", "gemma-embedding.block_coumt", "gemma-embedding.block_count"),
        (
            "gemma-embedding.attention.sliding_window",
            "gemma-embedding.attention.sliding_wimdow",
            "gemma-embedding.attention.sliding_window",
        ),
        ("blk.3.attn_k.weight", "blk.3.attm_k.weight", "blk.3.attn_k.weight"),
        ("dense_3.weight", "dense_4.weight", "dense_3.weight"),
        ("dense_2.weight", "dense_1.weight", "dense_2.weight"),
        ("output_norm.weight", "output_morm.weight", "output_norm.weight"),
        ("dense_2_feat_out\u{4}\0\0\0\0\u{1}", "dense_2_feat_out\u{4}\0\0\0\0\u{2}", "dense_2_feat_out"),
        ("pooling_type\u{4}\0\0\0\u{1}", "pooling_type\u{4}\0\0\0\u{2}", "gemma-embedding.pooling_type"),
        ("head_count_kv\u{4}\0\0\0\u{1}", "head_count_kv\u{4}\0\0\0\u{2}", "gemma-embedding.attention.head_count_kv"),
        ("key_length\u{4}\0\0\0\u{40}", "key_length\u{4}\0\0\0\u{41}", "gemma-embedding.attention.key_length"),
        ("key_length\u{4}\0\0\0\u{40}", "key_length\u{4}\0\0\0\u{20}", "value_length"),
        ("tokenizer.ggml.scores", "tokenizer.ggml.sc0res", "tokenizer.ggml.merges"),
    ] {
        let error = load_from(changed(from, to)).err().unwrap_or_else(|| panic!("{to} was taken")).to_string();
        assert!(error.contains(named), "{to}: {error}");
    }
}

/// A vocabulary of more pieces than the embedding has rows for: those behind are never written.
fn pieces_without_a_row_are_left_out() {
    let bytes = std::fs::read(golden(&format!("{MODEL}-gemma-embedding-F16.gguf"))).unwrap();
    let gguf = pollster::block_on(Gguf::open(&MemorySource::new("whole", bytes.clone()))).unwrap();
    let mut metadata = gguf.metadata.clone();
    let mut tokens = StringArray::with_capacity(901);
    for piece in metadata.strings("tokenizer.ggml.tokens").unwrap().iter().chain(["<image>"]) {
        assert!(tokens.push(piece));
    }
    let with = |mut items: Vec<f32>, last| (items.push(last), items).1;
    let scores = with(metadata.f32_array("tokenizer.ggml.scores").unwrap(), 0.0);
    let types = metadata.i32_array("tokenizer.ggml.token_type").unwrap().into_iter().chain([4]).collect();
    for (key, value) in [("tokens", Array::String(tokens)), ("scores", Array::F32(scores)), ("token_type", Array::I32(types))] {
        metadata.set(format!("tokenizer.ggml.{key}"), rullama::source::gguf::Value::Array(value));
    }
    let mut writer = GgufWriter::new(metadata).unwrap();
    gguf.tensors.iter().for_each(|tensor| writer.add(&tensor.name, &tensor.dims, tensor.ggml_type()).unwrap());
    let mut stream = writer.start(Vec::new()).unwrap();
    for tensor in gguf.tensors.iter() {
        stream.write(&tensor.name, &bytes[tensor.range.start as usize..tensor.range.end as usize]).unwrap();
    }
    let embedder = load_from(Arc::new(MemorySource::new("more", stream.finish().unwrap()))).unwrap();
    let found = pollster::block_on(embedder.embed(&["a <image> b"], &EmbedOptions::default(), &Cancel::new())).unwrap();
    let plain = load("gemma-embedding-F16");
    assert_eq!(found.vectors, pollster::block_on(plain.embed(&["a <image> b"], &EmbedOptions::default(), &Cancel::new())).unwrap().vectors);
}

rullama_testing::tests! {
    pieces_without_a_row_are_left_out,
    half_precision_files_agree_with_transformers,
    quantised_files_agree_with_their_dequantised_weights,
    every_file_agrees_on_every_text,
    stages_agree_with_transformers,
    batches_equal_single_texts_at_every_length,
    prompts_are_those_of_the_model_card,
    long_texts_are_cut_or_refused_and_wrong_lengths_named,
    models_of_the_other_kind_are_named_with_a_remedy,
    damaged_files_are_refused_by_the_name_of_what_is_wrong,
}
