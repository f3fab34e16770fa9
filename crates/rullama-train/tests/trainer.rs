//! The whole loop on a small model: it learns, stops, is stopped, goes on, and leaves the base model as it was.

use rullama::source::FileSource;
use rullama::{Engine, LoadOptions};
use rullama_testing::{found, golden};
use rullama_train::checkpoint::{Checkpoint, Folder};
use rullama_train::data::{DataOptions, Dataset, read_str};
use rullama_train::recovery::through_losses;
use rullama_train::{Base, Data, Ended, ScheduleKind, Step, TrainError, TrainOptions, Trainer};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

const LINES: [&str; 4] = [
    r#"{"prompt": "one", "completion": "two"}"#,
    r#"{"prompt": "two", "completion": "three"}"#,
    r#"{"prompt": "three", "completion": "four"}"#,
    r#"{"prompt": "four", "completion": "five"}"#,
];

/// One for all tests that leave it as it is: loading and compiling take longer than most of them.
fn engine() -> &'static Engine {
    static SHARED: OnceLock<Engine> = OnceLock::new();
    SHARED.get_or_init(loaded)
}

fn loaded() -> Engine {
    engine_of("dense-Q4_0.gguf")
}

fn engine_of(name: &str) -> Engine {
    let source = FileSource::open(golden(&format!("models/{name}"))).unwrap();
    let options = LoadOptions { as_gpu: true, ..Default::default() };
    found(pollster::block_on(Engine::load(Arc::new(source), options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn options() -> TrainOptions {
    TrainOptions {
        rank: 4,
        lr: 2e-3,
        epochs: 3,
        accumulate: Some(1),
        max_len: 64,
        pack: false,
        schedule: ScheduleKind::Linear,
        ..Default::default()
    }
}

fn dataset(engine: &Engine, options: &TrainOptions) -> Dataset {
    read_str(&LINES.join("\n"), engine.tokenizer(), DataOptions::new(options, engine.template_size())).unwrap()
}

fn base(engine: &Engine, memory: u64) -> Base {
    Base { loaded: engine.loaded().clone(), name: "tiny".into(), memory }
}

fn trainer(engine: &Engine, options: &TrainOptions) -> Trainer {
    let data = Data { train: dataset(engine, options), eval: None };
    pollster::block_on(Trainer::new(base(engine, 8 << 30), data, options.clone())).unwrap()
}

fn step(trainer: &mut Trainer) -> Option<Step> {
    pollster::block_on(trainer.step(&|| false)).unwrap()
}

fn rest(trainer: &mut Trainer) -> Vec<f64> {
    std::iter::from_fn(|| step(trainer)).map(|step| step.loss).collect()
}

fn bytes(trainer: &Trainer) -> Checkpoint {
    let mut checkpoint = pollster::block_on(trainer.checkpoint()).unwrap();
    // Decimal digits that a careless reader rounds to a neighbour.
    checkpoint.state.seconds = 141.639_150_159_999_97;
    let mut out = Vec::new();
    checkpoint.write("a test", &mut out).unwrap();
    let read = Checkpoint::read("a test", &out).unwrap();
    assert_eq!(read, checkpoint);
    read
}

/// Stopped in an epoch, saved, and gone on from by another trainer: bit for bit what was never stopped.
fn stopped_and_resumed_equals_never_stopped() {
    let (engine, options) = (engine(), TrainOptions { dropout: 0.1, ..options() });
    let mut straight = trainer(engine, &options);
    let whole = rest(&mut straight);
    assert_eq!(whole.len(), 12);
    assert_eq!(straight.ended(), Some(Ended::Done));
    let mut first = trainer(engine, &options);
    let mut losses: Vec<f64> = (0..5).map(|_| step(&mut first).unwrap().loss).collect();
    let saved = bytes(&first);
    drop(first);
    let mut second = trainer(engine, &options);
    second.restore(saved).unwrap();
    losses.extend(rest(&mut second));
    assert_eq!(losses, whole);
    assert_eq!(bytes(&second).values, bytes(&straight).values);
}

/// The device is lost in an update: the model is loaded again, and training goes on from the checkpoint by itself; one that is lost
/// again and again is an error.
fn after_a_lost_device_training_goes_on() {
    let options = options();
    let whole = rest(&mut trainer(engine(), &options));
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    let begun = std::cell::RefCell::new(Vec::new());
    let begin = |from: Option<Checkpoint>| {
        let engine = loaded();
        let mut trainer = trainer(&engine, &options);
        from.map_or(Ok(()), |saved| trainer.restore(saved))?;
        begun.borrow_mut().push((trainer.state().updates, engine));
        Ok::<_, TrainError>(trainer)
    };
    let lose = || begun.borrow().last().unwrap().1.device().destroy();
    let mut losses = Vec::new();
    let mut train = |trainer: &mut Trainer| {
        losses.truncate(trainer.state().updates as usize);
        // In the third update of the first two attempts: it asks whether it is cancelled between its parts.
        let lost_in = [Some(2), Some(6)].get(begun.borrow().len() - 1).copied().flatten();
        loop {
            let lose = || (lost_in == Some(losses.len())).then(lose).is_some_and(|()| false);
            let Some(step) = pollster::block_on(trainer.step(&lose))? else { return Ok(()) };
            losses.push(step.loss);
            if losses.len() % 2 == 1 {
                folder.save(&pollster::block_on(trainer.checkpoint())?)?;
            }
        }
    };
    through_losses(&folder, None, begin, &mut train, TrainError::is_lost).unwrap();
    assert_eq!(losses, whole);
    let from = |begun: &std::cell::RefCell<Vec<(u64, Engine)>>| begun.borrow().iter().map(|(from, _)| *from).collect::<Vec<_>>();
    assert_eq!(from(&begun), [0, 1, 5]);
    folder.remove().unwrap();
    begun.borrow_mut().clear();
    let never = |trainer: &mut Trainer| {
        lose();
        pollster::block_on(trainer.step(&|| false)).map(|_| ())
    };
    let Err(error) = through_losses(&folder, None, begin, never, TrainError::is_lost) else { panic!("trained on a lost device") };
    assert!(error.is_lost() && from(&begun) == [0, 0], "{error}");
}

fn a_cancelled_update_is_not_taken() {
    let (engine, options) = (engine(), options());
    let mut straight = trainer(engine, &options);
    let whole = rest(&mut straight);
    let mut other = trainer(engine, &options);
    step(&mut other).unwrap();
    let error = pollster::block_on(other.step(&|| true)).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert_eq!(other.state().updates, 1);
    assert_eq!(rest(&mut other), whole[1..]);
}

/// Cancelled in the evaluation behind an update: it is made up for, by the same training or by one from its checkpoint.
fn a_cancelled_evaluation_is_made_up_for() {
    let engine = engine();
    let options = TrainOptions { eval_every: Some(1), ..options() };
    let begun = || {
        let train = dataset(engine, &options);
        let eval = Dataset { examples: train.examples[..1].to_vec(), ..Dataset::default() };
        let data = Data { train, eval: Some(eval) };
        pollster::block_on(Trainer::new(base(engine, 8 << 30), data, options.clone())).unwrap()
    };
    let told = |trainer: &mut Trainer| {
        let mut all = Vec::new();
        while let Some(step) = step(trainer) {
            all.push((step.step, step.loss, step.eval_loss));
        }
        all
    };
    let mut straight = begun();
    let whole = told(&mut straight);
    let end = straight.state().best;
    let mut other = begun();
    // The update asks a few times, then comes the evaluation.
    let mut asked = 1u32;
    let error = loop {
        let left = std::cell::Cell::new(asked);
        let cancelled = || left.replace(left.get().saturating_sub(1)) == 0;
        match pollster::block_on(other.step(&cancelled)) {
            Err(error) if other.state().updates == 1 => break error,
            Err(_) => asked += 1,
            Ok(step) => panic!("not cancelled in the evaluation: {step:?}"),
        }
    };
    assert!(error.is_cancelled() && other.state().unjudged, "{error}");
    let saved = bytes(&other);
    assert_eq!((told(&mut other), other.state().best), (whole.clone(), end));
    let mut resumed = begun();
    resumed.restore(saved).unwrap();
    assert_eq!((told(&mut resumed), resumed.state().best), (whole[1..].to_vec(), end));
}

/// What is put in place of the last state is for use: training goes on from the last.
fn the_best_in_place_changes_no_training() {
    let engine = engine();
    let options = TrainOptions { eval_every: Some(1), lr: 0.05, ..options() };
    let mut trainer = trainer(engine, &TrainOptions { split: 0.34, ..options });
    let mut steps = vec![step(&mut trainer).unwrap(), step(&mut trainer).unwrap(), step(&mut trainer).unwrap()];
    let before = bytes(&trainer);
    // Never the last: that the values differ is seen below.
    let best = pollster::block_on(trainer.take_best()).unwrap();
    let of = |trainer: &Trainer| bytes(trainer).values;
    assert_eq!(of(&trainer), before.values);
    let adapter = |trainer: &Trainer| format!("{:?}", pollster::block_on(trainer.adapter()).unwrap());
    let in_place = adapter(&trainer);
    steps.push(step(&mut trainer).unwrap());
    trainer.restore(before).unwrap();
    assert_eq!(in_place == adapter(&trainer), best == Some(3), "{best:?}: {steps:?}");
    let again = step(&mut trainer).unwrap();
    assert_eq!((again.loss, again.eval_loss), (steps[3].loss, steps[3].eval_loss));
}

fn another_training_is_refused_by_name() {
    let (engine, options) = (engine(), options());
    let saved = bytes(&trainer(engine, &options));
    for (changed, named) in [
        (TrainOptions { lr: 1e-3, ..options.clone() }, "lr"),
        (TrainOptions { rank: 8, ..options.clone() }, "rank"),
        (TrainOptions { seed: 7, ..options.clone() }, "seed"),
    ] {
        let message = trainer(engine, &changed).restore(saved.clone()).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
    let mut data = dataset(engine, &options);
    data.examples.pop();
    let other = Trainer::new(base(engine, 8 << 30), Data { train: data, eval: None }, options);
    let message = pollster::block_on(other).unwrap().restore(saved).unwrap_err().to_string();
    assert!(message.contains("dataset"), "{message}");
}

fn evaluation_keeps_the_best_and_stops_early() {
    let engine = engine();
    // A rate that only makes it worse after a while.
    let options =
        TrainOptions { lr: 0.05, epochs: 20, patience: Some(2), schedule: ScheduleKind::Constant, warmup_steps: Some(0), ..options() };
    let train = dataset(engine, &options);
    let eval = Dataset { examples: train.examples[..1].to_vec(), ..Dataset::default() };
    let data = Data { train, eval: Some(eval) };
    let mut trainer = pollster::block_on(Trainer::new(base(engine, 8 << 30), data, options)).unwrap();
    let mut losses = Vec::new();
    while let Some(step) = step(&mut trainer) {
        losses.extend(step.eval_loss);
    }
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(trainer.state().best.unwrap().loss, best);
    assert!(matches!(trainer.ended(), Some(Ended::NoBetter | Ended::Diverged)) || losses.len() == 20, "{losses:?}");
    pollster::block_on(trainer.take_best()).unwrap();
    let again = pollster::block_on(trainer.evaluate(&|| false)).unwrap().unwrap();
    assert_eq!(again, best);
}

/// Without an evaluation, too: the matrices are those before the loss rose. So it is where training was stopped in between.
fn divergence_goes_back_to_what_was_best() {
    let engine = engine();
    // The rate rises beyond what training bears.
    let options = TrainOptions { lr: 1.0, clip: None, epochs: 40, schedule: ScheduleKind::Constant, warmup_steps: Some(60), ..options() };
    let mut straight = trainer(engine, &options);
    let (mut losses, mut saved) = (Vec::new(), None);
    while let Some(step) = step(&mut straight) {
        losses.push(step.loss);
        // The first after which nothing was calm any more.
        let calm = straight.state().calm.unwrap();
        saved = saved.filter(|(kept, _)| *kept == calm).or_else(|| Some((calm, bytes(&straight))));
    }
    assert_eq!(straight.ended(), Some(Ended::Diverged), "{losses:?}");
    let took = |trainer: &mut Trainer| {
        let kept = pollster::block_on(trainer.take_best()).unwrap().unwrap();
        (kept, format!("{:?}", pollster::block_on(trainer.adapter()).unwrap()))
    };
    let (kept, adapter) = took(&mut straight);
    let (calm, saved) = saved.unwrap();
    let from = saved.state.updates as usize;
    assert!(calm == kept && from < losses.len(), "{calm} {kept} {from}");
    let mut resumed = trainer(engine, &options);
    resumed.restore(saved).unwrap();
    assert_eq!((rest(&mut resumed), resumed.ended()), (losses[from..].to_vec(), Some(Ended::Diverged)));
    assert_eq!(took(&mut resumed), (kept, adapter));
    let kept = kept as usize;
    let best = losses[..=kept].iter().copied().fold(f64::INFINITY, f64::min);
    let after = losses[kept..].iter().copied().fold(0.0, f64::max);
    assert!(losses[kept].is_finite() && kept < losses.len() && after > best, "{kept}: {losses:?}");
}

/// An update whose gradient is no number: told, not counted, and nothing of the state is touched; several in a row end the training.
/// From the checkpoint before, it goes on as if they had never been.
fn a_gradient_that_is_no_number_changes_nothing() {
    let options = options();
    let whole = rest(&mut trainer(engine(), &options));
    let mut trainer = trainer(engine(), &options);
    step(&mut trainer).unwrap();
    let sound = bytes(&trainer);
    // Finite, so that the checkpoint is accepted; its products are not.
    let mut poisoned = sound.clone();
    poisoned.values.iter_mut().for_each(|[_, b, ..]| b.fill(3e38));
    trainer.restore(poisoned.clone()).unwrap();
    let skipped: Vec<Step> = std::iter::from_fn(|| step(&mut trainer)).collect();
    assert_eq!((skipped.len(), trainer.ended()), (5, Some(Ended::Diverged)));
    assert!(skipped.iter().all(|step| step.skipped && step.step == 1 && !step.grad_norm.is_finite()), "{skipped:?}");
    assert_eq!(bytes(&trainer).values, poisoned.values);
    trainer.restore(sound).unwrap();
    assert_eq!(rest(&mut trainer), whole[1..]);
}

fn too_little_memory_is_refused_with_what_to_change() {
    let (engine, options) = (engine(), options());
    let data = Data { train: dataset(engine, &options), eval: None };
    let Err(error) = pollster::block_on(Trainer::new(base(engine, 1 << 20), data, options)) else { panic!("1 MiB is enough") };
    assert!(matches!(error, TrainError::Memory { .. }), "{error}");
    assert!(error.to_string().contains("max_len"), "{error}");
}

fn a_model_with_experts_is_refused() {
    let (engine, options) = (engine_of("moe-small-fused-Q4_0.gguf"), options());
    let data = Data { train: dataset(&engine, &options), eval: None };
    let Err(error) = pollster::block_on(Trainer::new(base(&engine, 8 << 30), data, options)) else { panic!("experts are trained") };
    assert!(matches!(error, TrainError::Experts(8)) && error.to_string().contains("dense"), "{error}");
}

/// Every cut and some flipped bits are told; the last two checkpoints stay, and a damaged one gives way to the one before it.
fn damaged_checkpoints() {
    let engine = engine();
    let options = TrainOptions { rank: 1, targets: vec![rullama_train::Module::Q], layers: Some(0..1), ..options() };
    let mut trainer = trainer(engine, &options);
    let checkpoint = bytes(&trainer);
    let mut out = Vec::new();
    checkpoint.write("a test", &mut out).unwrap();
    for len in (0..out.len()).step_by(7).chain([out.len() - 1]) {
        Checkpoint::read("a test", &out[..len]).unwrap_err();
    }
    for at in (0..out.len()).step_by(61) {
        let mut flipped = out.clone();
        flipped[at] ^= 1 << (at % 8);
        Checkpoint::read("a test", &flipped).unwrap_err();
    }
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::new(place.path());
    assert!(folder.latest().unwrap().is_none());
    let mut names = Vec::new();
    for _ in 0..3 {
        step(&mut trainer).unwrap();
        names.push(folder.save(&pollster::block_on(trainer.checkpoint()).unwrap()).unwrap());
    }
    let exist = |names: &[PathBuf]| names.iter().map(|name| name.exists()).collect::<Vec<_>>();
    assert_eq!(exist(&names), [false, true, true]);
    // Of updates that a training went back behind.
    let later = [names[2].with_file_name("7.checkpoint"), names[2].with_file_name("900.checkpoint")];
    later.iter().for_each(|name| std::fs::write(name, b"left").unwrap());
    assert_eq!(folder.save(&pollster::block_on(trainer.checkpoint()).unwrap()).unwrap(), names[2]);
    assert_eq!((exist(&names), exist(&later)), (vec![false, true, true], vec![false, false]));
    std::fs::write(&names[2], &out[..out.len() / 2]).unwrap();
    std::fs::write(names[2].with_extension("unfinished"), b"half").unwrap();
    let (read, passed) = folder.latest().unwrap().unwrap();
    assert_eq!((read.state.updates, passed.len()), (2, 1));
    trainer.restore(read).unwrap();
    std::fs::write(&names[1], b"nothing").unwrap();
    folder.latest().unwrap_err();
    folder.remove().unwrap();
    assert!(folder.latest().unwrap().is_none());
}

rullama_testing::tests! {
    stopped_and_resumed_equals_never_stopped,
    after_a_lost_device_training_goes_on,
    a_cancelled_update_is_not_taken,
    a_cancelled_evaluation_is_made_up_for,
    the_best_in_place_changes_no_training,
    another_training_is_refused_by_name,
    evaluation_keeps_the_best_and_stops_early,
    divergence_goes_back_to_what_was_best,
    a_gradient_that_is_no_number_changes_nothing,
    too_little_memory_is_refused_with_what_to_change,
    a_model_with_experts_is_refused,
    damaged_checkpoints,
}
