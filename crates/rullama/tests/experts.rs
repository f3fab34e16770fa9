//! Models with experts against what transformers computes from the same files: which experts each token goes to, how much they count,
//! and what comes of it.

use rullama::source::FileSource;
use rullama::{AdapterProfile, Engine, Evaluation, KvType, LoadOptions};
use rullama_testing::{found, golden, shared, workspace};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Share of the standard deviation that f32 arithmetic may differ by.
const BOUND: f32 = 2e-4;
/// Probabilities of the last expert chosen and the first one not chosen that rounding may swap.
const TIE: f32 = 1e-4;

fn load(path: &Path, profile: AdapterProfile, as_gpu: bool) -> Engine {
    let options = LoadOptions { kv: KvType::F32, profile, as_gpu, chunk: Some(512), ..Default::default() };
    let source = Arc::new(FileSource::open(path).unwrap());
    found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn evaluate(engine: &Engine, ids: &[u32]) -> Evaluation {
    pollster::block_on(async { engine.session().await?.evaluate(ids).await }).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn deviation(values: &[f32]) -> f32 {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // A NaN is no small difference.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// Tensors of a file, by name.
struct Tensors(Vec<u8>);

impl Tensors {
    fn open(path: &Path) -> Tensors {
        Tensors(std::fs::read(path).unwrap())
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        Some(SafeTensors::deserialize(&self.0).unwrap().tensor(name).ok()?.data().to_vec())
    }

    fn f32s(&self, name: &str) -> Option<Vec<f32>> {
        Some(self.bytes(name)?.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect())
    }

    fn indices(&self, name: &str) -> Option<Vec<usize>> {
        Some(self.bytes(name)?.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()) as usize).collect())
    }
}

/// The first token of which an expert was chosen by rounding, in any layer: from there on nothing is promised.
fn first_tie(evaluation: &Evaluation, layers: usize, dim: f32) -> usize {
    let margin = |layer: usize, token: usize| {
        let used = evaluation.row(&format!("expert_ids_{layer}"), token).unwrap().len();
        let mut p: Vec<f32> = evaluation.row(&format!("router_logits_{layer}"), token).unwrap().iter().map(|s| s / dim.sqrt()).collect();
        let most = p.iter().copied().fold(f32::MIN, f32::max);
        p.iter_mut().for_each(|s| *s = (*s - most).exp());
        let sum: f32 = p.iter().sum();
        p.sort_by(|a, b| b.total_cmp(a));
        if used < p.len() { (p[used - 1] - p[used]) / sum } else { 1.0 }
    };
    let tied = |token: &usize| (0..layers).any(|layer| margin(layer, *token) < TIE);
    (0..evaluation.tokens).find(tied).unwrap_or(evaluation.tokens)
}

/// Compares the best logits of every position, and all of the last, up to the first tie behind which they differ.
fn compare_logits(evaluation: &Evaluation, tensors: &Tensors, [best, best_ids, last]: [&str; 3], tie: usize) {
    let tokens = evaluation.tokens;
    let (top, top_ids) = (tensors.f32s(best).unwrap(), tensors.indices(best_ids).unwrap());
    let scale = deviation(evaluation.row("logits", tokens - 1).unwrap());
    for position in 0..tokens {
        let row = evaluation.row("logits", position).unwrap();
        let got: Vec<f32> = top_ids[position * 20..][..20].iter().map(|id| row[*id]).collect();
        let off = worst(&got, &top[position * 20..][..20]);
        if off > BOUND * scale {
            assert!(position >= tie, "{best}: {off} of {scale} at {position}, before any tie ({tie})");
            println!("{best}: differs from {position} of {tokens} on; the first tie is at {tie}");
            return;
        }
    }
    if let Some(last) = tensors.f32s(last) {
        let off = worst(evaluation.row("logits", tokens - 1).unwrap(), &last);
        assert!(off <= BOUND * scale || tie < tokens, "{best}: {off} of {scale}");
    }
}

/// Routing of every layer, what the experts give, logits, and greedy continuations.
fn compare_routing(file: &Path, folder: &Path, key: &str, engine: &Engine) {
    let tensors = Tensors::open(&folder.join("moe_routing.safetensors"));
    let text: Value = serde_json::from_slice(&std::fs::read(folder.join("moe_routing.json")).unwrap()).unwrap();
    let layers = engine.info().layers;
    for prompt in text[key].as_array().unwrap() {
        let name = format!("{key}.{}", prompt["name"].as_str().unwrap());
        let prompt_ids = ids(&prompt["ids"]);
        let evaluation = evaluate(engine, &prompt_ids);
        let dim = evaluation.row("layer_0", 0).unwrap().len() as f32;
        let tie = first_tie(&evaluation, layers, dim);
        let flipped = routing_differs(&evaluation, &tensors, &name, layers);
        assert!(flipped >= tie, "{name}: routing differs at {flipped}, before any tie ({tie})");
        for tensor in (0..layers).flat_map(|i| ["router_in", "experts_out", "layer"].map(|kind| format!("{kind}_{i}"))) {
            let Some(want) = tensors.f32s(&format!("{name}.{tensor}")) else { continue };
            let rows = flipped * dim as usize;
            let off = worst(&evaluation.matrices[&tensor][..rows], &want[..rows]);
            assert!(off <= BOUND * deviation(&want), "{name}.{tensor}: {off} of {}", deviation(&want));
        }
        if tensors.f32s(&format!("{name}.top20_logits")).is_some() {
            let names = ["top20_logits", "top20_ids", "last_logits"].map(|kind| format!("{name}.{kind}"));
            compare_logits(&evaluation, &tensors, [&names[0], &names[1], &names[2]], tie);
        }
        if let (true, Some(_)) = (tie == prompt_ids.len(), prompt.get("hf_greedy24")) {
            let want = ids(&prompt["hf_greedy24"]);
            let got = pollster::block_on(async { engine.session().await?.greedy(&prompt_ids, want.len() as u32).await }).unwrap();
            assert_eq!(got, want, "{name} of {}", file.display());
        }
    }
}

/// The first token of which an expert or its weight is another one than the reference's.
fn routing_differs(evaluation: &Evaluation, tensors: &Tensors, name: &str, layers: usize) -> usize {
    let want_ids = tensors.bytes(&format!("{name}.expert_ids")).unwrap();
    let want_weights = tensors.f32s(&format!("{name}.expert_weights")).unwrap();
    let used = want_ids.len() / layers / evaluation.tokens;
    let differs = |token: &usize| {
        (0..layers).any(|layer| {
            let at = (layer * evaluation.tokens + token) * used;
            let ours = evaluation.row(&format!("expert_ids_{layer}"), *token).unwrap();
            let weights = evaluation.row(&format!("expert_weights_{layer}"), *token).unwrap();
            (0..used).any(|k| {
                let found = ours.iter().position(|id| *id == f32::from(want_ids[at + k]));
                !found.is_some_and(|found| (weights[found] - want_weights[at + k]).abs() <= 1e-4)
            })
        })
    };
    (0..evaluation.tokens).find(differs).unwrap_or(evaluation.tokens)
}

fn routing_and_logits_agree_with_transformers() {
    let (name, goldens) = ("moe-small-fused-Q4_0.gguf", workspace().join("goldens"));
    let file = goldens.join("models").join(name);
    for (profile, as_gpu) in [(AdapterProfile::Native, true), (AdapterProfile::WebGpuDefaults, true), (AdapterProfile::Native, false)] {
        compare_routing(&file, &goldens.join("moe"), name, &load(&file, profile, as_gpu));
    }
}

fn other_files_agree_with_transformers() {
    let folder = shared("moe");
    for (name, key) in
        [("moe-small-fused-f16.gguf", "moe-small"), ("moe-small-split-Q8_0.gguf", "moe-small-split-Q8_0.gguf"), ("moe-f16.gguf", "moe")]
    {
        let file = shared(&format!("models/{name}"));
        compare_routing(&file, &folder, key, &load(&file, AdapterProfile::WebGpuDefaults, true));
    }
}

fn texts_agree_with_transformers() {
    let folder = shared("text/moe");
    let text: Value = serde_json::from_slice(&std::fs::read(folder.join("text.json")).unwrap()).unwrap();
    let tensors = Tensors::open(&folder.join("dequant_hf.safetensors"));
    let blob = "ollama_store/blobs/sha256-45f011f59cb4ba52d45bb5d492eb1b2c9cdf431137939ddab53de4ce1939e4db";
    for (file, key) in [("models/moe-f16.gguf", "moe-f16.gguf"), (blob, "ollama/moe-q4_K_M.gguf")] {
        let engine = load(&shared(file), AdapterProfile::Native, true);
        for prompt in text["prompts"].as_array().unwrap().iter().filter(|prompt| prompt["name"] != "nll") {
            let name = format!("{key}.{}", prompt["name"].as_str().unwrap());
            let evaluation = evaluate(&engine, &ids(&prompt["ids"]));
            let dim = evaluation.row("layer_0", 0).unwrap().len() as f32;
            let tie = first_tie(&evaluation, engine.info().layers, dim);
            let names = ["top20_logits", "top20_ids", "last_logits"].map(|kind| format!("{name}.{kind}"));
            compare_logits(&evaluation, &tensors, [&names[0], &names[1], &names[2]], tie);
        }
    }
}

fn the_oracle_agrees_with_the_gpu() {
    let engine = load(&golden("models/moe-small-fused-Q4_0.gguf"), AdapterProfile::Native, true);
    let ids = [2, 1821, 713, 1755, 1458, 671];
    let (cpu, gpu) = (pollster::block_on(engine.evaluate_on_cpu(&ids)).unwrap(), evaluate(&engine, &ids));
    assert_eq!(cpu.matrices.keys().collect::<Vec<_>>(), gpu.matrices.keys().collect::<Vec<_>>());
    for (name, want) in &cpu.matrices {
        let off = worst(want, &gpu.matrices[name]);
        assert!(off <= BOUND * deviation(want), "{name}: {off}");
    }
}

/// A prompt in one chunk, its tokens one by one, and all positions at once choose the same continuation.
fn prompts_and_decoding_agree() {
    let engine = load(&golden("models/moe-small-fused-Q4_0.gguf"), AdapterProfile::Native, true);
    let prompt: Vec<u32> = (0..70).map(|i| 3 + (i * i * 37 + 11 * i) % 2000).collect();
    let whole = evaluate(&engine, &prompt);
    let mut session = pollster::block_on(engine.session()).unwrap();
    for id in &prompt {
        let step = pollster::block_on(session.evaluate(&[*id])).unwrap();
        let position = session.position() as usize - 1;
        let (want, got) = (whole.row("logits", position).unwrap(), step.row("logits", 0).unwrap());
        let off = worst(want, got);
        assert!(off <= BOUND * deviation(want), "{position}: {off}");
    }
    let greedy = |prompt: &[u32], count| pollster::block_on(async { engine.session().await?.greedy(prompt, count).await }).unwrap();
    let all = greedy(&prompt, 12);
    for split in [1, 5] {
        let longer: Vec<u32> = prompt.iter().chain(&all[..split]).copied().collect();
        assert_eq!(greedy(&longer, 12 - split as u32), all[split..], "{split} of them as prompt");
    }
}

rullama_testing::tests! {
    routing_and_logits_agree_with_transformers,
    other_files_agree_with_transformers,
    texts_agree_with_transformers,
    the_oracle_agrees_with_the_gpu,
    prompts_and_decoding_agree,
}
