//! `rullama serve`'s models: which there are, when they are loaded, and how long they stay.

use crate::common::http::{Server, need_embedded, question, serve, start};
use crate::common::{Store, need_adapter};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

fn models_come_and_go() {
    let server = serve(&[]);
    let loaded = || server.get("/api/ps").json()["models"].as_array().unwrap().len();
    assert_eq!(loaded(), 0);
    let load = server.ok("/api/generate", &json!({"model": "embedded"})).json();
    assert_eq!((&load["done_reason"], &load["done"], loaded()), (&json!("load"), &json!(true), 1));
    let running = server.get("/api/ps").json()["models"][0].clone();
    assert!(running["size_vram"].as_u64().unwrap() > 1_000_000 && running["expires_at"].as_str().unwrap().ends_with('Z'), "{running}");
    let unload = server.ok("/api/chat", &json!({"model": "embedded", "messages": [], "keep_alive": 0})).json();
    assert_eq!((&unload["done_reason"], loaded()), (&json!("unload"), 0));
    let mut request = question("What is 31 plus 9?");
    request["keep_alive"] = json!("0s");
    server.ok("/api/chat", &request);
    assert_eq!(loaded(), 0);
    request["keep_alive"] = json!(1);
    server.ok("/api/chat", &request);
    assert_eq!(loaded(), 1);
    let gone = (0..100).any(|_| {
        sleep(Duration::from_millis(100));
        loaded() == 0
    });
    assert!(gone, "it stays beyond its time");
    request["keep_alive"] = json!(-1);
    server.ok("/api/chat", &request);
    assert_eq!(loaded(), 1);
}

fn models_of_the_store_as_run_has_them() {
    need_adapter();
    need_embedded();
    let store = Store::new();
    let model = std::fs::read(rullama_testing::workspace().join("web/app/public/model/rullama-demo.gguf")).unwrap();
    let params = br#"{"temperature": 0, "stop": [" At"]}"#;
    store.add("butler", &[("model", &model[..]), ("system", b"Talk like a butler."), ("params", params)]);
    store.add("lora", &[("model", &model[..]), ("adapter", b"x")]);
    let server = start(&mut store.rullama(&["serve", "--port", "0"]));
    let names: Vec<Value> =
        server.get("/api/tags").json()["models"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, ["butler:latest", "lora:latest", "embedded"]);
    assert_eq!(server.get("/v1/models").json()["data"][0]["id"], "butler:latest");
    assert_eq!(server.get("/v1/models/butler").json()["id"], "butler:latest");
    let request = json!({"model": "butler", "stream": false, "messages": [{"role": "user", "content": "What's 12+54?"}]});
    assert_eq!(server.ok("/api/chat", &request).json()["message"]["content"], "Certainly. 12 + 54 = 66");
    let request =
        json!({"model": "butler", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What's 12+54?"}]});
    let said = server.ok("/v1/chat/completions", &request).json()["choices"][0]["message"]["content"].clone();
    assert!(!said.as_str().unwrap().contains("Certainly"), "{said}");
    let shown = server.ok("/api/show", &json!({"model": "butler"})).json();
    assert_eq!((&shown["system"], &shown["model_info"]["general.architecture"]), (&json!("Talk like a butler."), &json!("gemma4")));
    assert!(shown["parameters"].as_str().unwrap().contains("stop") && shown["capabilities"][0] == "completion");
    let refused = server.post("/api/chat", &json!({"model": "lora", "messages": [{"role": "user", "content": "x"}]}));
    assert!(refused.status == 500 && refused.body.contains("adapter"), "{refused:?}");
}

fn loads_as_large_and_as_many_as_asked_for() {
    need_adapter();
    need_embedded();
    let store = Store::new();
    let model = std::fs::read(rullama_testing::workspace().join("web/app/public/model/rullama-demo.gguf")).unwrap();
    store.add("small", &[("model", &model[..]), ("params", br#"{"num_ctx": 64}"#)]);
    store.add("other", &[("model", &model[..])]);
    let load = |server: &Server, model: &str, options: Value| {
        server.ok("/api/generate", &json!({"model": model, "options": options}));
        let running = server.get("/api/ps").json()["models"].as_array().unwrap().clone();
        running
            .iter()
            .map(|model| (model["name"].as_str().unwrap().to_owned(), model["context_length"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let pair = |name: &str, context: u64| (name.to_owned(), context);
    let server = start(&mut store.rullama(&["serve", "--port", "0", "--max-models", "2"]));
    assert_eq!(load(&server, "small", json!({})), [pair("small:latest", 64)]);
    // A longer context is loaded anew, a shorter one is there.
    assert_eq!(load(&server, "small", json!({"num_ctx": 128})), [pair("small:latest", 128)]);
    assert_eq!(load(&server, "small", json!({"num_ctx": 64})), [pair("small:latest", 128)]);
    assert_eq!(load(&server, "other", json!({"num_ctx": 1_u64 << 40})), [pair("small:latest", 128), pair("other:latest", 4096)]);
    // There is none longer than the model's: nothing is loaded anew for more, which `load_duration` would show.
    let request = json!({"model": "other", "stream": false, "options": {"num_ctx": 1_u64 << 41, "num_predict": 1}, "prompt": "Hi"});
    assert_eq!(server.ok("/api/generate", &request).json()["load_duration"], 0);
    // What was used longest ago makes room.
    assert_eq!(load(&server, "embedded", json!({})), [pair("other:latest", 4096), pair("embedded", 4096)]);
    // Another model under a loaded one's name is loaded.
    let before = server.get("/api/ps").json()["models"][0]["digest"].clone();
    store.add("other", &[("model", &model[..]), ("system", b"Talk like a butler.")]);
    let request = json!({"model": "other", "stream": false, "options": {"temperature": 0}, "messages": [{"role": "user", "content": "What's 12+54?"}]});
    assert!(server.ok("/api/chat", &request).json()["message"]["content"].as_str().unwrap().starts_with("Certainly"));
    let after = server.get("/api/ps").json()["models"][1].clone();
    assert!(after["name"] == "other:latest" && after["digest"] != before, "{after}");
    // Weights that do not fit beside each other take turns.
    let server = start(&mut store.rullama(&["serve", "--port", "0", "--memory", "0.025"]));
    load(&server, "small", json!({}));
    assert_eq!(load(&server, "other", json!({})), [pair("other:latest", 4096)]);
}

rullama_testing::tests! {
    models_come_and_go,
    models_of_the_store_as_run_has_them,
    loads_as_large_and_as_many_as_asked_for,
}
