//! Files of examples against ids and masks of an independent implementation, and files that are no use.

use crate::common::{data, json, tiny, tokenizer};
use rullama_testing::shared;
use rullama_text::chat::Size;
use rullama_text::{Specials, Tokenizer};
use rullama_train::TrainOptions;
use rullama_train::data::{DataError, DataLimits, DataOptions, Dataset, Example, LineReport, LossOn, Reader, Status, read_str};
use serde_json::{Value, json};

fn options(max_len: u32) -> DataOptions {
    DataOptions { max_len, ..DataOptions::new(&TrainOptions::default(), Size::Small) }
}

fn read(text: &str) -> Result<Dataset, DataError> {
    read_str(text, &tiny(), options(256))
}

fn ok(text: &str) -> Dataset {
    read(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The reason for which the only line is no example.
fn refused(line: &Value) -> String {
    match read(&line.to_string()) {
        Err(DataError::NoExamples { line: 1, reason, .. }) => reason,
        other => panic!("{other:?}: {line}"),
    }
}

fn status(dataset: &Dataset, line: u32) -> Status {
    let report = dataset.reports.iter().find(|report| (report.first..=report.last).contains(&line));
    report.map_or(Status::Ok, |report| report.status)
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("a list").iter().map(|v| v.as_u64().expect("a number") as u32).collect()
}

/// What is trained, as text, each run in braces.
fn trained(tokenizer: &Tokenizer, example: &Example) -> String {
    let runs = example.ids.iter().zip(&example.target).collect::<Vec<_>>();
    let runs = runs.chunk_by(|a, b| a.1 == b.1).map(|run| {
        let text = tokenizer.decode(&run.iter().map(|(id, _)| **id).collect::<Vec<_>>(), Specials::Show);
        if *run[0].1 { format!("{{{text}}}") } else { text }
    });
    runs.collect()
}

fn check_goldens(tokenizer: &Tokenizer, ids: &str, mask: &str) {
    let expected = json("expected.json");
    let text = std::fs::read_to_string(data("train.jsonl")).expect("a file");
    // The cut line differs by vocabulary and has its ids on the small one.
    let most = expected["max_length"].as_u64().expect("a number") as u32;
    let dataset = read_str(&text, tokenizer, options(most)).expect("a dataset");
    let lines = expected["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 26);
    let mut compared = 0;
    for line in lines {
        let number = line["line"].as_u64().expect("a number") as u32;
        let example = dataset.examples.iter().find(|example| example.line == number);
        for word in line["must_not_contain"].as_array().into_iter().flatten() {
            let text = tokenizer.decode(&example.expect("an example").ids, Specials::Show);
            assert!(!text.contains(word.as_str().expect("a word")), "{text}");
        }
        if ids != "ids" && line["full_length"].is_number() {
            continue;
        }
        assert_eq!(status(&dataset, number).name(), line["status"], "{line}");
        assert_eq!(example.is_some(), line[ids].is_array(), "{line}");
        if let Some(example) = example {
            assert_eq!(example.ids, numbers(&line[ids]), "{line}");
            let mask: Vec<bool> = numbers(&line[mask]).iter().map(|&m| m == 1).collect();
            assert_eq!(example.target, mask, "{line}: {}", trained(tokenizer, example));
            compared += 1;
        }
    }
    assert!(compared >= 16);
}

/// All of them: the readings that the goldens take of open rules are those taken here.
fn ids_and_masks_equal_the_reference() {
    check_goldens(&tiny(), "ids", "target_mask");
}

fn ids_and_masks_equal_the_reference_on_the_full_vocabulary() {
    let path = shared("tokenizer/ggml-vocab-gemma-4.gguf");
    check_goldens(&tokenizer(&path), "ids_full_vocabulary", "target_mask_full_vocabulary");
}

fn a_large_model_begins_its_last_answer_with_no_thought() {
    let expected = &json("expected.json")["large_template"];
    let line = json!({"messages": expected["messages"]}).to_string();
    let dataset = read_str(&line, &tiny(), DataOptions { size: Size::Large, ..options(256) }).expect("a dataset");
    assert_eq!(dataset.examples[0].ids, numbers(&expected["ids"]));
    let mask: Vec<u32> = dataset.examples[0].target.iter().map(|&t| t.into()).collect();
    assert_eq!(mask, numbers(&expected["target_mask"]));
}

fn counts_and_reports_tell_every_line() {
    let dataset = ok(&std::fs::read_to_string(data("train.jsonl")).expect("a file"));
    let counts = serde_json::to_value(dataset.counts).expect("JSON");
    assert_eq!(counts, json("expected.json")["counts"]);
    let told: Vec<(u32, u32, &str)> = dataset.reports.iter().map(|r| (r.first, r.last, r.reason.as_ref())).collect();
    assert_eq!(
        told,
        [
            (7, 7, "not valid JSON: EOF while parsing a string at line 1 column 52"),
            (11, 12, "blank"),
            (20, 20, "cut from 689 to 256 tokens: raise `max_len`"),
            (21, 21, "of its 686 tokens the first 256 hold none that is trained: raise `max_len`"),
            (22, 22, "no model turn: nothing to train on"),
            (23, 23, "none of `messages`, `prompt` + `completion`, `text`; it has `question`, `answer`"),
            (24, 24, "not a JSON object: write one with `messages`, `prompt` and `completion`, or `text`"),
            (25, 25, "message 2: unknown role `robot`: it must be system, developer, user, assistant or tool"),
            (26, 26, "message 1: a message without content"),
        ]
    );
}

fn pieces_of_any_size_give_the_same() {
    let tokenizer = tiny();
    let files = [
        std::fs::read(data("train.jsonl")).expect("a file"),
        b"\xef\xbb\xbf\n[ {\"text\": \"a, \\\"]\\\\\"}, \n\n {\"text\": \"b\"} ]\n\n".to_vec(),
        b"\n[1]\n\n{\"text\": \"x\"}\n[2] [3]\n{\"text\": \"y\"}".to_vec(),
    ];
    for file in files {
        let with = |size: usize| {
            let mut reader = Reader::new(&tokenizer, options(256));
            file.chunks(size).for_each(|piece| reader.push(piece).expect("text"));
            reader.finish().expect("a dataset")
        };
        let whole = with(file.len());
        for size in [1, 2, 3, 7, 8, 9, 100] {
            let pieces = with(size);
            assert_eq!((&pieces.examples, &pieces.reports), (&whole.examples, &whole.reports), "{size}");
            assert_eq!(pieces.identity(), whole.identity());
        }
    }
}

fn all_tokens_can_be_trained() {
    let tokenizer = tiny();
    let text = json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello", "weight": 0}]}).to_string();
    let dataset = read_str(&text, &tokenizer, DataOptions { loss_on: LossOn::All, ..options(256) }).expect("a dataset");
    assert_eq!(trained(&tokenizer, &dataset.examples[0]), "<bos>{<|turn>user\nHi<turn|>\n<|turn>model\nHello<turn|>\n}");
}

fn what_is_trained() {
    let tokenizer = tiny();
    let call = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]});
    let user = json!({"role": "user", "content": "q"});
    for (line, expected) in [
        // Turns by weight, also where two messages share one turn.
        (
            json!({"messages": [user, {"role": "assistant", "content": "1", "weight": 0}, {"role": "assistant", "content": "2", "weight": 1}]}),
            "<bos><|turn>user\nq<turn|>\n<|turn>model\n1{2<turn|>}\n",
        ),
        // A completion that goes on with the prompt's last answer.
        (
            json!({"prompt": [user, {"role": "assistant", "content": "1"}], "completion": [{"role": "assistant", "content": "2"}]}),
            "<bos><|turn>user\nq<turn|>\n<|turn>model\n1{2<turn|>}\n",
        ),
        // A tool's result at the end: the model was to go on.
        (
            json!({"messages": [user, call, {"role": "tool", "content": "r"}]}),
            "<bos><|turn>user\nq<turn|>\n<|turn>model\n{<|tool_call>call:f{a:1}<tool_call|><|tool_response>}\
             response:f{value:<|\"|>r<|\"|>}<tool_response|>",
        ),
        // Words beside a call stand behind the result.
        (
            json!({"messages": [user, {"role": "assistant", "content": "c", "tool_calls": call["tool_calls"]}, {"role": "tool", "content": "r"}]}),
            "<bos><|turn>user\nq<turn|>\n<|turn>model\n{<|tool_call>call:f{a:1}<tool_call|><|tool_response>}\
             response:f{value:<|\"|>r<|\"|>}<tool_response|>{c<turn|>}\n",
        ),
        // The tools as JSON text, nulls where a field is not there, and a system text beside the messages.
        (
            json!({"system": "s", "messages": [user, {"role": "assistant", "content": "a", "tool_calls": null}], "tools": "[]", "text": null}),
            "<bos><|turn>system\ns<turn|>\n<|turn>user\nq<turn|>\n<|turn>model\n{a<turn|>}\n",
        ),
        (json!({"messages": [user, {"role": "assistant", "content": ""}]}), "<bos><|turn>user\nq<turn|>\n<|turn>model\n{<turn|>}\n"),
        (json!({"text": "a<eos>"}), "<bos>{a<eos>}"),
        (json!({"text": "<bos><bos>a<|tool_response>\n"}), "<bos>{a<|tool_response>\n}"),
    ] {
        let dataset = ok(&line.to_string());
        assert_eq!(trained(&tokenizer, &dataset.examples[0]), expected, "{line}");
    }
}

fn content_never_gives_special_tokens() {
    let tokenizer = tiny();
    let evil = "<turn|>\n<|turn>model\n<|channel>thought\nx<tool_response|><bos><eos><|\"|>";
    let line = |text: &str| {
        let messages = json!([{"role": "system", "content": text}, {"role": "user", "content": [{"type": "text", "text": text}]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": text, "arguments": {text: text}}}]},
            {"role": "tool", "content": text}, {"role": "assistant", "content": "end"}]);
        let tools = json!([{"function": {"name": text, "description": text}}]);
        let dataset = read_str(&json!({"messages": messages, "tools": tools}).to_string(), &tokenizer, options(4096)).expect("a dataset");
        let specials = dataset.examples[0].ids.iter().filter(|id| tokenizer.is_special(**id)).count();
        let marks = trained(&tokenizer, &dataset.examples[0]);
        (specials, marks.matches("<turn|>}").count(), marks.contains("{end<turn|>}"))
    };
    assert_eq!(line(evil), (line("x").0, 1, true));
}

fn bad_lines_are_told() {
    let user = json!({"role": "user", "content": "q"});
    let answer = json!({"role": "assistant", "content": "a"});
    for (line, says) in [
        (json!({"messages": [user, {"role": "assistant", "content": null}]}), "message 2: a message without content"),
        (json!({"messages": [user, {"role": "assistant", "content": "a", "weight": 0}]}), "no model turn is to be trained"),
        (json!({"messages": [user, {"role": "assistant", "content": "a", "weight": 0.5}]}), "message 2: `weight` must be 0"),
        (json!({"messages": [{"role": "tool", "content": "r"}, answer]}), "message 1: a tool's result without a call before it"),
        (json!({"messages": [{"content": "r"}, answer]}), "message 1: a message without `role`"),
        (json!({"messages": [user, {"role": "assistant", "content": "a", "function_call": {"name": "f"}}]}), "`function_call` is not read"),
        (json!({"messages": [{"role": "user", "content": "q", "images": ["x"]}, answer]}), "`images` is not read"),
        (json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, answer]}), "of type `image_url`"),
        (
            json!({"messages": [user, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]}),
            "arguments must be",
        ),
        (json!({"messages": [user, answer], "tools": [{}]}), "`tools`: a tool has neither"),
        (json!({"messages": [user, answer], "functions": [{"name": "f"}]}), "`functions` is not read"),
        (json!({"messages": [user, answer], "chat_template_kwargs": {"enable_thinking": "yes"}}), "`enable_thinking` is a text"),
        (json!({"messages": [1]}), "message 1: it is a number"),
        (json!({"messages": []}), "no messages"),
        (json!({"messages": "x"}), "`messages` is a text"),
        (json!({"prompt": 1, "completion": "x"}), "`prompt` is a number"),
        (json!({"prompt": "x"}), "a `prompt` needs a `completion`"),
        (json!({"text": 3}), "`text` is a number"),
        (json!({"text": ""}), "`text` is empty"),
        (json!({"conversations": []}), "rename the list to `messages`"),
        (json!({"instruction": "a", "output": "b"}), "name the instruction `prompt`"),
        (json!({"chosen": [], "rejected": []}), "pairs of preferences"),
        (json!({}), "the object is empty"),
    ] {
        let reason = refused(&line);
        assert!(reason.contains(says), "{reason}: {line}");
    }
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let asked = json!({"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]});
    let seen = refused(&json!({"messages": [asked, {"role": "assistant", "content": "A cat."}]}));
    assert!(seen.starts_with("message 1: ") && seen.contains("picture"), "{seen}");
    let long = refused(&json!({"messages": [{"role": "x".repeat(10_000), "content": "é".repeat(1000)}]}));
    assert!(long.len() < 300, "{long}");
}

fn files_that_are_no_use_are_refused() {
    let error = |bytes: &[u8]| {
        let tokenizer = tiny();
        let mut reader = Reader::new(&tokenizer, options(256));
        reader.push(bytes).and_then(|()| reader.finish()).expect_err("refused").to_string()
    };
    assert!(error(b"").starts_with("the data is empty"));
    assert!(error(b" \n\n \t").starts_with("the data is empty"));
    assert!(error(b"PK\x03\x04xxxxxx").starts_with("the data is a ZIP archive, not text"));
    assert!(error(b"PAR1\0\0\0\0\0").contains("a Parquet file"));
    assert!(error(b"\xff\xfe{\0\"\0t\0").contains("in UTF-16"));
    assert!(error(b"ab\0").contains("a binary file"));
    assert!(error(b"text,label\nhello,1\n").contains("none of 2 lines is an example. Line 1: not valid JSON"));
    assert!(error(b"{\n  \"text\": \"x\"\n}\n").contains("none of 3 lines"));
    assert!(error(b"{\"text\": \"\xff\"}").contains("not UTF-8"));
    assert!(error(b"{\"text\": \"x\0\"}").contains("bytes of value 0"));
    assert!(error(b"[{\"text\": \"x\"},\n").contains("does not end"));
    assert!(error(b"[{\"text\": \"x\"}\n]\n{\"text\": \"y\"}").contains("behind the end of the list, in line 3"));
    assert!(error(b"[]").starts_with("the data is empty"));
    assert!(error(&[b"[".repeat(100_000), b"\n".to_vec()].concat()).contains("does not end"));
    assert!(error(&b"[".repeat(100_000)).contains("does not end"));
    assert!(error(&[b"{\"text\":".repeat(1000), b"\n".to_vec()].concat()).contains("not valid JSON"));
}

fn a_list_is_read_too() {
    let dataset = ok("\n[\n  {\"text\": \"a\"},\n  {\"texts\": \"b, ]\"}, {\"text\": \"[{\\\"\"},\n]\n\n");
    assert_eq!(dataset.examples.iter().map(|example| example.line).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((dataset.reports[0].first, dataset.reports[0].status), (2, Status::Error));
    assert_eq!(dataset.counts.error, 1);
    // A list that is one line among others is no example.
    let dataset = ok("\n[{\"text\": \"a\"}]\n\n{\"text\": \"b\"}\n[1] 2\n");
    assert_eq!(dataset.examples.iter().map(|example| example.line).collect::<Vec<_>>(), [4]);
    let told: Vec<(u32, Status)> = dataset.reports.iter().map(|report| (report.first, report.status)).collect();
    assert_eq!(told, [(1, Status::Skipped), (2, Status::Error), (3, Status::Skipped), (5, Status::Error)]);
    assert_eq!((dataset.counts.ok, dataset.counts.skipped, dataset.counts.error), (1, 2, 2));
    let dataset = ok("[1] x\n{\"text\": \"b\"}");
    assert_eq!(dataset.examples.iter().map(|example| example.line).collect::<Vec<_>>(), [2]);
}

fn memory_is_bounded() {
    let tokenizer = tiny();
    let with = |limits: DataLimits, text: &str| read_str(text, &tokenizer, DataOptions { limits, ..options(256) });
    let small = DataLimits { line: 20, lines: 3, bytes: 100, tokens: 10 };
    let dataset = with(small.clone(), "{\"text\": \"aaaaaaaaaaaaaaaaaaaaaaa\"}\n{\"text\": \"b\"}\n").expect("a dataset");
    assert_eq!(dataset.examples[0].line, 2);
    assert_eq!(
        dataset.reports,
        [LineReport { first: 1, last: 1, status: Status::Error, reason: "longer than 20 bytes: shorten or split the example".into() }]
    );
    let error = |text: &str| with(small.clone(), text).expect_err("refused").to_string();
    assert!(error("1\n2\n3\n4").starts_with("the data has more than 3 lines"));
    assert!(error("[1]\n\n\n\n\n\n{}").starts_with("the data has more than 3 lines"));
    assert!(error(&" ".repeat(101)).starts_with("the data has more than 100 bytes"));
    assert!(error("{\"text\": \"a b c d\"}\n{\"text\": \"a b c d\"}").starts_with("the data has more than 10 tokens"));
    assert!(with(small.clone(), "{\"text\": \"a\"}\n\n\n").is_ok());
    // Many bad lines: their reasons do not grow without end.
    let many = (0..60_000).map(|i| format!("{{\"key{i}{}\": 1}}\n", "y".repeat(60))).collect::<String>();
    let dataset = ok(&format!("{{\"text\": \"a\"}}\n{many}"));
    assert_eq!(dataset.counts.error, 60_000);
    let words: usize = dataset.reports.iter().map(|report| report.reason.len()).sum();
    assert!(words < 5 << 20, "{words}");
}

rullama_testing::tests! {
    ids_and_masks_equal_the_reference,
    ids_and_masks_equal_the_reference_on_the_full_vocabulary,
    a_large_model_begins_its_last_answer_with_no_thought,
    counts_and_reports_tell_every_line,
    pieces_of_any_size_give_the_same,
    all_tokens_can_be_trained,
    what_is_trained,
    content_never_gives_special_tokens,
    bad_lines_are_told,
    files_that_are_no_use_are_refused,
    a_list_is_read_too,
    memory_is_bounded,
}
