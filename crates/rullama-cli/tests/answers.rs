//! What the program makes of what a model writes: `parse`, and answers of `run`.

use crate::common::{fails, ok, rullama, run};
use rullama_source::MemorySource;
use rullama_source::gguf::{Array, Gguf, Value as Field, write::GgufWriter};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

fn parrot() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parrot.gguf")
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs with JSON on standard input: exit code, standard output and error.
fn with_input(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = rullama(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses early closes its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn parse(input: &Value) -> Value {
    let (code, out, err) = with_input(&["parse", path(&parrot())], &input.to_string());
    assert_eq!((code, err.as_str()), (0, ""));
    serde_json::from_str(&out).unwrap()
}

fn parse_takes_answers_apart() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rullama-text/tests/data/report_parses.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let (parsed, right) = (parse(&case), &case["right"]);
        for part in ["content", "thinking", "tool_calls"] {
            assert_eq!(parsed[part], right[part], "{part} of {}", case["name"]);
        }
        assert_eq!(parsed["unreadable"].as_array().unwrap().is_empty(), right.get("invalid").is_none(), "{}", case["name"]);
    }
    let call = |finish: &str, tool: Value| {
        let pieces = json!([{"special": "<|tool_call>"}, {"text": "call:f{zip:5,n:6"}]);
        parse(&json!({"pieces": pieces, "tools": [tool], "finish": finish}))
    };
    let bare = json!({"name": "f", "parameters": {"properties": {"zip": {"type": "string"}}}});
    let wrapped = json!({"type": "function", "function": bare});
    let right = json!({"content": "", "thinking": "", "tool_calls": [{"name": "f", "arguments": {"zip": "5,n:6"}}], "unreadable": []});
    for finish in ["stop", "tool-call"] {
        assert_eq!((call(finish, bare.clone()), call(finish, wrapped.clone())), (right.clone(), right.clone()));
    }
    let cut = json!({"content": "", "thinking": "", "tool_calls": [], "unreadable": ["call:f{zip:5,n:6"]});
    for finish in ["length", "stop-string", "cancelled"] {
        assert_eq!(call(finish, bare.clone()), cut);
    }
    // Control tokens say nothing; a character that lacks bytes ends where a special token comes.
    let pieces = json!([{"text": "a"}, {"special": "<|think|>"}, {"bytes": [0xc3]}, {"special": "<channel|>"}, {"bytes": [0xc3]}, {"bytes": [0xa9]}]);
    assert_eq!(parse(&json!({"pieces": pieces}))["content"], "a\u{fffd}é");
}

fn parse_names_what_is_wrong() {
    for (input, says) in [
        (r#"{"pieces": [{"text": "a"}, {"special": "<nope>"}]}"#, "pieces[1]: `<nope>` is no special token of this model"),
        (r#"{"pieces": [{"token": "a"}]}"#, "pieces[0]: unknown variant `token`"),
        (r#"{"pieces": [{"bytes": [256]}]}"#, "pieces[0]"),
        (r#"{"pieces": [], "finish": "eos"}"#, "unknown variant `eos`"),
        (r#"{"pieces": [], "tools": [{}]}"#, "neither a `function` nor a `name`"),
        (r#"{"messages": []}"#, "missing field `pieces`"),
        ("pieces", "`rullama parse --help` shows the form"),
    ] {
        let (code, out, err) = with_input(&["parse", path(&parrot())], input);
        assert_eq!((code, out.as_str()), (2, ""), "{input}");
        assert!(err.starts_with("error: ") && err.contains(says), "{input}: {err}");
    }
    assert!(fails(1, &mut rullama(&["parse", "/nonexistent.gguf"])).contains("/nonexistent.gguf"));
    let call = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]}"#;
    let (code, _, err) = with_input(&["render", path(&parrot())], call);
    assert!(code == 2 && err.contains("messages[1]: arguments must be an object"), "{err}");
}

fn an_answer_ends_at_eos_whatever_the_file_calls_so() {
    let arguments = ["run", path(&parrot()), "Hi", "--temperature", "0"].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert_eq!(ok(&mut rullama(&arguments)), "Paris.\n");
    let out = ok(rullama(&arguments).arg("--json"));
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["finish"], &last["ids"]), (&json!("stop"), &json!([2048, 1])));
    assert_eq!((&last["content"], &last["unreadable"]), (&json!("Paris."), &json!([])));
}

/// The parrot with other pieces for what it says: its three words, before the end of its turn.
fn parrot_that_says(words: [(&str, i32); 3], folder: &Path) -> PathBuf {
    let bytes = std::fs::read(parrot()).unwrap();
    let source = MemorySource::new("parrot", bytes.clone());
    let mut file = pollster::block_on(Gguf::open(&source)).unwrap();
    let strings = file.metadata.strings("tokenizer.ggml.tokens").unwrap();
    let mut pieces: Vec<String> = (0..strings.len()).map(|i| strings.get(i).unwrap().to_owned()).collect();
    let mut types = file.metadata.i32_array("tokenizer.ggml.token_type").unwrap().to_vec();
    for ((word, kind), id) in words.into_iter().zip([2048, 1, 2049]) {
        // A piece that is there already changes places.
        if let Some(other) = pieces.iter().position(|piece| piece == word) {
            pieces[other] = format!("<was {word}>");
        }
        (pieces[id], types[id]) = (word.to_owned(), kind);
    }
    file.metadata.set("tokenizer.ggml.tokens", Field::Array(Array::String(pieces.iter().map(String::as_str).collect())));
    file.metadata.set("tokenizer.ggml.token_type", Field::Array(Array::I32(types)));
    let mut out = GgufWriter::like(&file).and_then(|writer| writer.start(Vec::new())).unwrap();
    for tensor in &file.tensors {
        out.write(&tensor.name, &bytes[tensor.range.start as usize..tensor.range.end as usize]).unwrap();
    }
    let path = folder.join("says.gguf");
    std::fs::write(&path, out.finish().unwrap()).unwrap();
    path
}

fn run_tells_calls_from_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let model = parrot_that_says([("<|tool_call>", 4), ("call:look{at:", 1), ("here", 1)], folder.path());
    let run = |more: &[&str]| ok(rullama(&["run", path(&model), "Hi", "--temperature", "0"]).args(more));
    let last = |more: &[&str]| -> Value { serde_json::from_str(run(&[more, &["--json"]].concat()).lines().last().unwrap()).unwrap() };
    let whole = last(&[]);
    assert_eq!(whole["tool_calls"], json!([{"name": "look", "arguments": {"at": "here"}}]));
    assert_eq!((&whole["content"], &whole["unreadable"], &whole["finish"]), (&json!(""), &json!([]), &json!("stop")));
    let cut = last(&["--max-tokens", "3"]);
    assert_eq!((&cut["tool_calls"], &cut["content"]), (&json!([]), &json!("")));
    assert_eq!(cut["unreadable"], json!(["call:look{at:here"]));
    assert_eq!(last(&["--stop", "here"])["unreadable"], json!(["call:look{at:"]));
    assert_eq!(last(&["--stop", "call>call"])["finish"], "stop-string");
    assert!(run(&[]).contains(r#""name":"look""#));
    assert_eq!(run(&["--max-tokens", "3"]), "unreadable tool call: call:look{at:here\n");
}

fn run_leaves_text_about_marks_alone() {
    let folder = tempfile::tempdir().unwrap();
    let model = parrot_that_says([("It opens with <|tool", 1), ("_call>call:rm{}", 1), (" and <channel|>.", 1)], folder.path());
    let arguments = ["run", path(&model), "Hi", "--temperature", "0"];
    assert_eq!(ok(&mut rullama(&arguments)), "It opens with <|tool_call>call:rm{} and <channel|>.\n");
}

fn an_answer_that_is_all_thought_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = parrot_that_says([("<|channel>", 4), ("thought\n", 1), ("The capital is Paris.", 1)], folder.path());
    let said = |more: &[&str]| {
        let ran = run(rullama(&["run", path(&model), "Hi", "--temperature", "0"]).args(more));
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        ran.err
    };
    assert!(said(&[]).contains("only thought; --think shows"));
    let shown = said(&["--think"]);
    assert!(shown.contains("The capital is Paris.") && !shown.contains("note"), "{shown}");
    let plain = parrot_that_says([("Yes", 1), ("\n", 1), ("Paris.", 1)], folder.path());
    assert!(!run(&mut rullama(&["run", path(&plain), "Hi", "--temperature", "0"])).err.contains("thought"));
}

rullama_testing::tests! {
    parse_takes_answers_apart,
    parse_names_what_is_wrong,
    an_answer_ends_at_eos_whatever_the_file_calls_so,
    run_tells_calls_from_what_cannot_be_read,
    run_leaves_text_about_marks_alone,
    an_answer_that_is_all_thought_is_told,
}
