//! Answers held to a schema are JSON that fits it, whatever is drawn.

use rullama::source::{ByteSource, FileSource};
use rullama::{
    Cancel, Chat, ChatOptions, Engine, Event, Finish, ForcedCall, Format, GenerateOptions, LoadOptions, Message, PleMode, Sampling,
    Summary, Tool,
};
use rullama_testing::{existing, found, workspace};
use serde_json::{Value, json};
use std::sync::Arc;

fn load(path: &str, ple: PleMode) -> Engine {
    let source: Arc<dyn ByteSource> = Arc::new(FileSource::open(existing(workspace().join(path))).unwrap());
    let options = LoadOptions { ple, ..LoadOptions::default() };
    found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

fn demo() -> Engine {
    load("web/app/public/model/rullama-demo.gguf", PleMode::Auto)
}

/// A schema of every kind of value, whose answers end.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "größe": {"enum": ["klein", "groß", "日本"]},
            "count": {"type": "integer", "minimum": -5, "maximum": 120},
            "share": {"type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.125},
            "name": {"type": "string", "maxLength": 8},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
            "inner": {"type": "object", "properties": {"ok": {"type": "boolean"}, "none": {"type": "null"}}, "required": ["ok", "none"]},
        },
        "required": ["größe", "count", "share", "name", "tags", "inner"],
    })
}

fn options(sampling: Sampling) -> GenerateOptions {
    GenerateOptions { sampling, max_tokens: Some(300), format: Some(Format::Schema(schema())), ..GenerateOptions::default() }
}

/// The value that an answer is, which fits the schema.
fn fitting(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    jsonschema::validate(&schema(), &value).unwrap_or_else(|error| panic!("{text}: {error}"));
    value
}

fn send(chat: &mut Chat, options: &GenerateOptions) -> (Summary, [String; 2]) {
    let [mut content, mut thoughts] = [String::new(), String::new()];
    let mut on_event = |event: &Event| match event {
        Event::Content(text) => content.push_str(text),
        Event::Thinking(text) => thoughts.push_str(text),
        other => panic!("{other:?}"),
    };
    let question = Message::user("What is 31 plus 9?");
    let summary = pollster::block_on(chat.send(question, options, &Cancel::new(), &mut on_event)).unwrap();
    (summary, [content, thoughts])
}

fn every_answer_fits_its_schema() {
    let engine = demo();
    let drawn = |seed| Sampling { seed: Some(seed), ..Sampling::default() };
    let on_host = Sampling { top_k: 0, ..drawn(9) };
    let wide = Sampling { top_k: 1024, top_p: 1.0, temperature: 3.0, ..drawn(4) };
    let settings = (0..6).map(drawn).chain([Sampling::greedy(), on_host, wide]);
    let mut chat = Chat::new(pollster::block_on(engine.session()).unwrap(), ChatOptions::default());
    let mut answers = Vec::new();
    for sampling in settings {
        chat.clear();
        let (summary, [content, _]) = send(&mut chat, &options(sampling.clone()));
        assert_eq!(summary.finish, Finish::Stop, "{sampling:?}: {content}");
        answers.push(fitting(&content).to_string());
    }
    answers.dedup();
    assert!(answers.len() > 5, "seeds draw different answers");
    // The session goes on without a format.
    chat.clear();
    let plain = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(40), ..GenerateOptions::default() };
    let (_, [content, _]) = send(&mut chat, &plain);
    assert!(content.contains("40"), "{content}");
}

fn thoughts_come_before_the_format() {
    let engine = demo();
    let start = ChatOptions { thinking: true, ..ChatOptions::default() };
    let mut chat = Chat::new(pollster::block_on(engine.session()).unwrap(), start);
    let mut thought = 0;
    for seed in 0..3 {
        chat.clear();
        let (summary, [content, thoughts]) = send(&mut chat, &options(Sampling { seed: Some(seed), ..Sampling::default() }));
        assert_eq!(summary.finish, Finish::Stop, "{thoughts} {content}");
        fitting(&content);
        thought += usize::from(!thoughts.is_empty());
    }
    assert!(thought > 0, "the model thinks when it is asked to");
}

/// An answer that is cut says so, and what goes on with it still fits.
fn an_answer_that_was_cut_goes_on() {
    let engine = demo();
    let mut chat = Chat::new(pollster::block_on(engine.session()).unwrap(), ChatOptions::default());
    let seeded = |seed| options(Sampling { seed: Some(seed), ..Sampling::default() });
    for tokens in [1, 9, 20] {
        chat.clear();
        let (summary, _) = send(&mut chat, &GenerateOptions { max_tokens: Some(tokens), ..seeded(1) });
        assert_eq!(summary.finish, Finish::Length);
        pollster::block_on(chat.continue_answer(&seeded(2), &Cancel::new(), &mut |_| ())).unwrap();
        fitting(&chat.messages().last().unwrap().content);
    }
    // What has not the format cannot get it.
    chat.rewrite([Message::user("What is 31 plus 9?"), Message::assistant("It is")]);
    let error = pollster::block_on(chat.continue_answer(&seeded(2), &Cancel::new(), &mut |_| ())).unwrap_err();
    assert_eq!(error.code(), "invalid-argument");
}

/// The same tokens wherever per-layer rows are, as raw continuations of a model with random weights.
fn streamed_rows_draw_the_same() {
    let answers = [PleMode::Resident, PleMode::Streamed].map(|ple| {
        let engine = load("goldens/models/dense-ple-Q4_K_M.gguf", ple);
        let mut session = pollster::block_on(engine.session()).unwrap();
        [0, 1].map(|seed| {
            let format = Format::Schema(json!({"type": "array", "items": {"enum": [true, "a", 17]}, "maxItems": 6}));
            let sampling = Sampling { seed: Some(seed), ..Sampling::default() };
            let options = GenerateOptions { sampling, max_tokens: Some(80), format: Some(format), ..GenerateOptions::default() };
            let summary = pollster::block_on(session.generate(&[2, 510, 711], &options, &Cancel::new(), &mut |_| ())).unwrap();
            assert_eq!(summary.finish, Finish::Stop, "{}", summary.text);
            let value: Value = serde_json::from_str(&summary.text).unwrap_or_else(|error| panic!("{:?}: {error}", summary.text));
            assert!(value.is_array());
            summary.ids
        })
    });
    assert_eq!(answers[0], answers[1]);
}

fn what_cannot_be_kept_is_said() {
    let engine = demo();
    let mut session = pollster::block_on(engine.session()).unwrap();
    let mut error = |options: GenerateOptions| {
        let failed = pollster::block_on(session.generate(&[2, 10], &options, &Cancel::new(), &mut |_| ())).unwrap_err();
        assert_eq!(failed.code(), "invalid-argument");
        failed.to_string()
    };
    let of = |schema: Value| GenerateOptions { format: Some(Format::Schema(schema)), ..GenerateOptions::default() };
    let said = error(of(json!({"type": "object", "properties": {"a": {"not": {}}}})));
    assert!(said.contains("`not`") && said.contains("#/properties/a"), "{said}");
    let said = error(GenerateOptions { ignore_eos: true, ..of(json!({})) });
    assert!(said.contains("ignore_eos"), "{said}");
    let read = |text: &str| serde_json::from_str::<Format>(text).map_err(|error| error.to_string());
    assert_eq!(read("\"json\""), Ok(Format::Json));
    assert_eq!(read("{}"), Ok(Format::Schema(json!({}))));
    assert!(read("\"xml\"").unwrap_err().contains("neither"));
}

/// The call that an answer has, with what was thought.
fn called(chat: &mut Chat, question: &str, forced: ForcedCall, sampling: Sampling) -> (Vec<(String, Value)>, String) {
    let options = GenerateOptions { sampling, max_tokens: Some(200), forced: Some(forced), ..GenerateOptions::default() };
    let (mut calls, mut thoughts) = (Vec::new(), String::new());
    let mut on_event = |event: &Event| match event {
        Event::ToolCall(call) => calls.push((call.function.name.clone(), call.function.arguments.clone().into())),
        Event::Thinking(text) => thoughts.push_str(text),
        other => panic!("{other:?}"),
    };
    let summary = pollster::block_on(chat.send(Message::user(question), &options, &Cancel::new(), &mut on_event)).unwrap();
    assert_eq!(summary.finish, Finish::ToolCall);
    (calls, thoughts)
}

fn a_call_is_forced() {
    let engine = demo();
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let unit = json!({"type": "object", "properties": {"unit": {"enum": ["km", "miles"]}, "count": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["unit", "count"]});
    let tools: Vec<Tool> = [("current_time", &city), ("distance", &unit)]
        .map(|(name, parameters)| serde_json::from_value(json!({"name": name, "description": "", "parameters": parameters})).unwrap())
        .into();
    let greedy = Sampling::greedy;
    let session = || pollster::block_on(engine.session()).unwrap();
    for thinking in [false, true] {
        let mut chat = Chat::new(session(), ChatOptions { tools: tools.clone(), thinking, ..ChatOptions::default() });
        let required = ForcedCall { tools: tools.clone(), once: false };
        let (calls, _) = called(&mut chat, "What is the time in Paro now?", required, greedy());
        assert_eq!(calls[0], ("current_time".to_owned(), json!({"city": "Paro"})), "thinking: {thinking}");
        chat.clear();
        // What the model would not have said by itself.
        let named = ForcedCall { tools: vec![tools[1].clone()], once: true };
        let (calls, _) = called(&mut chat, "What is 31 plus 9?", named, Sampling { seed: Some(3), ..Sampling::default() });
        assert_eq!((calls.len(), calls[0].0.as_str()), (1, "distance"));
        jsonschema::validate(&unit, &calls[0].1).unwrap_or_else(|error| panic!("{}: {error}", calls[0].1));
    }
    let mut bare = Chat::new(session(), ChatOptions::default());
    let options = GenerateOptions { forced: Some(ForcedCall { tools, once: true }), ..GenerateOptions::default() };
    let error = pollster::block_on(bare.send(Message::user("x"), &options, &Cancel::new(), &mut |_| ())).unwrap_err();
    assert!(error.to_string().starts_with("`tool_choice`"), "{error}");
}

rullama_testing::tests! {
    a_call_is_forced,
    every_answer_fits_its_schema,
    thoughts_come_before_the_format,
    an_answer_that_was_cut_goes_on,
    streamed_rows_draw_the_same,
    what_cannot_be_kept_is_said,
}
