//! Training an adapter on the loaded model: examples in, an update a call, checkpoints and files out.

use js_sys::Array;
use rullama::adapter::AdapterError;
use rullama::source::ByteSource;
use rullama::text::Specials;
use rullama::{Engine, ErrorCode};
use rullama_train::checkpoint::{Checkpoint, CheckpointError, most_bytes};
use rullama_train::data::{DataOptions, Dataset, Reader};
use rullama_train::options::{parse_layers, parse_modules};
use rullama_train::{Base, Data, Ended, Needs, TrainError, TrainOptions, Trainer};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::engine::WebEngine;
use crate::error::WebError;
use crate::source::BlobSource;
use crate::{adapters, options};

/// Bytes of GPU memory that training keeps to when nobody says: on a discrete card, and elsewhere.
const BUDGETS: [u64; 2] = [8 << 30, 4 << 30];
/// Bytes of examples that are read at once.
const PIECE: u64 = 1 << 20;
/// What messages call a checkpoint that was handed in.
const RESUME: &str = "`resume`";

/// A training that goes on when it is asked for the next update.
pub struct Tuner {
    trainer: Trainer,
    /// What the adapter is called.
    name: String,
    /// Training has ended, and the best state was put in place of the last.
    settled: bool,
    /// The update that it follows, if it was.
    best: Option<u64>,
}

impl Tuner {
    /// Puts the best state in place of the last, once.
    async fn settle(&mut self) -> Result<(), TrainError> {
        if !self.settled {
            self.best = self.trainer.take_best().await?;
            self.settled = true;
        }
        Ok(())
    }
}

/// What is wanted, beside [`TrainOptions`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wanted {
    name: Option<String>,
    memory_budget: Option<u64>,
    targets: Option<String>,
    layers: Option<String>,
    #[serde(flatten)]
    train: Map<String, Value>,
}

#[wasm_bindgen]
impl WebEngine {
    /// Begins a training on the examples in a `Blob`, or goes on with one from its checkpoint; `eval` is a `Blob` of examples to
    /// evaluate on, or undefined.
    pub async fn tune_open(&self, examples: JsValue, eval: JsValue, options: String, resume: Option<Vec<u8>>) -> Result<String, JsValue> {
        let engine = self.engine()?;
        let (wanted, train) = parse(&options, &engine)?;
        let resume = resume.map(|bytes| Checkpoint::read(RESUME, &bytes)).transpose().map_err(failed)?;
        let data = data(&engine, &examples, &eval, &train).await?;
        if train.patience.is_some() && data.eval.is_none() && train.split == 0.0 {
            return Err(WebError::Argument { what: "`patience` needs `eval` or `split` to judge by.".to_owned() }.into());
        }
        let report = json!({ "train": report(&data.train), "eval": data.eval.as_ref().map(report) });
        let base = base(&engine, &wanted);
        // before the await: a close may come during it
        let number = self.tuners.reserve();
        let opened = async {
            let mut trainer = Trainer::new(base, data, train).await?;
            resume.map_or(Ok(()), |saved| trainer.restore(saved))?;
            Ok::<_, TrainError>(trainer)
        };
        let trainer = opened.await.map_err(|error| {
            self.tuners.remove(number);
            WebError::from(error)
        })?;
        let (state, name) = (trainer.state(), wanted.name.unwrap_or_else(|| "adapter".to_owned()));
        let opened = json!({
            "tuner": number,
            "report": report,
            "step": state.updates,
            "steps": state.total_updates,
            "checkpointBytes": most_bytes(&state.targets),
        });
        self.tuners.put_back(number, Tuner { trainer, name, settled: false, best: None });
        Ok(opened.to_string())
    }

    /// Takes the next update: `{ step }`, or `{ ended, best }` where there is none: why, and the update whose state was kept. A cancel leaves it untaken.
    pub async fn tune_step(&self, tuner: u32) -> Result<String, JsValue> {
        let cancel = self.fresh_cancel();
        let mut open = self.tuner(tuner)?;
        let mut result = open.trainer.step(&|| cancel.is_cancelled()).await;
        if matches!(result, Ok(None)) {
            result = open.settle().await.map(|()| None);
        }
        let (ended, best) = (open.trainer.ended().unwrap_or(Ended::Done), open.best);
        self.tuners.put_back(tuner, open);
        Ok(match result.map_err(WebError::from)? {
            Some(step) => format!(r#"{{"step":{}}}"#, options::to_json(&step)),
            None => json!({ "ended": ended, "best": best }).to_string(),
        })
    }

    /// Everything that a training goes on from, as a file.
    pub async fn tune_checkpoint(&self, tuner: u32) -> Result<Vec<u8>, JsValue> {
        let open = self.tuner(tuner)?;
        let checkpoint = open.trainer.checkpoint().await;
        self.tuners.put_back(tuner, open);
        let checkpoint = checkpoint.map_err(WebError::from)?;
        let mut bytes = Vec::new();
        checkpoint.write("the checkpoint", &mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// The adapter as it is now, to be attached to conversations; as [`Self::adapter_open`].
    pub async fn tune_adapter(&self, tuner: u32) -> Result<String, JsValue> {
        let adapter = self.trained(tuner).await?;
        Ok(adapters::put(&self.engine()?, &self.adapters, &adapter).await?)
    }

    /// The adapter as it is now as files, `{ name, bytes }` each, in the form `peft` or `gguf`.
    pub async fn tune_save(&self, tuner: u32, form: String) -> Result<Array, JsValue> {
        let adapter = self.trained(tuner).await?;
        Ok(adapters::write(&adapter, &form)?)
    }

    /// Frees a training, and what it takes on the GPU.
    pub fn tune_close(&self, tuner: u32) {
        self.tuners.remove(tuner);
    }

    /// Puts the best state in place of the last; the update that it follows, where there is one.
    pub async fn tune_finish(&self, tuner: u32) -> Result<Option<f64>, JsValue> {
        let mut open = self.tuner(tuner)?;
        let settled = open.settle().await;
        let best = open.best;
        self.tuners.put_back(tuner, open);
        settled.map_err(WebError::from)?;
        Ok(best.map(|update| update as f64))
    }

    /// What a training would take, in bytes and updates.
    pub async fn tune_estimate(&self, examples: JsValue, eval: JsValue, options: String) -> Result<String, JsValue> {
        let engine = self.engine()?;
        let (wanted, train) = parse(&options, &engine)?;
        let data = self::data(&engine, &examples, &eval, &train).await?;
        let base = base(&engine, &wanted);
        let Needs { tokens, memory, fits, updates, checkpoint } = Needs::of(&base, &data, &train).map_err(WebError::from)?;
        let needs = json!({
            "tokens": tokens,
            "weights": memory.weights,
            "trained": memory.trained,
            "activations": memory.activations,
            "budget": base.memory,
            "fits": fits,
            "steps": updates,
            "checkpointBytes": checkpoint,
        });
        Ok(needs.to_string())
    }

    /// How examples are read: the report, and of the first `most` of them the text in passages that are trained or not.
    pub async fn tune_preview(&self, examples: JsValue, options: String, most: u32) -> Result<String, JsValue> {
        let engine = self.engine()?;
        let (_, train) = parse(&options, &engine)?;
        let data = read(&engine, &examples, &train).await?;
        let shown: Vec<Value> = data.examples.iter().take(most as usize).map(|example| passages(&engine, example)).collect();
        Ok(json!({ "report": report(&data), "examples": shown }).to_string())
    }
}

impl WebEngine {
    fn tuner(&self, number: u32) -> Result<Tuner, WebError> {
        let missing = || WebError::Argument { what: format!("Training {number} is closed or busy.") };
        self.tuners.take(number).ok_or_else(missing)
    }

    async fn trained(&self, number: u32) -> Result<rullama::adapter::Adapter, WebError> {
        let open = self.tuner(number)?;
        let adapter = open.trainer.adapter().await.map(|adapter| rullama::adapter::Adapter { name: open.name.clone(), ..adapter });
        self.tuners.put_back(number, open);
        Ok(adapter?)
    }
}

/// Options as the package has them: names in JavaScript's case, layers and their kinds as people write them.
fn parse(text: &str, engine: &Engine) -> Result<(Wanted, TrainOptions), WebError> {
    let wanted: Wanted = options::parse("options of the training", text)?;
    let named: Map<String, Value> = wanted.train.iter().map(|(name, value)| (options::snake(name), value.clone())).collect();
    let mut train: TrainOptions = options::parse("options of the training", &Value::from(named).to_string())?;
    if let Some(targets) = &wanted.targets {
        train.targets = parse_modules(targets).map_err(TrainError::from)?;
    }
    if let Some(layers) = &wanted.layers {
        train.layers = Some(parse_layers(layers, engine.info().layers as u32).map_err(TrainError::from)?);
    }
    train.check().map_err(TrainError::from)?;
    Ok((wanted, train))
}

/// The examples, and those to evaluate on, which may be undefined.
async fn data(engine: &Engine, examples: &JsValue, eval: &JsValue, options: &TrainOptions) -> Result<Data, WebError> {
    let train = read(engine, examples, options).await?;
    let eval = if eval.is_undefined() { None } else { Some(read(engine, eval, options).await?) };
    Ok(Data { train, eval })
}

fn base(engine: &Engine, wanted: &Wanted) -> Base {
    let memory = wanted.memory_budget.unwrap_or(BUDGETS[usize::from(!engine.device().discrete())]);
    Base { loaded: engine.loaded().clone(), name: engine.info().name.clone(), memory }
}

/// Reads the examples of a `Blob`, a piece at a time.
async fn read(engine: &Engine, blob: &JsValue, options: &TrainOptions) -> Result<Dataset, WebError> {
    let blob: web_sys::Blob = blob.clone().dyn_into().map_err(|_| WebError::Argument { what: "The examples are no file.".to_owned() })?;
    let source = BlobSource::new(blob, "the examples".to_owned());
    let mut reader = Reader::new(engine.tokenizer(), DataOptions::new(options, engine.template_size()));
    let mut at = 0;
    while at < source.len() {
        let len = PIECE.min(source.len() - at);
        reader.push(&source.read(at, len as usize).await?).map_err(TrainError::from)?;
        at += len;
    }
    Ok(reader.finish().map_err(TrainError::from)?)
}

fn report(data: &Dataset) -> Value {
    json!({
        "examples": data.examples.len(),
        "tokens": data.tokens(),
        "targets": data.targets(),
        "counts": data.counts,
        "lines": data.reports,
    })
}

/// Runs of tokens that are trained or not, as text.
fn passages(engine: &Engine, example: &rullama_train::data::Example) -> Value {
    let mut passages = Vec::new();
    let mut start = 0;
    for run in example.target.chunk_by(|a, b| a == b) {
        let ids = &example.ids[start..start + run.len()];
        passages.push(json!({ "text": engine.tokenizer().decode(ids, Specials::Show), "trained": run[0] }));
        start += run.len();
    }
    json!({ "line": example.line, "tokens": example.ids.len(), "passages": passages })
}

fn failed(error: CheckpointError) -> WebError {
    TrainError::from(error).into()
}

/// The stable code of what went wrong in training.
pub fn code(error: &TrainError) -> ErrorCode {
    match error {
        TrainError::Checkpoint(CheckpointError::NotANumber { .. }) => ErrorCode::Nan,
        TrainError::Checkpoint(CheckpointError::Order(_)) | TrainError::Internal(_) => ErrorCode::Internal,
        TrainError::Option(_) | TrainError::Data(_) | TrainError::Checkpoint(_) | TrainError::TooLong { .. } => ErrorCode::InvalidArgument,
        TrainError::Model(error) => error.into(),
        TrainError::Adapter(AdapterError::Source(error)) => error.into(),
        TrainError::Adapter(_) => ErrorCode::Adapter,
        TrainError::Memory { .. } => ErrorCode::OutOfMemory,
        TrainError::Value { .. } => ErrorCode::Limits,
        _ => ErrorCode::Internal,
    }
}
