//! Whole models against what independent programs compute from the same files.
//!
//! `goldens/` at the workspace's root holds the compact part, so that a clone alone is tested;
//! where `../shared/goldens` stands beside the checkout, all of it runs.

use rullama::source::{ByteSource, FileSource};
use rullama::{AdapterProfile, Engine, KvType, LoadOptions, PleMode};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Share of the logits' standard deviation that f32 arithmetic may differ by.
const F32_BOUND: f32 = 2e-4;
/// The same with keys and values rounded to halves.
const F16_BOUND: f32 = 1e-2;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The full goldens, or a note that they are not here.
fn shared() -> Option<PathBuf> {
    let path = workspace().join("../shared/goldens");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn load(path: &Path, options: LoadOptions) -> Engine {
    let source: Arc<dyn ByteSource> = Arc::new(FileSource::open(path).unwrap());
    pollster::block_on(Engine::load(source, options, &mut |_| ())).unwrap()
}

fn options(kv: KvType, ple: PleMode) -> LoadOptions {
    LoadOptions { kv, ple, ..Default::default() }
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
        let mut worst = 0f32;
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
            worst = worst.max(difference / scale);
        }
        worst
    }
}

fn deviation(values: &[f32]) -> f32 {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt()
}

#[test]
fn f16_models_agree_with_transformers() {
    let Some(shared) = shared() else { return };
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

#[test]
fn half_caches_stay_close() {
    let Some(shared) = shared() else { return };
    for model in ["dense", "dense-ple"] {
        let golden = Golden::open(&shared.join("text").join(model), "text.safetensors", None);
        let engine = load(&shared.join(format!("models/{model}-f16.gguf")), options(KvType::F16, PleMode::Streamed));
        println!("{model}: {:e} of a standard deviation", golden.compare(&engine, &["short", "long", "tools"], F16_BOUND));
    }
}

#[test]
fn every_format_agrees_with_its_dequantised_weights() {
    let Some(shared) = shared() else { return };
    let mut files: Vec<_> = std::fs::read_dir(shared.join("models")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let model = if name.starts_with("dense-ple") { "dense-ple" } else { "dense" };
        let golden = Golden::open(&shared.join("text").join(model), "dequant_hf.safetensors", Some(name));
        let engine = load(&file, options(KvType::F32, PleMode::Streamed));
        println!("{name}: {:e} of a standard deviation", golden.compare(&engine, &["short", "chat", "long"], F32_BOUND));
    }
}

#[test]
fn ollamas_blob_agrees() {
    let Some(shared) = shared() else { return };
    let blobs = shared.join("ollama_store/blobs");
    let blob = std::fs::read_dir(blobs).unwrap().map(|e| e.unwrap().path()).max_by_key(|p| p.metadata().unwrap().len()).unwrap();
    let golden = Golden::open(&shared.join("text/dense-ple"), "dequant_hf.safetensors", Some("ollama/dense-ple-q4_K_M.gguf"));
    for ple in [PleMode::Resident, PleMode::Streamed] {
        let options = LoadOptions { profile: AdapterProfile::WebGpuDefaults, ..options(KvType::F32, ple) };
        println!("{ple:?}: {:e} of a standard deviation", golden.compare(&load(&blob, options), &["short", "long"], F32_BOUND));
    }
}
