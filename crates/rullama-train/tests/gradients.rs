//! Gradients, losses and steps of whole models against what PyTorch computes from the same files.

use rullama::source::FileSource;
use rullama::{Engine, LoadOptions};
use rullama_testing::{found, golden, variable};
use rullama_train::golden::{Golden, Way};
use rullama_train::graph::Keep;
use std::sync::Arc;

/// Losses and gradients of a golden, and so many of its steps; all of them where there is no number.
fn check(name: &str, keep: Keep, steps: Option<usize>) {
    check_within(name, keep, steps, None);
}

/// The same where a value may have so many bytes.
fn check_within(name: &str, keep: Keep, steps: Option<usize>, most: Option<u64>) {
    let [about, tensors] = ["json", "safetensors"].map(|kind| std::fs::read(golden(&format!("grad/{name}.{kind}"))).unwrap());
    let of = Golden::read(&about, &tensors).unwrap();
    let source = FileSource::open(golden(&format!("models/{}", of.model()))).unwrap();
    let options = LoadOptions { as_gpu: true, ..Default::default() };
    let engine = found(pollster::block_on(Engine::load(Arc::new(source), options, &mut |_| ())), |error| error.code() == "no-webgpu");
    let steps = steps.unwrap_or(of.steps());
    let report = pollster::block_on(of.check(engine.loaded().clone(), Way { keep, most, steps })).unwrap();
    assert!(report.wrong.is_empty(), "{name}: {}", report.wrong.join(", "));
    assert_eq!((report.curve.len(), report.after.is_empty()), (steps + 1, steps < of.steps()), "{name}");
}

fn a_quantised_model_with_per_layer_embeddings() {
    check("lora-q4km", Keep::All, Some(0));
}

fn twenty_steps() {
    check("lora-short", Keep::All, None);
}

fn twenty_steps_of_long_rows() {
    variable("RULLAMA_FULL");
    check("lora-q4km", Keep::All, None);
}

fn the_same_when_layers_are_computed_again() {
    check("lora-q4km", Keep::LEAST, Some(0));
}

fn the_same_when_cheap_values_are_computed_again() {
    check("lora-q4km", Keep::Layers(1), Some(0));
}

fn steps_of_values_kept_as_halves() {
    check("lora-short", Keep::Halves(0), std::env::var_os("RULLAMA_FULL").is_none().then_some(4));
}

fn halves_where_keys_are_values_and_a_layer_is_computed_again() {
    check("lora-kv-eq", Keep::Halves(1), Some(0));
}

/// Feed-forward values in blocks of rows, the last of them smaller, and the loss in more tiles.
fn the_same_where_a_binding_is_small() {
    for keep in [Keep::All, Keep::LEAST, Keep::Halves(0)] {
        check_within("lora-q4km", keep, Some(0), Some(100_000));
        // Of a rank that is no multiple of 4.
        check_within("lora-short", keep, Some(0), Some(100_000));
    }
}

fn keys_that_are_values() {
    check("lora-kv-eq", Keep::All, Some(0));
}

fn twenty_steps_where_keys_are_values() {
    variable("RULLAMA_FULL");
    check("lora-kv-eq", Keep::All, None);
}

fn every_kind_of_layer() {
    check("lora-full-targets", Keep::LEAST, None);
}

rullama_testing::tests! {
    a_quantised_model_with_per_layer_embeddings,
    the_same_when_layers_are_computed_again,
    the_same_when_cheap_values_are_computed_again,
    the_same_where_a_binding_is_small,
    steps_of_values_kept_as_halves,
    halves_where_keys_are_values_and_a_layer_is_computed_again,
    keys_that_are_values,
    every_kind_of_layer,
    twenty_steps,
    twenty_steps_of_long_rows,
    twenty_steps_where_keys_are_values,
}
