//! What is said while training runs.

use super::Arguments;
use super::output::Written;
use crate::table::bytes;
use crate::terminal::{self, Progress};
use anyhow::Result;
use rullama::adapter::Adapter;
use rullama::{Cancel, Chat, ChatOptions, Engine, GenerateOptions, Message, Sampling};
use rullama_train::graph::Keep;
use rullama_train::{Data, Ended, Step, TrainOptions, Trainer};
use serde_json::json;
use std::io::Write;

/// Most tokens of a sample answer.
const SAMPLE_TOKENS: u32 = 200;

/// Lines for people, or objects for programs.
pub struct Report {
    json: bool,
    line: Progress,
    /// None after a lost GPU, until the model is loaded again.
    engine: Option<Engine>,
    samples: Vec<String>,
    data: String,
    peak: u64,
}

impl Report {
    pub fn new(arguments: &Arguments, data: &Data, options: &TrainOptions) -> Self {
        let train = &data.train;
        let eval = match (&data.eval, options.split) {
            (Some(eval), _) => format!("{} to evaluate on", eval.examples.len()),
            (None, share) if share > 0.0 => format!("{:.0} % of them to evaluate on", share * 100.0),
            _ => "none to evaluate on".to_owned(),
        };
        let data = format!("{} examples, {} tokens of which {} are learnt; {eval}", train.examples.len(), train.tokens(), train.targets());
        Report { json: arguments.json, line: Progress::new(), engine: None, samples: arguments.sample.clone(), data, peak: 0 }
    }

    /// The GPU was lost, and what was loaded with it.
    pub fn lost(&mut self) {
        self.line.clear();
        self.engine = None;
        terminal::tell_line(format_args!("the GPU was lost: the model is loaded again, and training goes on from the last checkpoint"));
    }

    /// A checkpoint could not be written.
    pub fn unsaved(&mut self, error: &anyhow::Error) {
        self.line.clear();
        terminal::tell_line(format_args!("note: {error:#}; training goes on"));
    }

    /// Bytes on the GPU.
    fn gpu_bytes(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.memory().gpu)
    }

    /// What is about to be done.
    pub fn begin(&mut self, trainer: &Trainer, engine: Engine) -> Result<()> {
        self.engine = Some(engine);
        let (state, options) = (trainer.state(), trainer.options());
        let values: u64 = state.targets.iter().map(|t| u64::from(t.rank) * (u64::from(t.input) + u64::from(t.output))).sum();
        let keep = match trainer.keep() {
            Keep::Layers(again @ 1..) | Keep::Halves(again @ 1..) => format!("; {again} layers are computed again to save memory"),
            _ => String::new(),
        };
        terminal::tell_line(format_args!("{}", self.data));
        terminal::tell_line(format_args!(
            "{} matrices of rank {}, {values} values; {} updates in {} epochs; {} on the GPU{keep}",
            2 * state.targets.len(),
            options.rank,
            state.total_updates,
            options.epochs,
            bytes(self.gpu_bytes()),
        ));
        if state.updates > 0 {
            terminal::tell_line(format_args!("going on after update {}", state.updates));
        }
        Ok(())
    }

    /// An update: a line that is overwritten, and one that stays at evaluations.
    pub fn step(&mut self, trainer: &Trainer, step: &Step) -> Result<()> {
        self.peak = self.peak.max(self.gpu_bytes());
        let left = step.elapsed_s / step.step.max(1) as f64 * (step.steps - step.step.min(step.steps)) as f64;
        let skipped = if step.skipped { "  skipped: the gradient is not finite" } else { "" };
        let text = format!(
            "update {} of {}  epoch {:.2}  loss {:.4}  rate {:.1e}  norm {:.2}  {:.0} tokens/s  {} left{skipped}",
            step.step,
            step.steps,
            step.epoch,
            step.loss,
            step.lr,
            step.grad_norm,
            step.tok_s,
            duration(left)
        );
        if self.json {
            writeln!(terminal::stdout(), "{}", serde_json::to_string(step)?)?;
        } else if step.skipped || step.eval_loss.is_some() || step.step == 1 {
            self.line.clear();
            let eval = step.eval_loss.map_or(String::new(), |loss| format!("  evaluation {loss:.4}"));
            terminal::tell_line(format_args!("{text}{eval}"));
        } else {
            self.line.line(&text);
        }
        if step.eval_loss.is_some() && !self.samples.is_empty() {
            self.sample(&pollster::block_on(trainer.adapter())?)?;
        }
        Ok(())
    }

    /// Lets the model answer with the adapter as it is.
    fn sample(&mut self, adapter: &Adapter) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(()) };
        for prompt in &self.samples {
            let answer = pollster::block_on(async {
                let mut session = engine.session().await?;
                session.set_adapters(&[(engine.adapter(adapter).await?, 1.0)])?;
                let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(SAMPLE_TOKENS), ..Default::default() };
                let mut chat = Chat::new(session, ChatOptions::default());
                chat.send(Message::user(prompt.clone()), &options, &Cancel::new(), &mut |_| ()).await
            })?;
            if self.json {
                writeln!(terminal::stdout(), "{}", json!({ "sample": { "prompt": prompt, "answer": answer.text } }))?;
            } else {
                terminal::tell_line(format_args!("  {} -> {}", terminal::one_line(prompt), terminal::one_line(&answer.text)));
            }
        }
        Ok(())
    }

    /// What came of it.
    pub fn end(&mut self, trainer: &Trainer, (ended, taken): (Ended, Option<u64>), written: &Written) -> Result<()> {
        self.line.clear();
        self.peak = self.peak.max(self.gpu_bytes());
        let state = trainer.state();
        let best = state.best.map(|best| best.loss);
        if self.json {
            let summary = json!({
                "adapter": written.folder,
                "steps": state.updates,
                "best_eval_loss": best,
                "peak_gpu_bytes": self.peak,
                "ended": ended,
                "kept_step": taken.unwrap_or(state.updates),
                "seconds": state.seconds,
                "tokens": state.tokens,
            });
            writeln!(terminal::stdout(), "{summary}")?;
            return Ok(());
        }
        let why = match ended {
            Ended::Done => "done".to_owned(),
            Ended::NoBetter => "stopped early: the evaluation got no better".to_owned(),
            Ended::Diverged => {
                let kept = taken.map_or(String::new(), |update| format!("; what was best is kept, the state after update {update}"));
                format!("stopped: training diverged. Try a lower --lr{kept}:")
            }
        };
        let best = best.map_or(String::new(), |loss| format!(", best evaluation {loss:.4}"));
        let (updates, time) = (state.updates, duration(state.seconds));
        terminal::tell_line(format_args!("{why} after {updates} updates in {time}{best}; at most {} on the GPU", bytes(self.peak)));
        written.tell();
        Ok(())
    }
}

/// `1 h 02 min`, `3 min 20 s`, `14 s`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations() {
        assert_eq!([0.4, 14.0, 200.0, 3720.0].map(super::duration), ["0 s", "14 s", "3 min 20 s", "1 h 02 min"]);
    }
}
