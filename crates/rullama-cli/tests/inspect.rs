//! Commands that need no GPU: list, show, tokenize, render, and what they refuse.

use crate::common::{fails, need_adapter, ok, rullama, run};
use rullama_testing::golden;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs with text on standard input and gives standard output.
fn with_input(command: &mut Command, input: &str) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that refuses early closes its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn help_and_usage() {
    let help = ok(&mut rullama(&["--help"]));
    for command in ["run", "list", "show", "tokenize", "render", "parse", "quantize", "serve", "eval", "bench", "doctor"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing in the help");
        assert!(ok(&mut rullama(&[command, "--help"])).contains("Usage: rullama"));
    }
    assert!(!help.contains('\x1b'), "colours in a pipe");
    fails(2, &mut rullama(&[]));
    fails(2, &mut rullama(&["chat"]));
    fails(2, &mut rullama(&["run"]));
    fails(2, &mut rullama(&["eval", "x", "--out", "y"]));
}

fn names_files_and_what_is_near() {
    let folder = tempfile::tempdir().unwrap();
    assert!(fails(2, &mut rullama(&["show", "no name"])).contains("gemma4:e2b"));
    assert!(fails(1, &mut rullama(&["show", "gemma4"])).contains("OLLAMA_MODELS"));
    assert!(fails(1, &mut rullama(&["show", path(folder.path())])).contains("is a folder"));
    let file = folder.path().join("model.gguf");
    std::fs::write(&file, b"PK\x03\x04 this is a zip").unwrap();
    assert!(fails(1, &mut rullama(&["show", path(&file)])).contains("not a GGUF file"));
    let other = folder.path().join("modle.gguf");
    assert!(fails(1, &mut rullama(&["show", path(&other)])).contains("model.gguf"));
    std::fs::write(&file, b"GGUF\x03\0\0\0").unwrap();
    assert!(fails(1, &mut rullama(&["show", path(&file)])).contains("download is incomplete"));
    assert!(fails(1, rullama(&["show", "http://127.0.0.1:1/x.gguf"]).env("HOME", "/")).contains("127.0.0.1:1"));
}

fn the_store() {
    let store = golden("ollama_store");
    let command = |arguments: &[&str]| {
        let mut command = rullama(arguments);
        command.env("OLLAMA_MODELS", &store);
        command
    };
    let list = ok(&mut command(&["list"]));
    assert!(list.contains("gemma4-tiny:latest") && list.contains("12.9 MB") && list.contains("Q4_K_M"), "{list}");
    let json: Value = serde_json::from_str(&ok(&mut command(&["list", "--json"]))).unwrap();
    let names: Vec<&Value> = json["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert!(names.contains(&&Value::from("gemma4-tiny:latest")), "{names:?}");
    let show = ok(&mut command(&["show", "gemma4-tiny", "--template"]));
    assert!(show.contains("7 (5 sliding") && show.contains("vision tower") && show.contains("Does it fit here?"), "{show}");
    assert!(fails(1, &mut command(&["show", "gemma4-tinny"])).contains("It has gemma4-tiny"));
    assert!(ok(rullama(&["list"]).env("OLLAMA_MODELS", "/nonexistent")).starts_with("name"));

    let input = r#"{"messages": [{"role": "user", "content": "Hi"}]}"#;
    let (code, out, err) = with_input(&mut command(&["render", "gemma4-tiny"]), input);
    assert_eq!(code, 0, "{err}");
    let rendered: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rendered["prompt"], "<bos><|turn>user\nHi<turn|>\n<|turn>model\n");
    assert_eq!(rendered["ids"][0], 2);
    let (code, _, err) = with_input(&mut command(&["render", "gemma4-tiny"]), r#"{"mesages": []}"#);
    assert_eq!(code, 2);
    assert!(err.contains("messages"), "{err}");
    let ollama = r#"{"model": "x", "stream": false, "options": {"seed": 1}, "keep_alive": "5m", "format": null, "think": null, "tools": null,
        "messages": [{"role": "user", "content": "Hi"}]}"#;
    let (code, out, err) = with_input(&mut command(&["render", "gemma4-tiny"]), ollama);
    assert_eq!((code, serde_json::from_str::<Value>(&out).unwrap_or_default()), (0, rendered), "{err}");
    let marked = format!("\u{feff}{input}");
    assert_eq!(with_input(&mut command(&["render", "gemma4-tiny"]), &marked).0, 0, "a byte order mark");
    let (code, out, err) = with_input(&mut command(&["render", "gemma4-tiny"]), &ollama.replace(r#""think": null"#, r#""think": "low""#));
    assert!(code == 0 && out.contains("<|think|>"), "{out}{err}");
}

/// As many placeholders as transformers has, for media of which only the size is said.
fn placeholders_are_those_of_the_reference() {
    let model = golden("models/dense-ple-Q4_K_M.gguf");
    let of_special = |piece| ok(&mut rullama(&["tokenize", path(&model), piece, "--ids", "--special"])).trim().parse::<u64>().unwrap();
    let soft = ["<|image|>", "<|audio|>", "<|video|>"].map(of_special);
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../rullama-text/tests/data/multimodal_cases.json")).unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let input = json!({"messages": case["messages"], "tools": case["tools"], "thinking": case["think"]}).to_string();
        let (_, out, err) = with_input(&mut rullama(&["render", path(&model), "--template", "small"]), &input);
        let rendered: Value = serde_json::from_str(&out).expect(&err);
        let ids = rendered["ids"].as_array().unwrap();
        assert_eq!(rendered["prompt"], case["prompt_small"], "{}", case["name"]);
        assert_eq!(json!(soft.map(|id| ids.iter().filter(|other| **other == id).count())), case["soft"], "{}", case["name"]);
    }
}

fn measurements_are_forgotten() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("rullama").join("measured.json");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, r#"["this build", {"an adapter": true, "another": false}]"#).unwrap();
    let forget = || ok(rullama(&["doctor", "--forget"]).env("XDG_CACHE_HOME", cache.path()));
    assert_eq!(forget(), "2 measurements forgotten.\n");
    assert!(!file.exists());
    assert_eq!(forget(), "0 measurements forgotten.\n");
}

fn tokens_there_and_back() {
    let model = golden("models/dense-ple-Q4_K_M.gguf");
    let model = path(&model);
    let typed = ok(&mut rullama(&["tokenize", model, "<|turn>", "--ids"]));
    assert!(typed.contains(','), "a typed mark is not one token: {typed}");
    assert_eq!(ok(&mut rullama(&["tokenize", model, "<|turn>", "--ids", "--special"])), "105\n");
    let ids = ok(&mut rullama(&["tokenize", model, "Grüße, Welt!", "--ids"]));
    assert_eq!(ok(&mut rullama(&["tokenize", model, "--decode", ids.trim()])), "Grüße, Welt!\n");
    let (code, out, _) = with_input(&mut rullama(&["tokenize", model, "--json"]), r#"["a", [{"special": "<bos>"}, {"text": "a"}]]"#);
    assert_eq!(code, 0);
    let json: Value = serde_json::from_str(&out).unwrap();
    let a = json[0]["ids"].as_array().unwrap();
    assert_eq!(json[1]["ids"].as_array().unwrap()[..], [&[Value::from(2)], &a[..]].concat());
    fails(2, &mut rullama(&["tokenize", model, "--decode", "4000000000"]));
    let (code, _, err) = with_input(&mut rullama(&["tokenize", model, "--json"]), "{");
    assert_eq!(code, 2, "{err}");
}

#[cfg(unix)]
fn inputs_without_end_are_given_up() {
    for (line, named) in [
        (&["tokenize", "embedded"][..], "standard input"),
        (&["tokenize", "embedded", "--json"], "standard input"),
        (&["render", "embedded"], "standard input"),
        (&["parse", "embedded"], "standard input"),
        (&["run", "embedded"], "standard input"),
        (&["run", "embedded", "Summarise this"], "standard input"),
        (&["render", "embedded", "/dev/zero"], "/dev/zero"),
        (&["parse", "embedded", "/dev/zero"], "/dev/zero"),
        (&["score", "embedded", "--set", "/dev/zero"], "/dev/zero"),
    ] {
        let zeros = std::fs::File::open("/dev/zero").unwrap();
        let error = fails(1, rullama(line).stdin(zeros));
        assert!(error.contains(&format!("{named} is longer than 16 MiB")), "{line:?}: {error}");
    }
}

fn json_with_a_byte_order_mark() {
    let marked = |line: &[&str], json: &str| with_input(&mut rullama(line), &format!("\u{feff}{json}")).0;
    assert_eq!(marked(&["render", "embedded"], r#"{"messages": [{"role": "user", "content": "x"}]}"#), 0);
    assert_eq!(marked(&["parse", "embedded"], r#"{"pieces": [{"text": "x"}]}"#), 0);
    assert_eq!(marked(&["tokenize", "embedded", "--json"], r#"["x"]"#), 0);
}

fn no_library_speaks_on_standard_error() {
    need_adapter();
    for line in [&["show", "embedded"][..], &["run", "embedded", "hi", "--max-tokens", "2"]] {
        let ran = run(rullama(line).env_remove("XDG_RUNTIME_DIR"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line:?}");
    }
}

rullama_testing::tests! {
    #[cfg(unix)]
    inputs_without_end_are_given_up,
    json_with_a_byte_order_mark,
    no_library_speaks_on_standard_error,
    help_and_usage,
    names_files_and_what_is_near,
    the_store,
    placeholders_are_those_of_the_reference,
    measurements_are_forgotten,
    tokens_there_and_back,
}
