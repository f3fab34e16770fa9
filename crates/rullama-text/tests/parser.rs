//! Parsed output against Ollama's parser, chunk by chunk and as a whole.

mod common;

use common::data;
use proptest::prelude::*;
use rullama_text::chat::{Conversation, Message, Tool, ToolCall};
use rullama_text::{Event, OutputParser, ParserOptions};
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq)]
struct Parsed {
    content: String,
    thinking: String,
    calls: Vec<ToolCall>,
    invalid: Vec<String>,
}

impl Parsed {
    fn add(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Content(text) => self.content += &text,
                Event::Thinking(text) => self.thinking += &text,
                Event::ToolCall(call) => self.calls.push(call),
                Event::InvalidToolCall(text) => self.invalid.push(text),
            }
        }
    }

    fn expected(value: &Value) -> Parsed {
        let calls: Option<Vec<ToolCall>> = serde_json::from_value(value["tool_calls"].clone()).expect("calls");
        Parsed {
            content: value["content"].as_str().expect("content").into(),
            thinking: value["thinking"].as_str().expect("thinking").into(),
            calls: calls.unwrap_or_default(),
            invalid: Vec::new(),
        }
    }
}

fn parse(chunks: &[&str], options: ParserOptions) -> Parsed {
    let mut parser = OutputParser::new(options);
    let mut parsed = Parsed::default();
    for chunk in chunks {
        parsed.add(parser.push(chunk));
    }
    parsed.add(parser.finish());
    parsed
}

/// Every step gives what the reference's step gives; the last one includes the end.
fn check_steps(mut parser: OutputParser, chunks: &[&str], steps: &[Value], name: &str) -> Parsed {
    let mut total = Parsed::default();
    for (i, (chunk, step)) in chunks.iter().zip(steps).enumerate() {
        let mut events = parser.push(chunk);
        if i + 1 == chunks.len() {
            events.extend(parser.finish());
        }
        let mut got = Parsed::default();
        got.add(events.clone());
        assert_eq!(got, Parsed::expected(step), "{name}, step {i}");
        total.add(events);
    }
    total
}

#[test]
fn streams_equal_the_reference() {
    let cases = data("parser_cases.json");
    assert_eq!(cases.as_array().expect("cases").len(), 120);
    for case in cases.as_array().expect("cases") {
        let input = &case["in"];
        let chunks: Vec<&str> = input["chunks"].as_array().expect("chunks").iter().filter_map(Value::as_str).collect();
        let thinking = input["think"].as_bool().unwrap_or(false);
        let parser = OutputParser::new(ParserOptions { thinking, ..Default::default() });
        let steps = case["steps"].as_array().expect("steps");
        let name = case["name"].as_str().expect("name");
        let total = check_steps(parser, &chunks, steps, name);
        assert_eq!(total, Parsed::expected(case), "{name}");
    }
}

#[test]
fn streams_equal_those_of_the_reference_tests() {
    let cases = data("ollama_test_parses.json");
    assert_eq!(cases.as_array().expect("cases").len(), 41);
    for (i, case) in cases.as_array().expect("cases").iter().enumerate() {
        let init = &case["init"];
        let messages: Vec<Message> = if init["last_message"].is_null() {
            Vec::new()
        } else {
            vec![serde_json::from_value(init["last_message"].clone()).expect("message")]
        };
        let options = ParserOptions::of(&Conversation {
            messages: &messages,
            thinking: init["think"].as_bool().unwrap_or(false),
            ..Default::default()
        });
        let steps = case["steps"].as_array().expect("steps");
        let chunks: Vec<&str> = steps.iter().filter_map(|s| s["chunk"].as_str()).collect();
        check_steps(OutputParser::new(options), &chunks, steps, &format!("case {i}"));
    }
}

fn call(arguments: &str) -> Option<Value> {
    let tools: Vec<Tool> = serde_json::from_value(json!([{"function": {"name": "f", "parameters": {
        "properties": {"n": {"type": "integer"}, "path": {"type": "string"},
            "text": {"anyOf": [{"type": "null"}, {"type": "STRING"}]}}}}}]))
    .expect("tools");
    let text = format!("<|tool_call>call:f{arguments}<tool_call|>");
    let parsed = parse(&[&text], ParserOptions { tools, ..Default::default() });
    assert_eq!(parsed.calls.len() + parsed.invalid.len(), 1);
    parsed.calls.into_iter().next().map(|c| Value::Object(c.function.arguments))
}

#[test]
fn arguments_in_the_models_notation() {
    assert_eq!(call("{}"), Some(json!({})));
    assert_eq!(call("{ a : 1}"), None, "a bare key stands directly before its colon");
    assert_eq!(
        call(r#"{a:[{b_2:null},-1.5e3,true],é:<|"|>x:{y,z:1}<|"|>,"c,d:":"e,f:\"g\""}"#),
        Some(json!({"a": [{"b_2": null}, -1500.0, true], "é": "x:{y,z:1}", "c,d:": "e,f:\"g\""}))
    );
    assert_eq!(call("{<|\"|>k<|\"|>:<|\"|>\"\\\n\u{0}<|\"|>}"), Some(json!({"k": "\"\\\n\u{0}"})));
}

#[test]
fn damaged_arguments_are_repaired_or_reported() {
    // Single quotes, also with a stray delimiter behind them.
    assert_eq!(call("{path:'a\"b',n:1}"), Some(json!({"path": "a\"b", "n": 1})));
    assert_eq!(call("{path: 'a'<|\"|>}"), Some(json!({"path": "a"})));
    // A string that is never closed, with and without the brace.
    assert_eq!(call("{path:<|\"|>a}"), Some(json!({"path": "a"})));
    assert_eq!(call("{n:2,path:<|\"|>a b"), Some(json!({"n": 2, "path": "a b"})));
    // Raw text where the schema says string; the next key of the schema ends it.
    assert_eq!(call("{path:/tmp/a, b:c,n:3}"), Some(json!({"path": "/tmp/a, b:c", "n": 3})));
    assert_eq!(call("{n:3,text:tomorrow"), Some(json!({"n": 3, "text": "tomorrow"})));
    // Nothing to be done.
    for lost in ["{n:}", "{n:abc}", "{path:<|\"|>a<|\"|>,n:1", "{{{", "{n:1}}"] {
        assert_eq!(call(lost), None, "{lost}");
    }
    let options = ParserOptions::default;
    assert_eq!(parse(&["<|tool_call>nonsense<tool_call|>x"], options()).invalid, ["nonsense"]);
    assert_eq!(parse(&["<|tool_call>call:f"], options()).invalid, ["call:f"]);
}

#[test]
fn the_first_mark_wins_and_space_around_thoughts_is_dropped() {
    let options = || ParserOptions { thinking: true, ..Default::default() };
    let text = "a <|tool_call>call:f{x:1}<tool_call|> <|channel>thought\n t \n<channel|>\n\nb";
    let whole = parse(&[text], options());
    assert_eq!((whole.content.as_str(), whole.thinking.trim_start()), ("ab", "t"));
    assert_eq!(whole.calls.len(), 1);
    let characters: Vec<String> = text.chars().map(String::from).collect();
    let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
    let streamed = parse(&characters, options());
    assert_eq!(streamed.content, "a b");
    assert_eq!((streamed.thinking, streamed.calls), (whole.thinking, whole.calls));
}

/// A text of words, white space, whole marks and torn marks.
fn output() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-c{}:,<|>\" é]{0,4}".boxed(),
        1 => prop::sample::select(vec![
            "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>",
            "<|\"|>", "thought\n", "call:f{", "a:1", "}", "<|cha", "nel>", " \n",
        ]).prop_map(String::from).boxed(),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    /// However the stream is cut, the parts are the same, except for white space of content that
    /// was given out before a mark showed that it should be dropped.
    #[test]
    fn cuts_do_not_matter(
        text in output(),
        cuts in prop::collection::vec(1usize..9, 1..12),
        thinking: bool,
        starts_in_thought: bool,
    ) {
        let options = || ParserOptions {
            thinking, starts_in_thought: thinking && starts_in_thought, ..Default::default()
        };
        let characters: Vec<char> = text.chars().collect();
        let mut chunks = Vec::new();
        let mut at = 0;
        for length in cuts.iter().cycle() {
            if at >= characters.len() { break; }
            let end = (at + length).min(characters.len());
            chunks.push(characters[at..end].iter().collect::<String>());
            at = end;
        }
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let (whole, cut) = (parse(&[&text], options()), parse(&chunks, options()));
        let dense = |text: &str| text.split_whitespace().collect::<String>();
        prop_assert_eq!(dense(&whole.content), dense(&cut.content));
        prop_assert_eq!((whole.thinking, whole.calls, whole.invalid), (cut.thinking, cut.calls, cut.invalid));
    }
}
