//! The loop: rows of the data, updates, evaluations, and when to stop.

use crate::checkpoint::{Best, Checkpoint, Position, State};
use crate::data::{Dataset, Packed, Row, Split, epoch_order, pack};
use crate::device::{Matrices, OnDevice, StepRow};
use crate::graph::Keep;
use crate::planned::Planned;
use crate::terms::{self, PREFIX};
use crate::{Schedule, TrainError, TrainOptions};
use rullama_adapter::Adapter;
use rullama_model::Loaded;
use rullama_model::lora::terms_of;
use rullama_ops::Part;
use serde::Serialize;
use std::sync::Arc;
use web_time::Instant;

/// Updates in a row without a finite gradient after which training has diverged.
const MOST_SKIPPED: u32 = 5;
/// Updates before a rising loss is taken for divergence, and how far above its lowest mean it then is.
const SETTLED: u64 = 20;
const RISEN: f64 = 2.0;
/// Times in a training that its matrices are kept, to go back to after divergence.
const CALM: u64 = 32;

/// An update.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Updates so far, this one included.
    pub step: u64,
    pub steps: u64,
    pub epoch: f64,
    /// Mean of `-ln p` over the update's targets, before it.
    pub loss: f64,
    pub lr: f64,
    /// Of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Trained tokens of this update.
    pub tokens: u64,
    pub tok_s: f64,
    /// Seconds of training so far.
    pub elapsed_s: f64,
    /// The gradient was not finite: nothing changed, and the update does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// After this update, where it was time for an evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_loss: Option<f64>,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All updates were done.
    Done,
    /// The evaluation got no better for as long as was asked for; the best state is kept.
    NoBetter,
    /// The loss rose far above what it was, or no gradient was finite; the best state is kept: by evaluation, else by the training loss.
    Diverged,
}

/// What is trained, on what, and how far it is.
pub struct Trainer {
    device: OnDevice,
    /// Names, ranks and scales; its values are those of the beginning.
    adapter: Adapter,
    options: TrainOptions,
    train: Dataset,
    eval: Vec<Packed>,
    split: Split,
    schedule: Schedule,
    state: State,
    best: Option<Matrices>,
    /// An update whose evaluation was cancelled: what is to be told of it.
    pending: Option<Step>,
    /// The last matrices, while the best are in their place.
    last: Option<Matrices>,
    /// The matrices where the mean loss was lowest, to go back to after divergence.
    calm: Option<Matrices>,
    /// Rows of the present epoch.
    rows: Vec<Row>,
}

/// Examples to train on.
#[derive(Clone)]
pub struct Data {
    pub train: Dataset,
    /// Examples to evaluate on, in place of a share of the others.
    pub eval: Option<Dataset>,
}

/// The model that is trained, for checkpoints and adapters.
pub struct Base {
    pub loaded: Arc<Loaded>,
    pub name: String,
    /// Bytes of GPU memory that training keeps to, where keeping less of a step lets it.
    pub memory: u64,
}

impl Trainer {
    /// Checks options and data and makes room on the device.
    ///
    /// # Errors
    /// An option outside of its range; data that cannot be trained on; more memory than there may be, with what to change.
    pub async fn new(base: Base, data: Data, options: TrainOptions) -> Result<Self, TrainError> {
        options.check()?;
        let Planned { adapter, split, eval, updates: steps, longest, state } = Planned::new(&base, &data, &options)?;
        let device = OnDevice::of(&base, &adapter, &options, longest).await?;
        let schedule = options.schedule(steps);
        let rows = epoch_rows(&data.train, &split, &options, 0)?;
        let train = data.train;
        let (best, pending, last, calm) = Default::default();
        Ok(Trainer { device, adapter, options, train, eval, split, schedule, state, best, pending, last, calm, rows })
    }

    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// How far training is.
    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn keep(&self) -> Keep {
        self.device.keep
    }

    /// The adapter as it is now.
    ///
    /// # Errors
    /// A lost device.
    pub async fn adapter(&self) -> Result<Adapter, TrainError> {
        let mut adapter = self.adapter.clone();
        terms::update(&mut adapter, PREFIX, self.device.read(Part::Value).await?);
        Ok(adapter)
    }

    /// Why training has ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        let risen = |(mean, lowest): (f64, f64)| self.state.updates > SETTLED && (mean > lowest * RISEN + 1.0);
        let waited = self.state.best.map_or(0, |best| best.waited);
        if self.state.skipped >= MOST_SKIPPED || self.state.mean.is_some_and(risen) {
            Some(Ended::Diverged)
        } else if self.state.updates >= self.state.total_updates {
            // No update came after what broke the gradients.
            Some(if self.state.skipped > 0 { Ended::Diverged } else { Ended::Done })
        } else {
            self.options.patience.is_some_and(|patience| waited >= patience).then_some(Ended::NoBetter)
        }
    }

    /// Takes the next update, and evaluates where it is time; nothing where training has [ended](Self::ended).
    ///
    /// # Errors
    /// A lost device; [`ModelError::Cancelled`](rullama_model::ModelError::Cancelled): the next call takes up what was cancelled, the
    /// update or the evaluation behind it, and a checkpoint does so too.
    pub async fn step(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Option<Step>, TrainError> {
        if let Some(step) = self.settle(cancelled).await? {
            return Ok(Some(step));
        }
        if self.ended().is_some() {
            return Ok(None);
        }
        let step = self.update(cancelled).await?;
        self.state.unjudged = !step.skipped && self.is_time();
        self.pending = Some(step);
        self.settle(cancelled).await
    }

    /// Evaluates where that is still to be done, and gives the update that has not been told yet.
    async fn settle(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Option<Step>, TrainError> {
        let eval_loss = if self.state.unjudged { self.judge(cancelled).await? } else { None };
        self.state.unjudged = false;
        Ok(self.pending.take().map(|step| Step { eval_loss, ..step }))
    }

    /// Takes an update, or leaves everything as it was.
    async fn update(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Step, TrainError> {
        if let Some(last) = self.last.take() {
            self.device.write(Part::Value, &last);
        }
        let started = Instant::now();
        let place = self.state.position.row as usize;
        let rows: Vec<Packed> =
            self.rows.iter().skip(place).take(self.rows_a_step()).map(|r| Packed::new(r, &self.train.examples)).collect();
        let targets: usize = rows.iter().map(Packed::targets).sum();
        let tokens: u64 = rows.iter().map(|row| row.ids.len() as u64).sum();
        self.device.clear_gradients();
        let mut sum = 0.0;
        for (i, row) in rows.iter().enumerate() {
            let (seed, number) = (self.options.seed, self.state.position.rows + i as u64);
            let chance = [seed as u32, (seed >> 32) as u32, number as u32];
            let row = step_row(row, 1.0 / targets.max(1) as f32);
            sum += self.device.run(&row, true, chance, cancelled).await?.iter().sum::<f64>();
        }
        let lr = self.schedule.at(self.state.updates);
        self.stay_calm(sum / targets.max(1) as f64).await?;
        let norm = self.device.apply(&self.options.adamw(), lr, self.state.updates + 1).await?;
        let (loss, skipped) = (sum / targets.max(1) as f64, !norm.is_finite());
        self.advance(rows.len(), tokens, skipped)?;
        if !skipped {
            let before = self.state.mean;
            let mean = before.map_or(loss, |(mean, _)| 0.9 * mean + 0.1 * loss);
            self.state.mean = Some((mean, before.map_or(mean, |(_, lowest)| lowest.min(mean))));
        }
        let seconds = started.elapsed().as_secs_f64();
        self.state.seconds += seconds;
        let (step, steps, epoch) = (self.state.updates, self.state.total_updates, self.epoch());
        let (tok_s, elapsed_s) = (tokens as f64 / seconds.max(1e-9), self.state.seconds);
        Ok(Step { step, steps, epoch, loss, lr, grad_norm: norm, tokens, tok_s, elapsed_s, skipped, eval_loss: None })
    }

    /// Before an update changes them, keeps the matrices that gave `loss` if that brings the mean to its lowest; often enough to
    /// lose little, seldom enough to cost little.
    async fn stay_calm(&mut self, loss: f64) -> Result<(), TrainError> {
        let updates = self.state.updates;
        let due = self.state.calm.is_none_or(|kept| updates >= kept + (self.state.total_updates / CALM).max(1));
        let lowest = self.state.mean.is_none_or(|(mean, lowest)| 0.9 * mean + 0.1 * loss <= lowest);
        if self.eval.is_empty() && due && lowest && loss.is_finite() {
            self.calm = Some(self.device.read(Part::Value).await?);
            self.state.calm = Some(updates);
        }
        Ok(())
    }

    fn rows_a_step(&self) -> usize {
        self.options.rows_a_step(self.rows.len())
    }

    fn epoch(&self) -> f64 {
        f64::from(self.state.position.epoch) + self.state.position.row as f64 / self.rows.len().max(1) as f64
    }

    /// Moves on by `rows` rows of the epoch.
    fn advance(&mut self, rows: usize, tokens: u64, skipped: bool) -> Result<(), TrainError> {
        let position = &mut self.state.position;
        (position.row, position.rows) = (position.row + rows as u64, position.rows + rows as u64);
        self.state.tokens += tokens;
        self.state.skipped = if skipped { self.state.skipped + 1 } else { 0 };
        // A skipped update takes its rows all the same: they would give the same again.
        if skipped {
            self.state.total_updates -= 1;
        } else {
            self.state.updates += 1;
        }
        if self.state.position.row as usize >= self.rows.len() {
            let next = self.state.position.epoch + 1;
            self.state.position = Position { epoch: next, row: 0, rows: self.state.position.rows };
            if next < self.options.epochs {
                self.rows = epoch_rows(&self.train, &self.split, &self.options, next)?;
            }
        }
        Ok(())
    }

    /// Whether an evaluation follows the update that was just done.
    fn is_time(&self) -> bool {
        let every = |every: u32| self.state.updates.is_multiple_of(u64::from(every));
        let ends = self.state.position.row == 0 || self.state.updates >= self.state.total_updates;
        self.options.eval_every.map_or(ends, |n| every(n) || self.state.updates >= self.state.total_updates)
    }

    /// Evaluates and keeps the state if it is the best so far.
    async fn judge(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Option<f64>, TrainError> {
        let Some(loss) = self.evaluate(cancelled).await? else { return Ok(None) };
        let update = self.state.updates;
        match self.state.best {
            Some(best) if loss.is_nan() || loss >= best.loss => self.state.best = Some(Best { waited: best.waited + 1, ..best }),
            None if loss.is_nan() => {}
            _ => {
                self.state.best = Some(Best { loss, update, waited: 0 });
                self.best = Some(self.device.read(Part::Value).await?);
            }
        }
        Ok(Some(loss))
    }

    /// Mean of `-ln p` over the targets of the evaluation's examples; `None` where there are none.
    ///
    /// # Errors
    /// A lost device; cancelled.
    pub async fn evaluate(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Option<f64>, TrainError> {
        let targets: usize = self.eval.iter().map(Packed::targets).sum();
        if targets == 0 {
            return Ok(None);
        }
        let mut sum = 0.0;
        for row in &self.eval {
            sum += self.device.run(&step_row(row, 0.0), false, [0; 3], cancelled).await?.iter().sum::<f64>();
        }
        Ok(Some(sum / targets as f64))
    }

    /// Everything that training goes on from.
    ///
    /// # Errors
    /// A lost device.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let mut parts = Vec::new();
        for part in [Part::Value, Part::Mean, Part::Variance] {
            parts.push(self.device.read(part).await?);
        }
        if let Some(last) = &self.last {
            parts[0].clone_from(last);
        }
        let take = |matrices: &Matrices, name: &str| matrices.get(name).cloned().unwrap_or_default();
        let values = self.names().map(|[a, b]| {
            let of = |i: usize| [take(&parts[i], &a), take(&parts[i], &b)];
            let [[a, b], [ma, mb], [va, vb]] = [of(0), of(1), of(2)];
            [a, b, ma, mb, va, vb]
        });
        let pairs = |kept: &Matrices| self.names().map(|[a, b]| [take(kept, &a), take(kept, &b)]).collect();
        let (best, calm) = (self.best.as_ref().map(pairs), self.calm.as_ref().map(pairs));
        Ok(Checkpoint { state: self.state.clone(), values: values.collect(), best, calm })
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// One of another model, dataset or options; nothing has changed then.
    pub fn restore(&mut self, saved: Checkpoint) -> Result<(), TrainError> {
        saved.state.fits(&self.state)?;
        let rows = epoch_rows(&self.train, &self.split, &self.options, saved.state.position.epoch.min(self.options.epochs - 1))?;
        let mut parts = [Matrices::new(), Matrices::new(), Matrices::new()];
        for ([a, b], values) in self.names().zip(saved.values) {
            let [va, vb, ma, mb, sa, sb] = values;
            for (part, [of_a, of_b]) in parts.iter_mut().zip([[va, vb], [ma, mb], [sa, sb]]) {
                part.extend([(a.clone(), of_a), (b.clone(), of_b)]);
            }
        }
        for (part, matrices) in [Part::Value, Part::Mean, Part::Variance].into_iter().zip(&parts) {
            self.device.write(part, matrices);
        }
        let named = |kept: Vec<[Vec<f32>; 2]>| self.names().zip(kept).flat_map(|(names, values)| names.into_iter().zip(values)).collect();
        let (best, calm) = (saved.best.map(named), saved.calm.map(named));
        (self.best, self.calm, self.state, self.rows) = (best, calm, saved.state, rows);
        (self.pending, self.last) = (None, None);
        Ok(())
    }

    /// Names of A and B on the device, in the order of the state's targets.
    fn names(&self) -> impl Iterator<Item = [String; 2]> {
        terms_of(&self.adapter, PREFIX, 1.0).map(|(_, term)| [term.a(), term.b()])
    }

    /// Puts the best state in the place of the last: by evaluation, and where there is none after divergence by the training loss.
    /// Gives the update that it follows; `None` where the last stays. A checkpoint and a further update go on from the last.
    ///
    /// # Errors
    /// A lost device.
    pub async fn take_best(&mut self) -> Result<Option<u64>, TrainError> {
        let judged = self.state.best.as_ref().map(|best| best.update).zip(self.best.as_ref());
        let calm = self.state.calm.zip(self.calm.as_ref()).filter(|_| self.ended() == Some(Ended::Diverged));
        let Some((update, values)) = judged.or(calm) else { return Ok(None) };
        if self.last.is_none() {
            self.last = Some(self.device.read(Part::Value).await?);
        }
        self.device.write(Part::Value, values);
        Ok(Some(update))
    }
}

/// A packed row as the device takes it.
pub fn step_row(packed: &Packed, weight: f32) -> StepRow {
    let predicted = (0..packed.ids.len()).filter(|t| packed.target[*t]);
    let (rows, targets) = predicted.map(|t| (t as u32 - 1, packed.ids[t])).unzip();
    StepRow { ids: packed.ids.clone(), starts: packed.start.clone(), rows, targets, weight }
}

pub(crate) fn epoch_rows(train: &Dataset, split: &Split, options: &TrainOptions, epoch: u32) -> Result<Vec<Row>, TrainError> {
    let order = epoch_order(&split.train, options.seed, epoch);
    if !options.pack {
        return Ok(pack::single_rows(&train.examples, &order, options.max_len)?);
    }
    let lengths = order.iter().map(|place| train.examples[*place as usize].ids.len() as u64);
    let (tokens, longest) = (lengths.clone().sum(), lengths.max().unwrap_or(0) as u32);
    Ok(pack::rows(&train.examples, &order, options.row_tokens(tokens, longest))?)
}
