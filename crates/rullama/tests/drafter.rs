//! Answers of the demo model with its drafter are those without it, and the drafter is right often enough to be of use.

use crate::speculation::{DEMO, alike, drawn, generate};
use rullama::source::FileSource;
use rullama::{
    Cancel, Engine, Error, Finish, GenerateOptions, KvType, LoadOptions, PleMode, Products, Sampling, Session, Speculate, Token,
};
use rullama_testing::{found, workspace};
use std::sync::Arc;

const DRAFTER: &str = "tools/demo-model/drafter.gguf";
const FIXTURES: &str = "tools/demo-model/drafter-fixtures.json";

fn load(file: &str, drafter: &str, options: LoadOptions) -> Result<Engine, Error> {
    let source = |file: &str| Arc::new(FileSource::open(workspace().join(file)).unwrap());
    let options = LoadOptions { chunk: Some(512), drafter: Some(source(drafter)), ..options };
    pollster::block_on(Engine::load(source(file), options, &mut |_| ()))
}

fn session(options: LoadOptions) -> Session {
    let engine = found(load(DEMO, DRAFTER, options), |error| error.code() == "no-webgpu");
    pollster::block_on(engine.session()).unwrap()
}

/// The demo model without drafts, and with its drafter's behind every token.
fn both(options: &LoadOptions) -> [Session; 2] {
    [Speculate::Off, Speculate::Drafter].map(|speculate| session(LoadOptions { speculate, ..options.clone() }))
}

/// Questions of the held-out set as the template has them, to the beginning of the answer.
fn questions() -> Vec<Vec<u32>> {
    let text = std::fs::read_to_string(workspace().join(FIXTURES)).unwrap();
    let fixtures: serde_json::Value = serde_json::from_str(&text).unwrap();
    let prompt = |fixture: &serde_json::Value| {
        let ids: Vec<u32> = serde_json::from_value(fixture["ids"].clone()).unwrap();
        ids[..fixture["prompt_tokens"].as_u64().unwrap() as usize].to_vec()
    };
    fixtures.as_array().unwrap().iter().map(prompt).collect()
}

fn answer(sampling: Sampling, max_tokens: u32) -> GenerateOptions {
    GenerateOptions { sampling, max_tokens: Some(max_tokens), ..Default::default() }
}

/// Settings of the sampler that look at more than a row of logits, each kind of cache and of weights, rejected drafts and accepted ones.
fn answers_are_those_without_a_drafter() {
    let penalties = Sampling { repeat_penalty: 1.4, presence_penalty: 0.3, frequency_penalty: 0.2, repeat_last_n: 9, ..drawn(3) };
    let loads = [
        ("plain", LoadOptions::default(), 5),
        ("streamed rows", LoadOptions { ple: PleMode::Streamed, ..Default::default() }, 2),
        ("caches in 8 bits", LoadOptions { kv: KvType::Q8, ..Default::default() }, 1),
        ("products in codes", LoadOptions { products: Products::Int8, ..Default::default() }, 1),
        ("kernels of a GPU", LoadOptions { as_gpu: true, ..Default::default() }, 2),
    ];
    let settings = [
        Sampling::greedy(),
        drawn(1),
        Sampling { temperature: 2.0, top_k: 40, ..drawn(2) },
        Sampling { temperature: 0.0, ..penalties.clone() },
        penalties,
    ];
    let mut all = [0, 0];
    for (name, options, count) in loads {
        let (mut sessions, mut sums) = (both(&options), [0, 0]);
        assert_eq!(sessions.each_ref().map(|session| session.engine().info().drafter), [false, true]);
        for (sampling, question) in settings[..count].iter().zip(questions().iter().cycle()) {
            let took = alike(&mut sessions, question, &answer(sampling.clone(), 24), name);
            sums = [sums[0] + took[0], sums[1] + took[1]];
        }
        assert!(sums[1] > 0, "{name}: accepted ones are wanted: {sums:?}");
        all = [all[0] + sums[0], all[1] + sums[1]];
    }
    assert!(all[1] < all[0], "rejected ones are wanted: {all:?}");
    // By measured times: whatever those are, the answers are the same.
    let mut sessions = [Speculate::Off, Speculate::Auto].map(|speculate| session(LoadOptions { speculate, ..Default::default() }));
    for question in questions() {
        alike(&mut sessions, &question, &answer(drawn(1), 40), "by measured times");
    }
}

/// Answers end, are cut and are cancelled at every place; what is cached behind them goes on as without a drafter.
fn answers_end_where_they_do_without_a_drafter() {
    let mut sessions = both(&LoadOptions::default());
    let question = &questions()[0];
    let greedy = answer(Sampling::greedy(), 40);
    alike(&mut sessions, question, &greedy, "to its end");
    for most in 1..8 {
        alike(&mut sessions, question, &answer(Sampling::greedy(), most), &format!("{most} tokens"));
    }
    let whole = generate(&mut sessions[0], question, &GenerateOptions { ignore_eos: true, ..greedy.clone() }).ids;
    for after in [1, 2, 3, 5] {
        let (cancel, mut seen) = (Cancel::new(), 0);
        let mut count = |_: &Token| {
            seen += 1;
            if seen == after {
                cancel.cancel();
            }
        };
        let options = GenerateOptions { ignore_eos: true, ..greedy.clone() };
        let cut = pollster::block_on(sessions[1].generate(question, &options, &cancel, &mut count)).unwrap();
        assert_eq!((cut.finish, &cut.ids[..]), (Finish::Cancelled, &whole[..after]), "after {after}");
        let next = [question, &cut.ids[..], &questions()[1]].concat();
        alike(&mut sessions, &next, &answer(drawn(7), 12), &format!("on from what was cancelled after {after}"));
    }
}

/// Caches of global layers grow for a long prompt, when commands of the drafter that name the old ones are ready.
fn caches_grow_between_drafts() {
    let (mut sessions, questions) = (both(&LoadOptions::default()), questions());
    let last = &questions[0];
    let long: Vec<u32> = questions.concat().into_iter().cycle().take(1030 - last.len()).chain(last.clone()).collect();
    for prompt in [last, &long] {
        let options = GenerateOptions { ignore_eos: true, ..answer(Sampling::greedy(), 12) };
        let [drafted, _] = alike(&mut sessions, prompt, &options, &format!("behind {} tokens", prompt.len()));
        assert!(drafted > 0);
    }
}

/// Where drafts follow one another the drafter goes on from states of the verifying steps: a wrong one would hardly ever be right.
fn drafts_are_right_as_often_as_when_the_drafter_was_made() {
    let mut drafting = session(LoadOptions { speculate: Speculate::Drafter, ..Default::default() });
    let [mut drafted, mut accepted] = [0, 0];
    for question in questions() {
        let summary = generate(&mut drafting, &question, &answer(Sampling::greedy(), 64));
        drafted += summary.drafted_tokens;
        accepted += summary.accepted_tokens;
    }
    println!("{accepted} of {drafted} drafts are right");
    // On the whole set 93 of 100 are (`tools/demo-model/drafter-log.json`).
    assert!(10 * accepted > 8 * drafted, "{accepted} of {drafted}");
}

fn nothing_is_compiled_for_a_drafter_behind_the_load() {
    let mut drafting = session(LoadOptions { speculate: Speculate::Drafter, as_gpu: true, ..Default::default() });
    let device = drafting.engine().device().clone();
    let tested = device.pipelines();
    let summary = generate(&mut drafting, &questions()[0], &answer(drawn(1), 9));
    assert!(summary.drafted_tokens > 0, "{summary:?}");
    assert_eq!(device.pipelines(), tested, "kernels that no case of the self-test ran");
}

fn what_cannot_be_a_drafter_here_is_told() {
    let refused = |file: &str, drafter: &str| match load(file, drafter, LoadOptions { speculate: Speculate::Drafter, ..Default::default() })
    {
        Err(error) if error.code() == "no-webgpu" => None,
        Err(error) => Some((error.code(), error.to_string())),
        Ok(_) => panic!("{drafter} drafts for {file}"),
    };
    for (file, drafter, words) in [
        ("goldens/models/dense-Q4_0.gguf", DRAFTER, "another model's drafter"),
        (DEMO, DEMO, "`gemma4` model, which drafts for none"),
        (DRAFTER, DRAFTER, "this file is a drafter"),
    ] {
        let Some((code, said)) = refused(file, drafter) else { continue };
        assert!(code == "model-unsupported" && said.contains(words), "{code}: {said}");
    }
    let source = Arc::new(FileSource::open(workspace().join(DEMO)).unwrap());
    let options = LoadOptions { speculate: Speculate::Drafter, ..Default::default() };
    let error = pollster::block_on(Engine::load(source, options, &mut |_| ())).err().expect("there is no drafter");
    assert!(["invalid-argument", "no-webgpu"].contains(&error.code()), "{error}");
}

rullama_testing::tests! {
    answers_are_those_without_a_drafter,
    answers_end_where_they_do_without_a_drafter,
    caches_grow_between_drafts,
    drafts_are_right_as_often_as_when_the_drafter_was_made,
    nothing_is_compiled_for_a_drafter_behind_the_load,
    what_cannot_be_a_drafter_here_is_told,
}
