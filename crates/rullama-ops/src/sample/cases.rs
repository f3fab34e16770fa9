use super::settings::{HISTORY, RESULT_WORDS, RESULTS, SampleSettings, bias_words};
use super::{Sample, SampleMode, judge};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::op::StepState;

/// Everything a step reads.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    pub logits: Vec<f32>,
    pub settings: SampleSettings,
    pub bias: Vec<(u32, f32)>,
    pub history: Vec<u32>,
    /// Bits of the allowed ids; read where the settings say `masked`.
    pub mask: Vec<u32>,
    pub position: u32,
    pub sampled: u32,
}

impl Step {
    /// Random logits of a plausible spread, a history of few distinct tokens.
    pub fn new(name: &str, vocab: usize, settings: SampleSettings) -> Self {
        let mut rng = Rng::new(vocab as u64 * 31 + u64::from(settings.top_k) + name.len() as u64);
        // Sums of uniform numbers: few large logits, many middling ones.
        let logits = (0..vocab).map(|_| (0..4).map(|_| rng.unit()).sum::<f32>() * 5.0).collect();
        let history = (0..HISTORY).map(|_| rng.below(vocab.min(200) as u64) as u32).collect();
        Step {
            name: format!("{name}, vocab {vocab}, top_k {}", settings.top_k),
            logits,
            settings,
            bias: Vec::new(),
            history,
            mask: vec![0; vocab.div_ceil(32)],
            position: 700,
            sampled: 5,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(&mut self);
        self
    }

    /// Operands as [`Sample`] takes them.
    pub fn operands(&self) -> Vec<Host> {
        let state = StepState { position: self.position, tokens: 9, sampled: self.sampled, unused: [7; 5] };
        vec![
            Array { rows: 1, cols: self.logits.len(), data: self.logits.clone() }.into(),
            Host::Words(bytemuck::cast_slice(&[self.settings]).to_vec()),
            Host::Words(bias_words(&self.bias)),
            Host::Words(self.history.clone()),
            Host::Words(bytemuck::cast_slice(&[state]).to_vec()),
            Host::Words(vec![77; 4]),
            Host::Words(vec![0; RESULTS * RESULT_WORDS]),
            Host::Words(self.mask.clone()),
        ]
    }

    /// Takes the first seed and bounds from here on that rounding cannot tip over.
    pub fn settled(mut self) -> Self {
        for _ in 0..100 {
            if judge(&self.logits, &self.settings, &self.bias, &self.history, &self.mask, self.position).1 > 1e-5 {
                return self;
            }
            let s = &mut self.settings;
            s.seed_low += 1;
            s.min_p *= 0.99;
            s.top_p = if s.top_p < 1.0 { s.top_p * 0.999 } else { s.top_p };
        }
        panic!("case `{}` stays too close to a bound", self.name)
    }

    fn case(self, mode: SampleMode) -> Case {
        let step = self.settled();
        Case::new(format!("{:?}: {}", mode, step.name), Sample { vocab: step.logits.len() as u32, mode }, step.operands(), 1)
    }
}

/// Settings of a plain draw.
pub fn plain(top_k: u32) -> SampleSettings {
    SampleSettings { top_k, top_p: 1.0, ..Default::default() }.seed(0x0123_4567_89ab_cdef)
}

fn penalties(settings: SampleSettings, repeat_last_n: u32) -> SampleSettings {
    SampleSettings { repeat_penalty: 1.3, presence_penalty: 0.4, frequency_penalty: 0.07, repeat_last_n, ..settings }
}

/// Steps without log-probabilities: every effect is compared word for word.
fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    for vocab in [32, 2048, 2080, 262_144] {
        for top_k in [1, 7, 64, 1024] {
            steps.push(Step::new("plain", vocab, plain(top_k)));
            steps.push(Step::new("top_p, min_p, hot", vocab, SampleSettings { top_p: 0.9, min_p: 0.02, temperature: 1.7, ..plain(top_k) }));
        }
    }
    let forbid = |step: &mut Step| step.bias = (0..step.logits.len() as u32 / 2).map(|id| (2 * id, f32::NEG_INFINITY)).collect();
    let cluster = |step: &mut Step| step.logits[1000..5000].iter_mut().for_each(|l| *l += 40.0);
    let sorted = |step: &mut Step| step.logits.sort_by(f32::total_cmp);
    steps.extend([
        Step::new("penalties", 2048, penalties(plain(64), 64)),
        Step::new("penalties over the whole ring", 2048, penalties(plain(64), 4096)).with(|s| s.position = 9000),
        Step::new("penalties, ring wraps", 2048, penalties(plain(7), 100)).with(|s| s.position = 4096 + 40),
        Step::new("penalties at position 0", 32, penalties(plain(7), 64)).with(|s| s.position = 0),
        Step::new("last slot of both rings", 32, plain(7)).with(|s| (s.position, s.sampled) = (4094, 63)),
        Step::new("first slot of both rings", 32, plain(7)).with(|s| (s.position, s.sampled) = (4095, 64)),
        Step::new("cold", 2048, SampleSettings { temperature: 1e-6, ..plain(64) }),
        Step::new("very hot", 2048, SampleSettings { temperature: 1e6, ..plain(1024) }),
        Step::new("top_p 0", 2048, SampleSettings { top_p: 0.0, ..plain(64) }),
        Step::new("min_p 1", 2048, SampleSettings { min_p: 0.999, ..plain(64) }),
        Step::new("as many as are sorted at once", 256, plain(128)).with(|s| s.logits.fill(1.5)),
        Step::new("one more than are sorted at once", 257, plain(128)).with(|s| s.logits.fill(1.5)),
        Step::new("all equal", 2048, plain(64)).with(|s| s.logits.fill(1.5)),
        Step::new("all zero, of both signs", 5120, plain(1024))
            .with(|s| s.logits.iter_mut().enumerate().for_each(|(i, l)| *l = if i % 3 == 0 { -0.0 } else { 0.0 })),
        Step::new("ties at the cut", 4096, plain(7)).with(|s| s.logits.iter_mut().for_each(|l| *l = l.round().min(8.0))),
        Step::new("large logits side by side", 8192, plain(1024)).with(cluster),
        Step::new("ascending", 262_144, plain(64)).with(sorted),
        Step::new("a bias to every kind of id", 2048, plain(7))
            .with(|s| s.bias = vec![(0, 90.0), (2047, 89.5), (1024, 89.0), (1023, f32::NEG_INFINITY), (5000, 900.0)]),
        Step::new("half is forbidden", 2048, plain(64)).with(forbid),
        Step::new("all but one are forbidden", 32, plain(7))
            .with(|s| s.bias = (0..32).filter(|id| *id != 19).map(|id| (id, f32::NEG_INFINITY)).collect()),
        Step::new("-inf among the logits", 32, plain(32)).with(|s| s.logits[3..30].fill(f32::NEG_INFINITY)),
        Step::new("bias and penalties on one id", 2048, penalties(plain(64), 64))
            .with(|s| s.bias = (0..200).map(|id| (id, 12.0)).collect()),
        Step::new("penalties", 262_144, penalties(plain(64), 4096)),
    ]);
    steps.extend(contests());
    steps.extend(masked());
    let not_finite =
        [(32, 0, f32::NAN), (2080, 2079, f32::from_bits(0xffc0_1234)), (262_144, 131_072, f32::NAN), (2048, 1024, f32::INFINITY)];
    steps.extend(
        not_finite.map(|(vocab, at, value)| Step::new(&format!("{value} at {at}"), vocab, plain(64)).with(|s| s.logits[at] = value)),
    );
    steps
}

/// Steps in which one rule of the penalties decides which logit is the largest.
fn contests() -> [Step; 7] {
    let alone = |change: fn(&mut SampleSettings)| {
        let mut settings = SampleSettings { repeat_last_n: 10, ..plain(7) };
        change(&mut settings);
        settings
    };
    // (id, logit) of the rivals, the others at -9; (steps back, id) of the history.
    let contest = |name: &str, settings, rivals: &[(usize, f32)], past: &[(u32, u32)]| {
        let mut step = Step::new(name, 2048, settings);
        step.logits.fill(-9.0);
        rivals.iter().for_each(|&(id, logit)| step.logits[id] = logit);
        step.position = 4096 + 4;
        step.history.fill(2000);
        past.iter().for_each(|&(back, id)| step.history[(step.position - back) as usize % HISTORY] = id);
        step
    };
    let mut bias = contest("bias comes before penalties", alone(|s| s.repeat_penalty = 2.0), &[(1100, 2.0), (5, 7.0)], &[(2, 1100)]);
    bias.bias = vec![(1100, 8.0)];
    // Slot 0 counts, slot 4095 was never written.
    let mut start = contest("start of the ring", alone(|s| s.presence_penalty = 5.0), &[(1100, 11.0), (1101, 10.0), (5, 9.0)], &[]);
    start.position = 2;
    (start.history[0], start.history[HISTORY - 1]) = (1100, 1101);
    [
        bias,
        start,
        contest("presence", alone(|s| s.presence_penalty = 0.4), &[(1100, 10.0), (5, 9.7)], &[(2, 1100), (7, 1100)]),
        contest("presence counts once", alone(|s| s.presence_penalty = 0.4), &[(1100, 10.0), (5, 9.5)], &[(2, 1100), (7, 1100)]),
        contest("frequency", alone(|s| s.frequency_penalty = 0.1), &[(1100, 10.0), (5, 9.75)], &[(2, 1100), (7, 1100), (9, 1100)]),
        contest("repetition of negative logits", alone(|s| s.repeat_penalty = 2.0), &[(1100, -1.0), (5, -1.5)], &[(2, 1100)]),
        // Steps back 0 and 9 are the ends of a window of 10.
        contest(
            "the window's ends",
            alone(|s| s.presence_penalty = 5.0),
            &[(1100, 11.0), (1101, 12.0), (1102, 10.0), (5, 9.0)],
            &[(0, 1100), (9, 1101), (10, 1102)],
        ),
    ]
}

/// Steps of which a mask allows some ids alone.
fn masked() -> Vec<Step> {
    let only = |step: Step, allowed: &dyn Fn(u32) -> bool| {
        step.with(|s| {
            s.settings.masked = 1;
            (0..s.logits.len() as u32).filter(|id| allowed(*id)).for_each(|id| s.mask[id as usize / 32] |= 1 << (id % 32));
        })
    };
    let largest = |step: &mut Step| step.logits[1030] = 90.0;
    vec![
        only(Step::new("a third is allowed", 262_144, plain(64)), &|id| id % 3 == 1),
        only(Step::new("a third is allowed", 2080, plain(7)), &|id| id % 3 == 1),
        only(Step::new("fewer are allowed than are drawn from", 2048, plain(64)), &|id| [3, 1029, 2047].contains(&id)),
        only(Step::new("one is allowed, the largest is not", 2048, plain(7)).with(largest), &|id| id == 1029),
        only(Step::new("all are allowed", 2048, plain(7)), &|_| true),
        only(Step::new("none is allowed", 2048, plain(7)), &|_| false),
        only(Step::new("none is allowed", 2080, plain(1024)), &|_| false),
        only(Step::new("more than are sorted at once", 8192, plain(64)).with(|s| s.logits.fill(1.5)), &|id| id >= 4000),
        only(Step::new("mask, bias and penalties", 2048, penalties(plain(7), 64)), &|id| id < 150)
            .with(|s| s.bias = (0..200).step_by(2).map(|id| (id, 12.0)).collect()),
        only(Step::new("a hot draw of two", 2048, SampleSettings { temperature: 1e30, ..plain(7) }), &|id| id > 2045),
        only(Step::new("NaN behind the mask", 2048, plain(7)).with(|s| s.logits[5] = f32::NAN), &|id| id == 6),
    ]
}

/// The steps in every mode that takes them, and greedy settings in the mode that also draws.
pub fn cases() -> Vec<Case> {
    let greedy = |step: Step| step.with(|s| s.settings.temperature = 0.0);
    let mut cases: Vec<Case> = Vec::new();
    for step in steps() {
        if step.settings.top_k == 7 {
            cases.push(greedy(step.clone()).case(SampleMode::TopK));
            cases.push(step.clone().case(SampleMode::WideTopK));
        }
        if step.settings.top_k <= 64 {
            cases.push(greedy(step.clone()).case(SampleMode::Greedy));
        }
        let mode = if step.settings.top_k <= SampleMode::TopK.most() { SampleMode::TopK } else { SampleMode::WideTopK };
        cases.push(step.case(mode));
    }
    cases
}
