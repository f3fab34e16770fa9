//! Answers with drafts are those without: ids, ends, caches, and the distribution of what is drawn.

use rullama::source::FileSource;
use rullama::{
    Cancel, Chat, ChatOptions, Engine, Error, Finish, Format, GenerateOptions, LoadOptions, Message, PleMode, Products, Sampling, Session,
    Speculate, Summary, Token,
};
use rullama_testing::{found, workspace};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

const TINY: &str = "goldens/models/dense-ple-Q4_K_M.gguf";
const EXPERTS: &str = "goldens/models/moe-small-fused-Q4_0.gguf";
pub const DEMO: &str = "web/app/public/model/rullama-demo.gguf";

fn engine(file: &str, options: LoadOptions) -> Engine {
    let source = Arc::new(FileSource::open(workspace().join(file)).unwrap());
    let options = LoadOptions { chunk: Some(512), ..options };
    found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn session(file: &str, options: LoadOptions) -> Session {
    pollster::block_on(engine(file, options).session()).unwrap()
}

/// The tiny model without drafts and with all of them, loaded once.
fn tiny() -> [Session; 2] {
    static ENGINES: OnceLock<[Engine; 2]> = OnceLock::new();
    let load = |speculate| engine(TINY, LoadOptions { speculate, ..Default::default() });
    let engines = ENGINES.get_or_init(|| [Speculate::Off, Speculate::Lookup].map(load));
    engines.each_ref().map(|engine| pollster::block_on(engine.session()).unwrap())
}

/// The same of another load.
fn both(file: &str, options: &LoadOptions) -> [Session; 2] {
    [Speculate::Off, Speculate::Lookup].map(|speculate| session(file, LoadOptions { speculate, ..options.clone() }))
}

/// Tokens that a prompt of the tiny model is made of, and its answers, where all others are forbidden.
const FEW: [u32; 3] = [700, 701, 702];

fn prompt(len: u32) -> Vec<u32> {
    (0..len).map(|i| if i == 0 { 2 } else { FEW[(i as usize * i as usize / 3) % 3] }).collect()
}

fn few(sampling: Sampling, max_tokens: u32) -> GenerateOptions {
    let logit_bias = FEW.map(|id| (id, 1e3)).into();
    GenerateOptions { sampling: Sampling { logit_bias, ..sampling }, max_tokens: Some(max_tokens), ignore_eos: true, ..Default::default() }
}

pub fn drawn(seed: u64) -> Sampling {
    Sampling { seed: Some(seed), ..Sampling::default() }
}

fn try_generate(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> Result<Summary, Error> {
    pollster::block_on(session.generate(prompt, options, &Cancel::new(), &mut |_| ()))
}

pub fn generate(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> Summary {
    try_generate(session, prompt, options).unwrap()
}

/// What an answer is, however long it took and whatever was guessed.
fn answer(summary: &Summary) -> (&[u32], &str, Finish) {
    (&summary.ids, &summary.text, summary.finish)
}

/// That both answer alike; gives the tokens drafted and accepted.
pub fn alike([plain, drafting]: &mut [Session; 2], prompt: &[u32], options: &GenerateOptions, what: &str) -> [u32; 2] {
    let (want, got) = (generate(plain, prompt, options), generate(drafting, prompt, options));
    assert_eq!(answer(&got), answer(&want), "{what}");
    assert_eq!((want.drafted_tokens, want.accepted_tokens), (0, 0), "{what}");
    assert!(got.accepted_tokens <= got.drafted_tokens, "{what}");
    assert_eq!(drafting.tokens(), &[prompt, &got.ids].concat()[..drafting.tokens().len()], "{what}");
    [got.drafted_tokens, got.accepted_tokens]
}

/// Every setting of the sampler that looks at more than the row of logits, rejected drafts and accepted ones.
fn greedy_and_sampled_answers_are_the_same() {
    let penalties = Sampling { repeat_penalty: 1.4, presence_penalty: 0.3, frequency_penalty: 0.2, repeat_last_n: 9, ..drawn(3) };
    let streamed = LoadOptions { ple: PleMode::Streamed, ..Default::default() };
    let settings = [
        ("greedy", Sampling::greedy()),
        ("sampled", drawn(1)),
        ("another seed", drawn(u64::MAX - 5)),
        ("hot, of the best two", Sampling { temperature: 2.0, top_k: 2, ..drawn(2) }),
        ("many candidates", Sampling { top_k: 1000, min_p: 0.01, ..drawn(4) }),
        ("greedy with penalties", Sampling { temperature: 0.0, ..penalties.clone() }),
        ("penalties", penalties),
    ];
    let mut sums = [0, 0];
    for (sessions, count) in [(&mut tiny(), settings.len()), (&mut both(TINY, &streamed), 2)] {
        for (name, sampling) in &settings[..count] {
            let took = alike(sessions, &prompt(40), &few(sampling.clone(), 24), name);
            sums = [sums[0] + took[0], sums[1] + took[1]];
        }
    }
    assert!(0 < sums[1] && sums[1] < sums[0], "accepted and rejected ones are wanted: {sums:?}");
}

fn experts_codes_and_kernels_of_a_gpu_answer_the_same() {
    let loads = [
        (EXPERTS, LoadOptions::default()),
        (TINY, LoadOptions { products: Products::Int8, ..Default::default() }),
        (TINY, LoadOptions { as_gpu: true, ..Default::default() }),
    ];
    for (file, options) in loads {
        let mut sessions = both(file, &options);
        for sampling in [Sampling::greedy(), drawn(1)] {
            let [drafted, accepted] = alike(&mut sessions, &prompt(40), &few(sampling, 12), file);
            assert!(drafted > 0 && accepted > 0, "{file}: {accepted} of {drafted}");
        }
        if options.as_gpu {
            // By measured times: whatever those are, the answer is the same.
            sessions[1] = session(file, LoadOptions { speculate: Speculate::Auto, ..options });
            alike(&mut sessions, &prompt(40), &few(Sampling::greedy(), 20), "by measured times");
        }
    }
}

/// The demo model repeats what it is told to. What is held to a format is not guessed.
fn what_is_copied_from_the_prompt_is_accepted() {
    let [plain, drafting] = [Speculate::Off, Speculate::Lookup].map(|speculate| {
        let mut chat = Chat::new(session(DEMO, LoadOptions { speculate, ..Default::default() }), ChatOptions::default());
        let greedy = GenerateOptions { sampling: Sampling::greedy(), ..Default::default() };
        let held = GenerateOptions { format: Some(Format::Json), max_tokens: Some(8), ..greedy.clone() };
        let repeat = "can you say \"cleerpaun\" 6 times?";
        [(repeat, &greedy), ("say exactly: aisha baithzox strixprant wash jump", &greedy), (repeat, &held)].map(|(text, options)| {
            chat.clear();
            pollster::block_on(chat.send(Message::user(text), options, &Cancel::new(), &mut |_| ())).unwrap()
        })
    });
    for (plain, drafting) in plain.iter().zip(&drafting) {
        assert_eq!(answer(drafting), answer(plain));
    }
    assert_eq!([plain[0].finish, plain[1].finish], [Finish::Stop; 2]);
    let accepted = drafting.each_ref().map(|summary| summary.accepted_tokens);
    assert!(accepted[0] >= 12 && accepted[1] >= 6, "{accepted:?}");
    assert_eq!(drafting[2].drafted_tokens, 0);
}

/// Answers end and are cut at every place, within accepted tokens, too.
fn answers_end_where_they_do_without_drafts() {
    let mut sessions = tiny();
    let greedy = few(Sampling::greedy(), 20);
    let whole = generate(&mut sessions[1], &prompt(40), &greedy);
    assert!(whole.accepted_tokens > 7, "{whole:?}");
    for most in 1..12 {
        alike(&mut sessions, &prompt(40), &GenerateOptions { max_tokens: Some(most), ..greedy.clone() }, &format!("{most} tokens"));
    }
    let stop = |len: usize| GenerateOptions { stop: vec![whole.text.chars().skip(len).take(len).collect()], ..greedy.clone() };
    for len in 3..6 {
        alike(&mut sessions, &prompt(40), &stop(len), &format!("a stop string of {len}"));
    }
    // An end token among the few, which drafts have as well.
    let end = sessions[0].engine().tokenizer().eos();
    let with_end: Vec<u32> = prompt(40).iter().map(|id| if *id == FEW[0] { end } else { *id }).collect();
    let finishes = (0..4).map(|seed| {
        let mut options = GenerateOptions { ignore_eos: false, ..few(drawn(seed), 20) };
        options.sampling.logit_bias[0].0 = end;
        alike(&mut sessions, &with_end, &options, "an end token");
        generate(&mut sessions[1], &with_end, &options).finish
    });
    assert!(finishes.into_iter().any(|finish| finish == Finish::Stop));
    let log = |session: &mut Session| {
        let mut seen: Vec<Token> = Vec::new();
        let options = GenerateOptions { logprobs: Some(3), ..greedy.clone() };
        pollster::block_on(session.generate(&prompt(40), &options, &Cancel::new(), &mut |token| seen.push(token.clone()))).unwrap();
        seen
    };
    let [want, got] = sessions.each_mut().map(log);
    for (want, got) in want.iter().zip(&got) {
        assert_eq!((want.id, &want.text, want.top.len()), (got.id, &got.text, got.top.len()));
        assert!((want.logprob.unwrap() - got.logprob.unwrap()).abs() < 1e-3, "{want:?}, {got:?}");
    }
}

fn a_cancelled_answer_and_a_full_context_leave_what_was_given() {
    let mut sessions = both(TINY, &LoadOptions { context: Some(70), ..Default::default() });
    let greedy = few(Sampling::greedy(), 1000);
    alike(&mut sessions, &prompt(40), &greedy, "the context is full");
    assert_eq!(generate(&mut sessions[1], &prompt(40), &greedy).ids.len(), 30);
    let whole = generate(&mut sessions[0], &prompt(40), &greedy).ids;
    for after in [1, 2, 5, 6, 7, 11] {
        let (cancel, mut seen) = (Cancel::new(), 0);
        let mut count = |_: &Token| {
            seen += 1;
            if seen == after {
                cancel.cancel();
            }
        };
        let cut = pollster::block_on(sessions[1].generate(&prompt(40), &greedy, &cancel, &mut count)).unwrap();
        assert_eq!((cut.finish, &cut.ids[..]), (Finish::Cancelled, &whole[..after]), "after {after}");
        let next: Vec<u32> = prompt(40).into_iter().chain(cut.ids).chain([800]).collect();
        alike(&mut sessions, &next, &few(Sampling::greedy(), 4), &format!("on from what was cancelled after {after}"));
    }
}

/// Caches hold the same behind drafts, rejected ones among them, also where rings have wrapped around.
fn caches_behind_drafts_go_on_as_others_do() {
    let mut sessions = tiny();
    // The rings of the sliding layers wrap around behind the second.
    for (len, keeps) in [(40, &[81, 43, 20][..]), (1300, &[1341])] {
        let [drafted, accepted] = alike(&mut sessions, &prompt(len), &few(drawn(5), 60), "the first answer");
        assert!(0 < accepted && accepted < drafted, "{accepted} of {drafted}");
        let tokens = sessions[1].tokens().to_vec();
        let next: Vec<u32> = tokens.iter().copied().chain([800, 801]).collect();
        let again = generate(&mut sessions[1], &next, &few(drawn(6), 8));
        assert!(again.timings.prefilled_tokens <= 3, "{again:?}");
        alike(&mut sessions, &next, &few(drawn(6), 8), "the caches are reused");
        for &keep in keeps {
            sessions.iter_mut().for_each(|session| pollster::block_on(session.truncate(keep)).unwrap());
            let kept: Vec<u32> = tokens[..keep as usize].iter().copied().chain([802]).collect();
            alike(&mut sessions, &kept, &few(Sampling::greedy(), 8), &format!("{keep} are kept"));
        }
    }
    generate(&mut sessions[1], &prompt(40), &few(drawn(5), 60));
    let (saved, tokens) = (pollster::block_on(sessions[1].save()).unwrap(), sessions[1].tokens().to_vec());
    pollster::block_on(sessions[0].restore(&saved)).unwrap();
    assert_eq!(sessions[0].tokens(), tokens);
    let mut fork = pollster::block_on(sessions[1].fork()).unwrap();
    let next: Vec<u32> = tokens.iter().copied().chain([803]).collect();
    let want = generate(&mut fork, &next, &few(drawn(7), 12));
    assert!(want.timings.prefilled_tokens <= 2, "{want:?}");
    alike(&mut sessions, &next, &few(drawn(7), 12), "a saved session");
    assert_eq!(want.ids, generate(&mut sessions[0], &next, &few(drawn(7), 12)).ids);
}

/// Caches of global layers grow in the middle of an answer, when commands that name the old ones are ready.
fn caches_grow_between_drafts() {
    let [drafted, _] = alike(&mut tiny(), &prompt(1010), &few(drawn(5), 40), "beyond 1,024 tokens");
    assert!(drafted > 0);
}

/// Two samples of seeds of their own: which of few tokens follows which. Chi-square of 8 degrees of freedom.
fn what_is_drawn_has_the_same_distribution() {
    let mut sessions = tiny();
    let mut counts: BTreeMap<[u32; 2], [f64; 2]> = BTreeMap::new();
    let mut accepted = 0;
    for (which, session) in sessions.iter_mut().enumerate() {
        for seed in 0..12 {
            // Close to even odds, so that every pair is seen.
            let hot = Sampling { temperature: 8.0, top_p: 1.0, ..drawn(1000 * which as u64 + seed) };
            let summary = generate(session, &prompt(40), &few(hot, 32));
            summary.ids.windows(2).for_each(|pair| counts.entry([pair[0], pair[1]]).or_default()[which] += 1.0);
            accepted += summary.accepted_tokens;
        }
    }
    assert!(accepted > 30, "{accepted}");
    assert_eq!(counts.len(), 9, "{counts:?}");
    let chi: f64 = counts.values().map(|[a, b]| (a - b).powi(2) / (a + b)).sum();
    assert!(chi < 26.1, "chi-square {chi} at 8 degrees of freedom: p < 0.001; {counts:?}");
}

fn drafts_are_off_where_they_cannot_be_right() {
    let mut sessions = tiny();
    for (name, sampling) in [
        ("the host draws", Sampling { top_k: 0, ..drawn(1) }),
        ("penalties over the whole ring", Sampling { repeat_penalty: 1.1, repeat_last_n: 4096, ..drawn(1) }),
    ] {
        assert_eq!(alike(&mut sessions, &prompt(40), &few(sampling, 12), name), [0, 0], "{name}");
    }
}

fn nothing_is_compiled_for_drafts_behind_the_load() {
    let mut session = session(TINY, LoadOptions { speculate: Speculate::Lookup, as_gpu: true, ..Default::default() });
    let device = session.engine().device().clone();
    let tested = device.pipelines();
    // By both numbers of rows.
    let accepted = [2, 5, 9].map(|most| generate(&mut session, &prompt(40), &few(drawn(1), most)).accepted_tokens);
    assert!(accepted.iter().sum::<u32>() > 0);
    assert_eq!(device.pipelines(), tested, "kernels that no case of the self-test ran");
}

rullama_testing::tests! {
    greedy_and_sampled_answers_are_the_same,
    experts_codes_and_kernels_of_a_gpu_answer_the_same,
    what_is_copied_from_the_prompt_is_accepted,
    answers_end_where_they_do_without_drafts,
    a_cancelled_answer_and_a_full_context_leave_what_was_given,
    caches_behind_drafts_go_on_as_others_do,
    caches_grow_between_drafts,
    what_is_drawn_has_the_same_distribution,
    drafts_are_off_where_they_cannot_be_right,
    nothing_is_compiled_for_drafts_behind_the_load,
}
