//! Whether a decode step's workgroups may stay on the GPU and wait for each other ([`LayerTail`]).
//!
//! No API promises that workgroups of a dispatch run at once, so it is tried: with fewer and fewer of them, at the model's own size,
//! against the dispatches that wait for nobody. It is taken where it is right and faster. A step whose workgroups did not all come computes
//! no numbers; [`Runner::gave_up`] notices, and [`Decoder`](crate::decode::Decoder) has it computed anew without.

use crate::engine::Engine;
use crate::options::Persistent;
use crate::runner::Runner;
use crate::{Cancel, Error};
use rullama_gpu::GpuError;
use rullama_model::products::Measurements;
use rullama_model::{Loaded, ModelError};
use rullama_ops::sample::{SampleMode, SampleSettings};
use rullama_ops::{LayerTail, Words};
use std::sync::Arc;
use web_time::Instant;

/// What remembers which numbers of workgroups were right and faster, and under which key.
pub(crate) struct Remembered {
    pub kept: Option<Arc<dyn Measurements>>,
    pub key: String,
}

impl Remembered {
    fn of(&self, workgroups: u32) -> String {
        format!("{}, {workgroups} workgroups that stay", self.key)
    }

    fn recall(&self, workgroups: u32) -> Option<bool> {
        self.kept.as_ref()?.recall(&self.of(workgroups))
    }

    pub fn keep(&self, workgroups: u32, serves: bool) {
        if let Some(kept) = &self.kept {
            kept.keep(&self.of(workgroups), serves);
        }
    }
}

impl Runner {
    /// Whether a step that was queued may turn out void.
    pub fn may_void(&self) -> bool {
        self.streams_rows() || self.engine.0.loaded.resident().is_some()
    }

    /// Whether workgroups of a step that wait for each other did not all come, and its results mean nothing. If so no step waits like that
    /// any more.
    pub async fn gave_up(&mut self) -> Result<bool, Error> {
        let (inner, words) = (&self.engine.0, self.words.buffer(Words::Exchange));
        let device = &inner.loaded.device;
        if device.read(words, 0, 4).await?.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        if let Some(workgroups) = inner.loaded.resident() {
            inner.loaded.set_resident(None);
            inner.remembered.keep(workgroups, false);
        }
        device.write(words, 0, &vec![0; words.size() as usize]);
        self.plans.clear();
        Ok(true)
    }
}

/// How a number of workgroups did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serves,
    Slower,
    /// They did not all come.
    GaveUp,
    /// They computed something else.
    Wrong,
    /// The model has no layer that so many share out.
    Absent,
}

/// Tokens that the ways are compared over, one behind the other.
const COMPARED: [u32; 3] = [2, 3, 5];
/// Most that logits may differ by, as a share of their deviation: codes of 8 bits are off by some hundredths, and whoever misses a word gets
/// something else altogether.
const APART: f64 = 0.2;
/// Steps queued together to be timed, and times that each way is.
const TIMED: usize = 8;
const RUNS: usize = 3;
/// Share of the other dispatches' time that it may take.
const PAYS: f64 = 0.98;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Workgroups stay.
    pub on: bool,
    /// Numbers of workgroups that computed something else, or did not all come.
    pub failed: Vec<u32>,
}

/// Takes the first number of workgroups that serves, for steps that are built from now on.
pub(crate) async fn choose(engine: &Engine, wanted: Persistent, cancel: &Cancel) -> Result<Chosen, Error> {
    let loaded = &engine.0.loaded;
    let caps = loaded.device.caps();
    let mut chosen = Chosen::default();
    let never = wanted == Persistent::Off || (wanted == Persistent::Auto && caps.software);
    if never || loaded.codes.is_none() || loaded.model.facts().per_layer == 0 {
        return Ok(chosen);
    }
    let choices = LayerTail::choices(caps);
    for (at, &workgroups) in choices.iter().enumerate() {
        let known = engine.0.remembered.recall(workgroups).filter(|_| wanted == Persistent::Auto);
        if known == Some(false) {
            continue;
        }
        match tested(engine, workgroups, wanted, known.is_some(), cancel).await {
            Err(Error::Model(ModelError::Gpu(lost @ GpuError::DeviceLost { .. }))) => return Err(lost.into()),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Ok(Verdict::Serves) => {
                loaded.set_resident(Some(workgroups));
                chosen.on = true;
                break;
            }
            // Fewer may all come.
            Ok(Verdict::GaveUp) => {
                engine.0.remembered.keep(workgroups, false);
                chosen.failed.push(workgroups);
            }
            // Fewer are slower still, and no more right.
            Ok(verdict @ (Verdict::Slower | Verdict::Wrong)) => {
                choices[at..].iter().for_each(|fewer| engine.0.remembered.keep(*fewer, false));
                chosen.failed.extend((verdict == Verdict::Wrong).then_some(workgroups));
                break;
            }
            // Fewer may share out a smaller model.
            Ok(Verdict::Absent) => {}
            // Nothing is known of it.
            Err(Error::Model(ModelError::Gpu(GpuError::OutOfMemory { .. }))) => break,
            // A driver that refuses the kernel, or a weight in pieces.
            Err(_) => {
                chosen.failed.push(workgroups);
                break;
            }
        }
    }
    Ok(chosen)
}

/// How so many do. Of what is `known` to serve only the kernels are tested.
async fn tested(engine: &Engine, workgroups: u32, wanted: Persistent, known: bool, cancel: &Cancel) -> Result<Verdict, Error> {
    let loaded = &engine.0.loaded;
    match staying(loaded, workgroups, loaded.tests_resident()).await {
        Ok(false) => return Ok(Verdict::Absent),
        Err(error @ ModelError::Gpu(_)) => return Err(error.into()),
        // By its kernels' small cases: of those that did not come, too.
        Err(_) => return Ok(Verdict::GaveUp),
        Ok(true) if known => return Ok(Verdict::Serves),
        Ok(true) => {}
    }
    let mut runner = Runner::new(engine.clone()).await?;
    runner.reserve((COMPARED.len() + 3 * TIMED) as u32).await?;
    let want = logits_along(&mut runner, &COMPARED).await?;
    runner.plans.clear();
    let got = staying(loaded, workgroups, logits_along(&mut runner, &COMPARED)).await?;
    match (runner.gave_up().await?, alike(&want, &got)) {
        (true, _) => return Ok(Verdict::GaveUp),
        (false, false) => return Ok(Verdict::Wrong),
        (false, true) => {}
    }
    if wanted == Persistent::On {
        return Ok(Verdict::Serves);
    }
    // In turns: a GPU that was idle takes a while to become as fast as it is.
    let [mut usual, mut stays] = [Least::default(), Least::default()];
    for _ in 0..RUNS {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        runner.plans.clear();
        usual.learn(timed(&mut runner).await?);
        runner.plans.clear();
        stays.learn(staying(loaded, workgroups, timed(&mut runner)).await?);
    }
    let verdict = match runner.gave_up().await? {
        true => Verdict::GaveUp,
        false if stays.seconds() > PAYS * usual.seconds() => Verdict::Slower,
        false => Verdict::Serves,
    };
    engine.0.remembered.keep(workgroups, verdict == Verdict::Serves);
    Ok(verdict)
}

/// What is done while steps are built for so many.
async fn staying<T>(loaded: &Loaded, workgroups: u32, work: impl Future<Output = T>) -> T {
    loaded.set_resident(Some(workgroups));
    let done = work.await;
    loaded.set_resident(None);
    done
}

/// The least seconds of one group of steps and of three.
struct Least([f64; 2]);

impl Default for Least {
    fn default() -> Self {
        Least([f64::INFINITY; 2])
    }
}

impl Least {
    fn learn(&mut self, took: [f64; 2]) {
        self.0.iter_mut().zip(took).for_each(|(least, took)| *least = least.min(took));
    }

    /// Of the groups that were queued behind the first, as decoding queues them: the GPU waits for that one's commands.
    fn seconds(&self) -> f64 {
        self.0[1] - self.0[0]
    }
}

/// Logits behind each of some tokens, of which the first begins a text.
async fn logits_along(runner: &mut Runner, ids: &[u32]) -> Result<Vec<Vec<f32>>, Error> {
    runner.set_position(0);
    let mut logits = Vec::new();
    for id in ids {
        runner.set_step(*id, 0);
        runner.steps(1, Some(*id), None).await?;
        logits.push(runner.logits().to_vec());
    }
    Ok(logits)
}

/// Seconds of a group of steps, and of three that are queued one behind another.
async fn timed(runner: &mut Runner) -> Result<[f64; 2], Error> {
    runner.set_sampling(&SampleSettings::default(), &[]);
    // The first makes the recording, and warms up.
    let mut took = [0.0; 3];
    for (took, groups) in took.iter_mut().zip([1, 1, 3]) {
        runner.set_position(COMPARED.len() as u32);
        runner.set_step(COMPARED[0], 0);
        let started = Instant::now();
        for _ in 0..groups {
            runner.steps(TIMED, Some(COMPARED[0]), Some(SampleMode::Greedy)).await?;
        }
        runner.device().finish().await.map_err(ModelError::from)?;
        *took = started.elapsed().as_secs_f64();
    }
    Ok([took[1], took[2]])
}

/// Whether the logits behind each token are the same but for rounding.
fn alike(want: &[Vec<f32>], got: &[Vec<f32>]) -> bool {
    want.iter().zip(got).all(|(want, got)| {
        let count = want.len() as f64;
        let mean = want.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let spread = want.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
        let apart = want.iter().zip(got).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
        // No number is apart from everything.
        apart <= APART * APART * spread
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GenerateOptions, LoadOptions, PleMode, Products, Sampling, Session};
    use pollster::block_on;
    use rullama_source::FileSource;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models/dense-ple-Q4_K_M.gguf");
    const PROMPT: [u32; 4] = [2, 700, 811, 922];

    #[derive(Debug, Default)]
    struct Kept(Mutex<BTreeMap<String, bool>>);

    impl Measurements for Kept {
        fn recall(&self, key: &str) -> Option<bool> {
            self.0.lock().unwrap().get(key).copied()
        }

        fn keep(&self, key: &str, faster: bool) {
            self.0.lock().unwrap().insert(key.into(), faster);
        }
    }

    fn load(persistent: Persistent, kept: Option<Arc<dyn Measurements>>) -> Engine {
        let options =
            LoadOptions { products: Products::Int8, persistent, ple: PleMode::Resident, measurements: kept, ..Default::default() };
        let source = Arc::new(FileSource::open(MODEL).unwrap());
        let loaded = block_on(Engine::load(source, options, &mut |_| ()));
        loaded.expect("a GPU adapter (install mesa-vulkan-drivers for a software one)")
    }

    /// As a CPU adapter has them; the model is too small to be shared out by those of a GPU.
    fn workgroups(engine: &Engine) -> Option<u32> {
        let caps = engine.device().caps();
        if !caps.software {
            eprintln!("not run: {} is no CPU", engine.device().name());
            return None;
        }
        assert_eq!(LayerTail::choices(caps), [1]);
        Some(1)
    }

    /// An answer; once it has so many tokens a word of those that are exchanged is not clear.
    fn answer(session: &mut Session, sampling: &Sampling, spoilt_at: Option<usize>) -> Vec<u32> {
        let options = GenerateOptions { sampling: sampling.clone(), max_tokens: Some(14), ignore_eos: true, ..Default::default() };
        let (device, words) = (session.engine().device().clone(), session.runner.words.buffer(Words::Exchange).clone());
        let mut tokens = 0;
        let mut on_token = |_: &crate::Token| {
            tokens += 1;
            if spoilt_at == Some(tokens) {
                device.write(&words, 4 * 40, &1.0f32.to_le_bytes());
            }
        };
        block_on(session.generate(&PROMPT, &options, &Cancel::new(), &mut on_token)).unwrap().ids
    }

    #[test]
    fn answers_go_on_behind_a_step_that_gave_up() {
        let (kept, plain) = (Arc::new(Kept::default()), load(Persistent::Off, None));
        let engine = load(Persistent::On, Some(kept.clone()));
        let Some(most) = workgroups(&engine) else { return };
        assert!(engine.info().persistent && !plain.info().persistent, "{:?}", engine.info().disabled_kernels);
        // The last two wait for each token, and are drawn by the host.
        let penalties = Sampling { repeat_penalty: 1.001, repeat_last_n: 1024, ..Sampling::greedy() };
        let on_host = Sampling { temperature: 1e-3, top_k: 0, seed: Some(5), ..Sampling::default() };
        for sampling in [Sampling::greedy(), penalties, on_host] {
            for spoilt in [false, true] {
                let mut session = block_on(engine.session()).unwrap();
                engine.loaded().set_resident(Some(most));
                let ids = answer(&mut session, &sampling, spoilt.then_some(5));
                assert_eq!(engine.loaded().resident(), (!spoilt).then_some(most), "{sampling:?}");
                assert_eq!(ids.len(), 14);
                assert_likeliest(&plain, &ids);
            }
            assert!(kept.0.lock().unwrap().values().any(|serves| !serves));
        }
    }

    #[test]
    fn both_ways_are_timed_and_the_verdict_is_remembered() {
        let kept = Arc::new(Kept::default());
        let engine = load(Persistent::Off, Some(kept.clone()));
        let Some(most) = workgroups(&engine) else { return };
        let known = kept.0.lock().unwrap().len();
        let verdict = block_on(tested(&engine, most, Persistent::Auto, false, &Cancel::new())).unwrap();
        assert!([Verdict::Serves, Verdict::Slower].contains(&verdict), "{verdict:?}");
        assert_eq!(engine.0.remembered.recall(most), Some(verdict == Verdict::Serves));
        assert_eq!(kept.0.lock().unwrap().len(), known + 1);
        assert_eq!(engine.loaded().resident(), None);
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(block_on(tested(&engine, most, Persistent::Auto, false, &cancel)), Err(Error::Cancelled)));
    }

    /// Each token is the likeliest, up to rounding.
    fn assert_likeliest(engine: &Engine, ids: &[u32]) {
        let mut runner = block_on(Runner::new(engine.clone())).unwrap();
        block_on(runner.reserve(64)).unwrap();
        let along = block_on(logits_along(&mut runner, &[&PROMPT, ids].concat())).unwrap();
        for (id, logits) in ids.iter().zip(&along[PROMPT.len() - 1..]) {
            let best = logits.iter().fold(f32::MIN, |best, logit| best.max(*logit));
            let deviation = (logits.iter().map(|logit| logit * logit).sum::<f32>() / logits.len() as f32).sqrt();
            assert!(best - logits[*id as usize] < 0.3 * deviation, "{id} of {ids:?}: {} and {best}", logits[*id as usize]);
        }
    }

    #[test]
    fn logits_are_alike_up_to_rounding() {
        let want = vec![(0..100).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<f32>>()];
        let changed =
            |change: &dyn Fn(usize, f32) -> f32| vec![want[0].iter().enumerate().map(|(i, x)| change(i, *x)).collect::<Vec<f32>>()];
        assert!(alike(&want, &want));
        assert!(alike(&want, &changed(&|_, x| x + 0.01)));
        assert!(!alike(&want, &changed(&|_, x| x + 0.2)));
        assert!(!alike(&want, &changed(&|i, x| if i == 7 { f32::NAN } else { x })));
        assert!(!alike(&want, &changed(&|i, x| if i == 7 { f32::INFINITY } else { x })));
    }
}
