//! What reaches a terminal: no control character of a file's, a model's or a name's. Pipes get the bytes.

use crate::common::{ok, rullama, run};
use rullama_source::MemorySource;
use rullama_source::gguf::write::GgufWriter;
use rullama_source::gguf::{Array, Gguf, Metadata, Value};
use rullama_testing::golden;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Sets a title, asks for colours by a C1 control, writes the clipboard, goes back to the line's begin, deletes.
const HOSTILE: &str = "\x1b]0;title\x07\u{9b}31m\x1b]52;c;eA==\x1b\\\r\x7f\x08";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The golden with a name and pieces that hold control characters.
fn hostile_model(folder: &Path) -> std::path::PathBuf {
    let bytes = std::fs::read(golden("models/dense-ple-Q4_K_M.gguf")).unwrap();
    let file = pollster::block_on(Gguf::open(&MemorySource::new("golden", bytes.clone()))).unwrap();
    let mut metadata = Metadata::default();
    for (key, value) in file.metadata.iter() {
        metadata.set(key, value.clone());
    }
    let pieces: Vec<String> = file.metadata.strings("tokenizer.ggml.tokens").unwrap().iter().map(str::to_owned).collect();
    let plain = |piece: &String| !piece.starts_with('<') || piece.len() < 3;
    let mut pieces: Vec<String> =
        pieces.into_iter().enumerate().map(|(id, piece)| if plain(&piece) { format!("{HOSTILE}{id}\n") } else { piece }).collect();
    // One merge, since a vocabulary must have some.
    pieces.splice(600..604, ["a", "b", "ab", "\u{9b}"].map(str::to_owned));
    metadata.set("tokenizer.ggml.tokens", Value::Array(Array::String(pieces.iter().map(String::as_str).collect())));
    metadata.set("tokenizer.ggml.merges", Value::Array(Array::String(["a b"].into_iter().collect())));
    metadata.set("general.name", Value::String(format!("evil\u{202e}{HOSTILE}")));
    let mut writer = GgufWriter::new(metadata).unwrap();
    for tensor in &file.tensors {
        writer.add(&tensor.name, &tensor.dims, tensor.ggml_type()).unwrap();
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for tensor in &file.tensors {
        stream.write(&tensor.name, &bytes[tensor.range.start as usize..tensor.range.end as usize]).unwrap();
    }
    let path = folder.join("evil.gguf");
    std::fs::write(&path, stream.finish().unwrap()).unwrap();
    path
}

/// Runs with both outputs on a terminal; gives what it shows.
fn on_terminal(mut command: Command, input: &str) -> String {
    let pty = rustix_openpty::openpty(None, None).unwrap();
    let user = File::from(pty.user);
    command.stdin(Stdio::piped()).stdout(user.try_clone().unwrap()).stderr(user).env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    drop(command);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let (mut screen, mut all, mut piece) = (File::from(pty.controller), Vec::new(), [0; 4096]);
    // Ends with an error once nobody has the other end.
    while let Ok(read @ 1..) = screen.read(&mut piece) {
        all.extend_from_slice(&piece[..read]);
    }
    child.wait().unwrap();
    String::from_utf8(all).unwrap()
}

/// The text without what the program itself uses: line ends, colours, the line of progress.
fn left(shown: &str) -> String {
    let mut text = shown.to_owned();
    for own in ["\r\x1b[2K", "\x1b[2m", "\x1b[0m", "\r\n", "\n", "\t"] {
        text = text.replace(own, "");
    }
    text
}

fn no_control_character_reaches_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let model = hostile_model(folder.path());
    let model = path(&model);
    let (missing, out) = (format!("./{HOSTILE}\u{202e}.gguf"), folder.path().join("out.gguf"));
    let set = folder.path().join("set.jsonl");
    let messages = serde_json::json!([{"role": "user", "content": "x"}]);
    let question = serde_json::json!({"id": HOSTILE, "ability": HOSTILE, "messages": messages, "expected": {"content": "y"}});
    std::fs::write(&set, question.to_string()).unwrap();
    let json = serde_json::to_string(HOSTILE).unwrap();
    let answer = ["--max-tokens", "6", "--ignore-eos"];
    let lines: Vec<(Vec<&str>, &str, bool)> = vec![
        ([&["run", model, "--ids", "2,400"], &answer[..]].concat(), "", true),
        ([&["run", model, "--ids", "2,400", "--json"], &answer[..]].concat(), "", true),
        ([&["run", model, "--raw", "x", "--verbose"], &answer[..]].concat(), "", true),
        ([&["run", model, "x"], &answer[..]].concat(), "", true),
        ([&["run", model, "x", "--think", "--verbose"], &answer[..]].concat(), "", true),
        (vec!["tokenize", model, "--decode", "2,400,500"], "", true),
        (vec!["tokenize", model, "--json", &json], "", false),
        (vec!["tokenize", model, HOSTILE], "", false),
        (vec!["render", model], r#"{"messages": [{"role": "user", "content": "\u001b]0;x\u0007\u009b"}]}"#, true),
        (vec!["show", model, "--metadata", "--tensors"], "", true),
        (vec!["show", &missing], "", true),
        (vec!["score", model, "--set", path(&set), "--ctx", "64"], "", true),
        (vec!["quantize", model, path(&out), "--type", "q8_0"], "", false),
        (vec!["list"], "", false),
    ];
    for (line, input, holds) in lines {
        let shown = on_terminal(rullama(&line), input);
        let rest = left(&shown);
        assert!(!rest.contains(char::is_control), "{line:?}: {rest:?}");
        assert!(!rest.contains('\u{202e}'), "{line:?}: {rest:?}");
        // What was hostile is shown, not dropped.
        assert!(!holds || rest.contains("\\u{1b}]0;") || rest.contains("\\u001b]0;"), "{line:?}: {rest:?}");
    }
}

fn records_stay_json_and_pipes_get_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let model = hostile_model(folder.path());
    let line = ["tokenize", path(&model), "--json", "\"\u{9b}\x7f\\u001b\""];
    let (screen, piped) = (on_terminal(rullama(&line), ""), ok(&mut rullama(&line)));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&screen), json(&piped));
    assert!(piped.contains('\u{9b}') && screen.contains("\\u009b"), "{screen}");
    assert!(ok(&mut rullama(&["tokenize", path(&model), "--decode", "400,500"])).contains(HOSTILE));
    let answer = run(&mut rullama(&["run", path(&model), "--ids", "2,400", "--max-tokens", "6", "--ignore-eos"]));
    assert!(answer.out.contains('\x1b'), "{:?}", answer.out);
}

rullama_testing::tests! {
    no_control_character_reaches_a_terminal,
    records_stay_json_and_pipes_get_the_bytes,
}
