//! Whole models against what independent programs compute from the same files.
//!
//! `goldens/` at the workspace's root holds a compact part, so that a clone alone is tested;
//! where the whole set stands beside the checkout, it runs too.

use rullama::source::gguf::Gguf;
use rullama::source::gguf::write::GgufWriter;
use rullama::source::{ByteSource, FileSource, MemorySource};
use rullama::{AdapterProfile, Engine, KvType, LoadOptions, PleMode, Products};
use rullama_testing::{found, shared, workspace};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Share of the logits' standard deviation that f32 arithmetic may differ by.
const F32_BOUND: f32 = 2e-4;
/// The same with keys and values rounded to halves.
const F16_BOUND: f32 = 1e-2;

fn load(path: &Path, options: LoadOptions) -> Engine {
    load_from(Arc::new(FileSource::open(path).unwrap()), options)
}

fn load_from(source: Arc<dyn ByteSource>, options: LoadOptions) -> Engine {
    found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

/// With the kernels that a GPU gets, on any adapter.
fn options(kv: KvType, ple: PleMode) -> LoadOptions {
    LoadOptions { kv, ple, as_gpu: true, ..Default::default() }
}

/// A reference: logits of the best tokens at every position, and greedy continuations.
struct Golden {
    bytes: Vec<u8>,
    prompts: Vec<Value>,
    prefix: String,
}

impl Golden {
    fn open(folder: &Path, tensors: &str, file: Option<&str>) -> Golden {
        let text: Value = serde_json::from_slice(&std::fs::read(folder.join("text.json")).unwrap()).unwrap();
        let prefix = file.map(|f| format!("{f}.")).unwrap_or_default();
        Golden { bytes: std::fs::read(folder.join(tensors)).unwrap(), prompts: text["prompts"].as_array().unwrap().clone(), prefix }
    }

    fn f32s(&self, name: &str) -> Option<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).ok()?;
        Some(tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
    }

    fn ids(value: &Value) -> Vec<u32> {
        value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
    }

    /// Name of a prompt's tensors: `FILE.P.kind` for dequantised files, `kind.P` for HF's.
    fn name(&self, kind: &str, prompt: &str) -> String {
        if self.prefix.is_empty() { format!("{kind}.{prompt}") } else { format!("{}{prompt}.{kind}", self.prefix) }
    }

    /// Compares the engine's logits; gives the largest difference in standard deviations.
    fn compare(&self, engine: &Engine, only: &[&str], bound: f32) -> f32 {
        let mut worst = None;
        for prompt in &self.prompts {
            let name = prompt["name"].as_str().unwrap();
            if !only.is_empty() && !only.contains(&name) {
                continue;
            }
            let Some(top) = self.f32s(&self.name("top20_logits", name)) else { continue };
            let top_ids = SafeTensors::deserialize(&self.bytes).unwrap();
            let top_ids = top_ids.tensor(&self.name("top20_ids", name)).unwrap();
            let top_ids: Vec<usize> = top_ids.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize).collect();
            let ids = Self::ids(&prompt["ids"]);
            let mut session = pollster::block_on(engine.session()).unwrap();
            let evaluation = pollster::block_on(session.evaluate(&ids)).unwrap();
            let scale = deviation(evaluation.row("logits", ids.len() - 1).unwrap());
            let mut difference = 0f32;
            for position in 0..ids.len() {
                let row = evaluation.row("logits", position).unwrap();
                for k in 0..20 {
                    difference = difference.max((row[top_ids[position * 20 + k]] - top[position * 20 + k]).abs());
                }
            }
            if let Some(last) = self.f32s(&self.name("last_logits", name)) {
                let row = evaluation.row("logits", ids.len() - 1).unwrap();
                difference = row.iter().zip(&last).fold(difference, |d, (a, b)| d.max((a - b).abs()));
            }
            assert!(difference <= bound * scale, "{}{name}: {difference} > {bound} * {scale}", self.prefix);
            worst = Some((difference / scale).max(worst.unwrap_or_default()));
        }
        worst.expect("some prompt has a reference")
    }

    /// How far the engine's logits of a prompt's last token are off: most, and on average.
    fn errors(&self, engine: &Engine, prompt: &str) -> Option<(f64, f64)> {
        let want = self.f32s(&self.name("last_logits", prompt))?;
        let found = self.prompts.iter().find(|p| p["name"] == prompt)?;
        let ids = Self::ids(&found["ids"]);
        let evaluation = pollster::block_on(async { engine.session().await.unwrap().evaluate(&ids).await.unwrap() });
        let row = evaluation.row("logits", ids.len() - 1).unwrap();
        let off = || row.iter().zip(&want).map(|(a, b)| f64::from((a - b).abs()));
        Some((off().fold(0.0, f64::max), off().sum::<f64>() / want.len() as f64))
    }
}

fn deviation(values: &[f32]) -> f32 {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt()
}

fn the_compact_set_agrees() {
    let goldens = workspace().join("goldens");
    for (model, file) in [("dense", "dense-Q4_0.gguf"), ("dense-ple", "dense-ple-Q4_K_M.gguf")] {
        let golden = Golden::open(&goldens.join("text").join(model), "dequant_hf.safetensors", Some(file));
        let runs = [
            (AdapterProfile::Native, PleMode::Resident, true),
            (AdapterProfile::WebGpuDefaults, PleMode::Streamed, true),
            (AdapterProfile::Native, PleMode::Streamed, false),
        ];
        for (profile, ple, as_gpu) in runs {
            let options = LoadOptions { profile, as_gpu, ..options(KvType::F32, ple) };
            let engine = load(&goldens.join("models").join(file), options);
            println!("{file} {profile:?} {ple:?} {as_gpu}: {:e} of a standard deviation", golden.compare(&engine, &[], F32_BOUND));
        }
    }
}

fn the_oracle_agrees_with_the_gpu() {
    let engine = load(&workspace().join("goldens/models/dense-ple-Q4_K_M.gguf"), options(KvType::F32, PleMode::Streamed));
    let ids = [2, 1821, 713, 1755, 1458, 671];
    let cpu = pollster::block_on(engine.evaluate_on_cpu(&ids)).unwrap();
    let gpu = pollster::block_on(async { engine.session().await?.evaluate(&ids).await }).unwrap();
    assert_eq!(cpu.matrices.keys().collect::<Vec<_>>(), gpu.matrices.keys().collect::<Vec<_>>());
    for (name, want) in &cpu.matrices {
        let bound = F32_BOUND * deviation(want);
        let worst = want.iter().zip(&gpu.matrices[name]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= bound, "{name}: {worst} > {bound}");
    }
}

fn f16_models_agree_with_transformers() {
    let shared = shared("");
    for model in ["dense", "dense-ple"] {
        let golden = Golden::open(&shared.join("text").join(model), "text.safetensors", None);
        let file = shared.join(format!("models/{model}-f16.gguf"));
        let engine = load(&file, options(KvType::F32, PleMode::Auto));
        println!("{model}: {:e} of a standard deviation", golden.compare(&engine, &[], F32_BOUND));
        for prompt in &golden.prompts {
            let want = Golden::ids(&prompt["hf_greedy64"]);
            let mut session = pollster::block_on(engine.session()).unwrap();
            let got = pollster::block_on(session.greedy(&Golden::ids(&prompt["ids"]), want.len().max(1) as u32)).unwrap();
            assert_eq!(got[..want.len()], want, "{model} {}", prompt["name"]);
        }
    }
}

fn hidden_states_agree_with_transformers() {
    let shared = shared("");
    for model in ["dense", "dense-ple"] {
        let golden = Golden::open(&shared.join("text").join(model), "text.safetensors", None);
        let engine = load(&shared.join(format!("models/{model}-f16.gguf")), options(KvType::F32, PleMode::Auto));
        let ids = Golden::ids(&golden.prompts[0]["ids"]);
        let evaluation = pollster::block_on(async { engine.session().await?.evaluate(&ids).await }).unwrap();
        let layers = engine.info().layers;
        let names = (0..layers).map(|i| format!("layer_{i}")).chain(["embed_scaled", "final_norm"].map(String::from));
        let mut compared = 0;
        for name in names {
            // transformers' last hidden state is the one after the final norm.
            let Some(want) = golden.f32s(&format!("hidden.short.{name}")) else { continue };
            let got = &evaluation.matrices[&name];
            let worst = want.iter().zip(got).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let bound = F32_BOUND * deviation(&want);
            assert!(worst <= bound, "{model} {name}: {worst} > {bound}");
            compared += 1;
        }
        assert!(compared >= layers, "{model}: {compared} hidden states");
    }
}

fn half_caches_stay_close() {
    let shared = shared("");
    for model in ["dense", "dense-ple"] {
        let golden = Golden::open(&shared.join("text").join(model), "text.safetensors", None);
        let engine = load(&shared.join(format!("models/{model}-f16.gguf")), options(KvType::F16, PleMode::Streamed));
        println!("{model}: {:e} of a standard deviation", golden.compare(&engine, &["short", "long", "tools"], F16_BOUND));
        for prompt in &golden.prompts {
            greedy_until_tie(&engine, prompt);
        }
    }
}

fn every_format_agrees_with_its_dequantised_weights() {
    let shared = shared("");
    let mut files: Vec<_> = std::fs::read_dir(shared.join("models")).unwrap().map(|e| e.unwrap().path()).collect();
    // The others are of other architectures, or towers.
    files.retain(|file| file.file_name().unwrap().to_str().unwrap().starts_with("dense"));
    files.sort();
    assert!(files.len() >= 17, "{} files", files.len());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let model = if name.starts_with("dense-ple") { "dense-ple" } else { "dense" };
        let golden = Golden::open(&shared.join("text").join(model), "dequant_hf.safetensors", Some(name));
        let engine = load(&file, options(KvType::F32, PleMode::Streamed));
        println!("{name}: {:e} of a standard deviation", golden.compare(&engine, &["short", "chat", "long"], F32_BOUND));
    }
}

/// llama.cpp's own distance from the references of the compact set, over all their prompts: the least of the most, and of the means.
const OWN: [(&str, &str, f64, f64); 2] = [("dense", "dense-Q4_0.gguf", 0.30, 0.048), ("dense-ple", "dense-ple-Q4_K_M.gguf", 0.85, 0.124)];

fn int8_products_of_the_compact_set_are_close() {
    let goldens = workspace().join("goldens");
    for (model, file, own_most, own_mean) in OWN {
        let golden = Golden::open(&goldens.join("text").join(model), "dequant_hf.safetensors", Some(file));
        let options = LoadOptions { products: Products::Int8, ..options(KvType::F16, PleMode::Resident) };
        let engine = load(&goldens.join("models").join(file), options);
        let names = ["short", "chat"].into_iter();
        let errors: Vec<(f64, f64)> = names.filter_map(|name| golden.errors(&engine, name)).collect();
        assert!(!errors.is_empty(), "{file}: no prompt has a reference");
        for (most, mean) in errors {
            println!("{file}: most {most:.3} of {own_most}, mean {mean:.4} of {own_mean}");
            assert!(mean > 1e-3, "{file}: {mean} is exact");
            assert!(most <= own_most && mean <= ROW * own_mean, "{file}: most {most}, mean {mean}");
        }
    }
}

/// What the average over one row's logits may be above that over all rows.
const ROW: f64 = 1.1;

/// llama.cpp rounds what products are given as well, to 8 bits by groups of 32 or 256: its own distance is over all rows, ours over the
/// last of each prompt.
fn int8_products_are_within_llama_cpps_own_error() {
    let text = shared("text");
    let mut compared = 0;
    for model in ["dense", "dense-ple"] {
        let own: Value = serde_json::from_slice(&std::fs::read(text.join(model).join("dequant_hf.json")).unwrap()).unwrap();
        for (file, record) in own.as_object().unwrap() {
            let golden = Golden::open(&text.join(model), "dequant_hf.safetensors", Some(file));
            let limits: Vec<_> = record["prompts"].as_array().unwrap().iter().filter(|p| p["llamacpp_minus_this"].is_object()).collect();
            // One of each kind of scales; the others with the long run.
            let usual = ["dense-Q8_0.gguf", "dense-Q6_K.gguf", "dense-ple-Q4_K_M.gguf"].contains(&file.as_str());
            if limits.is_empty() || file.contains("f16") || !(usual || std::env::var_os("RULLAMA_FULL").is_some()) {
                continue;
            }
            let engine =
                load(&shared("models").join(file), LoadOptions { products: Products::Int8, ..options(KvType::F16, PleMode::Streamed) });
            assert_eq!(engine.info().products, "int8");
            let (mut means, mut own_means) = (0.0, 0.0);
            for prompt in limits {
                let (name, own) = (prompt["name"].as_str().unwrap(), &prompt["llamacpp_minus_this"]);
                let Some((most, mean)) = golden.errors(&engine, name) else { continue };
                let own_most = own["max_abs"].as_f64().unwrap();
                println!("{file} {name}: most {most:.3} of {own_most:.3}, mean {mean:.4} of {:.4}", own["mean_abs"]);
                assert!(mean > 1e-3, "{file} {name}: {mean} is exact");
                assert!(most <= own_most, "{file} {name}: {most} of {own_most}");
                (means, own_means) = (means + mean, own_means + own["mean_abs"].as_f64().unwrap());
                compared += 1;
            }
            assert!(means <= ROW * own_means, "{file}: {means} of {own_means}");
        }
    }
    assert!(compared >= 10, "{compared} compared");
}

fn ollamas_blob_agrees() {
    let shared = shared("");
    let blobs = shared.join("ollama_store/blobs");
    let blob = std::fs::read_dir(blobs).unwrap().map(|e| e.unwrap().path()).max_by_key(|p| p.metadata().unwrap().len()).unwrap();
    let golden = Golden::open(&shared.join("text/dense-ple"), "dequant_hf.safetensors", Some("ollama/dense-ple-q4_K_M.gguf"));
    for ple in [PleMode::Resident, PleMode::Streamed] {
        let options = LoadOptions { profile: AdapterProfile::WebGpuDefaults, ..options(KvType::F32, ple) };
        println!("{ple:?}: {:e} of a standard deviation", golden.compare(&load(&blob, options), &["short", "long"], F32_BOUND));
    }
}

/// Greedy tokens equal transformers' up to the first step that rounding decides ([`tie`]).
fn greedy_until_tie(engine: &Engine, prompt: &Value) {
    let (ids, want) = (Golden::ids(&prompt["ids"]), Golden::ids(&prompt["hf_greedy64"]));
    let mut session = pollster::block_on(engine.session()).unwrap();
    let got = pollster::block_on(session.greedy(&ids, want.len().max(1) as u32)).unwrap();
    if let Some(at) = want.iter().zip(&got).position(|(a, b)| a != b) {
        let so_far: Vec<u32> = ids.iter().chain(&want[..at]).copied().collect();
        session.clear();
        let evaluation = pollster::block_on(session.evaluate(&so_far)).unwrap();
        let row = evaluation.row("logits", so_far.len() - 1).unwrap();
        assert!(tie(row, got[at], want[at]), "{}: at {at} {} is not a tie with {}", prompt["name"], got[at], want[at]);
    }
}

/// Whether rounding of half-precision caches may decide between `ours`, one of the two best tokens, and `theirs`:
/// both lie within twice the bound of the best.
fn tie(row: &[f32], ours: u32, theirs: u32) -> bool {
    let near = row.iter().copied().fold(f32::MIN, f32::max) - 2.0 * F16_BOUND * deviation(row);
    let better = |id: u32| row.iter().filter(|logit| **logit > row[id as usize]).count();
    better(ours) < 2 && [ours, theirs].iter().all(|id| row[*id as usize] > near)
}

fn a_tie_is_between_the_best() {
    let row = |best: [f32; 4]| -> Vec<f32> { best.into_iter().chain((0..1000).map(|i| (i % 10) as f32 * 0.1)).collect() };
    let (near, far) = (row([5.0, 4.9999, 4.9998, 4.9997]), row([5.0, 4.0, 4.0, 4.0]));
    assert!(tie(&near, 0, 1) && tie(&near, 1, 0) && tie(&near, 1, 3));
    assert!(!tie(&near, 2, 0), "ours is not one of the two best");
    assert!(!tie(&near, 1, 40), "theirs is far from the best");
    assert!(!tie(&far, 0, 1) && !tie(&far, 1, 0), "the best two are not near");
}

/// The file with each layer's projections of equal format in one tensor `attn_qkv`.
fn joined(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let gguf = pollster::block_on(Gguf::open(&FileSource::open(path).unwrap())).unwrap();
    let mut writer = GgufWriter::new(gguf.metadata.clone()).unwrap();
    let mut data: Vec<(String, Vec<u8>)> = Vec::new();
    for tensor in &gguf.tensors {
        let piece = bytes[tensor.range.start as usize..tensor.range.end as usize].to_vec();
        let Some(prefix) = tensor.name.strip_suffix("attn_q.weight") else {
            if !tensor.name.ends_with("attn_k.weight") && !tensor.name.ends_with("attn_v.weight") {
                writer.add(&tensor.name, &tensor.dims, tensor.ggml_type()).unwrap();
                data.push((tensor.name.clone(), piece));
            }
            continue;
        };
        let (mut rows, mut all) = (tensor.rows(), piece);
        for other in ["attn_k.weight", "attn_v.weight"].iter().filter_map(|name| gguf.tensors.get(&format!("{prefix}{name}"))) {
            rows += other.rows();
            all.extend(&bytes[other.range.start as usize..other.range.end as usize]);
        }
        let name = format!("{prefix}attn_qkv.weight");
        writer.add(&name, &[tensor.cols(), rows], tensor.ggml_type()).unwrap();
        data.push((name, all));
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for (name, piece) in data {
        stream.write(&name, &piece).unwrap();
    }
    stream.finish().unwrap()
}

fn joined_projections_are_the_same_model() {
    let goldens = workspace().join("goldens");
    // One format throughout; its global layers have no values of their own.
    let golden = Golden::open(&goldens.join("text/dense"), "dequant_hf.safetensors", Some("dense-Q4_0.gguf"));
    let source: Arc<dyn ByteSource> = Arc::new(MemorySource::new("joined", joined(&goldens.join("models/dense-Q4_0.gguf"))));
    let engine = load_from(source, options(KvType::F32, PleMode::Auto));
    golden.compare(&engine, &["short"], F32_BOUND);
}

rullama_testing::tests! {
    a_tie_is_between_the_best,
    the_compact_set_agrees,
    the_oracle_agrees_with_the_gpu,
    f16_models_agree_with_transformers,
    hidden_states_agree_with_transformers,
    half_caches_stay_close,
    every_format_agrees_with_its_dequantised_weights,
    int8_products_of_the_compact_set_are_close,
    int8_products_are_within_llama_cpps_own_error,
    ollamas_blob_agrees,
    joined_projections_are_the_same_model,
}
