mod arguments;
mod data;
mod output;
mod report;

pub use arguments::Arguments;

use crate::error::{Interrupted, usage};
use crate::{interrupt, load, model, terminal, training};
use anyhow::{Context, Result};
use report::Report;
use rullama::Cancel;
use rullama_train::checkpoint::Checkpoint;
use rullama_train::recovery::through_losses;
use rullama_train::{Base, Data, Ended, TrainError, Trainer};
use std::cell::RefCell;
use std::time::{Duration, Instant};

pub fn run(arguments: &Arguments) -> Result<()> {
    let options = arguments.options()?;
    let (out, saved) = output::Folder::open(arguments)?;
    let located = model::locate(&arguments.model)?;
    located.refuse_adapters()?;
    let cancel = Cancel::new();
    let placed = training::placed(&located, &arguments.load.exact_by_default(), &options, options.max_len, arguments.gpu_memory);
    let engine = load::load_located(&arguments.model, &located, &placed, None, &cancel)?;
    let options = arguments.with_layers(options, &engine)?;
    let train = data::read(&arguments.data, &engine, &options)?;
    let eval = arguments.eval.as_ref().map(|path| data::read(path, &engine, &options)).transpose()?;
    if let Some(example) = arguments.loss_per_token {
        return data::loss_per_token(arguments, &engine, &options, &train, example);
    }
    let data = Data { train, eval };
    let report = RefCell::new(Report::new(arguments, &data, &options));
    interrupt::install();
    let mut loaded = Some(engine);
    let begin = |from: Option<Checkpoint>| -> Result<Trainer> {
        let engine = match loaded.take() {
            Some(engine) => engine,
            None => {
                report.borrow_mut().lost();
                load::load_located(&arguments.model, &located, &placed, None, &cancel)?
            }
        };
        let base = Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory: arguments.memory(&engine) };
        let mut trainer = pollster::block_on(Trainer::new(base, data.clone(), options.clone()))?;
        if let Some(saved) = from {
            trainer.restore(saved).context("the checkpoint")?;
        }
        report.borrow_mut().begin(&trainer, engine)?;
        Ok(trainer)
    };
    let train = |trainer: &mut Trainer| train_all(trainer, &out, &mut report.borrow_mut(), arguments);
    let (mut trainer, ended) = through_losses(out.checkpoints(), saved, begin, train, is_lost)?;
    finish(&mut trainer, ended, &out, report.into_inner())
}

/// Whether the GPU was lost, in an update or in a sample answer.
fn is_lost(error: &anyhow::Error) -> bool {
    let of_answer = |error: &rullama::Error| error.code() == "device-lost";
    error.downcast_ref().is_some_and(TrainError::is_lost) || error.downcast_ref().is_some_and(of_answer)
}

/// Updates until training ends; a first Ctrl-C saves and leaves.
fn train_all(trainer: &mut Trainer, out: &output::Folder, report: &mut Report, arguments: &Arguments) -> Result<Ended> {
    let every = Duration::from_secs(u64::from(trainer.options().checkpoint_seconds));
    let mut saved = Instant::now();
    loop {
        if interrupt::requested() {
            return Err(stopped(trainer, out, arguments)?);
        }
        match pollster::block_on(trainer.step(&interrupt::requested)) {
            Ok(Some(step)) => report.step(trainer, &step)?,
            Ok(None) => return trainer.ended().context("training ended without a reason"),
            // The update was not taken: what is saved is the state before it.
            Err(error) if error.is_cancelled() => return Err(stopped(trainer, out, arguments)?),
            Err(error) => return Err(lost(error, arguments)),
        }
        if saved.elapsed() >= every {
            match out.save(trainer) {
                Err(error) if is_lost(&error) => return Err(error),
                // What is trained is still there, and the disk may have room the next time.
                Err(error) => report.unsaved(&error),
                Ok(()) => {}
            }
            saved = Instant::now();
        }
    }
}

/// Saves where training stands, and says how it goes on.
fn stopped(trainer: &Trainer, out: &output::Folder, arguments: &Arguments) -> Result<anyhow::Error> {
    out.save(trainer)?;
    // Options are part of what goes on, so they cannot be left out.
    let place = if arguments.force { " in place of --force" } else { "" };
    terminal::tell_line(format_args!(
        "saved after update {}; the same command with `--resume {}`{place} goes on",
        trainer.state().updates,
        arguments.out.display()
    ));
    Ok(Interrupted.into())
}

/// What broke training off, and that what was saved is there.
fn lost(error: rullama_train::TrainError, arguments: &Arguments) -> anyhow::Error {
    let message =
        format!("training broke off; --resume goes on from the last checkpoint in {}, if one was written", arguments.out.display());
    anyhow::Error::from(error).context(message)
}

/// Writes the adapter, and says how good it is.
fn finish(trainer: &mut Trainer, ended: Ended, out: &output::Folder, mut report: Report) -> Result<()> {
    let taken = pollster::block_on(trainer.take_best())?;
    let adapter = pollster::block_on(trainer.adapter())?;
    let written = out.write(&adapter)?;
    if let Err(error) = out.forget_checkpoints() {
        terminal::tell_line(format_args!("note: {error:#}. Remove them by hand: the adapter is whole"));
    }
    report.end(trainer, (ended, taken), &written)
}

/// An option outside of its range is wrong usage.
fn refused(error: rullama_train::OptionError) -> anyhow::Error {
    usage(format!("--{}: {} is refused: {}", error.name.replace('_', "-"), error.value, error.allowed))
}
