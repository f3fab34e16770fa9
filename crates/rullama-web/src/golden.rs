//! The goldens of training on this browser's WebGPU: the comparison that the native tests make.

use rullama::source::MemorySource;
use rullama::{Engine, LoadOptions};
use rullama_train::golden::{Golden, Way};
use rullama_train::graph::Keep;
use serde::Deserialize;
use std::sync::Arc;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::error::WebError;
use crate::{js, options};

/// How it is run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    /// The device gets the `subgroups` feature.
    subgroups: bool,
    /// A CPU adapter gets the kernels that a GPU would get.
    as_gpu: bool,
    /// Values are kept as halves.
    halves: bool,
    /// Bytes that a value may have, where fewer than the adapter binds.
    most: Option<u64>,
    /// Steps to take, where not all.
    steps: Option<usize>,
}

/// Computes a golden's losses and gradients and takes its steps on `model`, the bytes of its file. Gives the report as JSON text.
#[wasm_bindgen]
pub async fn run_golden(options: String, model: Vec<u8>, about: Vec<u8>, tensors: Vec<u8>) -> Result<String, JsValue> {
    std::panic::set_hook(Box::new(|info| js::report(&info.to_string())));
    let run: Run = options::parse("golden's options", &options)?;
    let golden = Golden::read(&about, &tensors).map_err(|reason| WebError::Argument { what: format!("The golden: {reason}.") })?;
    let load = LoadOptions { as_gpu: run.as_gpu, browser_subgroups: run.subgroups, ..LoadOptions::default() };
    let source = Arc::new(MemorySource::new(golden.model().to_owned(), model));
    let engine = Engine::load(source, load, &mut |_| ()).await.map_err(WebError::from)?;
    let keep = if run.halves { Keep::Halves(0) } else { Keep::All };
    let way = Way { keep, most: run.most, steps: run.steps.unwrap_or(golden.steps()) };
    let report = golden.check(engine.loaded().clone(), way).await.map_err(WebError::from)?;
    Ok(serde_json::to_string(&report).map_err(|error| WebError::Argument { what: format!("The report: {error}.") })?)
}
