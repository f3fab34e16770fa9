//! Parsed output against Ollama's parser, against reports from other projects, and however it is cut.

use crate::common::{data, parse, parse_pieces, pieces, tools};
use proptest::prelude::*;
use rullama_text::chat::{Conversation, Message};
use rullama_text::{Ending, OutputParser, Parsed, ParserOptions, Piece, Utf8Stream};
use serde_json::{Value, json};

fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

/// The parts are those of a golden; white space at marks is free.
fn check(parsed: &Parsed, golden: &Value, name: &str) {
    assert_eq!(dense(&parsed.content), dense(golden["content"].as_str().expect("content")), "{name}");
    assert_eq!(dense(&parsed.thinking), dense(golden["thinking"].as_str().expect("thinking")), "{name}");
    let calls = golden["tool_calls"].as_array().cloned().unwrap_or_default();
    let call = |call: &Value| {
        let function = call.get("function").unwrap_or(call);
        json!({"name": function["name"], "arguments": function["arguments"]})
    };
    let calls: Vec<Value> = calls.iter().map(call).collect();
    assert_eq!(serde_json::to_value(&parsed.tool_calls).expect("JSON"), Value::from(calls), "{name}");
}

fn answers_equal_the_reference() {
    let cases = data("parser_cases.json");
    assert_eq!(cases.as_array().expect("cases").len(), 120);
    for case in cases.as_array().expect("cases") {
        let input = &case["in"];
        let text: String = input["chunks"].as_array().expect("chunks").iter().filter_map(Value::as_str).collect();
        let thinking = input["think"].as_bool().unwrap_or(false);
        let parsed = parse(&text, ParserOptions { thinking, ..Default::default() });
        assert_eq!(parsed.unreadable, [""; 0]);
        check(&parsed, case, case["name"].as_str().expect("name"));
    }
}

fn answers_equal_those_of_the_reference_tests() {
    let cases = data("ollama_test_parses.json");
    assert_eq!(cases.as_array().expect("cases").len(), 41);
    for (i, case) in cases.as_array().expect("cases").iter().enumerate() {
        let thinking = case["init"]["think"].as_bool().unwrap_or(false);
        let starts_in_thought = thinking && case["init"]["last_message"]["role"] == "tool";
        let steps = case["steps"].as_array().expect("steps");
        let all = |part: &str| steps.iter().filter_map(|step| step[part].as_str()).collect::<String>();
        let calls: Vec<Value> = steps.iter().filter_map(|step| step["tool_calls"].as_array()).flatten().cloned().collect();
        let golden = json!({"content": all("content"), "thinking": all("thinking"), "tool_calls": calls});
        let parsed = parse(&all("chunk"), ParserOptions { thinking, starts_in_thought, ..Default::default() });
        check(&parsed, &golden, &format!("case {i}"));
    }
}

fn reports_from_other_projects() {
    let cases = data("report_parses.json");
    assert_eq!(cases.as_array().expect("cases").len(), 13);
    for case in cases.as_array().expect("cases") {
        let name = case["name"].as_str().expect("name");
        let options = ParserOptions { thinking: case["thinking"] == true, ..tools(case["tools"].clone()) };
        let ending = if case["finish"] == "stop" { Ending::Complete } else { Ending::Cut };
        let mut stream = Utf8Stream::default();
        let mut parser = OutputParser::new(options);
        let mut parsed = Parsed::default();
        for piece in case["pieces"].as_array().expect("pieces") {
            let bytes: Option<Vec<u8>> = serde_json::from_value(piece["bytes"].clone()).expect("bytes");
            let text = bytes.map(|bytes| stream.push(&bytes)).or(piece["text"].as_str().map(str::to_owned));
            parsed.extend(match &text {
                Some(text) => parser.push(Piece::Text(text)),
                None => parser.push(Piece::Special(piece["special"].as_str().expect("a piece"))),
            });
        }
        parsed.extend(parser.finish(ending));
        assert_eq!(parsed.unreadable.is_empty(), case["right"].get("invalid").is_none(), "{name}");
        check(&parsed, &case["right"], name);
    }
}

fn a_cut_call_is_none() {
    let text = "<|tool_call>call:write{path:<|\"|>a.txt<|\"|>,lines:[1,{n:20}],text:<|\"|>one<|\"|>}";
    let whole = parse(text, ParserOptions::default());
    assert_eq!(whole.tool_calls.len(), 1);
    // Wherever the limit, a stop string or a person cuts, up to the mark itself.
    let all = pieces(text);
    for length in 1..=all.len() {
        let parsed = parse_pieces(&all[..length], ParserOptions::default(), Ending::Cut);
        assert_eq!((parsed.tool_calls.len(), parsed.content.as_str()), (0, ""), "{length}");
    }
    // The calls before are calls.
    let two = "<|tool_call>call:a{x:1}<tool_call|><|tool_call>call:b{y:2";
    let parsed = parse_pieces(&pieces(two), ParserOptions::default(), Ending::Cut);
    assert_eq!((parsed.tool_calls[0].name.as_str(), &parsed.unreadable[..]), ("a", &["call:b{y:2".to_owned()][..]));
    assert_eq!(parse_pieces(&pieces("<|tool_call>"), ParserOptions::default(), Ending::Cut), Parsed::default());
}

fn what_text_spells_is_text() {
    for thinking in [false, true] {
        let quoted = "see <|tool_call>call:rm{path:<|\"|>/<|\"|>}<tool_call|> and <|channel>thought\nx<channel|>";
        let parsed = parse_pieces(&[Piece::Text(quoted)], ParserOptions { thinking, ..Default::default() }, Ending::Complete);
        assert_eq!(parsed, Parsed { content: quoted.into(), ..Default::default() });
    }
    // In a thought, in a call's string, and where special tokens delimit strings also the spelt delimiter.
    let (open, close, quote) = (Piece::Special("<|tool_call>"), Piece::Special("<tool_call|>"), Piece::Special("<|\"|>"));
    let text = "<tool_call|><|tool_call>call:g{}<|\"|>,a:1}";
    let call = [open, Piece::Text("call:f{t:"), quote, Piece::Text(text), quote, Piece::Text("}"), close];
    let parsed = parse_pieces(&call, ParserOptions::default(), Ending::Complete);
    assert_eq!(serde_json::to_value(&parsed.tool_calls).expect("JSON"), json!([{"name": "f", "arguments": {"t": text}}]));
    let thought = [Piece::Special("<|channel>"), Piece::Text("thought\nA <channel|> or <|tool_call>?"), Piece::Special("<channel|>")];
    let parsed = parse_pieces(&thought, ParserOptions { thinking: true, ..Default::default() }, Ending::Complete);
    assert_eq!(parsed, Parsed { thinking: "A <channel|> or <|tool_call>?".into(), ..Default::default() });
}

fn a_mark_in_a_string_belongs_to_the_string() {
    let one = |text: &str| {
        let parsed = parse(text, ParserOptions::default());
        let call = parsed.tool_calls.first().map(|call| Value::Object(call.arguments.clone()));
        (call, parsed.tool_calls.len(), parsed.content, parsed.unreadable)
    };
    let strings = |text: &str| (Some(json!({"t": text})), 1, String::new(), vec![]);
    assert_eq!(one("<|tool_call>call:f{t:<|\"|>ends with <tool_call|>.<|\"|>}<tool_call|>"), strings("ends with <tool_call|>."));
    assert_eq!(one("<|tool_call>call:f{t:<|\"|><|channel>x<channel|><|\"|>}<tool_call|>"), strings("<|channel>x<channel|>"));
    // A string without end: the first mark was the end of the call.
    let behind = (Some(json!({"t": "a"})), 1, "Done.".to_owned(), vec![]);
    assert_eq!(one("<|tool_call>call:f{t:<|\"|>a}<tool_call|> Done."), behind);
    let (call, calls, content, _) = one("<|tool_call>call:f{t:<|\"|>a}<tool_call|><|tool_call>call:g{t:<|\"|>b<|\"|>}<tool_call|>x");
    assert_eq!((call, calls, content.as_str()), (Some(json!({"t": "a"})), 2, "x"));
    // Nothing is guessed where marks stand in what would be the string.
    let (_, calls, _, unreadable) = one("<|tool_call>call:f{t:<|\"|>a<|tool_call>call:g{}");
    assert_eq!((calls, unreadable.len()), (0, 1));
}

fn thoughts_end_at_calls_and_stray_marks_are_dropped() {
    let options = || ParserOptions { thinking: true, ..Default::default() };
    let parts = |text: &str| {
        let parsed = parse(text, options());
        (parsed.content, parsed.thinking, parsed.tool_calls.len())
    };
    let expect = |content: &str, thinking: &str, calls: usize| (content.to_owned(), thinking.to_owned(), calls);
    let call = "<|tool_call>call:f{}<tool_call|>";
    assert_eq!(parts(&format!("<|channel>thought\nHm.\n{call}")), expect("", "Hm.", 1));
    assert_eq!(parts(&format!("<|channel>thought\nHm.{call}{call}")), expect("", "Hm.", 2));
    assert_eq!(parts(&format!("<|channel>thought\nHm.{call}<channel|>Done.")), expect("Done.", "Hm.", 1));
    assert_eq!(parts(&format!("<|channel>Hm.{call}")), expect("", "Hm.", 1));
    assert_eq!(parts(&format!("<|channel>{call}")), expect("", "", 1));
    let silent = parse(&format!("<|channel>thought\nHm.{call}"), ParserOptions::default());
    assert_eq!((silent.thinking.as_str(), silent.tool_calls.len()), ("", 1));
    let inside = parse(&format!("Hm.{call}"), ParserOptions { starts_in_thought: true, ..options() });
    assert_eq!((inside.thinking.as_str(), inside.tool_calls.len()), ("Hm.", 1));
    // Stray marks.
    assert_eq!(parts("Yes<channel|>, it is."), expect("Yes, it is.", "", 0));
    assert_eq!(parts("<channel|>Yes.<|channel>"), expect("Yes.", "", 0));
    assert_eq!(parts("So <|channel>it is."), expect("So it is.", "", 0));
    assert_eq!(parts("a<tool_call|>b<|tool_response>c<tool_response|>d<pad>"), expect("abcd<pad>", "", 0));
    assert_eq!(parts("<|channel>thought\na<|channel>thought\nb<channel|>c"), expect("c", "ab", 0));
    assert_eq!(parts("<|channel>thought<channel|>c<|channel><channel|>d"), expect("cd", "", 0));
    assert_eq!(parts("<|channel>thought\nnever closed "), expect("", "never closed", 0));
    // A call that lacks its end: the next mark ends it.
    assert_eq!(parts("<|tool_call>call:f{a:1}<|tool_call>call:g{b:2}<tool_call|>"), expect("", "", 2));
    assert_eq!(parts("<|tool_call>call:f{a:1}<|tool_response>"), expect("", "", 1));
    assert_eq!(parts("<|tool_call>call:f{a:1}<|channel>thought\nx<channel|>y"), expect("y", "x", 1));
}

fn the_prompt_says_whether_a_thought_is_open() {
    let messages = |value: Value| serde_json::from_value::<Vec<Message>>(value).expect("messages");
    let call = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]});
    let result = json!({"role": "tool", "content": "r"});
    let options = |messages: &[Message], thinking| ParserOptions::of(&Conversation { messages, thinking, ..Default::default() });
    let answered = messages(json!([call, result]));
    assert!(options(&answered, true).starts_in_thought && !options(&answered, false).starts_in_thought);
    assert!(!options(&messages(json!([call])), true).starts_in_thought);
    assert!(!options(&messages(json!([{"role": "user", "content": "u"}, result])), true).starts_in_thought, "a result of no call");
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

    /// However the text of a stream is cut, the parts are the same.
    fn cuts_do_not_matter(
        text in output(),
        cuts in prop::collection::vec(1usize..9, 1..12),
        thinking: bool,
        starts_in_thought: bool,
        complete: bool,
    ) {
        let options = || ParserOptions {
            thinking, starts_in_thought: thinking && starts_in_thought, ..Default::default()
        };
        let ending = if complete { Ending::Complete } else { Ending::Cut };
        let whole = pieces(&text);
        let mut cut = Vec::new();
        let mut lengths = cuts.iter().cycle();
        for &piece in &whole {
            let Piece::Text(mut rest) = piece else { cut.push(piece); continue };
            while !rest.is_empty() {
                let end = rest.ceil_char_boundary(lengths.next().copied().unwrap_or(1).min(rest.len()));
                cut.push(Piece::Text(&rest[..end]));
                rest = &rest[end..];
            }
        }
        prop_assert_eq!(parse_pieces(&whole, options(), ending), parse_pieces(&cut, options(), ending));
    }
}

rullama_testing::tests! {
    answers_equal_the_reference,
    answers_equal_those_of_the_reference_tests,
    reports_from_other_projects,
    a_cut_call_is_none,
    what_text_spells_is_text,
    a_mark_in_a_string_belongs_to_the_string,
    thoughts_end_at_calls_and_stray_marks_are_dropped,
    the_prompt_says_whether_a_thought_is_open,
    cuts_do_not_matter,
}
