//! Streamed per-layer rows: answers are those of resident ones, wherever rows are, and rows that are there are not read again.

use rullama::source::FileSource;
use rullama::{Cancel, Engine, Finish, GenerateOptions, LoadOptions, PleMode, RowStats, Sampling, Session, Speculate, Summary};
use rullama_testing::found;
use std::path::Path;
use std::sync::Arc;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models/dense-ple-Q4_K_M.gguf");
/// Tokens of a chunk, and the places that rows then have at least.
const CHUNK: u32 = 16;

fn load(options: LoadOptions) -> Engine {
    let source = Arc::new(FileSource::open(Path::new(MODEL)).unwrap());
    let options = LoadOptions { chunk: Some(CHUNK), ..options };
    found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn resident() -> LoadOptions {
    LoadOptions { ple: PleMode::Resident, ..Default::default() }
}

/// All rows fit.
fn roomy() -> LoadOptions {
    LoadOptions { ple: PleMode::Streamed, ..Default::default() }
}

/// A chunk's rows fit.
fn tiny() -> LoadOptions {
    LoadOptions { memory_budget: Some(1), ..roomy() }
}

fn session(engine: &Engine) -> Session {
    pollster::block_on(engine.session()).unwrap()
}

fn stats(engine: &Engine) -> RowStats {
    pollster::block_on(engine.row_stats()).unwrap()
}

fn prompt(len: u32, salt: u32) -> Vec<u32> {
    (0..len).map(|i| if i == 0 { 2 } else { 500 + (i * 37 + salt) % 1400 }).collect()
}

fn options(sampling: Sampling, max_tokens: u32) -> GenerateOptions {
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ignore_eos: true, ..Default::default() }
}

/// Draws that hardly ever come twice.
fn hot(seed: u64) -> Sampling {
    Sampling { temperature: 50.0, top_k: 1000, top_p: 1.0, seed: Some(seed), ..Default::default() }
}

fn generate(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> Summary {
    pollster::block_on(session.generate(prompt, options, &Cancel::new(), &mut |_| ())).unwrap()
}

/// What an answer is, and what it leaves.
fn answer(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> (Vec<u32>, String, Finish, Vec<u32>) {
    let summary = generate(session, prompt, options);
    (summary.ids, summary.text, summary.finish, session.tokens().to_vec())
}

/// In an order in which hits and misses take turns, so that steps are queued ahead and then turn out void.
fn requests() -> Vec<(Vec<u32>, GenerateOptions)> {
    let penalties = Sampling { repeat_penalty: 1.4, presence_penalty: 0.3, frequency_penalty: 0.2, repeat_last_n: 9, ..hot(3) };
    let whole = Sampling { repeat_last_n: 4096, ..penalties.clone() };
    let calm = options(Sampling::greedy(), 40);
    vec![
        (prompt(20, 0), calm.clone()),
        (prompt(20, 0), calm.clone()),
        (prompt(20, 0), calm.clone()),
        (prompt(20, 0), calm.clone()),
        (prompt(20, 0), options(hot(1), 24)),
        (prompt(20, 0), calm.clone()),
        (prompt(40, 9), options(penalties, 24)),
        (prompt(40, 9), options(whole, 12)),
        (prompt(20, 0), calm),
        (prompt(40, 9), options(Sampling { top_k: 0, ..hot(4) }, 4)),
        (prompt(20, 0), options(hot(5), 24)),
    ]
}

fn answers_are_those_of_resident_rows() {
    let mut plain = session(&load(resident()));
    let wanted: Vec<_> = requests().iter().map(|(prompt, options)| answer(&mut plain, prompt, options)).collect();
    for (name, load_options) in [("roomy", roomy()), ("tiny", tiny()), ("drafts", LoadOptions { speculate: Speculate::Lookup, ..tiny() })] {
        let engine = load(load_options);
        let mut session = session(&engine);
        for (at, ((prompt, options), want)) in requests().iter().zip(&wanted).enumerate() {
            assert!(answer(&mut session, prompt, options) == *want, "{name}: request {at}");
        }
        let took = stats(&engine);
        assert!(0 < took.hits && took.hits < took.wanted, "{name}: {took:?}");
        assert_eq!(took.void_steps > 0, name == "roomy", "{name}: {took:?}");
    }
}

fn rows_that_are_there_are_not_read_again() {
    let engine = load(roomy());
    let mut session = session(&engine);
    let ask = |session: &mut Session| generate(session, &prompt(20, 0), &options(Sampling::greedy(), 24));
    ask(&mut session);
    session.clear();
    let before = stats(&engine);
    ask(&mut session);
    let took = stats(&engine).since(&before);
    // Each token of the prompt, and those of the answer that a step was given: at most those queued behind the last as well.
    assert_eq!((took.hits, took.bytes_read, took.void_steps), (took.wanted, 0, 0));
    assert!((20 + 23..=20 + 24 + 16).contains(&took.wanted), "{took:?}");
    // Others on the engine find them, too.
    let before = stats(&engine);
    ask(&mut pollster::block_on(engine.session()).unwrap());
    assert_eq!(stats(&engine).since(&before).bytes_read, 0);
}

fn an_answer_ends_and_goes_on_anywhere() {
    let (plain, streamed) = (load(resident()), [load(roomy()), load(tiny())]);
    for engine in &streamed {
        let (mut want, mut got) = (session(&plain), session(engine));
        // So that steps are queued ahead.
        for session in [&mut want, &mut got] {
            generate(session, &prompt(20, 0), &options(Sampling::greedy(), 60));
        }
        let mut text = prompt(20, 0);
        for round in 0..6 {
            let hot = options(hot(round), 30);
            let texts = [&mut want, &mut got].map(|session| {
                let (cancel, mut seen) = (Cancel::new(), 0);
                let mut stop = |_: &_| {
                    seen += 1;
                    if seen > 2 * round {
                        cancel.cancel();
                    }
                };
                let summary = pollster::block_on(session.generate(&text, &hot, &cancel, &mut stop)).unwrap();
                assert_eq!(summary.finish, Finish::Cancelled);
                summary.ids
            });
            assert_eq!(texts[0], texts[1], "round {round}");
            // All but the last of its tokens, and a token of one's own.
            text.extend(&texts[0][..texts[0].len() - 1]);
            text.push(700 + round as u32);
            if round % 2 == 1 {
                let keep = text.len() as u32 - 6;
                for session in [&mut want, &mut got] {
                    pollster::block_on(session.truncate(keep)).unwrap();
                }
            }
        }
        let calm = options(Sampling::greedy(), 12);
        assert_eq!(answer(&mut got, &text, &calm), answer(&mut want, &text, &calm));
    }
}

fn a_saved_session_goes_on_wherever_rows_are() {
    let engines = [load(resident()), load(roomy()), load(tiny())];
    let calm = options(Sampling::greedy(), 30);
    let mut first = session(&engines[1]);
    let begun = generate(&mut first, &prompt(20, 0), &calm);
    let (saved, mut text) = (pollster::block_on(first.save()).unwrap(), [prompt(20, 0), begun.ids].concat());
    text.push(700);
    let answers = engines.each_ref().map(|engine| {
        let mut session = session(engine);
        pollster::block_on(session.restore(&saved)).unwrap();
        answer(&mut session, &text, &options(hot(8), 20))
    });
    assert!(answers[0] == answers[1] && answers[0] == answers[2]);
}

/// Each takes places from the other, also of rows that steps under way read.
fn two_sessions_at_once_answer_as_alone() {
    let (plain, shared) = (load(resident()), load(tiny()));
    let ask = |engine: &Engine, salt: u32| {
        let mut session = session(engine);
        [Sampling::greedy(), hot(2), Sampling::greedy()].map(|sampling| answer(&mut session, &prompt(20, salt), &options(sampling, 40)))
    };
    let wanted = [0, 9].map(|salt| ask(&plain, salt));
    let answers = std::thread::scope(|scope| {
        let (ask, shared) = (&ask, &shared);
        let threads = [0, 9].map(|salt| scope.spawn(move || ask(shared, salt)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(answers == wanted);
}

fn a_step_of_too_many_rows_is_refused() {
    let engine = load(tiny());
    let slots = engine.loaded().row_slots();
    assert_eq!(slots, CHUNK);
    let ids: Vec<u32> = (0..=slots).collect();
    let error = rullama::Error::from(pollster::block_on(engine.loaded().bring_rows(&ids)).unwrap_err());
    assert_eq!(error.code(), "invalid-argument", "{error}");
    assert!(pollster::block_on(engine.loaded().bring_rows(&ids[1..])).is_ok());
    let outside = rullama::Error::from(pollster::block_on(engine.loaded().bring_rows(&[u32::MAX])).unwrap_err());
    assert!(outside.to_string().contains("outside the vocabulary"), "{outside}");
}

rullama_testing::tests! {
    a_saved_session_goes_on_wherever_rows_are,
    a_step_of_too_many_rows_is_refused,
    an_answer_ends_and_goes_on_anywhere,
    answers_are_those_of_resident_rows,
    rows_that_are_there_are_not_read_again,
    two_sessions_at_once_answer_as_alone,
}
