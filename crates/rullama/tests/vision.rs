//! Pictures in whole models against what transformers computes from the same files.

use rullama::perception::picture::DEFAULT_BUDGET;
use rullama::source::FileSource;
use rullama::{Cancel, Engine, GenerateOptions, KvType, LoadOptions, Medium, Perceived, Picture, Prompt, Sampling, Session, SizeRule};
use rullama_testing::{found, golden};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Stages and soft tokens, absolute; their root mean square is about 1.2.
const STAGE_BOUND: f32 = 2e-3;
/// Of the largest magnitude, without a resize and behind ours.
const TOWER_BOUND: f32 = 1e-4;
const RESIZED_BOUND: f32 = 1e-3;

fn source(path: &Path) -> Arc<FileSource> {
    Arc::new(FileSource::open(path).unwrap())
}

fn engine(model: &str, projector: Option<&str>) -> Engine {
    let options = LoadOptions { kv: KvType::F32, as_gpu: true, ..Default::default() };
    let loaded = pollster::block_on(Engine::load(source(&golden(model)), options, &mut |_| ()));
    let engine = found(loaded, |error| error.code() == "no-webgpu");
    if let Some(projector) = projector {
        pollster::block_on(engine.set_projector(Some(source(&golden(projector)))));
    }
    engine
}

/// The tensors of a file, as f32.
struct Tensors(HashMap<String, Vec<f32>>);

impl Tensors {
    fn read(name: &str) -> Tensors {
        let bytes = std::fs::read(golden(name)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |tensor: &safetensors::tensor::TensorView| match tensor.dtype() {
            Dtype::F32 => tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I32 => tensor.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
            Dtype::F16 => tensor.data().chunks_exact(2).map(|b| half::f16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect(),
            Dtype::U8 => tensor.data().iter().map(|b| f32::from(*b)).collect(),
            _ => Vec::new(),
        };
        Tensors(file.tensors().iter().map(|(name, tensor)| (name.clone(), values(tensor))).collect())
    }

    fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).fold(0.0, |most, (a, b)| if (a - b).abs() > most || (a - b).is_nan() { (a - b).abs() } else { most })
}

fn close(what: &str, got: &[f32], want: &[f32], bound: f32) {
    let off = difference(got, want);
    println!("{what}: {off:.2e} of {bound:.2e}");
    assert!(off <= bound, "{what} differs by {off:.3e}, more than {bound:.3e}");
}

fn picture(name: &str, budget: u32) -> Medium {
    let picture = Picture::decode(&std::fs::read(golden(&format!("mm/{name}.png"))).unwrap()).unwrap();
    Medium::Picture(Arc::new(picture), SizeRule::fill(budget).unwrap())
}

/// The stages between on a picture that is taken as it is.
fn stages(model: &str, engine: &Engine, names: &[&str]) {
    let extra = Tensors::read(if model == "dense" { "mm/stage.dense.safetensors" } else { "mm/extra.safetensors" });
    let pixels: Vec<u8> = extra.get(&format!("stage.{model}.v.pixels")).iter().map(|v| *v as u8).collect();
    let taken = Picture::new(144, 96, pixels).unwrap();
    // Six soft tokens are the whole budget, so that nothing is resized.
    let medium = Medium::Picture(Arc::new(taken), SizeRule::Fill { budget: 6 });
    let outputs = pollster::block_on(engine.perceive(&medium, true, &Cancel::new())).unwrap().outputs;
    for name in names {
        let (want, got) = (extra.get(&format!("stage.{model}.v.{name}")), &outputs[if *name == "tower_out" { "tower" } else { name }].0);
        let bound = if name.starts_with("layer") || *name == "pooled" { STAGE_BOUND * largest(want).max(1.0) } else { STAGE_BOUND };
        close(&format!("{model} {name}"), got, want, bound);
    }
}

fn soft_tokens(tensors: &Tensors, key: &str, engine: &Engine, name: &str, budget: u32, bound: f32) {
    let Perceived { features, outputs } = pollster::block_on(engine.perceive(&picture(name, budget), false, &Cancel::new())).unwrap();
    let patches = tensors.get(&format!("image.{name}.patches_u8scaled"));
    // Halves of values in 0 ..= 1, or levels.
    let scale = if largest(patches) > 1.0 { 255.0 } else { 1.0 };
    let got: Vec<f32> = features.values.iter().map(|value| value * scale).collect();
    close(&format!("{key} patches"), &got, patches, scale / 4096.0);
    let want = tensors.get(&format!("{key}.soft_tokens"));
    close(&format!("{key} soft tokens"), &outputs["soft_tokens"].0, want, STAGE_BOUND.min(bound * largest(want)));
    if let Some(want) = tensors.0.get(&format!("{key}.tower_pooled")) {
        close(&format!("{key} tower"), &outputs["tower"].0, want, bound * largest(want));
    }
}

fn towers_with_clipped_linears_agree() {
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    stages("dense-ple", &engine, &["embed", "layer_0", "layer_1", "layer_2", "pooled", "tower_out", "soft_tokens"]);
    let mm = Tensors::read("mm/mm.safetensors");
    soft_tokens(&mm, "dense-ple.exact384", &engine, "exact384", 70, TOWER_BOUND);
    soft_tokens(&mm, "dense-ple.resize", &engine, "resize", 70, RESIZED_BOUND);
}

fn towers_agree_on_large_pictures() {
    rullama_testing::variable("RULLAMA_FULL");
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    let key = "dense-ple.exact816x768";
    soft_tokens(&mm, key, &engine, "exact816x768", DEFAULT_BUDGET, TOWER_BOUND);
    answers(&engine, &mm, key, &[picture("exact816x768", DEFAULT_BUDGET)], &one[key]["hf_greedy16"]);
}

/// The tower's weights are its own, whatever the text model's are.
fn towers_that_standardise_agree() {
    let engine = engine("models/dense-Q4_0.gguf", Some("models/mmproj-dense-f16.gguf"));
    stages("dense", &engine, &["embed", "layer_0", "layer_1", "pooled", "tower_out", "soft_tokens"]);
}

fn resized_pictures_agree() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let mm = Tensors::read("mm/mm.safetensors");
    soft_tokens(&mm, "dense.exact384", &engine, "exact384", 70, TOWER_BOUND);
    soft_tokens(&mm, "dense.resize", &engine, "resize", 70, RESIZED_BOUND);
}

fn patches_without_an_encoder_agree() {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let want = Tensors::read("mm/unified.safetensors");
    let outputs = pollster::block_on(engine.perceive(&picture("unified", 70), true, &Cancel::new())).unwrap().outputs;
    for (name, stage) in [("patch_dense", "patch_dense"), ("patch_ln2", "patch_ln2"), ("pos_norm", "tower"), ("soft_tokens", "soft_tokens")]
    {
        close(name, &outputs[stage].0, want.get(&format!("unified.image.{name}")), STAGE_BOUND);
    }
}

const LOGITS_BOUND: f32 = 5e-3;

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

fn ids(tensors: &Tensors, key: &str) -> Vec<u32> {
    tensors.get(&format!("{key}.ids")).iter().map(|id| *id as u32).collect()
}

fn prompt(engine: &Engine, ids: Vec<u32>, media: &[Medium]) -> Prompt {
    let soft: Vec<_> = media.iter().map(|medium| pollster::block_on(engine.encode(medium, &Cancel::new())).unwrap()).collect();
    Prompt::new(engine, ids, &soft).unwrap()
}

/// Logits of the last token, the likeliest of every token, and what follows.
fn answers(engine: &Engine, tensors: &Tensors, key: &str, media: &[Medium], greedy: &Value) {
    let prompt = prompt(engine, ids(tensors, key), media);
    let mut session = pollster::block_on(engine.session()).unwrap();
    let evaluation = pollster::block_on(session.evaluate_prompt(&prompt, &Cancel::new())).unwrap();
    let last = evaluation.row("logits", prompt.len() - 1).unwrap();
    close(&format!("{key} logits"), last, tensors.get(&format!("{key}.last_logits")), LOGITS_BOUND);
    let likeliest = |row: &[f32]| row.iter().enumerate().fold(0, |best, (i, value)| if *value > row[best] { i } else { best }) as f32;
    let got: Vec<f32> = (0..prompt.len()).map(|at| likeliest(evaluation.row("logits", at).unwrap())).collect();
    let wrong = got.iter().zip(tensors.get(&format!("{key}.argmax"))).filter(|(a, b)| a != b).count();
    assert_eq!(wrong, 0, "{key}: the likeliest token differs at {wrong} of {} positions", prompt.len());
    let want: Vec<u32> = greedy.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let mut session = pollster::block_on(engine.session()).unwrap();
    let got = pollster::block_on(session.greedy_prompt(&prompt, want.len() as u32)).unwrap();
    assert_eq!(got, want, "{key}: greedy");
}

fn causal_models_answer_about_pictures() {
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for (name, budget) in [("exact384", 70), ("resize", 70)] {
        let key = format!("dense-ple.{name}");
        answers(&engine, &mm, &key, &[picture(name, budget)], &one[&key]["hf_greedy16"]);
    }
    several("dense-ple", &engine);
}

/// Several pictures in a prompt, apart from each other and side by side.
fn several(model: &str, engine: &Engine) {
    let (extra, all) = (Tensors::read("mm/extra.safetensors"), json("mm/extra.json"));
    let media = [picture("exact384", 70), picture("resize", 70)];
    for name in ["two_images", "adjacent_images"] {
        let key = format!("multi.{model}.{name}");
        answers(engine, &extra, &key, &media, &all["prompts"][&key]["hf_greedy8"]);
    }
    let key = format!("video.{model}");
    let frames: Vec<Medium> = (0..3).map(|i| picture(&format!("frame{i}"), 70)).collect();
    answers(engine, &extra, &key, &frames, &all["prompts"][&key]["hf_greedy8"]);
}

fn models_that_see_pictures_both_ways_answer() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for (name, budget) in [("exact384", 70), ("resize", 70)] {
        let key = format!("dense.{name}");
        answers(&engine, &mm, &key, &[picture(name, budget)], &one[&key]["hf_greedy16"]);
    }
    several("dense", &engine);
}

fn a_model_without_an_encoder_answers() {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let (tensors, cases) = (Tensors::read("mm/unified.safetensors"), json("mm/unified.json"));
    let greedy = |case: &str| cases["cases"][case]["hf_greedy8"].clone();
    answers(&engine, &tensors, "unified.image", &[picture("unified", 70)], &greedy("image"));
    answers(&engine, &tensors, "unified.text", &[], &greedy("text"));
}

fn files_with_towers_inside_answer() {
    let blob = "ollama_store/blobs/sha256-9324f714eb39f26a18da7a687454e393eb7ba9ad1652b53c9ecc94940b4bad03";
    let engine = engine(blob, None);
    let (tensors, cases) = (Tensors::read("mm/ollama.safetensors"), json("mm/ollama.json"));
    answers(&engine, &tensors, "ollama.text", &[], &cases["text"]["hf_greedy12"]);
    assert_eq!(pollster::block_on(engine.tower_bytes()), 0, "a tower was loaded for text");
    answers(&engine, &tensors, "ollama.image", &[picture("exact384", 70)], &cases["image"]["hf_greedy12"]);
    assert!(pollster::block_on(engine.tower_bytes()) > 0);
    let before = engine.memory().gpu;
    let bytes = pollster::block_on(engine.tower_bytes());
    pollster::block_on(engine.release_towers());
    assert!(engine.memory().gpu <= before - bytes, "{} of {before} after {bytes} were given back", engine.memory().gpu);
}

/// The next turn goes on from the picture; another picture of the same size never does.
fn caches_know_pictures_by_content() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let mm = Tensors::read("mm/mm.safetensors");
    let of = |medium: Medium| prompt(&engine, ids(&mm, "dense.exact384"), &[medium]);
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(4), ignore_eos: true, ..Default::default() };
    let ask = |session: &mut Session, prompt: &Prompt| {
        let summary = pollster::block_on(session.generate_prompt(prompt, &options, &Cancel::new(), &mut |_| ())).unwrap();
        (summary.ids, summary.timings.prefilled_tokens as usize)
    };
    let [one, other] = [of(picture("exact384", 70)), of(picture("frame0", 70))];
    let mut session = pollster::block_on(engine.session()).unwrap();
    let (first, all) = ask(&mut session, &one);
    assert_eq!(all, one.len());
    assert_eq!(ask(&mut session, &one), (first.clone(), 1));
    let (second, computed) = ask(&mut session, &other);
    assert!(second != first && computed > 64, "{computed} of another picture's tokens were computed");
    // As a fresh session does.
    let mut fresh = pollster::block_on(engine.session()).unwrap();
    assert_eq!(ask(&mut fresh, &other).0, second);
    // A prompt that ends inside of the picture shares nothing of it.
    let cut = pollster::block_on(fresh.truncate(40));
    assert!(cut.is_ok());
    assert_eq!(ask(&mut fresh, &other).0, second);

    let saved = pollster::block_on(session.save()).unwrap();
    let mut restored = pollster::block_on(engine.session()).unwrap();
    pollster::block_on(restored.restore(&saved)).unwrap();
    assert_eq!(ask(&mut restored, &other), (second.clone(), 1));
    // Computed anew from what was saved.
    pollster::block_on(restored.restore(&saved)).unwrap();
    pollster::block_on(restored.truncate(other.len() as u32)).unwrap();
    assert_eq!(ask(&mut restored, &other).0, second);
}

fn what_does_not_fit_is_said() {
    let engine = engine("models/dense-ple-f16.gguf", None);
    let medium = picture("exact384", 70);
    let encode = || pollster::block_on(engine.encode(&medium, &Cancel::new()));
    let refused = encode().unwrap_err();
    assert_eq!(refused.code(), "model-unsupported");
    assert!(refused.to_string().contains("no tower for pictures"), "{refused}");
    pollster::block_on(engine.set_projector(Some(source(&golden("models/mmproj-unified-f16.gguf")))));
    let refused = encode().unwrap_err().to_string();
    assert!(refused.contains("another model's"), "{refused}");
    // A text model is no file of towers.
    pollster::block_on(engine.set_projector(Some(source(&golden("models/dense-f16.gguf")))));
    assert!(encode().unwrap_err().to_string().contains("no tower for pictures"));
    pollster::block_on(engine.set_projector(Some(source(&golden("models/mmproj-dense-ple-f16.gguf")))));
    let soft = encode().unwrap();
    let strip = Picture::new(1, 30_000, vec![9; 90_000]).unwrap();
    let refused = pollster::block_on(engine.encode(&Medium::picture(strip), &Cancel::new())).unwrap_err().to_string();
    assert!(refused.contains("840 patches"), "{refused}");
    let cancel = Cancel::new();
    cancel.cancel();
    let fresh = picture("frame1", 70);
    assert_eq!(pollster::block_on(engine.encode(&fresh, &cancel)).unwrap_err().code(), "cancelled");
    let mm = Tensors::read("mm/mm.safetensors");
    let all = ids(&mm, "dense-ple.exact384");
    for (ids, media) in
        [(all[..40].to_vec(), vec![soft.clone()]), (all.clone(), vec![soft.clone(), soft.clone()]), (vec![2, 3], vec![soft])]
    {
        assert_eq!(Prompt::new(&engine, ids, &media).unwrap_err().code(), "invalid-argument");
    }
}

rullama_testing::tests! {
    causal_models_answer_about_pictures, models_that_see_pictures_both_ways_answer, a_model_without_an_encoder_answers,
    files_with_towers_inside_answer, caches_know_pictures_by_content, what_does_not_fit_is_said,
    towers_with_clipped_linears_agree, towers_agree_on_large_pictures, towers_that_standardise_agree, resized_pictures_agree, patches_without_an_encoder_agree,
}
