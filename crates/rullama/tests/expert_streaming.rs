//! Experts that stay in the file: the same logits, bit for bit, from as few places as a token needs; what is counted, and what is refused.

use rullama::source::{ByteSource, FileSource, Locality};
use rullama::{Cancel, Engine, Error, Evaluation, ExpertMode, GenerateOptions, KvType, LoadOptions, Sampling};
use rullama_testing::{golden, shared, skip};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const FUSED: &str = "models/moe-small-fused-Q4_0.gguf";

fn options(experts: ExpertMode, memory_budget: Option<u64>, as_gpu: bool) -> LoadOptions {
    LoadOptions { kv: KvType::F32, experts, memory_budget, as_gpu, chunk: Some(512), ..Default::default() }
}

fn load_source(source: Arc<dyn ByteSource>, options: LoadOptions) -> Result<Engine, Error> {
    match pollster::block_on(Engine::load(source, options, &mut |_| ())) {
        Err(error) if error.code() == "no-webgpu" => skip(error),
        other => other,
    }
}

fn load(path: &Path, options: LoadOptions) -> Result<Engine, Error> {
    load_source(Arc::new(FileSource::open(path).unwrap()), options)
}

fn ids(count: u32) -> Vec<u32> {
    (0..count).map(|i| 3 + (i * i * 37 + 11 * i) % 2000).collect()
}

/// What the budget has to be for as many places as a token needs.
fn least(path: &Path) -> u64 {
    match load(path, options(ExpertMode::Streamed, Some(1), false)) {
        Err(error @ Error::ExpertBudget { places: 0, budget: 1, need, .. }) => {
            assert!(error.to_string().contains(&format!("at least {need} bytes")), "{error}");
            need
        }
        other => panic!("{other:?}", other = other.err()),
    }
}

fn evaluate(engine: &Engine, ids: &[u32]) -> Evaluation {
    pollster::block_on(async { engine.session().await?.evaluate(ids).await }).unwrap()
}

/// Tokens of an answer with the bits of their log-probabilities.
fn answer(engine: &Engine, prompt: &[u32], sampling: Sampling) -> Vec<(u32, Option<u32>)> {
    let options = GenerateOptions { sampling, max_tokens: Some(12), ignore_eos: true, logprobs: Some(0), ..Default::default() };
    let mut all = Vec::new();
    let mut keep = |token: &rullama::Token| all.push((token.id, token.logprob.map(f32::to_bits)));
    pollster::block_on(async { engine.session().await?.generate(prompt, &options, &Cancel::new(), &mut keep).await }).unwrap();
    all
}

/// Both ways of sampling: on the GPU, and on the host from logits.
fn samplings() -> [Sampling; 2] {
    [Sampling::greedy(), Sampling { top_k: 0, seed: Some(7), ..Sampling::default() }]
}

fn bits(evaluation: &Evaluation) -> Vec<(&String, Vec<u32>)> {
    evaluation.matrices.iter().map(|(name, values)| (name, values.iter().map(|v| v.to_bits()).collect())).collect()
}

fn same_bits(path: &Path, budgets: &[u64], as_gpu: bool) {
    let resident = load(path, options(ExpertMode::Resident, None, as_gpu)).unwrap();
    assert_eq!(resident.info().experts, "resident");
    let prompts = [ids(5), ids(70)];
    let want: Vec<_> = prompts.iter().map(|ids| evaluate(&resident, ids)).collect();
    for &budget in budgets {
        let streamed = load(path, options(ExpertMode::Streamed, Some(budget), as_gpu)).unwrap();
        assert_eq!(streamed.info().experts, "streamed");
        assert!(streamed.loaded().weights.weight("token_embd").is_some() && streamed.memory().gpu < resident.memory().gpu);
        assert_eq!(streamed.loaded().identity, resident.loaded().identity);
        for (ids, want) in prompts.iter().zip(&want) {
            assert!(bits(&evaluate(&streamed, ids)) == bits(want), "{} tokens, {budget} bytes, {as_gpu}", ids.len());
            for sampling in samplings() {
                assert_eq!(answer(&streamed, ids, sampling.clone()), answer(&resident, ids, sampling), "{} tokens, {budget}", ids.len());
            }
        }
    }
}

fn logits_are_those_of_resident_experts() {
    let path = golden(FUSED);
    let least = least(&path);
    same_bits(&path, &[least + least / 4], true);
    same_bits(&path, &[least], false);
}

fn split_tensors_are_streamed_as_well() {
    let path = shared("models/moe-small-split-Q8_0.gguf");
    same_bits(&path, &[least(&path)], true);
}

fn what_it_took_is_counted() {
    let path = golden(FUSED);
    let resident = load(&path, options(ExpertMode::Auto, None, false)).unwrap();
    assert!(pollster::block_on(resident.expert_stats()).is_none());
    let engine = load(&path, options(ExpertMode::Auto, Some(least(&path)), false)).unwrap();
    let (layers, used) = (engine.info().layers as u64, u64::from(engine.info().expert_places));
    let stats = || pollster::block_on(engine.expert_stats()).unwrap();
    assert_eq!(stats(), Default::default());
    let mut session = pollster::block_on(engine.session()).unwrap();
    pollster::block_on(session.evaluate(&[2])).unwrap();
    let first = stats();
    assert_eq!((first.wanted, first.hits, first.round_trips, first.passes), (layers * used, 0, layers, layers));
    let each = first.bytes_read / first.wanted;
    assert_eq!(each * first.wanted, first.bytes_read);
    // The same token in the same place chooses the same experts, which are there.
    pollster::block_on(session.truncate(0)).unwrap();
    pollster::block_on(session.evaluate(&[2])).unwrap();
    let second = stats().since(&first);
    assert_eq!((second.wanted, second.hits, second.bytes_read), (layers * used, layers * used, 0));
    assert_eq!(second.hit_rate(), 1.0);
    // A prompt needs more than there are places for: passes.
    let before = stats();
    pollster::block_on(session.evaluate(&ids(70))).unwrap();
    let prompt = stats().since(&before);
    assert!(prompt.passes > layers && prompt.round_trips == layers && prompt.wanted > layers * used, "{prompt:?}");
    assert_eq!(prompt.bytes_read, each * (prompt.wanted - prompt.hits));
    // A sampled token is a step, whose layers are waited for.
    let before = stats();
    let answered = answer(&engine, &[2, 105], Sampling::greedy()).len() as u64;
    assert_eq!(stats().since(&before).round_trips, answered * layers);
}

/// A file whose experts cannot be read for a while, or that is far away.
#[derive(Debug)]
struct Unreliable {
    inner: FileSource,
    broken: AtomicBool,
    remote: bool,
}

impl ByteSource for Unreliable {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn locality(&self) -> Locality {
        if self.remote { Locality::Remote } else { Locality::Local }
    }

    fn read(&self, offset: u64, len: usize) -> rullama::source::BoxFuture<'_, Result<Vec<u8>, rullama::source::SourceError>> {
        let offset = if self.broken.load(Ordering::Relaxed) { self.len() } else { offset };
        self.inner.read(offset, len)
    }
}

fn unreliable(path: &Path, remote: bool) -> Arc<Unreliable> {
    Arc::new(Unreliable { inner: FileSource::open(path).unwrap(), broken: AtomicBool::new(false), remote })
}

/// What could not be read is not taken for there: the next answer is right.
fn a_read_that_fails_is_an_error_and_nothing_else() {
    let path = golden(FUSED);
    let source = unreliable(&path, false);
    let engine = load_source(source.clone(), options(ExpertMode::Streamed, Some(least(&path)), false)).unwrap();
    let want = evaluate(&engine, &ids(70));
    let mut session = pollster::block_on(engine.session()).unwrap();
    for round in 0..2 {
        source.broken.store(true, Ordering::Relaxed);
        let failed = pollster::block_on(session.evaluate(&ids(70)[round..])).unwrap_err();
        assert!(failed.to_string().contains("lie outside"), "{failed}");
        source.broken.store(false, Ordering::Relaxed);
        pollster::block_on(session.truncate(0)).unwrap();
        assert!(pollster::block_on(session.evaluate(&ids(70))).unwrap() == want);
        session.clear();
    }
}

fn a_network_is_not_streamed_from() {
    let path = golden(FUSED);
    let load = |mode, budget| load_source(unreliable(&path, true), options(mode, budget, false)).map(|engine| engine.info().experts);
    assert_eq!(load(ExpertMode::Resident, Some(1)).unwrap(), "resident");
    assert_eq!(load(ExpertMode::Auto, None).unwrap(), "resident");
    let refused = load(ExpertMode::Auto, Some(1)).unwrap_err();
    assert!(matches!(refused, Error::RemoteBudget { budget: 1, .. }), "{refused}");
    assert_eq!(load(ExpertMode::Streamed, None).unwrap_err().code(), "invalid-argument");
}

/// Sessions share the places; each gets its own answer, whatever the other wanted in between.
fn sessions_take_turns() {
    let path = golden(FUSED);
    let engine = load(&path, options(ExpertMode::Streamed, Some(least(&path)), false)).unwrap();
    let alone = [ids(9), ids(33)].map(|ids| evaluate(&engine, &ids));
    let mut sessions = [0; 2].map(|_| pollster::block_on(engine.session()).unwrap());
    let mut rows: [Vec<f32>; 2] = Default::default();
    for at in 0..9 {
        for (session, rows) in sessions.iter_mut().zip(&mut rows) {
            let step = pollster::block_on(session.evaluate(&ids(33)[at..=at])).unwrap();
            rows.extend(&step.matrices["layer_0"]);
        }
    }
    assert_eq!(rows[0], rows[1]);
    let again = evaluate(&engine, &ids(33));
    assert!(again == alone[1]);
}

rullama_testing::tests! {
    logits_are_those_of_resident_experts,
    split_tensors_are_streamed_as_well,
    what_it_took_is_counted,
    a_read_that_fails_is_an_error_and_nothing_else,
    a_network_is_not_streamed_from,
    sessions_take_turns,
}
