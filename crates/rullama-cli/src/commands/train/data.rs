//! Examples: read, and what their tokens cost.

use super::Arguments;
use crate::terminal;
use anyhow::{Context, Result, bail};
use rullama::Engine;
use rullama_train::data::{DataOptions, Dataset, Packed, Row};
use rullama_train::graph::StepShape;
use rullama_train::trainer::step_row;
use rullama_train::{Base, OnDevice, TrainOptions};
use std::io::Write;
use std::path::Path;

/// Lines that did not become whole examples and are told one by one; more are counted.
const TOLD: usize = 20;

/// Reads a file of examples, and says which lines were left out or cut.
pub fn read(path: &Path, engine: &Engine, options: &TrainOptions) -> Result<Dataset> {
    let name = path.display();
    let reading = DataOptions::new(options, engine.template_size());
    let dataset = if path == Path::new("-") {
        rullama_train::data::read(std::io::stdin().lock(), engine.tokenizer(), reading)
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("{name} cannot be read"))?;
        rullama_train::data::read(file, engine.tokenizer(), reading)
    };
    let dataset = dataset.with_context(|| format!("{name}"))?;
    for report in dataset.reports.iter().take(TOLD) {
        let lines = if report.first == report.last {
            format!("line {}", report.first)
        } else {
            format!("lines {} to {}", report.first, report.last)
        };
        terminal::tell_line(format_args!("note: {name}, {lines}: {}: {}", report.status.name(), report.reason));
    }
    if dataset.reports.len() > TOLD {
        terminal::tell_line(format_args!("note: {name}: {} more lines were cut or left out", dataset.reports.len() - TOLD));
    }
    Ok(dataset)
}

/// Prints each token of an example with its loss under the model as it is.
pub fn loss_per_token(arguments: &Arguments, engine: &Engine, options: &TrainOptions, dataset: &Dataset, line: u32) -> Result<()> {
    let Some(place) = dataset.examples.iter().position(|example| example.line == line) else {
        bail!(
            "--loss-per-token: line {line} of {} is no example; the first is line {}",
            arguments.data.display(),
            dataset.examples.first().map_or(0, |e| e.line)
        );
    };
    let row = Row { examples: vec![place as u32], tokens: dataset.examples[place].ids.len() as u32 };
    let row = step_row(&Packed::new(&row, &dataset.examples), 0.0);
    let tokens = (row.ids.len() as u32).next_multiple_of(64);
    let base = Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory: arguments.memory(engine) };
    let shape = StepShape { tokens, targets: tokens, train: false };
    let mut device = pollster::block_on(OnDevice::fresh(&base, options, shape))?;
    let losses = pollster::block_on(device.run(&row, false, [0; 3], &|| false))?;
    let mut out = terminal::stdout();
    for (at, id) in row.ids.iter().enumerate() {
        let text = serde_json::to_string(&engine.tokenizer().piece(*id).unwrap_or_default())?;
        let predicted = row.rows.iter().position(|row| *row as usize + 1 == at);
        match predicted.and_then(|i| losses.get(i)) {
            Some(loss) => writeln!(out, "{at:5} {loss:9.4}  {text}")?,
            None => writeln!(out, "{at:5}         -  {text}")?,
        }
    }
    writeln!(out, "mean  {:9.4}", losses.iter().sum::<f64>() / losses.len().max(1) as f64)?;
    Ok(())
}
