//! Time grows no faster than the input, whoever wrote it: four times the input may take ten times as long (sixteen
//! would be quadratic), after what a busy machine adds to anything.

use crate::common::Tables;
use rullama_text::chat::{Conversation, Message, Tool, render};
use rullama_text::{Ending, OutputParser, ParserOptions, Piece, Segment, Tokenizer};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const NOISE: Duration = Duration::from_millis(30);

/// Time of this thread on a processor, where the system tells; a busy machine does not count then.
fn clock() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_processor = schedule.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
    on_processor.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// Best of three.
fn time<R>(mut work: impl FnMut() -> R) -> Duration {
    let once = |_| {
        let start = clock();
        std::hint::black_box(work());
        clock() - start
    };
    (0..3).map(once).min().unwrap_or_default()
}

fn check(name: &str, mut work: impl FnMut(usize) -> Duration, n: usize) {
    let (small, large) = (work(n), work(4 * n));
    assert!(large < 10 * small + NOISE, "{name}: {small:?} for {n}, {large:?} for {}", 4 * n);
}

fn options(properties: usize) -> ParserOptions {
    let strings: serde_json::Map<String, Value> = (0..properties).map(|i| (format!("k{i}"), json!({"type": "string"}))).collect();
    let tools: Vec<Tool> = serde_json::from_value(json!([{"name": "f", "parameters": {"properties": strings}}])).expect("tools");
    ParserOptions { tools, thinking: true, ..Default::default() }
}

fn reading_a_call() {
    let patterns = [
        ("escaped quotes", "a:\"", "\\\""),
        ("escaped quotes of a declared string", "k0:\"", "\\\""),
        ("quotes, escaped and not", "k0: x,\"", "\"\\\""),
        ("single quotes", "", ":'"),
        ("single quotes of declared strings", "", "k0:'a,"),
        ("quoted keys without end", "", "\"a:1,"),
        ("quoted values without end", "", "a:\"b,"),
        ("backslashes", "", ":'\\"),
        ("braces", "", "{"),
        ("keys and braces", "", "a:{"),
        ("brackets", "a:", "["),
        ("commas", "", ","),
        ("colons", "", ":"),
        ("colons and spaces", "", ": "),
        ("delimiters", "a:", "<|\"|>"),
        ("keys of the schema", "", "k0:1,"),
        ("keys of the schema and braces", "", ",k9:{"),
        ("spaces", "k0: x,", " "),
        ("commas and spaces", "k0: x", ", "),
        ("words", "", "a:b c,"),
        ("words without keys", "a:b", ",c d"),
        ("numbers", "a:", "1"),
        ("parentheses", "a:", "(x="),
        ("equals signs", "a", "="),
    ];
    for (name, begin, repeated) in patterns {
        for (open, end) in [("call:f{", ""), ("call:f{", "}"), ("f(", ")")] {
            for properties in [0, 10] {
                let options = options(properties);
                let work = |n: usize| {
                    let text = format!("{open}{begin}{}{end}", repeated.repeat(n / repeated.len()));
                    time(|| {
                        let mut parser = OutputParser::new(options.clone());
                        parser.push(Piece::Special("<|tool_call>"));
                        parser.push(Piece::Text(&text));
                        let events = parser.push(Piece::Special("<tool_call|>")).len();
                        events + parser.finish(Ending::Complete).len()
                    })
                };
                check(&format!("{name}, {open}...{end}, {properties} properties"), work, 32 << 10);
            }
        }
    }
}

fn streaming() {
    let (call, end, quote) = (Piece::Special("<|tool_call>"), Piece::Special("<tool_call|>"), Piece::Special("<|\"|>"));
    let thought = [Piece::Special("<|channel>"), Piece::Text("thought\nx")];
    let newlines = "\n".repeat(31);
    let streams: [(&str, &[Piece<'_>], &[Piece<'_>]); 10] = [
        ("a thought of newlines", &thought, &[Piece::Text(&newlines)]),
        ("a dropped thought of spaces", &thought, &[Piece::Text("                               ")]),
        ("a channel without a name", &thought[..1], &[Piece::Text("abcdefgh")]),
        ("content of spaces", &[], &[Piece::Text("                ")]),
        ("spaces after a call", &[call, end], &[Piece::Text("                ")]),
        ("one call", &[call, Piece::Text("call:f{a:")], &[Piece::Text("abcdefghijklmnop")]),
        ("many calls", &[], &[call, Piece::Text("call:f{a:1}"), end]),
        ("ends within a string", &[call, Piece::Text("call:f{a:"), quote], &[Piece::Text("x"), end]),
        ("ends within a spelt string", &[call, Piece::Text("call:f{a:<|\"|>")], &[Piece::Text("x"), end]),
        ("strings without end", &[], &[call, Piece::Text("call:f{a:"), quote, end, Piece::Text("x")]),
    ];
    for (name, begin, repeated) in streams {
        let work = |n: usize| {
            time(|| {
                let mut parser = OutputParser::new(options(1));
                let pieces = begin.iter().chain(std::iter::repeat_n(repeated, n).flatten());
                let events: usize = pieces.map(|&piece| parser.push(piece).len()).sum();
                events + parser.finish(Ending::Complete).len()
            })
        };
        check(name, work, 16_000);
    }
}

/// Strings of eight bytes that collide in the low 24 bits of a multiplicative hash without a seed: its steps are
/// inverted from the value wanted.
fn colliding(count: usize) -> Vec<String> {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let inverse = (0..6).fold(1u64, |x, _| x.wrapping_mul(2u64.wrapping_sub(MULTIPLIER.wrapping_mul(x))));
    let unshift = |y: u64, by: u32| (0..4).fold(y, |x, _| y ^ (x >> by));
    let length = 8u64.wrapping_mul(MULTIPLIER).rotate_left(23);
    let text = |high: u64| {
        let state = unshift(unshift((high << 24) | 0x12_3456, 29).wrapping_mul(inverse), 32).wrapping_mul(inverse);
        let bytes = (state ^ length).to_le_bytes();
        if bytes.iter().all(|b| (33..127).contains(b)) { String::from_utf8(bytes.to_vec()).ok() } else { None }
    };
    (0..).filter_map(text).take(count).collect()
}

fn a_vocabulary_made_to_collide() {
    let strings = colliding(64_000);
    let work = |n: usize| {
        let mut tables = Tables::tiny();
        tables.tokens.extend_from_slice(&strings[..n]);
        tables.types.resize(tables.tokens.len(), 1);
        time(|| tables.tokenizer().len())
    };
    check("pieces that collide", work, 16_000);
}

fn special_pieces_of_many_lengths() {
    let tokenizer = |count: usize| -> Tokenizer {
        let mut tables = Tables::tiny();
        tables.tokens.extend((2..count).map(|i| "a".repeat(i) + "z"));
        tables.types.resize(tables.tokens.len(), 3);
        tables.tokenizer()
    };
    let text = "a".repeat(20_000);
    let work = |count: usize| {
        let tokenizer = tokenizer(count);
        time(|| tokenizer.encode_segments(&[Segment::Template(text.clone())]).expect("no special segment").len())
    };
    check("special pieces", work, 250);
    let tokenizer = tokenizer(1000);
    let work = |n: usize| time(|| tokenizer.encode_segments(&[Segment::Template("a".repeat(n))]).expect("no special segment").len());
    check("text beside special pieces", work, 10_000);
}

fn results_of_many_calls() {
    let work = |n: usize| {
        let calls: Vec<Value> = (0..n).map(|i| json!({"id": i.to_string(), "function": {"name": "f", "arguments": {}}})).collect();
        let mut messages = vec![json!({"role": "user", "content": "x"}), json!({"role": "assistant", "tool_calls": calls})];
        messages.extend((0..n).rev().map(|i| json!({"role": "tool", "content": "r", "tool_call_id": i.to_string()})));
        let messages: Vec<Message> = serde_json::from_value(messages.into()).expect("messages");
        time(|| render(&Conversation { messages: &messages, ..Default::default() }).len())
    };
    check("results", work, 4_000);
}

rullama_testing::tests! {
    reading_a_call,
    streaming,
    a_vocabulary_made_to_collide,
    special_pieces_of_many_lengths,
    results_of_many_calls,
}
