//! Choosing the next token from logits.

use crate::case::Case;
use crate::graph::{Graph, Number, Type, Value, Words, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, StepState, Use, state};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError, Slice};

#[cfg(feature = "cases")]
pub mod cases;
mod random;
mod reference;
mod settings;

pub use random::{philox2x32, uniform};
pub use reference::{judge, reference};
pub use settings::{HISTORY, MAX_TOP_K, MAX_TOPS, NONE_ALLOWED, NOT_FINITE, RESULT_WORDS, RESULTS, SampleResult, SampleSettings, bias_words};

/// Which dispatches a sampling step records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SampleMode {
    /// The largest modified logit, lowest id on ties, in 2 dispatches; no best tokens.
    Greedy,
    /// Everything that [`SampleSettings`] can say with `top_k` in `1..=128`, in 4 dispatches;
    /// `greedy` in the settings is obeyed here too.
    #[default]
    TopK,
    /// The same with `top_k` up to [`MAX_TOP_K`].
    WideTopK,
}

impl SampleMode {
    /// Largest `top_k`.
    pub fn most(self) -> u32 {
        match self {
            SampleMode::Greedy => 1,
            SampleMode::TopK => MAX_TOP_K / 8,
            SampleMode::WideTopK => MAX_TOP_K,
        }
    }

    /// Candidates that `draw` sorts at once; more of them are selected from first. Browsers clear workgroup memory, and
    /// compilers that write this out word by word are slow on much of it.
    fn room(self) -> u32 {
        (2 * self.most()).min(MAX_TOP_K)
    }
}

/// Samples a token and advances the step state, so that the next step can already be queued.
///
/// Operands: `logits: [1, vocab]`; words of `settings` ([`SampleSettings`]), `bias`
/// ([`bias_words`]), `history` (ring of [`HISTORY`] ids), `state` (`StepState`; POSITION is that
/// of the token whose logits these are), `step_id` (word 0 receives the id), `results`
/// ([`RESULTS`] records of [`RESULT_WORDS`] words), `mask` (bit i % 32 of word i / 32 allows id i; read where the
/// settings say `masked`).
///
/// Effects, with p = POSITION: the id goes to `step_id[0]`, to `history[(p + 1) % HISTORY]` and
/// into record SAMPLED % RESULTS; then POSITION and SAMPLED grow by 1 and TOKENS becomes 1.
/// Logits that hold NaN or +inf give id 0 and a flag, as does a mask that allows nothing.
///
/// Top-k is exact. `scan` modifies the logits and keeps the largest of each chunk of 64. The
/// k-th largest of those maxima (`threshold`, rounded down) bounds the k-th largest logit from
/// below, so what reaches it (`collect`) holds the k best and little more; `draw` sorts these in
/// one workgroup. Order is by value, then id, and sums run in that order, so the parallel
/// collection leaves no trace. Source of the rules: llama.cpp `llama-sampler.cpp`.
#[derive(Debug, Clone)]
pub struct Sample {
    pub vocab: u32,
    pub mode: SampleMode,
}

impl Graph {
    /// Draws from `logits: [1, vocab]` and advances the step's state: the last node of a step. Of several the state says whose logits are the
    /// first's; each goes on from the one before.
    pub fn sample(&mut self, logits: Value, mode: SampleMode) {
        let words = [Words::Settings, Words::Bias, Words::History, Words::StepState, Words::StepId, Words::Results, Words::Mask];
        let words = words.map(|words| self.words(words));
        let inputs: Vec<Value> = std::iter::once(logits).chain(words).collect();
        self.add(Sample { vocab: self.cols(logits), mode }, &inputs);
    }
}

/// Workgroup size.
const WG: u32 = 256;
/// Logits of a workgroup.
const SPAN: u32 = 1024;
/// Chunks of a workgroup's logits, whose maxima give the threshold.
const CHUNKS: u32 = 16;
/// Words of a workgroup's partial results.
const PARTIAL: u32 = 8;
/// Words of results that one workgroup leaves to the whole next dispatch. Bound apart
/// from the rest of the scratch: a multiple of any adapter's offset alignment.
const HEAD: u32 = 64;

/// Parts of the scratch after the head, in words.
struct Work {
    groups: u32,
    /// Maxima of chunks: of modified logits, then of unmodified ones.
    maxima: u32,
    /// Ordered bits of the modified logits.
    keys: u32,
    /// Candidate ids: by modified logits, then by unmodified ones.
    candidates: u32,
    words: u32,
}

impl Sample {
    fn work(&self) -> Work {
        let groups = self.vocab.div_ceil(SPAN);
        let maxima = groups * PARTIAL;
        let keys = maxima + 2 * groups * CHUNKS;
        let candidates = keys + self.vocab;
        let words = match self.mode {
            SampleMode::Greedy => maxima,
            SampleMode::TopK | SampleMode::WideTopK => candidates + 2 * self.vocab,
        };
        Work { groups, maxima, keys, candidates, words }
    }

    fn kernel(&self, name: &str, text: &'static str, caps: &Caps) -> Result<rullama_gpu::Kernel, GpuError> {
        let mut link = Link::new(name, text, caps);
        link.flag("greedy", self.mode == SampleMode::Greedy);
        link.module("settings", rullama_quant::wgsl!("settings.wgsl"))
            .module("digit", rullama_quant::wgsl!("digit.wgsl"))
            .module("commit", rullama_quant::wgsl!("commit.wgsl"));
        link.constant("WG", WG).constant("SPAN", SPAN).constant("CHUNKS", CHUNKS).constant("PARTIAL", PARTIAL);
        link.constant("HISTORY", HISTORY as u32).constant("RESULTS", RESULTS as u32).constant("RESULT_WORDS", RESULT_WORDS as u32);
        link.constant("MAX_TOP_K", self.mode.most())
            .constant("ROOM", self.mode.room())
            .constant("MAX_TOPS", MAX_TOPS as u32)
            .constant("NOT_FINITE", NOT_FINITE)
            .constant("NONE_ALLOWED", NONE_ALLOWED);
        link.constant("POSITION", state::POSITION).constant("TOKENS", state::TOKENS).constant("SAMPLED", state::SAMPLED);
        link.kernel()
    }

    /// Modifies, finds maxima, sums and NaN.
    fn scan(&self, context: &mut Context, operands: &[Operand], work: &Slice) -> Result<(), GpuError> {
        let parts = self.work();
        let logits = operands[0].tensor()?;
        let kernel = self.kernel("sample/scan", rullama_quant::wgsl!("scan.wgsl"), context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, [parts.groups, 1, 1]);
        dispatch.param("vocab", self.vocab).param("offset", logits.offset).param("maxima", parts.maxima).param("keys", parts.keys);
        dispatch.bind("logits", &logits.slice).bind("settings", operands[1].words()?).bind("bias", operands[2].words()?);
        dispatch.bind("history", operands[3].words()?).bind("state", operands[4].words()?);
        dispatch.bind("mask", operands[7].words()?).bind("work", work);
        Ok(())
    }

    fn greedy(&self, context: &mut Context, operands: &[Operand], work: &Slice) -> Result<(), GpuError> {
        let logits = operands[0].tensor()?;
        let kernel = self.kernel("sample/greedy", rullama_quant::wgsl!("greedy.wgsl"), context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, [1, 1, 1]);
        dispatch.param("groups", self.work().groups).param("offset", logits.offset);
        dispatch.bind("logits", &logits.slice).bind("settings", operands[1].words()?).bind("work", work);
        bind_outputs(dispatch, operands)
    }

    fn top_k(&self, context: &mut Context, operands: &[Operand], head: &Slice, work: &Slice) -> Result<(), GpuError> {
        let parts = self.work();
        let logits = operands[0].tensor()?;
        let kernel = self.kernel("sample/threshold", rullama_quant::wgsl!("threshold.wgsl"), context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, [3, 1, 1]);
        dispatch.param("groups", parts.groups).param("maxima", parts.maxima);
        dispatch.bind("settings", operands[1].words()?).bind("state", operands[4].words()?).bind("head", head).bind("work", work);

        let kernel = self.kernel("sample/collect", rullama_quant::wgsl!("collect.wgsl"), context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, [parts.groups, 1, 1]);
        dispatch.param("vocab", self.vocab).param("offset", logits.offset).param("keys", parts.keys).param("candidates", parts.candidates);
        dispatch.bind("logits", &logits.slice).bind("settings", operands[1].words()?).bind("head", head).bind("work", work);

        let kernel = self.kernel("sample/draw", rullama_quant::wgsl!("draw.wgsl"), context.caps)?;
        let dispatch = context.recorder.dispatch(&kernel, [2, 1, 1]);
        dispatch.param("vocab", self.vocab).param("offset", logits.offset).param("keys", parts.keys).param("candidates", parts.candidates);
        dispatch.bind("logits", &logits.slice).bind("settings", operands[1].words()?).bind("head", head).bind("work", work);
        bind_outputs(dispatch, operands)
    }
}

fn bind_outputs(dispatch: &mut rullama_gpu::DispatchBuilder, operands: &[Operand]) -> Result<(), GpuError> {
    dispatch.bind("history", operands[3].words()?).bind("state", operands[4].words()?);
    dispatch.bind("step_id", operands[5].words()?).bind("results", operands[6].words()?);
    Ok(())
}

impl Op for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn uses(&self) -> Vec<Use> {
        use Use::{Read, Update};
        vec![Read, Read, Read, Update, Update, Update, Update, Read]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [logits, words @ ..] = take::<8>(inputs)?;
        fit(logits == Type::f32(1, self.vocab) && words.iter().all(|w| w.number == Number::Words), &[("logits", &logits)])?;
        Ok(Vec::new())
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn scratch(&self, _: &Caps, _: &[Operand]) -> u64 {
        u64::from(HEAD + self.work().words) * 4
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        context.variant(self, operands)?;
        let words = |at: usize| Ok::<u64, GpuError>(operands[at].words()?.size / 4);
        let [logits, history, results] = [u64::from(operands[0].tensor()?.cols), words(3)?, words(6)?];
        let needs = [
            ("logits", logits, u64::from(self.vocab)),
            ("history", history, HISTORY as u64),
            ("results", results, (RESULTS * RESULT_WORDS) as u64),
            ("mask", words(7)?, u64::from(self.vocab.div_ceil(32))),
        ];
        if let Some((name, have, need)) = needs.into_iter().find(|(_, have, need)| have < need) {
            return Err(GpuError::Validation {
                what: format!("operand `{name}` of `sample`"),
                message: format!("{need} words are needed, it has {have}"),
            });
        }
        let scratch = context.scratch(self.scratch(context.caps, operands))?;
        let head = scratch.buffer.slice(scratch.offset, u64::from(HEAD) * 4);
        let work = scratch.buffer.slice(scratch.offset + head.size, scratch.size - head.size);
        self.scan(context, operands, &work)?;
        match self.mode {
            SampleMode::Greedy => self.greedy(context, operands, &work),
            SampleMode::TopK | SampleMode::WideTopK => self.top_k(context, operands, &head, &work),
        }
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [logits, settings, bias, history, step, step_id, results, mask] = operands else { panic!("sample takes 8 operands") };
        let mut chosen: SampleSettings = *bytemuck::from_bytes(bytemuck::cast_slice(&settings.words()[..16]));
        if self.mode == SampleMode::Greedy {
            (chosen.greedy, chosen.logprobs) = (1, chosen.logprobs.min(1));
        }
        let pairs = bias.words()[1..].chunks_exact(2).take(bias.words()[0] as usize);
        let pairs: Vec<(u32, f32)> = pairs.map(|pair| (pair[0], f32::from_bits(pair[1]))).collect();
        let step = step.words_mut();
        let position = step[state::POSITION as usize];
        let result = reference(&logits.tensor().data, &chosen, &pairs, history.words(), mask.words(), position);
        step_id.words_mut()[0] = result.id;
        history.words_mut()[(position as usize + 1) % HISTORY] = result.id;
        let record = step[state::SAMPLED as usize] as usize % RESULTS;
        result.write_record(&mut results.words_mut()[record * RESULT_WORDS..][..RESULT_WORDS]);
        step[state::POSITION as usize] += 1;
        step[state::TOKENS as usize] = 1;
        step[state::SAMPLED as usize] += 1;
    }

    /// A way to sample has the same kernels for every vocabulary.
    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        format!("{:?}", self.mode)
    }

    /// Logits far enough apart that rounding decides nothing.
    fn smoke(&self, _: &[Type]) -> Case {
        let vocab = 512;
        let logits = (0..vocab).map(|i| (i * 37 % vocab) as f32 / 64.0).collect();
        let settings = SampleSettings { top_k: 8, top_p: 1.0, masked: 1, ..Default::default() }.seed(3);
        let state = StepState { position: 9, tokens: 1, ..Default::default() };
        let words = |words: &[u32]| Host::Words(words.to_vec());
        let operands = vec![
            Array { rows: 1, cols: vocab, data: logits }.into(),
            words(bytemuck::cast_slice(&[settings])),
            words(&bias_words(&[(5, 1.5)])),
            words(&[0; HISTORY]),
            words(bytemuck::cast_slice(&[state])),
            words(&[0; 4]),
            words(&[0; RESULTS * RESULT_WORDS]),
            words(&[0xffff_fff7; 16]),
        ];
        Case::new(format!("{:?}", self.mode), Sample { vocab: vocab as u32, mode: self.mode }, operands, 1)
    }
}
