//! What a session holds and gives: texts and ids, long answers, saved bytes, sessions side by side, futures that are dropped.

use rullama::source::{BoxFuture, ByteSource, FileSource, Locality, MemorySource, SourceError};
use rullama::{
    Cancel, Chat, ChatOptions, Engine, Error, Finish, GenerateOptions, KvType, LoadOptions, Message, PleMode, Sampling, Session,
};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models")).join(name)
}

fn source(name: &str) -> Arc<dyn ByteSource> {
    Arc::new(FileSource::open(path(name)).unwrap())
}

fn engine(options: LoadOptions) -> Engine {
    pollster::block_on(Engine::load(source("dense-ple-Q4_K_M.gguf"), LoadOptions { chunk: Some(512), ..options }, &mut |_| ())).unwrap()
}

fn session(options: LoadOptions) -> Session {
    pollster::block_on(engine(options).session()).unwrap()
}

fn prompt(len: u32) -> Vec<u32> {
    (0..len).map(|i| if i == 0 { 2 } else { 500 + i * 37 % 1400 }).collect()
}

fn greedy(max_tokens: u32) -> GenerateOptions {
    GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(max_tokens), ignore_eos: true, ..Default::default() }
}

fn generate(session: &mut Session, prompt: &[u32], max_tokens: u32) -> Vec<u32> {
    pollster::block_on(session.generate(prompt, &greedy(max_tokens), &Cancel::new(), &mut |_| ())).unwrap().ids
}

/// Each token is told once, with text that adds up, also where text was held back for a stop string or a character.
fn tokens_are_told_once_and_their_texts_add_up() {
    let mut session = session(LoadOptions::default());
    let all = pollster::block_on(session.generate(&prompt(20), &greedy(24), &Cancel::new(), &mut |_| ())).unwrap();
    // Stop strings that begin like the text's end, so that something is held back when the answer ends.
    for cut in 1..6 {
        let tail: String = all.text.chars().rev().take(cut).collect::<Vec<_>>().into_iter().rev().collect();
        let options = GenerateOptions { stop: vec![format!("{tail}\u{1}")], ..greedy(24) };
        let (mut ids, mut text) = (Vec::new(), String::new());
        let mut on_token = |token: &rullama::Token| {
            ids.push(token.id);
            text.push_str(&token.text);
        };
        let summary = pollster::block_on(session.generate(&prompt(20), &options, &Cancel::new(), &mut on_token)).unwrap();
        assert_eq!((ids, text), (summary.ids, summary.text.clone()), "{tail:?}");
        assert_eq!((summary.finish, summary.text), (Finish::Length, all.text.clone()));
    }
}

/// Decoding token by token agrees with one evaluation of everything, over windows that have wrapped around many times.
fn many_tokens_are_those_of_one_evaluation() {
    tokens_are_those_of_one_evaluation(1700);
}

fn three_thousand_tokens_are_those_of_one_evaluation() {
    rullama_testing::variable("RULLAMA_FULL");
    tokens_are_those_of_one_evaluation(3000);
}

/// Windows are of 48 tokens, in rings of 832 slots, which 1700 tokens turn twice.
fn tokens_are_those_of_one_evaluation(count: u32) {
    let engine = engine(LoadOptions { kv: KvType::F32, context: Some(4096), as_gpu: true, ..Default::default() });
    let mut session = pollster::block_on(engine.session()).unwrap();
    let mut logprobs = Vec::new();
    let sampling = Sampling { seed: Some(11), temperature: 0.9, ..Default::default() };
    let options = GenerateOptions { sampling, logprobs: Some(1), ..greedy(count) };
    let mut on_token = |token: &rullama::Token| logprobs.push(f64::from(token.logprob.unwrap()));
    let ids = pollster::block_on(session.generate(&prompt(10), &options, &Cancel::new(), &mut on_token)).unwrap().ids;
    assert_eq!(ids.len(), count as usize);
    let whole = [prompt(10), ids.clone()].concat();
    let mut other = pollster::block_on(engine.session()).unwrap();
    let evaluation = pollster::block_on(other.evaluate(&whole)).unwrap();
    for (i, (id, told)) in ids.iter().zip(&logprobs).enumerate() {
        let logits = evaluation.row("logits", 9 + i).unwrap();
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|l| f64::from(l - best).exp()).sum();
        let logprob = f64::from(logits[*id as usize] - best) - sum.ln();
        // The bound for logits, 2e-4 of their deviation, which is near 1 here; a log-probability has two of them.
        assert!((logprob - told).abs() < 1e-3, "token {i}: {logprob} in one evaluation, {told} when it was drawn");
    }
}

fn saved_bytes_that_are_not_this_sessions_are_refused() {
    let mut one = session(LoadOptions::default());
    generate(&mut one, &prompt(30), 4);
    let saved = pollster::block_on(one.save()).unwrap();
    let (tokens, gpu) = (one.tokens().to_vec(), one.bytes());
    let refuse = |session: &mut Session, bytes: &[u8], what: &str| {
        let refused = pollster::block_on(session.restore(bytes));
        assert!(matches!(refused, Err(Error::SavedSession { .. })), "{what}: {refused:?}");
    };
    for at in (0..saved.len()).step_by(saved.len() / 97) {
        let mut flipped = saved.clone();
        flipped[at] ^= 4;
        refuse(&mut one, &flipped, &format!("bit of byte {at}"));
    }
    refuse(&mut one, &[&saved[..], &[0; 1000]].concat(), "bytes behind the end");
    // Headers that were changed and given a new checksum.
    let changed = |change: &dyn Fn(&mut serde_json::Value)| rewritten(&saved, change);
    let vocab = one.engine().info().vocab;
    refuse(&mut one, &changed(&|h| h["items"][3]["id"] = vocab.into()), "an id outside the vocabulary");
    refuse(&mut one, &changed(&|h| h["written"] = u32::MAX.into()), "more positions than the context");
    refuse(&mut one, &changed(&|h| h["parts"][1] = h["parts"][0].clone()), "a half twice");
    refuse(&mut one, &changed(&|h| h["parts"][0][1] = true.into()), "every half values");
    refuse(&mut one, &changed(&|h| h["identity"] = "00".repeat(32).into()), "other weights");
    refuse(&mut one, &changed(&|h| h["written"] = 3000.into()), "another size");
    for step in [0, 511, 576, u32::MAX] {
        refuse(&mut one, &changed(&|h| h["step"] = step.into()), "steps that the model has none of");
    }
    refuse(&mut one, &changed(&|h| h["first"] = 3000.into()), "rings that begin behind the end");
    assert_eq!((one.tokens(), one.bytes()), (&tokens[..], gpu), "the session is as it was");
    assert_eq!(generate(&mut one, &[tokens, vec![700]].concat(), 3).len(), 3);
}

/// The same with its header changed, and a checksum that fits again.
fn rewritten(saved: &[u8], change: &dyn Fn(&mut serde_json::Value)) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let length = u32::from_le_bytes(saved[40..44].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&saved[44..44 + length]).unwrap();
    change(&mut header);
    let header = serde_json::to_vec(&header).unwrap();
    let body = [&(header.len() as u32).to_le_bytes()[..], &header, &saved[44 + length..]].concat();
    [&saved[..8], &Sha256::digest(&body)[..], &body].concat()
}

/// Another fine-tune under the same name and shapes, and another place of the per-layer table.
fn a_session_belongs_to_its_weights_wherever_they_are() {
    let mut resident = session(LoadOptions { ple: PleMode::Resident, ..Default::default() });
    let ids = generate(&mut resident, &prompt(30), 4);
    let saved = pollster::block_on(resident.save()).unwrap();
    let mut streamed = session(LoadOptions { ple: PleMode::Streamed, ..Default::default() });
    pollster::block_on(streamed.restore(&saved)).unwrap();
    assert_eq!(generate(&mut streamed, &prompt(30), 4), ids);

    let mut bytes = std::fs::read(path("dense-ple-Q4_K_M.gguf")).unwrap();
    let gguf = pollster::block_on(rullama::source::gguf::Gguf::open(&MemorySource::new("model", bytes.clone()))).unwrap();
    let down = gguf.tensors.require("blk.1.ffn_down.weight").unwrap().range.clone();
    bytes[down.start as usize + 5] ^= 1;
    let tuned: Arc<dyn ByteSource> = Arc::new(MemorySource::new("tuned", bytes));
    let tuned = pollster::block_on(Engine::load(tuned, LoadOptions::default(), &mut |_| ())).unwrap();
    let mut tuned = pollster::block_on(tuned.session()).unwrap();
    assert!(matches!(pollster::block_on(tuned.restore(&saved)), Err(Error::SavedSession { .. })));
}

/// Sessions of an engine share activations, and neither disturbs the other; an idle one costs its caches alone.
fn sessions_share_activations_and_take_turns() {
    let engine = engine(LoadOptions::default());
    let mut sessions: Vec<Session> = (0..3).map(|_| pollster::block_on(engine.session()).unwrap()).collect();
    let alone = generate(&mut sessions[0], &prompt(40), 12);
    let used = engine.memory().gpu;
    let second: Vec<u32> = prompt(40).iter().map(|id| if *id == 2 { 2 } else { id + 3 }).collect();
    let other = generate(&mut sessions[1], &second, 12);
    let more = engine.memory().gpu - used;
    assert!(more < 200_000, "a second conversation takes {more} bytes beside its caches");
    // In turns, one token each.
    for session in &mut sessions {
        session.clear();
    }
    let (mut a, mut b) = (prompt(40), second);
    for i in 0..12 {
        a.extend(generate(&mut sessions[0], &a.clone(), 1));
        b.extend(generate(&mut sessions[1], &b.clone(), 1));
        assert_eq!((a[40 + i], b[40 + i]), (alone[i], other[i]));
    }
}

/// Two engines on one device, as a trainer beside an engine would be.
fn engines_share_a_device() {
    let one = engine(LoadOptions::default());
    let (device, cancel) = (one.device().clone(), Cancel::new());
    let two = pollster::block_on(Engine::load_on(device, source("dense-Q4_0.gguf"), LoadOptions::default(), &cancel, &mut |_| ()));
    let two = two.map_err(|error| error.to_string()).unwrap();
    assert_eq!(two.device().allocated(), one.device().allocated());
    let ids = |engine: &Engine| generate(&mut pollster::block_on(engine.session()).unwrap(), &prompt(20), 6);
    let (first, second) = (ids(&one), ids(&two));
    let alone = pollster::block_on(Engine::load(source("dense-Q4_0.gguf"), LoadOptions::default(), &mut |_| ())).unwrap();
    assert_eq!((ids(&one), ids(&alone)), (first, second));
}

/// A source whose reads wait once when told to.
struct Pending {
    inner: FileSource,
    wait: Arc<AtomicBool>,
}

impl ByteSource for Pending {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn locality(&self) -> Locality {
        Locality::Local
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(async move {
            if self.wait.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.inner.read(offset, len).await
        })
    }
}

/// Polls until the future waits for something that does not come.
fn poll_for_a_while<F: Future>(mut future: Pin<&mut F>) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..200 {
        assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

fn an_answer_that_is_dropped_in_the_middle_leaves_a_session_that_works() {
    let wait = Arc::new(AtomicBool::new(false));
    let inner = FileSource::open(path("dense-ple-Q4_K_M.gguf")).unwrap();
    let source: Arc<dyn ByteSource> = Arc::new(Pending { inner, wait: wait.clone() });
    let engine =
        pollster::block_on(Engine::load(source, LoadOptions { ple: PleMode::Streamed, ..Default::default() }, &mut |_| ())).unwrap();
    let mut session = pollster::block_on(engine.session()).unwrap();
    let want = generate(&mut session, &prompt(20), 5);
    wait.store(true, Ordering::Relaxed);
    {
        let (options, cancel) = (greedy(5), Cancel::new());
        let other = prompt(30).iter().map(|id| id + 3).collect::<Vec<_>>();
        let mut ignore = |_: &rullama::Token| ();
        let mut answer = Box::pin(session.generate(&other, &options, &cancel, &mut ignore));
        poll_for_a_while(answer.as_mut());
    }
    wait.store(false, Ordering::Relaxed);
    assert_eq!(generate(&mut session, &prompt(20), 5), want);
    // Nor does a conversation keep a message that was never answered.
    let mut chat = Chat::new(session, ChatOptions::default());
    wait.store(true, Ordering::Relaxed);
    {
        let (options, cancel) = (greedy(5), Cancel::new());
        let mut ignore = |_: &rullama::Event| ();
        let mut answer = Box::pin(chat.send(Message::user("Hi"), &options, &cancel, &mut ignore));
        poll_for_a_while(answer.as_mut());
    }
    wait.store(false, Ordering::Relaxed);
    assert!(chat.messages().is_empty());
    pollster::block_on(chat.send(Message::user("Hi"), &greedy(5), &Cancel::new(), &mut |_| ())).unwrap();
    assert_eq!(chat.messages().len(), 2);
}

rullama_testing::tests! {
    tokens_are_told_once_and_their_texts_add_up,
    many_tokens_are_those_of_one_evaluation,
    three_thousand_tokens_are_those_of_one_evaluation,
    saved_bytes_that_are_not_this_sessions_are_refused,
    a_session_belongs_to_its_weights_wherever_they_are,
    sessions_share_activations_and_take_turns,
    engines_share_a_device,
    an_answer_that_is_dropped_in_the_middle_leaves_a_session_that_works,
}
