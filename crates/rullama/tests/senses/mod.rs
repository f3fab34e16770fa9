//! What tests of towers share: engines of the reference data's models, their tensors, and comparison.

use rullama::source::FileSource;
use rullama::{Cancel, Engine, ExpertMode, KvType, LoadOptions, Medium, Picture, Prompt, SizeRule};
use rullama_testing::{found, golden};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Stages and soft tokens, absolute; their root mean square is about 1.2.
pub const STAGE_BOUND: f32 = 2e-3;
/// Of the largest magnitude, of media that need no resize.
pub const TOWER_BOUND: f32 = 1e-4;
pub const LOGITS_BOUND: f32 = 5e-3;

pub fn source(path: &Path) -> Arc<FileSource> {
    Arc::new(FileSource::open(path).unwrap())
}

/// A model with f32 caches, and the file of its towers.
pub fn engine(model: &str, projector: Option<&str>) -> Engine {
    engine_of(model, projector, ExpertMode::Auto)
}

/// The same with its experts where they are said to be.
pub fn engine_of(model: &str, projector: Option<&str>, experts: ExpertMode) -> Engine {
    let options = LoadOptions { kv: KvType::F32, as_gpu: true, experts, ..Default::default() };
    let loaded = pollster::block_on(Engine::load(source(&golden(model)), options, &mut |_| ()));
    let engine = found(loaded, |error| error.code() == "no-webgpu");
    if let Some(projector) = projector {
        pollster::block_on(engine.set_projector(Some(source(&golden(projector)))));
    }
    engine
}

/// The tensors of a file, as f32.
pub struct Tensors(pub HashMap<String, Vec<f32>>);

impl Tensors {
    pub fn read(name: &str) -> Tensors {
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

    pub fn get(&self, name: &str) -> &[f32] {
        self.0.get(name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub fn numbers(&self, name: &str) -> Vec<u32> {
        self.get(name).iter().map(|number| *number as u32).collect()
    }
}

pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

pub fn close(what: &str, got: &[f32], want: &[f32], bound: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let off = got.iter().zip(want).fold(0.0, |most, (a, b)| if (a - b).abs() > most || (a - b).is_nan() { (a - b).abs() } else { most });
    println!("{what}: {off:.2e} of {bound:.2e}");
    assert!(off <= bound, "{what} differs by {off:.3e}, more than {bound:.3e}");
}

/// The place of the largest value.
pub fn likeliest(row: &[f32]) -> u32 {
    row.iter().enumerate().fold(0, |best, (i, value)| if *value > row[best] { i } else { best }) as u32
}

pub fn picture(name: &str, budget: u32) -> Medium {
    let picture = Picture::decode(&std::fs::read(golden(&format!("mm/{name}.png"))).unwrap()).unwrap();
    Medium::Picture(Arc::new(picture), SizeRule::fill(budget).unwrap())
}

pub fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

pub fn numbers(list: &Value) -> Vec<u32> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
}

/// A prompt of ids and what the engine makes of media.
pub fn prompt(engine: &Engine, ids: Vec<u32>, media: &[Medium]) -> Prompt {
    let soft: Vec<_> = media.iter().map(|medium| pollster::block_on(engine.encode(medium, &Cancel::new())).unwrap()).collect();
    Prompt::new(engine, ids, &soft).unwrap()
}

/// Logits of the last token of the prompt `KEY.ids`, the likeliest of every token, and what follows.
pub fn answers(engine: &Engine, tensors: &Tensors, key: &str, media: &[Medium], greedy: &Value) {
    let prompt = prompt(engine, tensors.numbers(&format!("{key}.ids")), media);
    let mut session = pollster::block_on(engine.session()).unwrap();
    let evaluation = pollster::block_on(session.evaluate_prompt(&prompt, &Cancel::new())).unwrap();
    let row = |at| evaluation.row("logits", at).unwrap();
    close(&format!("{key} logits"), row(prompt.len() - 1), tensors.get(&format!("{key}.last_logits")), LOGITS_BOUND);
    let want = tensors.numbers(&format!("{key}.argmax"));
    assert_eq!(want.len(), prompt.len(), "{key}");
    let wrong = (0..prompt.len()).filter(|at| likeliest(row(*at)) != want[*at]).count();
    assert_eq!(wrong, 0, "{key}: the likeliest token differs at {wrong} of {} positions", prompt.len());
    let want = numbers(greedy);
    let mut session = pollster::block_on(engine.session()).unwrap();
    let got = pollster::block_on(session.greedy_prompt(&prompt, want.len() as u32)).unwrap();
    assert_eq!(got, want, "{key}: greedy");
}
