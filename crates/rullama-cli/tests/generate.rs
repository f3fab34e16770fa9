//! Commands that run a model: where there is an adapter (software is enough) and a golden.

use crate::common::{fails, need_adapter, ok, rullama};
use rullama_testing::{golden, skip, workspace};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The golden, where something can run it.
fn model(name: &str) -> std::path::PathBuf {
    need_adapter();
    golden(&format!("models/{name}.gguf"))
}

fn run_prints_tokens_and_last_a_summary() {
    let model = model("dense-f16");
    let base = ["run", path(&model), "--ids", "2,105,200", "--max-tokens", "6", "--ignore-eos"];
    let out = ok(rullama(&base).args(["--temperature", "0", "--json"]));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, tokens) = lines.split_last().unwrap();
    assert_eq!(tokens.len(), 6);
    let ids: Vec<&Value> = tokens.iter().map(|token| &token["id"]).collect();
    assert_eq!(summary["ids"].as_array().unwrap().iter().collect::<Vec<_>>(), ids);
    assert!(tokens.iter().all(|token| token["logprob"].as_f64().unwrap() <= 0.0 && token["text"].is_string()));
    let text: String = tokens.iter().map(|token| token["text"].as_str().unwrap()).collect();
    assert_eq!(summary["text"], text);
    assert_eq!((&summary["finish"], &summary["prompt_tokens"]), (&Value::from("length"), &Value::from(3)));
    assert!(summary["timings"]["decode_s"].is_number());
    let plain = ok(rullama(&base).args(["--temperature", "0"]));
    assert_eq!(plain.trim_end_matches('\n'), text.trim_end_matches('\n'));

    let drawn = |seed: &str| ok(rullama(&base).args(["--seed", seed, "--temperature", "1.5", "--top-k", "0", "--top-p", "1"]));
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
}

fn run_with_template_and_raw() {
    let model = model("dense-ple-f16");
    let prompt_tokens = |more: &[&str]| {
        let out = ok(rullama(&["run", path(&model), "Hi", "--max-tokens", "2", "--json"]).args(more));
        let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        last["prompt_tokens"].as_u64().unwrap()
    };
    assert_eq!(prompt_tokens(&["--raw"]), 3);
    assert_eq!(prompt_tokens(&[]), 14);
    assert!(prompt_tokens(&["--system", "Be brief."]) > 14);
    for ple in ["resident", "streamed"] {
        assert_eq!(prompt_tokens(&["--raw", "--ple", ple, "--adapter-profile", "webgpu"]), 3);
    }
}

fn answers_of_a_form() {
    let model = model("dense-ple-f16");
    let folder = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("schema.json");
        std::fs::write(&path, text).unwrap();
        path
    };
    let schema = file(r#"{"type": "array", "items": {"enum": [1, "zwei"]}, "minItems": 2, "maxItems": 3}"#);
    let out = ok(&mut rullama(&["run", path(&model), "--format", path(&schema), "Hi"]));
    let value: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{out}: {error}"));
    assert!((2..=3).contains(&value.as_array().unwrap().len()), "{out}");
    let out = ok(&mut rullama(&["run", path(&model), "--format", "json", "--raw", "Hi", "--max-tokens", "8"]));
    assert!(out.starts_with('{'), "{out}");
    let wrong = file(r#"{"type": "object", "properties": {"a": {"contains": {}}}}"#);
    let said = fails(2, &mut rullama(&["run", path(&model), "--format", path(&wrong), "Hi"]));
    assert!(said.contains("`contains` at #/properties/a"), "{said}");
    assert!(fails(2, &mut rullama(&["run", path(&model), "--format", path(&file("{")), "Hi"])).contains("no JSON"));
    assert!(fails(1, &mut rullama(&["run", path(&model), "--format", "/no/such/file", "Hi"])).contains("--format"));
}

fn refusals() {
    let model = model("dense-f16");
    assert!(fails(2, &mut rullama(&["run", path(&model), "x", "--ids", "1"])).contains("--ids"));
    assert!(fails(2, &mut rullama(&["run", path(&model), "x", "--kv", "q4"])).contains("q8"));
    assert!(fails(2, &mut rullama(&["run", path(&model)])).contains("PROMPT"));
    assert!(fails(2, &mut rullama(&["run", path(&model), "--ids", "2, 999999"])).contains("999999"));
    assert!(fails(2, &mut rullama(&["run", "no-such.gguf", "x", "--temperature", "nan"])).contains("temperature"));
    assert!(fails(1, &mut rullama(&["run", path(&model), "x", "--ctx", "2"])).contains("context"));
    assert!(fails(1, &mut rullama(&["run", path(&model), "x", "--ctx", "100000000"])).contains("context"));
}

fn ignore_eos_runs_until_the_context_is_full() {
    let model = model("dense-f16");
    let out = ok(&mut rullama(&["run", path(&model), "--ids", "2, 105", "--ignore-eos", "--ctx", "16", "--json"]));
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert!(summary["finish"] == "length" && summary["ids"].as_array().unwrap().len() >= 14, "{summary}");
}

/// A store with this layer added to the manifest of the golden one; its blob holds `content`.
fn store_with(folder: &Path, kind: &str, content: impl AsRef<[u8]>) {
    let from = golden("ollama_store");
    let manifest = "manifests/registry.ollama.ai/library/gemma4-tiny/latest";
    for part in [Path::new("blobs"), Path::new(manifest).parent().unwrap()] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    for blob in std::fs::read_dir(from.join("blobs")).unwrap().flatten() {
        std::fs::copy(blob.path(), folder.join("blobs").join(blob.file_name())).unwrap();
    }
    let mut layers: Value = serde_json::from_slice(&std::fs::read(from.join(manifest)).unwrap()).unwrap();
    let digest = "ab".repeat(32);
    std::fs::write(folder.join(format!("blobs/sha256-{digest}")), content.as_ref()).unwrap();
    let layer = serde_json::json!({"mediaType": format!("application/vnd.ollama.image.{kind}"), "digest": format!("sha256:{digest}"), "size": content.as_ref().len()});
    let list = layers["layers"].as_array_mut().unwrap();
    list.retain(|other| other["mediaType"] != layer["mediaType"]);
    list.push(layer);
    std::fs::write(folder.join(manifest), layers.to_string()).unwrap();
}

fn what_a_store_adds_to_a_model() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = rullama(arguments);
        command.env("OLLAMA_MODELS", folder.path());
        command
    };
    store_with(folder.path(), "params", r#"{"num_ctx": 100000000}"#);
    let line = ["run", "gemma4-tiny", "--ids", "2,105", "--max-tokens", "2"];
    ok(&mut run(&line));
    assert!(fails(1, run(&line).args(["--ctx", "100000000"])).contains("context"));
    store_with(folder.path(), "params", r#"{"repeat_penalty": 1e-45, "presence_penalty": 1}"#);
    let refused = fails(1, &mut run(&line));
    assert!(refused.contains("gemma4-tiny") && refused.contains("`repeat_penalty`") && refused.contains("0.01"), "{refused}");
    ok(run(&line).args(["--repeat-penalty", "1.1"]));
    store_with(folder.path(), "params", "{}");
    store_with(folder.path(), "adapter", "lora");
    let refused = fails(1, &mut run(&line));
    assert!(refused.contains("adapter") && refused.contains("abab"), "{refused}");
    assert!(ok(&mut run(&["show", "gemma4-tiny"])).contains("adapter"));
}

fn eval_refuses_before_it_begins_and_leaves_nothing() {
    let model = model("dense-ple-f16");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let eval = |out: &Path, more: &[&str]| {
        let mut command = rullama(&["eval", path(&model), "--ids", "2,105", "--greedy", "8", "--out", path(out)]);
        command.args(more);
        command
    };
    assert!(fails(1, &mut eval(&out, &["--ctx", "9"])).contains("context of 10"));
    assert!(fails(2, &mut eval(folder.path(), &[])).contains("regular file"));
    fails(1, &mut eval(&folder.path().join("missing/out"), &[]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    ok(&mut eval(&out, &["--ctx", "10"]));
    let file = std::fs::read(&out).unwrap();
    assert_eq!(SafeTensors::deserialize(&file).unwrap().tensor("greedy_ids").unwrap().shape(), [8]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn eval_writes_named_tensors_and_agrees_with_the_oracle() {
    let model = model("dense-ple-f16");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        ok(rullama(&["eval", path(&model), "--ids", "2,105,200", "--out", path(&out), "--kv", "f32", "--greedy", "4"]).args(more));
        std::fs::read(out).unwrap()
    };
    let (gpu, cpu) = (write("gpu", &[]), write("cpu", &["--oracle"]));
    let (gpu, cpu) = (SafeTensors::deserialize(&gpu).unwrap(), SafeTensors::deserialize(&cpu).unwrap());
    assert_eq!(gpu.tensor("logits").unwrap().shape(), [3, 2048]);
    for name in ["hidden.embed_scaled", "hidden.layer_0", "hidden.layer_6", "hidden.final_norm"] {
        assert_eq!(gpu.tensor(name).unwrap().shape(), [3, 256], "{name}");
    }
    assert_eq!(gpu.tensor("greedy_ids").unwrap().data(), cpu.tensor("greedy_ids").unwrap().data());
    let floats = |file: &SafeTensors<'_>| -> Vec<f32> {
        file.tensor("logits").unwrap().data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let (a, b) = (floats(&gpu), floats(&cpu));
    let deviation = (b.iter().map(|value| value * value).sum::<f32>() / b.len() as f32).sqrt();
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-4 * deviation, "{worst} at a deviation of {deviation}");
}

fn bench_records() {
    let model = model("dense-ple-Q4_K_M");
    let sizes = ["--runs", "2", "--context", "8", "--prefill", "16", "--decode", "4", "--kept", "40", "--new", "6"];
    let out = ok(rullama(&["bench", path(&model), "--json", "--bandwidth", "100", "--profile"]).args(sizes));
    let record: Value = serde_json::from_str(&out).unwrap();
    for key in ["device", "backend", "driver", "commit", "model", "ple", "kv"] {
        assert!(record[key].is_string(), "{key}: {out}");
    }
    for key in ["prefill_tok_s", "decode_tok_s"] {
        let [least, most] = [0, 1].map(|i| record[format!("{key}_spread")][i].as_f64().unwrap());
        let median = record[key].as_f64().unwrap();
        assert!(0.0 < least && least <= median && median <= most, "{key}: {out}");
    }
    for key in ["bytes_per_token", "bandwidth_share", "load_gb_s", "gpu_bytes", "context", "dispatches_per_token"] {
        assert!(record[key].as_f64().unwrap() > 0.0, "{key}: {out}");
    }
    assert_eq!(record["pipelines_compiled_during_decode"], 0);
    assert!(record["wasm_peak_bytes"].is_null());
    assert!(record["kernels"]["decode"].is_array() && record["kernels"]["prefill"].is_array());
    assert!(record["speculation"].is_null());
    let begins = &record["first_token"];
    assert_eq!((&begins["kept"], &begins["new"]), (&40.into(), &6.into()));
    let [least, most] = [0, 1].map(|i| begins["ms_spread"][i].as_f64().unwrap());
    let median = begins["ms"].as_f64().unwrap();
    assert!(0.0 < least && least <= median && median <= most, "{begins}");
}

/// The fields of a picture's and a sound's record.
fn bench_measures_media() {
    let (model, towers) = (model("dense-Q4_0"), golden("models/mmproj-audio-f16.gguf"));
    let pictures = golden("models/mmproj-dense-f16.gguf");
    let sizes = ["--runs", "2", "--context", "8", "--prefill", "16", "--decode", "2", "--json", "--profile"];
    let bench = |towers: &Path, more: &[&str]| -> Value {
        let out = ok(rullama(&["bench", path(&model), "--mmproj", path(towers)]).args(sizes).args(more));
        serde_json::from_str(&out).unwrap()
    };
    let check = |record: &Value, medium: &str, rows: u64, soft_tokens: u64| {
        let record = &record["media"][0];
        assert_eq!((&record["medium"], &record["rows"], &record["soft_tokens"]), (&medium.into(), &rows.into(), &soft_tokens.into()));
        for key in ["preparation_s", "encode_s", "device_s"] {
            let [least, most] = [0, 1].map(|i| record[format!("{key}_spread")][i].as_f64().unwrap());
            let median = record[key].as_f64().unwrap();
            assert!(0.0 < least && least <= median && median <= most, "{key}: {record}");
        }
        for key in ["load_s", "first_s", "dispatches", "tower_bytes", "gpu_bytes"] {
            assert!(record[key].as_f64().unwrap() > 0.0, "{key}: {record}");
        }
        assert!(record["device_s"].as_f64() < record["encode_s"].as_f64() && record["kernels"].is_array(), "{record}");
    };
    let picture = bench(&pictures, &["--image-tokens", "70"]);
    check(&picture, "picture", 630, 70);
    let sound = bench(&towers, &["--sound-seconds", "2"]);
    check(&sound, "sound", 199, 50);
    assert_eq!(sound["media"].as_array().unwrap().len(), 1);
    let message = fails(1, rullama(&["bench", path(&model), "--mmproj", path(&towers)]).args(sizes).args(["--image-tokens", "70"]));
    assert!(message.contains("no tower for pictures"), "{message}");
    fails(2, &mut rullama(&["bench", path(&model), "--image-tokens", "71"]));
}

/// A made file of one block has the shapes and names that the engine reads.
fn made_towers_are_accepted() {
    let script = workspace().join("tools/full-size/make_fullsize.py");
    let folder = tempfile::tempdir().unwrap();
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let has = std::process::Command::new(&python).args(["-c", "import numpy"]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        skip("python3 with numpy, which makes files of full size, is not there");
    }
    let (model, sizes) = (model("dense-Q4_0"), ["--runs", "1", "--context", "8", "--prefill", "16", "--decode", "2", "--json"]);
    for (size, media) in [("e2b", &["--image-tokens", "70", "--sound-seconds", "1"][..]), ("31b", &["--image-tokens", "70"])] {
        let towers = folder.path().join(format!("{size}.gguf"));
        let mut make = std::process::Command::new(&python);
        make.arg(&script).arg(&towers).args(["--mmproj", "--size", size, "--tower-blocks", "1", "--width", "256"]);
        assert!(make.status().unwrap().success());
        let out = ok(rullama(&["bench", path(&model), "--mmproj", path(&towers)]).args(sizes).args(media));
        let record: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(record["media"][0]["soft_tokens"], 70, "{out}");
    }
}

fn bench_tells_what_guessing_brings() {
    let model = model("dense-Q4_0");
    let sizes = ["--runs", "1", "--context", "70", "--prefill", "16", "--decode", "40", "--greedy"];
    let out = ok(rullama(&["bench", path(&model), "--json", "--speculate", "lookup"]).args(sizes));
    let record: Value = serde_json::from_str(&out).unwrap();
    let number = |key: &str| record["speculation"][key].as_f64().unwrap();
    let (drafted, accepted) = (number("drafted"), number("accepted"));
    assert!(0.0 < accepted && accepted <= drafted, "{out}");
    assert!((number("tokens_per_step") - 39.0 / (39.0 - accepted)).abs() < 1e-2, "{out}");
    assert_eq!((&record["speculation"]["speculate"], &record["pipelines_compiled_during_decode"]), (&"lookup".into(), &0.into()));
}

fn a_drafter_is_found_and_told() {
    need_adapter();
    let [demo, drafter] = ["web/app/public/model/rullama-demo.gguf", "tools/demo-model/drafter.gguf"].map(|file| workspace().join(file));
    let line = ["run", path(&demo), "say exactly: aisha wash jump", "--temperature", "0", "--max-tokens", "12", "--json"];
    let last = |text: String| serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap();
    let alone = last(ok(&mut rullama(&line)));
    let drafting = last(ok(rullama(&line).args(["--drafter", path(&drafter), "--speculate", "drafter"])));
    assert_eq!((&alone["drafted_tokens"], &drafting["ids"]), (&0.into(), &alone["ids"]));
    assert!(drafting["accepted_tokens"].as_u64() > Some(0), "{drafting}");
    for (named, words) in [
        (&["--drafter", path(&demo)][..], "drafts for none"),
        (&["--drafter", "/nowhere/drafter.gguf"], "/nowhere/drafter.gguf"),
        (&[], "needs a drafter"),
    ] {
        let refused = fails(1, rullama(&line).args(["--speculate", "drafter"]).args(named));
        assert!(refused.contains(words), "{refused}");
    }
    assert!(fails(2, &mut rullama(&["serve", "--port", "0", "--drafter", path(&drafter)])).contains("for one model"));
    // The store keeps one beside a model, here another's.
    let folder = tempfile::tempdir().unwrap();
    store_with(folder.path(), "draft", std::fs::read(&drafter).unwrap());
    let stored = |arguments: &[&str]| {
        let mut command = rullama(&["run", "gemma4-tiny", "--ids", "2,105", "--max-tokens", "2"]);
        command.env("OLLAMA_MODELS", folder.path()).args(arguments);
        command
    };
    ok(&mut stored(&[]));
    assert!(fails(1, &mut stored(&["--speculate", "drafter"])).contains("another model's drafter"));
}

#[cfg(unix)]
fn an_interrupt_stops_the_answer() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let model = model("dense-f16");
    let arguments = ["run", path(&model), "--ids", "2", "--max-tokens", "4000", "--ignore-eos", "--json"];
    let mut child = rullama(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!(last["finish"], "cancelled");
    assert!(last["ids"].as_array().unwrap().len() < 4000);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

rullama_testing::tests! {
    run_prints_tokens_and_last_a_summary,
    run_with_template_and_raw,
    answers_of_a_form,
    refusals,
    ignore_eos_runs_until_the_context_is_full,
    what_a_store_adds_to_a_model,
    eval_refuses_before_it_begins_and_leaves_nothing,
    eval_writes_named_tensors_and_agrees_with_the_oracle,
    bench_records,
    bench_measures_media,
    made_towers_are_accepted,
    bench_tells_what_guessing_brings,
    a_drafter_is_found_and_told,
    #[cfg(unix)] an_interrupt_stops_the_answer,
}
