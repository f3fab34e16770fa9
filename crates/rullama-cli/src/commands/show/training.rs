//! What fine-tuning takes, before the model is loaded.

use crate::error::usage;
use crate::table::{self, Table};
use crate::training;
use anyhow::Result;
use rullama_gpu::{Device, OpenOptions};
use rullama_model::loaded::tables;
use rullama_model::model::Model;
use rullama_source::ByteSource;
use rullama_train::TrainOptions;
use rullama_train::memory::forecast;
use std::fmt::Write;

/// Tokens of a row.
const LENGTHS: [u32; 5] = [128, 256, 512, 1024, 2048];

/// GPU memory by the length of a row, with weights, the adapter, its optimiser and the values of a step; the per-layer table stays in
/// the file.
pub fn report(model: &dyn Model, source: &dyn ByteSource, rank: u32) -> Result<String> {
    let options = TrainOptions { rank, ..TrainOptions::default() };
    options.check().map_err(|error| usage(format!("--train: {} is refused: {}", error.value, error.allowed)))?;
    let device = match pollster::block_on(Device::open(&OpenOptions::default())) {
        Ok(device) => device,
        Err(error) => return Ok(format!("No GPU can be asked: {error}\n")),
    };
    let tables = pollster::block_on(tables(model, source, model.facts().context.min(LENGTHS[4])))?;
    let streamed = model.streamed().map(|streamed| streamed.key);
    let ground = training::ground(model, &tables, device.caps(), false)?;
    let weights = ground.weights;
    let all = match forecast(&ground, &options, &LENGTHS) {
        Ok(all) => all,
        Err(error) => return Ok(format!("not here: {error}\n")),
    };
    let mut table = Table::new(&[">tokens", ">all kept", ">layers computed again"]);
    for (tokens, both) in LENGTHS.iter().zip(&all) {
        let shown = both.map(|estimate| match estimate.largest > device.caps().max_binding {
            true => "beyond the adapter's bindings".to_owned(),
            false => table::bytes(estimate.total()),
        });
        let [kept, again] = shown;
        table.row([table::count((*tokens).into()), kept, again]);
    }
    let mut text = table.render();
    let of_them = all.first().map_or(0, |[kept, _]| kept.trained);
    let file = if streamed.is_some() { ", with per-layer embeddings in the file (--ple streamed) and a cache of their rows" } else { "" };
    writeln!(
        text,
        "In all: {} of weights{file};\n{} for an adapter of rank {rank} on the seven projections and its",
        table::bytes(weights),
        table::bytes(of_them)
    )?;
    writeln!(
        text,
        "optimiser; the rest for one row of so many tokens. Between both `rullama train` computes as many layers again as --gpu-memory asks for."
    )?;
    Ok(text)
}
