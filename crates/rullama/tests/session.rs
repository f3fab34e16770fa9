//! What a session promises, on a tiny model: reuse, rewinding, saving, sampling, ends.

use rullama::source::{BoxFuture, ByteSource, FileSource, Locality, MemorySource, SourceError};
use rullama::{
    Cancel, Chat, ChatOptions, Engine, Error, Finish, GenerateOptions, LoadOptions, Message, PleMode, Prefill, Products, Sampling, Session,
    Summary,
};
use rullama_testing::skip;
use std::path::Path;
use std::sync::Arc;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models/dense-ple-Q4_K_M.gguf");

fn source() -> Arc<dyn ByteSource> {
    Arc::new(FileSource::open(Path::new(MODEL)).unwrap())
}

/// What loading comes to where there is an adapter.
fn try_load(source: Arc<dyn ByteSource>, options: LoadOptions) -> Result<Engine, Error> {
    let options = LoadOptions { chunk: options.chunk.or(Some(512)), ..options };
    match pollster::block_on(Engine::load(source, options, &mut |_| ())) {
        Err(error) if error.code() == "no-webgpu" => skip(error),
        loaded => loaded,
    }
}

fn load(source: Arc<dyn ByteSource>, options: LoadOptions) -> Engine {
    try_load(source, options).unwrap()
}

fn engine(options: LoadOptions) -> Engine {
    load(source(), options)
}

fn session(options: LoadOptions) -> Session {
    pollster::block_on(engine(options).session()).unwrap()
}

fn prompt(len: u32) -> Vec<u32> {
    (0..len).map(|i| if i == 0 { 2 } else { 500 + i * 37 % 1400 }).collect()
}

fn generate(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> Summary {
    pollster::block_on(session.generate(prompt, options, &Cancel::new(), &mut |_| ())).unwrap()
}

fn greedy(max_tokens: u32) -> GenerateOptions {
    GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(max_tokens), ignore_eos: true, ..Default::default() }
}

fn a_prompt_that_goes_on_reuses_the_cache_and_gives_the_same() {
    let mut reused = session(LoadOptions::default());
    let first = generate(&mut reused, &prompt(40), &greedy(8));
    let longer: Vec<u32> = prompt(40).into_iter().chain(first.ids.iter().copied()).chain([700, 701]).collect();
    let second = generate(&mut reused, &longer, &greedy(8));
    assert!(second.timings.prefilled_tokens < 5, "{}", second.timings.prefilled_tokens);
    let mut fresh = session(LoadOptions::default());
    assert_eq!(generate(&mut fresh, &longer, &greedy(8)).ids, second.ids);
}

fn rewinding_near_and_far_gives_what_a_fresh_session_gives() {
    // Long enough that the sliding layers' rings have wrapped around.
    let long = prompt(1400);
    let mut session = session(LoadOptions::default());
    pollster::block_on(session.append(&long, &Cancel::new())).unwrap();
    for keep in [1390, 60] {
        pollster::block_on(session.truncate(keep)).unwrap();
        assert_eq!(session.position(), keep);
        let continued: Vec<u32> = long[..keep as usize].iter().copied().chain([900]).collect();
        let got = generate(&mut session, &continued, &greedy(4));
        let mut fresh = pollster::block_on(session.engine().session()).unwrap();
        assert_eq!(generate(&mut fresh, &continued, &greedy(4)).ids, got.ids, "after keeping {keep}");
    }
}

fn a_saved_session_goes_on_elsewhere() {
    let mut one = session(LoadOptions::default());
    generate(&mut one, &prompt(30), &greedy(4));
    let saved = pollster::block_on(one.save()).unwrap();
    let header = u64::from(u32::from_le_bytes(saved[40..44].try_into().unwrap()));
    assert_eq!(one.saved_bytes(), saved.len() as u64 - 44 - header);
    let next: Vec<u32> = one.tokens().iter().copied().chain([800]).collect();
    let mut two = session(LoadOptions::default());
    pollster::block_on(two.restore(&saved)).unwrap();
    assert_eq!(two.tokens(), one.tokens());
    // A copy within the engine computes as little; where it goes is its own.
    let mut copy = pollster::block_on(one.fork()).unwrap();
    let other: Vec<u32> = one.tokens().iter().copied().chain([801, 802]).collect();
    assert!(generate(&mut copy, &other, &greedy(6)).timings.prefilled_tokens <= 2 + 4);
    let (a, b) = (generate(&mut one, &next, &greedy(6)), generate(&mut two, &next, &greedy(6)));
    assert_eq!(a.ids, b.ids);
    assert!(b.timings.prefilled_tokens <= 1 + 4);
    // Damage at any place is an error, never a panic.
    for cut in [0, 7, 12, 40, saved.len() / 2, saved.len() - 1] {
        assert!(matches!(pollster::block_on(two.restore(&saved[..cut])), Err(Error::SavedSession { .. })), "cut at {cut}");
    }
}

fn a_saved_session_of_rounded_products_is_another() {
    let (mut exact, mut rounded) =
        (session(LoadOptions::default()), session(LoadOptions { products: Products::Int8, ..Default::default() }));
    let saved = [&mut exact, &mut rounded].map(|session| {
        generate(session, &prompt(20), &greedy(2));
        pollster::block_on(session.save()).unwrap()
    });
    for (session, saved, named) in [(&mut exact, &saved[1], "`int8`"), (&mut rounded, &saved[0], "`exact`")] {
        let error = pollster::block_on(session.restore(saved)).unwrap_err();
        assert!(matches!(&error, Error::SavedSession { reason } if reason.contains(named)), "{error}");
    }
    pollster::block_on(rounded.restore(&saved[1])).unwrap();
}

fn a_seed_draws_the_same_in_every_mode() {
    let options = GenerateOptions {
        sampling: Sampling { seed: Some(7), ..Default::default() },
        max_tokens: Some(24),
        ignore_eos: true,
        ..Default::default()
    };
    let resident = generate(&mut session(LoadOptions { ple: PleMode::Resident, ..Default::default() }), &prompt(20), &options);
    let streamed = generate(&mut session(LoadOptions { ple: PleMode::Streamed, ..Default::default() }), &prompt(20), &options);
    assert_eq!(resident.ids, streamed.ids);
    // The host samples what the GPU's sampler cannot sort; with top-p the survivors are the same.
    let narrow =
        |top_k| GenerateOptions { sampling: Sampling { top_k, top_p: 0.5, seed: Some(7), ..Default::default() }, ..options.clone() };
    let mut session = session(LoadOptions::default());
    let gpu = generate(&mut session, &prompt(20), &narrow(1024));
    let host = generate(&mut session, &prompt(20), &narrow(1025));
    assert_eq!(gpu.ids, host.ids);
    let other = GenerateOptions { sampling: Sampling { seed: Some(8), ..Default::default() }, ..options.clone() };
    assert_ne!(generate(&mut session, &prompt(20), &other).ids, resident.ids);
}

/// The embedded model: its per-layer rows are one block, of which the layers with their own keys
/// take half.
fn rows_that_share_a_block_are_cut_apart() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/app/public/model/rullama-demo.gguf");
    let answer = |ple| {
        let source = Arc::new(FileSource::open(Path::new(path)).unwrap());
        let engine = load(source, LoadOptions { ple, ..Default::default() });
        generate(&mut pollster::block_on(engine.session()).unwrap(), &prompt(30), &greedy(8)).ids
    };
    assert_eq!(answer(PleMode::Streamed), answer(PleMode::Resident));
}

fn answers_end_where_they_should() {
    let mut session = session(LoadOptions::default());
    let all = generate(&mut session, &prompt(20), &greedy(12));
    assert_eq!((all.ids.len(), all.finish), (12, Finish::Length));
    // A stop string that the text contains ends it, and is not part of it.
    let text: Vec<char> = all.text.chars().collect();
    let stop: String = text[text.len() / 2..text.len() / 2 + 3].iter().collect();
    let stopped = generate(&mut session, &prompt(20), &GenerateOptions { stop: vec![stop.clone()], ..greedy(12) });
    assert_eq!(stopped.finish, Finish::StopString);
    assert!(all.text.starts_with(&stopped.text) && !stopped.text.contains(&stop));
    // Forbidding the first token changes it.
    let first = all.ids[0];
    let mut biased = greedy(3);
    biased.sampling.logit_bias = vec![(first, f32::NEG_INFINITY)];
    assert_ne!(generate(&mut session, &prompt(20), &biased).ids[0], first);
    // An end token that is forced ends the answer.
    let end = session.engine().tokenizer().eos();
    let mut forced = GenerateOptions { ignore_eos: false, ..greedy(12) };
    forced.sampling.logit_bias = vec![(end, 1e4)];
    let ended = generate(&mut session, &prompt(20), &forced);
    assert_eq!((ended.ids, ended.finish), (vec![end], Finish::Stop));
}

fn log_probabilities_are_those_of_the_unmodified_distribution() {
    let mut session = session(LoadOptions::default());
    let mut seen = Vec::new();
    let options = GenerateOptions { logprobs: Some(5), ..greedy(3) };
    pollster::block_on(session.generate(&prompt(20), &options, &Cancel::new(), &mut |t| seen.push(t.clone()))).unwrap();
    let evaluation = pollster::block_on(async { session.engine().session().await?.evaluate(&prompt(20)).await }).unwrap();
    let logits = evaluation.row("logits", 19).unwrap();
    let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
    let token = &seen[0];
    let want = f64::from(logits[token.id as usize]) - sum.ln();
    assert!((f64::from(token.logprob.unwrap()) - want).abs() < 5e-3, "{:?} against {want}", token.logprob);
    assert_eq!((token.top.len(), token.top[0].0), (5, token.id));
}

fn cancelling_keeps_the_session_usable() {
    let mut session = session(LoadOptions::default());
    let cancel = Cancel::new();
    let mut count = 0;
    let asked = cancel.clone();
    let mut on_token = |_: &rullama::Token| {
        count += 1;
        if count == 3 {
            asked.cancel();
        }
    };
    let summary = pollster::block_on(session.generate(&prompt(20), &greedy(200), &cancel, &mut on_token)).unwrap();
    assert_eq!((summary.finish, summary.ids.len()), (Finish::Cancelled, 3));
    let cancelled = Cancel::new();
    cancelled.cancel();
    let nothing = pollster::block_on(session.generate(&prompt(90), &greedy(5), &cancelled, &mut |_| ())).unwrap();
    assert_eq!((nothing.finish, nothing.ids.len()), (Finish::Cancelled, 0));
    let fresh = generate(&mut pollster::block_on(session.engine().session()).unwrap(), &prompt(50), &greedy(5));
    assert_eq!(generate(&mut session, &prompt(50), &greedy(5)).ids, fresh.ids);
}

fn bad_requests_are_named() {
    let engine = engine(LoadOptions { context: Some(64), ..Default::default() });
    let mut session = pollster::block_on(engine.session()).unwrap();
    let mut fail = |prompt: &[u32], options: &GenerateOptions| {
        pollster::block_on(session.generate(prompt, options, &Cancel::new(), &mut |_| ())).unwrap_err().code()
    };
    assert_eq!(fail(&[], &greedy(1)), "invalid-argument");
    assert_eq!(fail(&[4_000_000], &greedy(1)), "invalid-argument");
    assert_eq!(fail(&prompt(65), &greedy(1)), "context-full");
    let hot = GenerateOptions { sampling: Sampling { temperature: f32::NAN, ..Default::default() }, ..greedy(1) };
    assert_eq!(fail(&prompt(4), &hot), "invalid-argument");
    // The answer ends where the context does.
    let full = generate(&mut session, &prompt(40), &greedy(1000));
    assert_eq!((full.finish, full.ids.len()), (Finish::Length, 24));
}

fn files_that_are_no_model_are_refused_by_name() {
    let bytes = std::fs::read(MODEL).unwrap();
    let load = |bytes: Vec<u8>| {
        let source: Arc<dyn ByteSource> = Arc::new(MemorySource::new("broken", bytes));
        match try_load(source, LoadOptions::default()) {
            Ok(_) => panic!("a broken file was loaded"),
            Err(error) => (error.code(), error.to_string()),
        }
    };
    assert_eq!(load(b"hello".to_vec()).0, "model-format");
    assert_eq!(load(bytes[..100].to_vec()).0, "model-truncated");
    assert_eq!(load(b"PK\x03\x04 and more than twenty-four bytes".to_vec()).0, "model-format");
    let (code, message) = load(bytes[..bytes.len() / 2].to_vec());
    assert_eq!(code, "model-truncated");
    assert!(message.contains("blk.") || message.contains("embd"), "{message}");
    // A tensor that lost its name is missing.
    let name = b"blk.0.ffn_down.weight";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    let mut renamed = bytes.clone();
    renamed[at] = b'x';
    let (code, message) = load(renamed);
    assert_eq!(code, "tensor-missing");
    assert!(message.contains("blk.0.ffn_down.weight"), "{message}");
}

fn a_value_that_is_not_a_number_names_its_layer() {
    let bytes = std::fs::read(MODEL).unwrap();
    let gguf = pollster::block_on(rullama::source::gguf::Gguf::open(&MemorySource::new("model", bytes.clone()))).unwrap();
    // One that reaches the residual by sums, and two that softmax could hide.
    for (name, as_gpu) in [("ffn_norm", true), ("attn_q_norm", true), ("attn_q_norm", false)] {
        let norm = gguf.tensors.require(&format!("blk.3.{name}.weight")).unwrap().range.clone();
        let mut damaged = bytes.clone();
        damaged[norm.start as usize..norm.start as usize + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        let source: Arc<dyn ByteSource> = Arc::new(MemorySource::new("damaged", damaged));
        let engine = load(source, LoadOptions { as_gpu, ..Default::default() });
        let mut session = pollster::block_on(engine.session()).unwrap();
        let error = pollster::block_on(session.generate(&prompt(8), &greedy(3), &Cancel::new(), &mut |_| ())).unwrap_err();
        assert_eq!(error.code(), "nan", "{name}");
        assert!(error.to_string().contains("layer 3"), "{name}: {error}");
    }
}

fn a_prompt_tells_how_far_it_is_read() {
    let mut session = session(LoadOptions::default());
    let seen: Arc<std::sync::Mutex<Vec<(u32, u32)>>> = Arc::default();
    let told = seen.clone();
    session.on_prefill(Some(Box::new(move |at: Prefill| told.lock().unwrap().push((at.done, at.total)))));
    let long = prompt(1100);
    generate(&mut session, &long, &greedy(1));
    let first = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!((first[0], *first.last().unwrap()), ((0, 1100), (1100, 1100)));
    assert!(first.len() > 2 && first.windows(2).all(|pair| pair[0].0 < pair[1].0), "{first:?}");
    // What is cached counts as read.
    let longer: Vec<u32> = long.iter().copied().chain([700, 701]).collect();
    generate(&mut session, &longer, &greedy(1));
    assert_eq!(seen.lock().unwrap()[0].1, 1102);
    assert!(seen.lock().unwrap()[0].0 >= 1090, "{seen:?}");
    session.on_prefill(None);
    let before = seen.lock().unwrap().len();
    generate(&mut session, &longer, &greedy(1));
    assert_eq!(seen.lock().unwrap().len(), before);
}

fn a_chat_remembers_its_turns() {
    let mut chat = Chat::new(session(LoadOptions::default()), ChatOptions { system: Some("Be brief.".into()), ..Default::default() });
    let options = greedy(6);
    let mut text = String::new();
    let mut on_event = |event: &rullama::Event| {
        if let rullama::Event::Content(piece) = event {
            text.push_str(piece);
        }
    };
    pollster::block_on(chat.send(Message::user("Hi"), &options, &Cancel::new(), &mut on_event)).unwrap();
    assert_eq!(chat.messages().len(), 3);
    assert_eq!(chat.messages()[2].content.trim(), text.trim());
    let second = pollster::block_on(chat.send(Message::user("And?"), &options, &Cancel::new(), &mut |_| ())).unwrap();
    assert!(second.timings.prefilled_tokens < second.prompt_tokens, "{second:?}");
    chat.clear();
    assert_eq!(chat.messages().len(), 1);
}

fn loading_tests_every_kernel_in_use() {
    for (as_gpu, ple) in [(true, PleMode::Resident), (true, PleMode::Streamed), (false, PleMode::Resident)] {
        let engine = engine(LoadOptions { as_gpu, ple, ..Default::default() });
        let tested = engine.device().pipelines();
        let mut session = pollster::block_on(engine.session()).unwrap();
        // Each class of prompt lengths, then decoding, with the published sampling.
        for len in [1, 5, 40, 300] {
            session.clear();
            generate(&mut session, &prompt(len), &GenerateOptions { max_tokens: Some(3), ignore_eos: true, ..Default::default() });
        }
        assert_eq!(engine.device().pipelines(), tested, "kernels that no case of the self-test ran ({as_gpu}, {ple:?})");
    }
}

fn a_device_lost_in_an_answer_is_an_error_and_another_load_goes_on() {
    let host = Sampling { top_k: 0, seed: Some(1), ..Sampling::default() };
    for (ple, sampling) in [(PleMode::Resident, Sampling::greedy()), (PleMode::Streamed, Sampling::greedy()), (PleMode::Resident, host)] {
        let mut session = session(LoadOptions { ple, ..Default::default() });
        let engine = session.engine().clone();
        let options = GenerateOptions { sampling, ..greedy(64) };
        let mut seen = 0;
        let mut lose = |_: &_| {
            seen += 1;
            if seen == 3 {
                engine.device().destroy();
            }
        };
        let lost = pollster::block_on(session.generate(&prompt(20), &options, &Cancel::new(), &mut lose));
        let codes = [
            lost.map(|_| ()),
            pollster::block_on(session.generate(&prompt(20), &options, &Cancel::new(), &mut |_| ())).map(|_| ()),
            pollster::block_on(session.append(&prompt(3), &Cancel::new())),
            pollster::block_on(session.evaluate(&prompt(3))).map(|_| ()),
            pollster::block_on(session.save()).map(|_| ()),
            pollster::block_on(session.profile_decode()).map(|_| ()),
            pollster::block_on(engine.session()).map(|_| ()),
        ]
        .map(|result| result.err().map(|error| error.code()));
        assert_eq!(codes, [Some("device-lost"); 7], "{ple:?}");
        assert!((3..64).contains(&seen), "{seen} tokens");
    }
    assert_eq!(generate(&mut session(LoadOptions::default()), &prompt(20), &greedy(4)).ids.len(), 4);
}

/// A file on a server, as far as its cost goes.
struct Remote(MemorySource);

impl ByteSource for Remote {
    fn name(&self) -> &str {
        "http://example/model.gguf"
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn locality(&self) -> Locality {
        Locality::Remote
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        self.0.read(offset, len)
    }
}

fn rows_are_streamed_where_the_budget_says_so_but_never_over_a_network() {
    let bytes: Arc<[u8]> = std::fs::read(MODEL).unwrap().into();
    let load = |remote: bool, ple, memory_budget| {
        let memory = MemorySource::new("memory", bytes.clone());
        let source: Arc<dyn ByteSource> = if remote { Arc::new(Remote(memory)) } else { Arc::new(memory) };
        let options = LoadOptions { ple, memory_budget, ..Default::default() };
        try_load(source, options).map(|engine| engine.info().ple)
    };
    for remote in [false, true] {
        assert_eq!(load(remote, PleMode::Auto, None).unwrap(), "resident");
        assert_eq!(load(remote, PleMode::Resident, Some(1)).unwrap(), "resident");
    }
    assert_eq!(load(false, PleMode::Auto, Some(1)).unwrap(), "streamed");
    let refused = load(true, PleMode::Auto, Some(1)).unwrap_err();
    assert!(matches!(refused, Error::RemoteBudget { budget: 1, .. }), "{refused}");
    assert_eq!(refused.code(), "out-of-memory");
    assert_eq!(load(true, PleMode::Streamed, None).unwrap_err().code(), "invalid-argument");
}

fn a_chunk_has_the_chosen_length() {
    for chunk in [0, 15, 513] {
        let refused = try_load(source(), LoadOptions { chunk: Some(chunk), ..Default::default() }).err().unwrap();
        assert!(refused.to_string().contains("chunk") && refused.to_string().contains("16..=512"), "{refused}");
    }
    // However slow the first run finds the device.
    let runs = [1.0, 1e9].map(|seconds| {
        let engine = engine(LoadOptions { chunk: Some(20), ..Default::default() });
        engine.loaded().pace.learn(512, 1 << 20, seconds);
        assert_eq!(engine.loaded().chunk(0), 20);
        pollster::block_on(async { engine.session().await?.evaluate(&prompt(50)).await }).unwrap().matrices
    });
    assert!(runs[0] == runs[1]);
}

fn a_preferred_context_goes_as_far_as_the_model() {
    let context = |preferred| {
        let engine = engine(LoadOptions { preferred_context: Some(preferred), ..Default::default() });
        (engine.info().context, engine.info().trained_context)
    };
    assert_eq!(context(64).0, 64);
    let (longest, trained) = context(u32::MAX);
    assert!(longest == trained || longest > rullama::DEFAULT_CONTEXT && longest < trained, "{longest} of {trained}");
    let both = engine(LoadOptions { context: Some(80), preferred_context: Some(64), ..Default::default() });
    assert_eq!(both.info().context, 80);
}

rullama_testing::tests! {
    a_chunk_has_the_chosen_length,
    a_preferred_context_goes_as_far_as_the_model,
    a_prompt_that_goes_on_reuses_the_cache_and_gives_the_same,
    rewinding_near_and_far_gives_what_a_fresh_session_gives,
    a_saved_session_goes_on_elsewhere,
    a_saved_session_of_rounded_products_is_another,
    a_seed_draws_the_same_in_every_mode,
    rows_that_share_a_block_are_cut_apart,
    answers_end_where_they_should,
    log_probabilities_are_those_of_the_unmodified_distribution,
    cancelling_keeps_the_session_usable,
    bad_requests_are_named,
    files_that_are_no_model_are_refused_by_name,
    a_value_that_is_not_a_number_names_its_layer,
    a_prompt_tells_how_far_it_is_read,
    a_chat_remembers_its_turns,
    loading_tests_every_kernel_in_use,
    a_device_lost_in_an_answer_is_an_error_and_another_load_goes_on,
    rows_are_streamed_where_the_budget_says_so_but_never_over_a_network,
}
