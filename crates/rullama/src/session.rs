//! One sequence of tokens on a model: prompt, decode, rewind, save.

use crate::decode::Decoder;
use crate::engine::Engine;
use crate::format::{Constraint, Opening};
use crate::options::{Cancel, GenerateOptions};
use crate::progress::OnPrefill;
use crate::prompt::{Prompt, Span};
use crate::runner::{Chunk, Runner};
use crate::sequence::Sequence;
use crate::settings::settings;
use crate::speculation::Speculated;
use crate::{Error, locate};
use rullama_model::model::Rows;
use rullama_ops::sample::{SampleMode, SampleResult};
use rullama_text::{AnswerText, Piece, Specials, StopStep, StopStrings};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use web_time::Instant;

/// A generated token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    pub id: u32,
    /// Text that became certain with this token; may be empty.
    pub text: String,
    /// The bytes of `text` that special tokens spell.
    #[serde(skip)]
    pub marks: Vec<Range<usize>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprob: Option<f32>,
    /// The likeliest tokens and their log-probabilities, best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(u32, f32)>,
}

impl Token {
    /// The text as pieces that know whether they come from special tokens.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        rullama_text::pieces(&self.text, &self.marks)
    }

    fn extend(&mut self, rest: StopStep) {
        let shift = self.text.len();
        self.text.push_str(&rest.text);
        self.marks.extend(rest.marks.into_iter().map(|mark| mark.start + shift..mark.end + shift));
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// An end token.
    Stop,
    /// A stop string.
    StopString,
    /// `max_tokens`, or the end of the context.
    Length,
    /// The model hands over to a tool.
    ToolCall,
    Cancelled,
}

/// How long it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    pub prefill_s: f64,
    pub decode_s: f64,
    /// From the call to the first token.
    pub first_token_s: f64,
    /// Prompt tokens that were computed, not reused.
    pub prefilled_tokens: u32,
    pub prefill_tok_s: f64,
    pub decode_tok_s: f64,
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// All generated ids, the end token included.
    pub ids: Vec<u32>,
    pub text: String,
    pub finish: Finish,
    pub prompt_tokens: u32,
    /// Tokens that were guessed, and those of them that were right: see [`Speculate`](crate::Speculate).
    pub drafted_tokens: u32,
    pub accepted_tokens: u32,
    pub timings: Timings,
}

/// A sequence with its caches. Prompts that begin as the last one did reuse what is cached.
pub struct Session {
    pub(crate) runner: Runner,
    /// What the caches hold.
    pub(crate) sequence: Sequence,
    /// Soft tokens in it.
    pub(crate) soft: Vec<Span>,
    pub(crate) specials: Specials,
    pub(crate) opening: Opening,
    pub(crate) on_prefill: Option<Box<dyn OnPrefill>>,
}

impl Session {
    pub(crate) async fn new(engine: Engine) -> Result<Self, Error> {
        let sequence = Sequence::new(engine.0.loaded.computation());
        Ok(Session {
            runner: Runner::new(engine).await?,
            sequence,
            soft: Vec::new(),
            specials: Specials::Hide,
            opening: Opening::default(),
            on_prefill: None,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// Which special tokens [`Token::text`] shows.
    pub fn show_specials(&mut self, specials: Specials) {
        self.specials = specials;
    }

    /// Tokens in the cache.
    pub fn position(&self) -> u32 {
        self.sequence.len() as u32
    }

    /// Ids whose keys and values are cached.
    pub fn tokens(&self) -> &[u32] {
        self.sequence.ids()
    }

    /// Bytes of its caches on the GPU: activations are shared by all sessions of an engine.
    pub fn bytes(&self) -> u64 {
        self.runner.cache.bytes()
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.rewind(0);
        self.runner.cache.clear();
    }

    /// Keeps the first `len` tokens. Rewinding farther than the rings of the sliding layers
    /// reach computes those tokens anew.
    pub async fn truncate(&mut self, len: u32) -> Result<(), Error> {
        if len >= self.position() {
            return Ok(());
        }
        if self.runner.cache.can_rewind(len) {
            self.rewind(len as usize);
            return Ok(());
        }
        let kept = self.kept(len as usize);
        self.clear();
        self.fill(&kept, &Cancel::new()).await
    }

    /// The first `len` items, to be computed anew.
    fn kept(&self, len: usize) -> Prompt {
        let spans = self.soft.iter().filter_map(|span| span.before(len)).collect();
        Prompt::of_parts(self.tokens()[..len].to_vec(), spans)
    }

    /// Caches a prompt from the start without wanting its logits.
    async fn fill(&mut self, prompt: &Prompt, cancel: &Cancel) -> Result<(), Error> {
        self.soft = prompt.spans().to_vec();
        self.prefill(prompt, 0, Rows::None, None, cancel).await
    }

    /// Goes back to the first `len` items: the sequence, and where the next step stands.
    pub(crate) fn rewind(&mut self, len: usize) {
        self.sequence.truncate(len);
        self.soft.retain(|span| span.start < len);
        self.runner.set_position(self.position());
    }

    /// Caches more tokens without wanting their logits.
    pub async fn append(&mut self, ids: &[u32], cancel: &Cancel) -> Result<(), Error> {
        self.check_ids(ids)?;
        self.check_room(self.sequence.len() + ids.len())?;
        self.settle().await?;
        let start = self.sequence.len();
        let whole = Prompt::of_parts([self.tokens(), ids].concat(), self.soft.clone());
        self.prefill(&whole, start, Rows::None, None, cancel).await
    }

    /// Computes the caches anew where an answer that ended in an error wrote over what its beginning still needs.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        if self.runner.cache.can_rewind(self.position()) {
            self.rewind(self.sequence.len());
            return Ok(());
        }
        let kept = self.kept(self.sequence.len());
        self.clear();
        self.fill(&kept, &Cancel::new()).await
    }

    /// Answers a prompt. `on_token` sees each token as it comes.
    ///
    /// # Errors
    /// Ids outside the vocabulary, a full context, bad settings, a lost device, a value that is
    /// not a number. A cancelled answer is a [`Summary`], not an error.
    pub async fn generate(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Summary, Error> {
        self.generate_prompt(&prompt.into(), options, cancel, on_token).await
    }

    /// As [`generate`](Self::generate), of a prompt that may hold soft tokens.
    ///
    /// # Errors
    /// Those of [`generate`](Self::generate); soft tokens of another width; a picture of more than a step holds.
    pub async fn generate_prompt(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Summary, Error> {
        let settings = settings(options)?;
        self.check_prompt(prompt)?;
        self.check_room(prompt.len() + 1)?;
        if prompt.is_empty() {
            return Err(Error::InvalidArgument {
                name: "prompt",
                value: "empty".into(),
                reason: "gives the model nothing to continue".into(),
            });
        }
        let started = Instant::now();
        self.reuse(prompt).await?;
        let reused = self.sequence.len();
        let bias = self.bias(&options.sampling.logit_bias);
        self.runner.set_sampling(&settings, &bias);
        self.runner.set_history(prompt.ids());
        let mut constraint = Constraint::of(self.engine(), options, &self.opening)?;
        if let Some(constraint) = &mut constraint {
            self.runner.set_mask(constraint.mask()?);
        }
        let mut answer = Answer::new(self, options);
        match self.prefill(prompt, reused, Rows::Last, settings.mode(), cancel).await {
            Err(Error::Cancelled) => return Ok(answer.summary(Finish::Cancelled, prompt.len(), reused, started)),
            other => other?,
        }
        let mut decoder = Decoder::new(settings, bias, prompt.ids(), constraint).speculating(self.engine().0.speculate);
        let first = decoder.first(&mut self.runner).await?;
        answer.prefill_s = started.elapsed().as_secs_f64();
        let finish = self.decode(first, &mut decoder, &mut answer, cancel, on_token).await?;
        answer.speculated = decoder.speculated;
        Ok(answer.summary(finish, prompt.len(), reused, started))
    }

    /// Accepts tokens until one ends the answer.
    async fn decode(
        &mut self,
        first: SampleResult,
        decoder: &mut Decoder<'_>,
        answer: &mut Answer,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Finish, Error> {
        let prompt = self.sequence.len();
        let room = self.context() as usize - prompt;
        let mut sampled = first;
        let finish = loop {
            if sampled.not_finite {
                decoder.drain(&self.runner).await?;
                self.sequence.extend(&answer.ids);
                self.rewind(prompt + answer.ids.len());
                return Err(locate::first_bad_layer(self).await?);
            }
            let (mut token, finish) = answer.accept(sampled, self.engine());
            let finish = finish.or((answer.ids.len() >= room).then_some(Finish::Length));
            if let Some(finish) = finish {
                token.extend(answer.flush());
                on_token(&token);
                break finish;
            }
            on_token(&token);
            // What is held back then is not given: a cancelled answer is what was streamed.
            if cancel.is_cancelled() {
                break Finish::Cancelled;
            }
            let most = answer.remaining().min(room - answer.ids.len());
            decoder.accept(token.id)?;
            sampled = decoder.next(&mut self.runner, &answer.ids, most).await?;
        };
        // Steps whose input was accepted have cached it; the rest is discarded.
        let cached = (self.runner.position() as usize - prompt).min(answer.ids.len());
        self.sequence.extend(&answer.ids[..cached]);
        self.rewind(prompt + cached);
        decoder.drain(&self.runner).await?;
        Ok(finish)
    }

    /// Keeps the longest common beginning of the cached tokens and `prompt`, less one, whose
    /// logits are needed.
    async fn reuse(&mut self, prompt: &Prompt) -> Result<(), Error> {
        let common = self.sequence.common(&self.identity(), &prompt.items()).min(prompt.len() - 1);
        let common = if self.blocks() { prompt.outside_blocks(common) } else { common };
        if self.runner.cache.can_rewind(common as u32) {
            self.rewind(common);
        } else {
            self.clear();
        }
        self.soft = prompt.spans().to_vec();
        Ok(())
    }

    /// Whether soft tokens of a picture see each other.
    pub(crate) fn blocks(&self) -> bool {
        self.engine().0.loaded.model.facts().blocks
    }

    /// Runs a prompt from `at` on in chunks; the last leaves the wanted logits.
    async fn prefill(
        &mut self,
        prompt: &Prompt,
        mut at: usize,
        rows: Rows,
        sampler: Option<SampleMode>,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let (items, blocks) = (prompt.items(), self.blocks());
        self.prefilled(at, prompt.len());
        while at < prompt.len() {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let end = prompt.step_end(at, self.runner.chunk_tokens(), blocks)?;
            let (rows, sampler) = if end == prompt.len() { (rows, sampler) } else { (Rows::None, None) };
            let step = prompt.step(at..end, blocks);
            self.runner.chunk(Chunk { step: &step, rows, sampler, taps: false }, cancel, &[]).await?;
            self.sequence.extend_items(&items[at..end]);
            at = end;
            self.prefilled(at, prompt.len());
        }
        Ok(())
    }

    fn context(&self) -> u32 {
        self.engine().0.loaded.choice.context
    }

    /// The request's biases, and the tokens that the model never gives: each id once, the last of several holds.
    fn bias(&self, asked: &[(u32, f32)]) -> Vec<(u32, f32)> {
        let suppressed = self.engine().0.loaded.model.facts().suppress.iter().map(|id| (*id, f32::NEG_INFINITY));
        let unique: BTreeMap<u32, f32> = asked.iter().copied().chain(suppressed).collect();
        unique.into_iter().collect()
    }
}

/// The answer so far.
struct Answer {
    ids: Vec<u32>,
    text: String,
    max_tokens: usize,
    ignore_eos: bool,
    stream: AnswerText,
    tool: Option<u32>,
    prefill_s: f64,
    speculated: Speculated,
}

impl Answer {
    fn new(session: &Session, options: &GenerateOptions) -> Self {
        Answer {
            ids: Vec::new(),
            text: String::new(),
            max_tokens: options.max_tokens.map_or(usize::MAX, |n| n.max(1) as usize),
            ignore_eos: options.ignore_eos,
            stream: AnswerText::new(session.specials, StopStrings::new(options.stop.iter().filter(|s| !s.is_empty()).cloned())),
            tool: session.engine().tokenizer().find("<|tool_response>"),
            prefill_s: 0.0,
            speculated: Speculated::default(),
        }
    }

    fn remaining(&self) -> usize {
        self.max_tokens - self.ids.len()
    }

    fn accept(&mut self, sampled: SampleResult, engine: &Engine) -> (Token, Option<Finish>) {
        let tokenizer = engine.tokenizer();
        let id = sampled.id;
        self.ids.push(id);
        let ends = !self.ignore_eos && tokenizer.end_tokens().binary_search(&id).is_ok();
        let step = if ends { StopStep::default() } else { self.stream.push(tokenizer, id) };
        self.text.push_str(&step.text);
        let finish = if ends {
            Some(if Some(id) == self.tool { Finish::ToolCall } else { Finish::Stop })
        } else if step.stop.is_some() {
            Some(Finish::StopString)
        } else {
            (self.ids.len() >= self.max_tokens).then_some(Finish::Length)
        };
        (Token { id, text: step.text, marks: step.marks, logprob: sampled.logprob, top: sampled.tops }, finish)
    }

    /// Text held back for a stop string or an unfinished character.
    fn flush(&mut self) -> StopStep {
        let rest = self.stream.finish();
        self.text.push_str(&rest.text);
        rest
    }

    fn summary(self, finish: Finish, prompt: usize, reused: usize, started: Instant) -> Summary {
        let total = started.elapsed().as_secs_f64();
        let prefill_s = if self.ids.is_empty() { total } else { self.prefill_s };
        let decode_s = total - prefill_s;
        let prefilled = (prompt - reused) as u32;
        let timings = Timings {
            prefill_s,
            decode_s,
            first_token_s: prefill_s,
            prefilled_tokens: prefilled,
            prefill_tok_s: f64::from(prefilled) / prefill_s.max(1e-9),
            decode_tok_s: self.ids.len().saturating_sub(1) as f64 / decode_s.max(1e-9),
        };
        let Speculated { drafted: drafted_tokens, accepted: accepted_tokens } = self.speculated;
        Summary { ids: self.ids, text: self.text, finish, prompt_tokens: prompt as u32, drafted_tokens, accepted_tokens, timings }
    }
}
