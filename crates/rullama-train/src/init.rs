//! What an adapter is before it is trained.

use crate::random::{Purpose, Stream};
use crate::{OptionError, TrainError, TrainOptions};
use rullama_adapter::{Adapter, Info, Module, Pair, Target};
use rullama_model::model::Model;
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// An adapter on the chosen layers that changes nothing yet: A uniform in +-1/sqrt(inputs), B zero. On the embedding A is zero and B
/// normal. Source: the defaults of PEFT.
///
/// # Errors
/// No chosen layer exists in the model.
pub fn adapter(model: &dyn Model, options: &TrainOptions, base: &str) -> Result<Adapter, TrainError> {
    let layers = options.layers.clone().unwrap_or(0..model.facts().layers as u32);
    if layers.end > model.facts().layers as u32 {
        let allowed = format!("the model's layers are 0 to {}", model.facts().layers - 1);
        return Err(OptionError::new("layers", format!("{}-{}", layers.start, layers.end - 1), allowed).into());
    }
    let places = options.targets.iter().flat_map(|module| {
        let all: Vec<Target> = match module.in_layers() {
            true => layers.clone().map(|layer| Target::layer(layer, *module)).collect(),
            false => vec![Target::model(*module)],
        };
        all
    });
    let rank = options.rank;
    let mut pairs = BTreeMap::new();
    for target in places {
        let Some((inputs, outputs)) = model.linear(&target.gguf_name()) else { continue };
        let random = Stream::new(options.seed, Purpose::Init, pairs.len() as u32);
        let (a, b) = (u64::from(rank) * u64::from(inputs), u64::from(rank) * u64::from(outputs));
        let [a, b] = if target.module == Module::Embedding {
            [vec![0.0; a as usize], normal(&random, b)]
        } else {
            [uniform(&random, a, 1.0 / f64::from(inputs).sqrt()), vec![0.0; b as usize]]
        };
        pairs.insert(target, Pair::new(rank, options.alpha() as f32, false, a, b));
    }
    if pairs.is_empty() {
        let names: Vec<String> = options.targets.iter().map(ToString::to_string).collect();
        return Err(OptionError::new(
            "targets",
            names.join(","),
            "this model has none of these layers; the seven projections are in every one",
        )
        .into());
    }
    let info = Info { rank, alpha: options.alpha() as f32, dropout: options.dropout as f32, base: Some(base.into()), ..Info::default() };
    Ok(Adapter { name: "adapter".into(), pairs, info })
}

fn uniform(random: &Stream, count: u64, bound: f64) -> Vec<f32> {
    (0..count as u32).map(|i| ((2.0 * random.unit(i) - 1.0) * bound) as f32).collect()
}

/// Box and Muller's.
fn normal(random: &Stream, count: u64) -> Vec<f32> {
    let one = |i: u32| (-2.0 * (1.0 - random.unit(2 * i)).ln()).sqrt() * (TAU * random.unit(2 * i + 1)).cos();
    (0..count as u32).map(|i| one(i) as f32).collect()
}
