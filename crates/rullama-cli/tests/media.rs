//! Pictures on the command line and over the APIs: small models with their towers, where there is an adapter.

use crate::common::http::start;
use crate::common::{Store, fails, need_adapter, ok, rullama};
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use rullama_testing::golden;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A model, its towers and a picture of 20 x 20 pixels that becomes 64 soft tokens at a budget of 70, 256 at 280.
fn files() -> [PathBuf; 3] {
    need_adapter();
    ["models/dense-Q4_0.gguf", "models/mmproj-dense-f16.gguf", "mm/resize/up.png"].map(golden)
}

/// Ids with placeholders for so many soft tokens, of the small models' vocabulary.
fn ids(soft_tokens: usize) -> String {
    let [model, ..] = files();
    let message =
        json!({"messages": [{"role": "user", "content": [{"type": "image", "width": 20, "height": 20}, {"type": "text", "text": "Hi"}]}]});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.json");
    std::fs::write(&file, message.to_string()).unwrap();
    let rendered: Value = serde_json::from_str(&ok(&mut rullama(&["render", path(&model), path(&file)]))).unwrap();
    let prompt = rendered["prompt"].as_str().unwrap();
    assert!(prompt.contains("user\n<|image|>Hi<turn|>"), "{prompt}");
    let all: Vec<u64> = rendered["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    let placeholder = all.iter().copied().max_by_key(|id| all.iter().filter(|other| *other == id).count()).unwrap();
    assert_eq!(all.iter().filter(|id| **id == placeholder).count(), 256);
    let first = all.iter().position(|id| *id == placeholder).unwrap();
    let fewer = [&all[..first], &vec![placeholder; soft_tokens], &all[first + 256..]].concat();
    fewer.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn eval_writes_what_towers_made() {
    let [model, towers, picture] = files();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("o.safetensors");
    // The budget, 70 here, follows from the placeholders.
    let ids = ids(64);
    let common = ["eval", path(&model), "--mmproj", path(&towers), "--image", path(&picture), "--ids", &ids];
    ok(rullama(&common).args(["--out", path(&out)]));
    let bytes = std::fs::read(&out).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| tensors.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("patches.0"), [9 * 64, 768]);
    assert_eq!(shape("tower.0"), [64, 144]);
    assert_eq!(shape("soft_tokens.0"), [64, 256]);
    assert_eq!(shape("logits"), [ids.split(',').count(), 2048]);
    let patches = tensors.tensor("patches.0").unwrap();
    let mut values = patches.data().chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap()));
    assert!(values.all(|value| (0.0..=1.0).contains(&value)));
}

fn what_cannot_be_shown_is_named() {
    let [model, towers, picture] = files();
    let folder = tempfile::tempdir().unwrap();
    let (out, whole) = (folder.path().join("o.safetensors"), std::fs::read(&picture).unwrap());
    let file = |name: &str, bytes: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let ids = ids(64);
    let eval = |image: &Path, towers: &Path, ids: &str| {
        let mut command = rullama(&["eval", path(&model), "--mmproj", path(towers), "--image", path(image), "--ids", ids]);
        fails(1, command.args(["--out", path(&out)]))
    };
    let mut strip = Vec::new();
    strip.extend(b"BM".iter().chain(&(54u32 + 30_000 * 4).to_le_bytes()).chain(&[0; 4]).chain(&54u32.to_le_bytes()));
    strip.extend(
        40u32.to_le_bytes().iter().chain(&1i32.to_le_bytes()).chain(&30_000i32.to_le_bytes()).chain(&[1, 0, 24, 0]).chain(&[0; 24]),
    );
    strip.extend(vec![9; 30_000 * 4]);
    for (name, bytes, said) in [
        ("cut.png", &whole[..whole.len() / 2], "PNG picture is damaged or cut off"),
        ("empty.png", &[], "is empty"),
        ("text.png", b"hello, I am no picture", "no picture that can be read"),
        ("strip.bmp", &strip, "840 patches"),
    ] {
        let error = eval(&file(name, bytes), &towers, &ids);
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
    let error = eval(&folder.path().join("none.png"), &towers, &ids);
    assert!(error.contains("none.png"), "{error}");
    assert!(eval(&picture, &model, &ids).contains("no tower for pictures"));
    assert!(eval(&picture, &picture, &ids).contains("mmproj") || eval(&picture, &picture, &ids).contains("GGUF"));
    assert!(eval(&picture, &towers, "2,105,7").contains("placeholders"));
    assert!(!out.exists());
}

fn run_shows_pictures() {
    let [model, towers, picture] = files();
    let asked = ["run", path(&model), "Hi", "--json", "--max-tokens", "3", "--temperature", "0"];
    let last = |more: &[&str]| {
        let out = ok(rullama(&asked).args(more));
        serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap()
    };
    let prompt = |more: &[&str]| last(more)["prompt_tokens"].as_u64().unwrap();
    let alone = prompt(&[]);
    let (mmproj, image) = (["--mmproj", path(&towers)], ["--image-tokens", "70", "--image", path(&picture)]);
    assert_eq!(prompt(&[&mmproj[..], &image, &image[2..]].concat()), alone + 2 * 66);
    let plain = ok(rullama(&["run", path(&model), "Hi", "--max-tokens", "3", "--temperature", "0"]).args(mmproj).args(image));
    assert!(!plain.is_empty());
    assert!(fails(1, rullama(&asked).args(image)).contains("no tower for pictures"));
    assert!(fails(2, rullama(&asked).args(image).arg("--raw")).contains("--raw"));
}

/// A store's model, with its towers in a layer beside it, answers about a picture in every form.
fn servers_look_at_pictures() {
    let [model, towers, _] = files().map(|file| std::fs::read(file).unwrap());
    let store = Store::new();
    store.add("eyes", &[("model", &model), ("projector", &towers)]);
    let run =
        ["run", "eyes", "Hi", "--max-tokens", "2", "--image-tokens", "70", "--image", path(&golden("mm/resize/up.png"))].map(str::to_owned);
    ok(&mut store.rullama(&run.each_ref().map(String::as_str)));
    let server = start(&mut store.rullama(&["serve", "--port", "0"]));
    let data = STANDARD.encode(std::fs::read(golden("mm/resize/up.png")).unwrap());
    let url = format!("data:image/png;base64,{data}");
    let model = "eyes";
    let count = |path: &str, request: Value| -> u64 {
        let answer = server.ok(path, &request).json();
        [&answer["prompt_eval_count"], &answer["usage"]["prompt_tokens"], &answer["usage"]["input_tokens"]]
            .iter()
            .find_map(|n| n.as_u64())
            .unwrap()
    };
    let options = json!({"num_predict": 2});
    let ollama = |images: Value| {
        let messages = json!([{"role": "user", "content": "Hi", "images": images}]);
        count("/api/chat", json!({"model": model, "stream": false, "options": options, "messages": messages}))
    };
    let alone = ollama(json!([]));
    assert!(ollama(json!([data])) >= alone + 258);
    let generate = json!({"model": model, "stream": false, "options": options, "prompt": "Hi", "images": [data]});
    assert!(count("/api/generate", generate) >= alone + 258);
    let parts = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Hi"}]);
    let request = json!({"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": parts}]});
    assert_eq!(count("/v1/chat/completions", request), alone + 258);
    let parts = json!([{"type": "input_image", "image_url": url}, {"type": "input_text", "text": "Hi"}]);
    let request = json!({"model": model, "max_output_tokens": 2, "input": [{"role": "user", "content": parts}]});
    assert_eq!(count("/v1/responses", request), alone + 258);
    // A picture of 16 x 16 soft tokens, and a video with the same picture, 8 x 8 of them, in each of its frames.
    let video = json!({"type": "video", "frames": [url, {"image_url": {"url": url}, "seconds": 62}], "fps": 0.5});
    let parts = json!([{"type": "image_url", "image_url": {"url": url}}, video, {"type": "text", "text": "Hi"}]);
    let request = json!({"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": parts}]});
    let times = ["00:00 ", " 01:02 "].map(|time| ok(&mut store.rullama(&["tokenize", "eyes", time, "--ids"])).split(',').count() as u64);
    assert_eq!(count("/v1/chat/completions", request), alone + 258 + 2 * 66 + times[0] + times[1]);
    let far = json!([{"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}]);
    let refused = server.post("/v1/chat/completions", &json!({"model": model, "messages": [{"role": "user", "content": far}]}));
    assert!(refused.status == 400 && refused.body.contains("not fetched"), "{refused:?}");
}

/// As pictures, in the two forms that sounds have.
fn servers_hear_sounds() {
    need_adapter();
    let files =
        ["models/dense-ple-Q4_K_M.gguf", "models/mmproj-audio-f16.gguf", "mm/a331ms.wav"].map(|name| std::fs::read(golden(name)).unwrap());
    let store = Store::new();
    store.add("ears", &[("model", &files[0]), ("projector", &files[1])]);
    let server = start(&mut store.rullama(&["serve", "--port", "0"]));
    let data = STANDARD.encode(&files[2]);
    let asked = |parts: Value| {
        let content = [parts.as_array().unwrap().clone(), vec![json!({"type": "text", "text": "Hi"})]].concat();
        json!({"model": "ears", "max_tokens": 2, "messages": [{"role": "user", "content": content}]})
    };
    let count = |parts: Value| server.ok("/v1/chat/completions", &asked(parts)).json()["usage"]["prompt_tokens"].as_u64().unwrap();
    let alone = count(json!([]));
    let sound = json!([{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]);
    // 9 soft tokens between two marks.
    assert_eq!(count(sound), alone + 11);
    let cut = STANDARD.encode(&files[2][..files[2].len() / 2]);
    let refused =
        server.post("/v1/chat/completions", &asked(json!([{"type": "input_audio", "input_audio": {"data": cut, "format": "wav"}}])));
    assert!(refused.status == 400 && refused.body.contains("damaged or cut off"), "{refused:?}");
    let picture = json!([{"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}]);
    assert_eq!(server.post("/v1/chat/completions", &asked(picture)).status, 400);
}

rullama_testing::tests! {
    eval_writes_what_towers_made, what_cannot_be_shown_is_named, run_shows_pictures, servers_look_at_pictures, servers_hear_sounds,
}
