//! Gradients, losses and steps of whole models against what PyTorch computes from the same files.

use rullama::adapter::{Adapter, Info, Pair, Target};
use rullama::source::FileSource;
use rullama::{Engine, LoadOptions};
use rullama_model::lora::{Terms, terms_of};
use rullama_ops::Part;
use rullama_testing::{found, golden, variable};
use rullama_train::AdamW;
use rullama_train::device::{Matrices, OnDevice, StepRow};
use rullama_train::graph::{Keep, StepShape};
use rullama_train::terms::{PREFIX, matrices_of, named};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest difference of a gradient as a share of its norm, and of the loss.
const BOUND: f64 = 1e-4;
const PER_TOKEN: f64 = 2e-3;

/// A golden: sequences, an adapter to begin with, and what torch computes.
struct Golden {
    json: Value,
    bytes: Vec<u8>,
}

impl Golden {
    fn open(name: &str) -> Golden {
        let json = std::fs::read(golden(&format!("grad/{name}.json"))).unwrap();
        Golden { json: serde_json::from_slice(&json).unwrap(), bytes: std::fs::read(golden(&format!("grad/{name}.safetensors"))).unwrap() }
    }

    /// Tensors below a prefix, by the rest of their names.
    fn tensors(&self, prefix: &str) -> BTreeMap<String, Vec<f32>> {
        let all = SafeTensors::deserialize(&self.bytes).unwrap();
        let named = all.iter().filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.to_string(), view)));
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        named.map(|(name, view)| (name, values(view.data()))).collect()
    }

    fn adapter(&self) -> Adapter {
        let init = self.tensors("init.");
        let (rank, alpha) = (self.json["rank"].as_u64().unwrap() as u32, self.json["alpha"].as_f64().unwrap() as f32);
        let of = |name: &str| {
            let key = name.strip_suffix(".lora_A")?;
            let target = Target::from_key(key).unwrap_or_else(|| panic!("{key}"));
            Some((target, Pair::new(rank, alpha, false, init[name].clone(), init[&format!("{key}.lora_B")].clone())))
        };
        let pairs = init.keys().filter_map(|name| of(name)).collect();
        Adapter { name: "golden".into(), pairs, info: Info::default() }
    }

    fn rows(&self) -> Vec<StepRow> {
        let sequences = self.json["sequences"].as_array().unwrap();
        let numbers = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect::<Vec<_>>();
        let all: Vec<_> = sequences.iter().map(|s| (numbers(&s["ids"]), numbers(&s["target_mask"]))).collect();
        let count: u32 = all.iter().flat_map(|(_, mask)| mask).sum();
        let rows = all.into_iter().map(|(ids, mask)| {
            let predicted: Vec<usize> = (1..ids.len()).filter(|t| mask[*t] == 1).collect();
            StepRow {
                starts: vec![0; ids.len()],
                rows: predicted.iter().map(|t| *t as u32 - 1).collect(),
                targets: predicted.iter().map(|t| ids[*t]).collect(),
                weight: 1.0 / count as f32,
                ids,
            }
        });
        rows.collect()
    }
}

fn engine(model: &str) -> Engine {
    let source = FileSource::open(golden(&format!("models/{model}"))).unwrap();
    let options = LoadOptions { as_gpu: true, ..Default::default() };
    found(pollster::block_on(Engine::load(Arc::new(source), options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn trainer(engine: &Engine, adapter: &Adapter, keep: Keep) -> OnDevice {
    let mut terms = Terms::default();
    terms_of(adapter, PREFIX, 1.0).for_each(|(target, term)| terms.add(target.gguf_name(), term));
    let longest = StepShape { tokens: 256, targets: 256, train: true };
    let device = pollster::block_on(OnDevice::new(engine.loaded().clone(), terms, longest, keep)).unwrap();
    device.write(Part::Value, &matrices_of(adapter, PREFIX));
    device
}

fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Every gradient within its bound; says all that are not.
fn compare(name: &str, want: &BTreeMap<String, Vec<f32>>, got: &Matrices) {
    assert_eq!(want.len(), got.len(), "{name}");
    let mut wrong = Vec::new();
    for (key, want) in want {
        let got = &got[key];
        assert_eq!(want.len(), got.len(), "{name} {key}");
        let difference = norm(want.iter().zip(got).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let share = difference / norm(want.iter().map(|v| f64::from(*v)));
        if share.is_nan() || share > BOUND {
            wrong.push(format!("{key}: {share:.2e}"));
        }
    }
    assert!(wrong.is_empty(), "{name}: {} of {} gradients are off: {}", wrong.len(), want.len(), wrong.join(", "));
}

fn check(name: &str, keep: Keep) {
    let golden = Golden::open(name);
    let model = golden.json["model"].as_str().unwrap();
    let engine = engine(model);
    let adapter = golden.adapter();
    let mut device = trainer(&engine, &adapter, keep);
    let (mut loss, per_token) = (0.0, golden.json["per_token_ce"].as_array().unwrap());
    for (row, want) in golden.rows().iter().zip(per_token) {
        let got = pollster::block_on(device.run(row, true, [0; 3], &|| false)).unwrap();
        for (at, ce) in row.rows.iter().zip(&got) {
            let want = want[*at as usize].as_f64().unwrap();
            assert!((want - ce).abs() < PER_TOKEN, "{name}: token {at}: {want} {ce}");
        }
        loss += got.iter().sum::<f64>() * f64::from(row.weight);
    }
    let want = golden.json["loss"].as_f64().or_else(|| golden.json["loss"]["float32"].as_f64()).unwrap();
    assert!((loss - want).abs() < BOUND, "{name}: loss {loss}, want {want}");
    let got = named(&adapter, PREFIX, pollster::block_on(device.read(Part::Gradient)).unwrap());
    compare(name, &golden.tensors("grad."), &got);
}

/// Losses before each step of AdamW and after the last, and where the matrices then are.
fn curve(name: &str) {
    let golden = Golden::open(name);
    let engine = engine(golden.json["model"].as_str().unwrap());
    let adapter = golden.adapter();
    let mut device = trainer(&engine, &adapter, Keep::All);
    let of = &golden.json["adamw"];
    let number = |key: &str| of[key].as_f64().unwrap();
    let betas = (of["betas"][0].as_f64().unwrap(), of["betas"][1].as_f64().unwrap());
    let adamw = AdamW { lr: number("lr"), betas, eps: number("eps"), weight_decay: number("weight_decay"), clip: None };
    let want: Vec<f64> = golden.json["loss_curve"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let rows = golden.rows();
    for (step, want) in want.iter().enumerate() {
        let last = step + 1 == golden.json["loss_curve"].as_array().unwrap().len();
        device.clear_gradients();
        let mut loss = 0.0;
        for row in &rows {
            let ce = pollster::block_on(device.run(row, !last, [0; 3], &|| false)).unwrap();
            loss += ce.iter().sum::<f64>() * f64::from(row.weight);
        }
        assert!((loss - want).abs() < 1e-3, "{name}: step {step}: loss {loss}, want {want}");
        if !last {
            pollster::block_on(device.apply(&adamw, adamw.lr, step as u64 + 1)).unwrap();
        }
    }
    let got = named(&adapter, PREFIX, pollster::block_on(device.read(Part::Value)).unwrap());
    let after = golden.tensors(&format!("after{}.", want.len() - 1));
    assert!(!after.is_empty(), "{name}");
    for (key, want) in after {
        let moved = golden.json["moved_norms"][&key].as_f64().unwrap();
        let off = norm(want.iter().zip(&got[&key]).map(|(a, b)| f64::from(a - b)));
        assert!(off <= 1e-2 * moved, "{name} {key}: {off:.2e} of {moved:.2e}");
    }
}

fn twenty_steps_of_adamw() {
    curve("lora-q4km");
}

fn twenty_steps_where_keys_are_values() {
    variable("RULLAMA_FULL");
    curve("lora-kv-eq");
}

fn steps_of_every_kind_of_layer() {
    curve("lora-full-targets");
}

fn gradients_of_a_quantised_model_with_per_layer_embeddings() {
    check("lora-q4km", Keep::All);
}

fn gradients_are_the_same_when_layers_are_computed_again() {
    check("lora-q4km", Keep::Layers);
}

fn gradients_where_keys_are_values() {
    check("lora-kv-eq", Keep::All);
}

fn gradients_of_every_kind_of_layer() {
    check("lora-full-targets", Keep::Layers);
}

rullama_testing::tests! {
    gradients_of_a_quantised_model_with_per_layer_embeddings,
    gradients_are_the_same_when_layers_are_computed_again,
    gradients_where_keys_are_values,
    gradients_of_every_kind_of_layer,
    twenty_steps_of_adamw,
    twenty_steps_where_keys_are_values,
    steps_of_every_kind_of_layer,
}
