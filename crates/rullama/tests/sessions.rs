//! Several conversations on one engine keep what they have computed.

use rullama::source::FileSource;
use rullama::text::Specials;
use rullama::text::chat::Conversation;
use rullama::{Cancel, Engine, Event, GenerateOptions, LoadOptions, Message, Sampling, Sessions, Summary};
use rullama_testing::found;
use std::path::Path;
use std::sync::Arc;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../goldens/models/dense-ple-Q4_K_M.gguf");

fn sessions(most: usize, bytes: u64) -> Sessions {
    let source = Arc::new(FileSource::open(Path::new(MODEL)).unwrap());
    let engine =
        found(pollster::block_on(Engine::load(source, LoadOptions { chunk: Some(512), ..Default::default() }, &mut |_| ())), |error| {
            error.code() == "no-webgpu"
        });
    Sessions::new(engine, most, bytes)
}

fn prompt(len: u32, salt: u32) -> Vec<u32> {
    (0..len).map(|i| if i == 0 { 2 } else { 500 + (i * 37 + salt) % 1400 }).collect()
}

fn generate(sessions: &mut Sessions, prompt: &[u32]) -> Summary {
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(4), ignore_eos: true, ..Default::default() };
    pollster::block_on(sessions.generate(prompt, Specials::Hide, &options, &Cancel::new(), &mut |_| ())).unwrap()
}

/// The prompt of the next turn.
fn next(prompt: &[u32], summary: &Summary) -> Vec<u32> {
    prompt.iter().chain(&summary.ids).copied().chain([700, 701]).collect()
}

fn conversations_take_turns_without_computing_anew() {
    let mut sessions = sessions(2, u64::MAX);
    let mut prompts = [prompt(60, 0), prompt(60, 11)];
    for turn in 0..3 {
        for prompt in &mut prompts {
            let summary = generate(&mut sessions, prompt);
            let computed = summary.timings.prefilled_tokens;
            assert_eq!(computed < 10, turn > 0, "{computed} tokens in turn {turn}");
            *prompt = next(prompt, &summary);
        }
    }
    assert_eq!(sessions.len(), 2);
    // What is kept does not change what is answered.
    let fresh = generate(&mut Sessions::new(sessions.engine().clone(), 1, 0), &prompts[0]);
    assert_eq!(generate(&mut sessions, &prompts[0]).ids, fresh.ids);
    // A third conversation takes the place of the one that was used longest ago.
    generate(&mut sessions, &prompt(60, 23));
    assert_eq!(sessions.len(), 2);
    assert!(generate(&mut sessions, &prompts[0]).timings.prefilled_tokens < 10);
    assert!(generate(&mut sessions, &prompts[1]).timings.prefilled_tokens > 50);
}

fn caches_are_bounded_by_bytes_too() {
    let mut sessions = sessions(4, 0);
    let one = prompt(60, 0);
    generate(&mut sessions, &one);
    assert!(generate(&mut sessions, &one).timings.prefilled_tokens < 10, "the one in use is kept");
    generate(&mut sessions, &prompt(60, 11));
    assert_eq!(sessions.len(), 1);
}

fn a_refused_prompt_leaves_all_as_it_was() {
    let mut sessions = sessions(2, u64::MAX);
    let one = prompt(60, 0);
    generate(&mut sessions, &one);
    let vocab = sessions.engine().info().vocab;
    let options = GenerateOptions::default();
    let asked = [one.clone(), vec![vocab]].concat();
    let refused = pollster::block_on(sessions.generate(&asked, Specials::Hide, &options, &Cancel::new(), &mut |_| ()));
    assert_eq!(refused.unwrap_err().code(), "invalid-argument");
    assert!(generate(&mut sessions, &one).timings.prefilled_tokens < 10);
}

fn a_conversation_is_answered_in_parts() {
    let mut sessions = sessions(1, u64::MAX);
    let messages = [Message::user("Hello")];
    let conversation = Conversation { messages: &messages, size: sessions.engine().template_size(), ..Default::default() };
    let prompt = sessions.prompt(&conversation).unwrap();
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(6), ..Default::default() };
    let (mut tokens, mut text) = (0, String::new());
    let mut on_part = |token: Option<&rullama::Token>, events: Vec<Event>| {
        tokens += usize::from(token.is_some());
        text.extend(events.iter().filter_map(|event| if let Event::Content(text) = event { Some(text.as_str()) } else { None }));
    };
    let summary = pollster::block_on(sessions.answer(&conversation, &prompt, &options, &Cancel::new(), &mut on_part)).unwrap();
    assert_eq!(tokens, summary.ids.len());
    assert_eq!(text.trim(), summary.text.trim());
}

rullama_testing::tests! {
    conversations_take_turns_without_computing_anew,
    caches_are_bounded_by_bytes_too,
    a_refused_prompt_leaves_all_as_it_was,
    a_conversation_is_answered_in_parts,
}
