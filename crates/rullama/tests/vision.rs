//! Pictures in whole models against what transformers computes from the same files.

use rullama::perception::picture::DEFAULT_BUDGET;
use rullama::source::FileSource;
use rullama::{Cancel, Engine, KvType, LoadOptions, Medium, Perceived, Picture, SizeRule};
use rullama_testing::{found, golden};
use safetensors::{Dtype, SafeTensors};
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
    let extra = Tensors::read("mm/extra.safetensors");
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
    soft_tokens(&mm, "dense-ple.exact816x768", &engine, "exact816x768", DEFAULT_BUDGET, TOWER_BOUND);
}

fn towers_that_standardise_agree() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    stages("dense", &engine, &["embed", "layer_0", "layer_1", "pooled", "tower_out", "soft_tokens"]);
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

rullama_testing::tests! {
    towers_with_clipped_linears_agree, towers_that_standardise_agree, patches_without_an_encoder_agree,
}
