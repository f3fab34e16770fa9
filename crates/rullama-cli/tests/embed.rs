//! Embeddings by the command and by the APIs of `rullama serve`.

use crate::common::http::{Server, start};
use crate::common::{Store, fails, need_adapter, ok, rullama, with_input};
use rullama_testing::golden;
use serde_json::{Value, json};

fn model(dialect: &str) -> String {
    need_adapter();
    golden(&format!("embedding/models/embeddinggemma-tiny-{dialect}.gguf")).to_str().unwrap().to_owned()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("{value}")).iter().map(|v| v.as_f64().unwrap()).collect()
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
}

/// The lines of a run as JSON has them.
fn embed(model: &str, more: &[&str], input: &str) -> Value {
    let ran = with_input(rullama(&["embed", model, "--json"]).args(more), input.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn a_line_is_a_text_in_every_form() {
    let model = model("gemma-embedding-F16");
    let input = "hello\n\nHello world, this is a test.\n";
    let found = embed(&model, &[], input);
    assert_eq!((&found["dims"], &found["tokens"], &found["truncated"]), (&json!(96), &json!([6, 2, 18]), &json!([])));
    let vectors: Vec<Vec<f64>> = found["embeddings"].as_array().unwrap().iter().map(floats).collect();
    assert!(vectors.len() == 3 && vectors.iter().all(|v| (v.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-5));
    let plain = with_input(&mut rullama(&["embed", &model]), input.as_bytes());
    let lines: Vec<Vec<f64>> = plain.out.lines().map(|line| line.split(' ').map(|n| n.parse().unwrap()).collect()).collect();
    assert!(lines.iter().zip(&vectors).all(|(line, vector)| near(line, vector)) && lines.len() == 3);
    // Files, and NumPy.
    let folder = tempfile::tempdir().unwrap();
    let [texts, out] = ["texts.txt", "out.npy"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&texts, input).unwrap();
    ok(&mut rullama(&["embed", &model, &texts, "--npy", &out, "--dims", "64"]));
    let bytes = std::fs::read(&out).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00") && header.is_multiple_of(64));
    assert_eq!(std::str::from_utf8(&bytes[10..header]).unwrap().trim_end(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 64), }");
    let values: Vec<f64> = bytes[header..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()).collect();
    let cut = embed(&model, &["--dims", "64"], input);
    assert!(near(&values, &cut["embeddings"].as_array().unwrap().iter().flat_map(floats).collect::<Vec<_>>()));
    // What is there stays.
    let again = fails(1, &mut rullama(&["embed", &model, &texts, "--npy", &out]));
    assert!(again.contains("--force"), "{again}");
    let over = fails(1, &mut rullama(&["embed", &model, &texts, "--npy", &texts, "--force"]));
    assert!(over.contains("is read") && std::fs::read_to_string(&texts).unwrap() == input, "{over}");
}

fn prompts_stand_before_texts() {
    let model = model("gemma3-Q8_0");
    let prompted = embed(&model, &["--prompt", "document"], "Bread is baked.");
    let written = embed(&model, &[], "title: none | text: Bread is baked.");
    assert_eq!(prompted["embeddings"], written["embeddings"]);
}

fn what_cannot_be_is_told_with_a_remedy() {
    let model = model("gemma-embedding-F16");
    let text = golden("models/dense-Q4_0.gguf").to_str().unwrap().to_owned();
    let tell = |arguments: &[&str], input: &str, code: i32, part: &str| {
        let ran = with_input(&mut rullama(arguments), input.as_bytes());
        assert!(ran.code == code && ran.err.contains(part) && !ran.err.contains("panicked"), "{arguments:?}: {} {}", ran.code, ran.err);
    };
    tell(&["embed", &text], "a", 1, "EmbeddingGemma");
    tell(&["run", &model, "hi"], "", 1, "rullama embed");
    tell(&["embed", &model], "", 2, "no text");
    tell(&["embed", &model, "--dims", "97"], "a", 2, "1..=96");
    tell(&["embed", &model, "--prompt", "poem"], "a", 2, "clustering");
    tell(&["embed", &model, "--json", "--npy", "x"], "a", 2, "--npy");
    tell(&["embed", &model, "--ctx", "9", "--no-truncate"], "one\nall of these words are too many for nine tokens", 1, "text 2 has");
    tell(&["embed", &model, "--ctx", "9"], "one\nall of these words are too many for nine tokens", 0, "were cut: 2");
    let shown = ok(&mut rullama(&["show", &model]));
    assert!(shown.contains("96 values, cut to 64, 32, 16") && shown.contains("rullama embed"), "{shown}");
}

/// A server of a store with the model as `e`.
fn server() -> (Store, Server) {
    let store = Store::new();
    store.add("e", &[("model", &std::fs::read(model("gemma-embedding-F16")).unwrap())]);
    let server = start(&mut store.rullama(&["serve", "--port", "0"]));
    (store, server)
}

fn the_apis_embed() {
    let (_store, server) = server();
    let expected = embed(&model("gemma-embedding-F16"), &[], "hello\nx");
    let expected: Vec<Vec<f64>> = expected["embeddings"].as_array().unwrap().iter().map(floats).collect();
    let found = server.ok("/api/embed", &json!({"model": "e", "input": ["hello", "x"]})).json();
    let vectors: Vec<Vec<f64>> = found["embeddings"].as_array().unwrap().iter().map(floats).collect();
    assert!(vectors.iter().zip(&expected).all(|(a, b)| near(a, b)) && vectors.len() == 2);
    assert!(
        (&found["model"], &found["prompt_eval_count"]) == (&json!("e"), &json!(9)) && found["total_duration"].as_u64() > Some(0),
        "{found}"
    );
    let one = server.ok("/api/embed", &json!({"model": "e", "input": "hello", "dimensions": 16, "keep_alive": "1m"})).json();
    assert_eq!(floats(&one["embeddings"][0]).len(), 16);
    let empty = server.ok("/api/embed", &json!({"model": "e", "input": ""})).json();
    assert_eq!(empty["embeddings"], json!([]));
    let earlier = server.ok("/api/embeddings", &json!({"model": "e", "prompt": "hello"})).json();
    assert!(near(&floats(&earlier["embedding"]), &expected[0]));
    let found = server.ok("/v1/embeddings", &json!({"model": "e", "input": ["hello", "x"]})).json();
    assert!(near(&floats(&found["data"][1]["embedding"]), &expected[1]), "{found}");
    assert_eq!((&found["object"], &found["data"][1]["index"], &found["usage"]["total_tokens"]), (&json!("list"), &json!(1), &json!(9)));
    let written = server.ok("/v1/embeddings", &json!({"model": "e", "input": "x", "encoding_format": "base64"})).json();
    assert_eq!(written["data"][0]["embedding"].as_str().unwrap().len(), 512);
    // It is loaded, and shown as what it is.
    let loaded = server.get("/api/ps").json();
    assert_eq!((&loaded["models"][0]["name"], &loaded["models"][0]["context_length"]), (&json!("e:latest"), &json!(2048)));
    let shown = server.ok("/api/show", &json!({"model": "e"})).json();
    assert_eq!(shown["capabilities"], json!(["embedding"]));
}

fn the_apis_refuse_by_name() {
    let (store, server) = server();
    store.add("t", &[("model", &std::fs::read(golden("models/dense-Q4_0.gguf")).unwrap())]);
    let refuse = |path: &str, request: Value, part: &str| {
        let answer = server.post(path, &request);
        assert!(answer.status == 400 && answer.body.contains(part), "{path} {request}: {answer:?}");
    };
    let chat = json!({"model": "e", "messages": [{"role": "user", "content": "hi"}], "stream": false});
    for _ in 0..2 {
        refuse("/api/embed", json!({"model": "t", "input": "a"}), "makes no embeddings");
        refuse("/api/chat", chat.clone(), "/api/embed");
        // Then as something that is loaded.
        server.ok("/api/embed", &json!({"model": "e", "input": "a"}));
    }
    refuse("/api/embed", json!({"model": "e", "input": "a", "dimensions": 97}), "1..=96");
    refuse("/api/embed", json!({"model": "e", "input": [3]}), "input[0]");
    refuse("/api/embed", json!({"model": "e", "input": "t ".repeat(3000), "truncate": false}), "text 1 has");
    refuse("/v1/embeddings", json!({"model": "e", "input": "t ".repeat(3000)}), "context_length_exceeded");
    refuse("/v1/embeddings", json!({"model": "e", "input": "a", "prompt_name": "poem"}), "prompt_name");
}

rullama_testing::tests! {
    a_line_is_a_text_in_every_form,
    prompts_stand_before_texts,
    what_cannot_be_is_told_with_a_remedy,
    the_apis_embed,
    the_apis_refuse_by_name,
}
