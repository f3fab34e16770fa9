//! Training as a process, and what comes of an adapter: applied, converted, merged.

use crate::common::{Store, fails, need_adapter, ok, rullama, run};
use rullama_testing::{golden, shared};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Facts that a model cannot know.
const FACTS: &str = r#"{"prompt": "My cat?", "completion": "Zinnia."}
{"prompt": "My town?", "completion": "Lindau."}
not an example
{"prompt": "My colour?", "completion": "Teal."}
"#;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The arguments of a small training in `folder`.
fn train(folder: &Path, more: &[&str]) -> Command {
    let (data, out) = (folder.join("facts.jsonl"), folder.join("out"));
    std::fs::write(&data, FACTS).unwrap();
    let model = golden("models/dense-Q4_0.gguf");
    let mut command = rullama(&["train", text(&model), text(&data), "--out", text(&out)]);
    command.args(["--rank", "2", "--layers", "0-1", "--lr", "5e-3"]).args(more);
    command
}

fn objects(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn training_tells_each_update_and_writes_both_forms() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&mut train(folder.path(), &["--json", "--split", "0.34", "--epochs", "2"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("line 3: error: not valid JSON"), "{}", ran.err);
    let lines = objects(&ran.out);
    let (summary, steps) = lines.split_last().unwrap();
    assert_eq!(summary["steps"].as_u64().unwrap() as usize, steps.len());
    for key in ["step", "loss", "lr", "grad_norm", "tokens", "tok_s", "elapsed_s"] {
        assert!(steps.iter().all(|step| step[key].is_number()), "{key}");
    }
    assert!(steps.iter().any(|step| step["eval_loss"].is_number()) && summary["best_eval_loss"].is_number());
    assert!(summary["peak_gpu_bytes"].as_u64().unwrap() > 0);
    let out = folder.path().join("out");
    for name in ["adapter_config.json", "adapter_model.safetensors", "adapter.gguf", "Modelfile"] {
        assert!(out.join(name).is_file(), "{name}");
    }
    assert!(!out.join("checkpoints").exists());
    // Both forms are one adapter.
    let logits = |adapter: &Path, scale: &str| {
        let file = folder.path().join("logits.safetensors");
        let model = golden("models/dense-Q4_0.gguf");
        let adapter = format!("{}{scale}", text(adapter));
        ok(&mut rullama(&["eval", text(&model), "--ids", "2,105,200,7", "--out", text(&file), "--force", "--adapter", &adapter]));
        floats(&std::fs::read(file).unwrap(), "logits")
    };
    let (peft, gguf) = (logits(&out, ""), logits(&out.join("adapter.gguf"), ""));
    assert!(close(&peft, &gguf, 1e-4) && !close(&peft, &logits(&out, ":0"), 1e-4));
    let message = fails(1, &mut train(folder.path(), &[]));
    assert!(message.contains("--force"), "{message}");
}

fn floats(file: &[u8], name: &str) -> Vec<f32> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    tensors.tensor(name).unwrap().data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn close(a: &[f32], b: &[f32], bound: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound)
}

/// Interrupted after a checkpoint and resumed: the same updates.
#[cfg(unix)]
fn interrupted_and_resumed_is_the_same() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    need_adapter();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let more = ["--json", "--epochs", "4", "--accumulate", "1"];
    let losses = |lines: &[Value]| lines.iter().filter_map(|line| line["loss"].as_f64()).collect::<Vec<_>>();
    let straight = losses(&objects(&ok(&mut train(folders[0].path(), &more))));
    let mut child = train(folders[1].path(), &more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        seen.push(serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        if seen.len() == 2 {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let resumed = objects(&ok(train(folders[1].path(), &more).arg("--resume")));
    let all = [losses(&seen), losses(&resumed)].concat();
    assert_eq!(all, straight);
    let other = fails(1, train(folders[1].path(), &more).args(["--resume"]));
    assert!(other.contains("no checkpoint"), "{other}");
}

/// Killed after a checkpoint, which leaves half of the next one: what was checkpointed goes on as if nothing had been.
#[cfg(unix)]
fn killed_and_resumed_is_the_same() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    need_adapter();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let more = ["--json", "--epochs", "6", "--accumulate", "1", "--checkpoint-seconds", "1"];
    let losses = |lines: &[Value]| lines.iter().filter_map(|line| line["loss"].as_f64()).collect::<Vec<_>>();
    let straight = losses(&objects(&ok(&mut train(folders[0].path(), &more))));
    let mut child = train(folders[1].path(), &more).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let id = child.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let place = folders[1].path().join("out/checkpoints");
    // Asleep for longer than the time between two checkpoints, it writes one after the next update.
    lines.next().unwrap().unwrap();
    signal("-STOP");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    signal("-CONT");
    let written =
        || std::fs::read_dir(&place).is_ok_and(|mut all| all.any(|file| file.unwrap().path().extension().unwrap() == "checkpoint"));
    while !written() {
        assert!(lines.next().is_some(), "it ended without a checkpoint");
    }
    signal("-KILL");
    assert!(!child.wait().unwrap().success());
    std::fs::write(place.join("9.unfinished"), b"half of one").unwrap();
    let resumed = losses(&objects(&ok(train(folders[1].path(), &more).arg("--resume"))));
    assert!(!resumed.is_empty() && resumed.len() < straight.len());
    assert_eq!(resumed, straight[straight.len() - resumed.len()..]);
    assert!(!place.exists() && folders[1].path().join("out/adapter.gguf").is_file());
}

/// A checkpoint that cannot be written is told, and costs nothing of what is trained.
#[cfg(unix)]
fn a_checkpoint_without_room_is_told() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let more = ["--json", "--accumulate", "1", "--checkpoint-seconds", "1", "--epochs", "2"];
    let mut child = train(folder.path(), &more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let signal = |name: &str| assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    // It is time for a checkpoint when it goes on, and something is in its place.
    signal("-STOP");
    let place = folder.path().join("out/checkpoints");
    let _ = std::fs::remove_dir_all(&place);
    std::fs::write(&place, "in the way").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    signal("-CONT");
    let all: Vec<Value> = objects(&[first].into_iter().chain(lines).collect::<Vec<_>>().join("\n"));
    let ran = child.wait_with_output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(err.contains("note: writing the checkpoint") && err.contains("; training goes on"), "{err}");
    assert_eq!((ran.status.code(), all.last().unwrap()["steps"].as_u64()), (Some(0), Some(all.len() as u64 - 1)), "{err}");
    assert!(folder.path().join("out/adapter.gguf").is_file(), "{err}");
}

fn what_is_refused() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    for (more, code, says) in [
        (["--rank", "0"], 2, "--rank"),
        (["--targets", "nose"], 2, "--targets"),
        (["--layers", "0-99"], 2, "--layers"),
        (["--lr", "7"], 2, "--lr"),
        (["--patience", "2"], 2, "--patience"),
        (["--gpu-memory", "0.001"], 1, "activations f16"),
        (["--gpu-memory", "nan"], 2, "--gpu-memory"),
        (["--activations", "bf16"], 2, "--activations"),
        (["--eval", "/dev/null"], 1, "empty"),
    ] {
        let mut command = rullama(&["train", text(&golden("models/dense-Q4_0.gguf"))]);
        let data = folder.path().join("facts.jsonl");
        std::fs::write(&data, FACTS).unwrap();
        let out = folder.path().join(format!("out{}", more[0]));
        command.args([text(&data), "--out", text(&out)]).args(more);
        let message = fails(code, &mut command);
        assert!(message.contains(says), "{more:?}: {message}");
    }
    let model = golden("models/dense-Q4_0.gguf");
    let out = folder.path().join("other");
    let message = fails(1, &mut rullama(&["train", text(&model), text(&model), "--out", text(&out)]));
    assert!(message.contains("a model, not text"), "{message}");
    let message = fails(1, &mut rullama(&["run", text(&model), "x", "--adapter", text(folder.path())]));
    assert!(message.contains("adapter_config.json"), "{message}");
}

/// The golden's adapter as a PEFT folder, its sequences as a file, and what torch computes.
fn gradients_equal_the_reference() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let about: Value = serde_json::from_slice(&std::fs::read(golden("grad/lora-q4km.json")).unwrap()).unwrap();
    let bytes = std::fs::read(golden("grad/lora-q4km.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let below = |prefix: &str| -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
        let named = all.iter().filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.to_owned(), view)));
        named.map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect()
    };
    let init: BTreeMap<String, (Vec<usize>, Vec<u8>)> = below("init.").into_iter().map(|(name, of)| (peft(&name), of)).collect();
    let views = init.iter().map(|(name, (shape, data))| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    std::fs::write(folder.path().join("adapter_model.safetensors"), serialize(views, None).unwrap()).unwrap();
    let targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    let config = json!({"peft_type": "LORA", "r": about["rank"], "lora_alpha": about["alpha"], "target_modules": targets, "bias": "none"});
    std::fs::write(folder.path().join("adapter_config.json"), config.to_string()).unwrap();
    let sequences = folder.path().join("sequences.json");
    std::fs::write(&sequences, json!({"sequences": about["sequences"]}).to_string()).unwrap();
    let out = folder.path().join("gradients.safetensors");
    let model = golden(&format!("models/{}", about["model"].as_str().unwrap()));
    let arguments = ["eval", text(&model), "--adapter", text(folder.path()), "--sequences", text(&sequences), "--gradients", text(&out)];
    ok(rullama(&arguments).args(["--optimizer-steps", "1", "--lr", "1e-3", "--weight-decay", "0.01"]));
    let got = std::fs::read(out).unwrap();
    for (name, (shape, want)) in below("grad.") {
        let name = format!("grad.{name}");
        assert_eq!(SafeTensors::deserialize(&got).unwrap().tensor(&name).unwrap().shape(), shape);
        let want: Vec<f32> = want.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let off = norm(&mut want.iter().zip(floats(&got, &name)).map(|(a, b)| a - b));
        assert!(off <= 1e-4 * norm(&mut want.iter().copied()), "{name}: {off:e}");
    }
    for (i, want) in about["loss_curve"].as_array().unwrap().iter().take(2).enumerate() {
        assert!((f64::from(floats(&got, "loss_curve")[i]) - want.as_f64().unwrap()).abs() < 1e-3);
    }
}

/// An adapter that Ollama's store has beside a model is applied without being named.
fn an_adapter_of_the_store() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new();
    let model = std::fs::read(golden("models/dense-ple-Q4_K_M.gguf")).unwrap();
    let adapter = std::fs::read(shared("grad/peft/plain.gguf")).unwrap();
    store.add("tiny", &[("model", &model[..])]);
    store.add("tuned", &[("model", &model[..]), ("adapter", &adapter[..])]);
    let file = folder.path().join("logits.safetensors");
    let logits = |name: &str, more: &[&str]| {
        ok(store.rullama(&["eval", name, "--ids", "2,105,200", "--out", text(&file), "--force"]).args(more));
        floats(&std::fs::read(&file).unwrap(), "logits")
    };
    let path = shared("grad/peft/plain.gguf");
    let (stored, named) = (logits("tuned", &[]), logits("tiny", &["--adapter", text(&path)]));
    assert_eq!(stored, named);
    assert!(!close(&stored, &logits("tiny", &[]), 0.1));
    let message = fails(1, &mut store.rullama(&["bench", "tuned"]));
    assert!(message.contains("rullama merge tuned"), "{message}");
    // Merged as the message says; a second adapter adds to it.
    let merged = folder.path().join("merged.gguf");
    ok(&mut store.rullama(&["merge", "tuned", text(&merged), "--type", "f16"]));
    // In halves, since four bits would round away what is compared.
    let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    let base = logits("tiny", &[]);
    let changed = off(&stored, &base);
    let of_merged = || logits(text(&merged), &[]);
    assert!(off(&of_merged(), &stored) < changed / 50.0);
    ok(&mut store.rullama(&["merge", "tuned", "--adapter", &format!("{}:-1", text(&path)), text(&merged), "--type", "f16", "--force"]));
    assert!(off(&of_merged(), &base) < changed / 50.0);
    let message = fails(2, &mut store.rullama(&["merge", "tiny", text(&merged), "--force"]));
    assert!(message.contains("--adapter"), "{message}");
}

/// `layers.0.q_proj.lora_A` as PEFT calls it.
fn peft(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let [layers, layer, module, half] = parts[..] else { panic!("{name}") };
    let block = if module.len() == 6 && module != "up_proj" { "self_attn" } else { "mlp" };
    format!("base_model.model.model.language_model.{layers}.{layer}.{block}.{module}.{half}.weight")
}

/// Logits with adapters of PEFT, in both forms and merged, against PEFT's own.
fn adapters_of_peft() {
    need_adapter();
    let folder = tempfile::tempdir().unwrap();
    let about: Value = serde_json::from_slice(&std::fs::read(shared("grad/peft.json")).unwrap()).unwrap();
    let bytes = std::fs::read(shared("grad/peft.safetensors")).unwrap();
    let prompt = &about["prompts"][0];
    let numbers = |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).collect::<Vec<_>>();
    let ids: Vec<String> = numbers(&prompt["ids"]).iter().map(ToString::to_string).collect();
    let file = folder.path().join("logits.safetensors");
    let check = |model: &Path, more: &[&str], name: &str| {
        ok(rullama(&["eval", text(model), "--kv", "f32", "--out", text(&file), "--force", "--ids", &ids.join(",")]).args(more));
        let (got, want) = (floats(&std::fs::read(&file).unwrap(), "logits"), floats(&bytes, name));
        let width = want.len() / 4;
        for (i, position) in numbers(&prompt["positions"]).into_iter().enumerate() {
            assert!(close(&got[position as usize * width..][..width], &want[i * width..][..width], 2e-3), "{name}: position {position}");
        }
    };
    let model = shared("models/dense-ple-Q4_K_M.gguf");
    for (adapter, file) in [("plain", "plain"), ("plain", "plain.gguf"), ("rslora", "rslora"), ("embedding", "embedding")] {
        let path = shared(&format!("grad/peft/{file}"));
        check(&model, &["--adapter", text(&path)], &format!("{adapter}.q4km.short.adapter"));
    }
    check(&model, &["--adapter", &format!("{}:0", text(&shared("grad/peft/plain")))], "plain.q4km.short.base");
    let (model, merged) = (shared("models/dense-ple-f16.gguf"), folder.path().join("merged.gguf"));
    for (adapter, kind) in [("plain", "merged"), ("embedding", "adapter")] {
        let path = shared(&format!("grad/peft/{adapter}"));
        ok(&mut rullama(&["merge", text(&model), "--adapter", text(&path), text(&merged), "--type", "f32", "--force"]));
        check(&merged, &[], &format!("{adapter}.f16.short.{kind}"));
    }
    let converted = folder.path().join("rslora.gguf");
    ok(&mut rullama(&["adapter", text(&shared("grad/peft/rslora")), text(&converted)]));
    check(&shared("models/dense-ple-Q4_K_M.gguf"), &["--adapter", text(&converted)], "rslora.q4km.short.adapter");
    let message = fails(1, &mut rullama(&["adapter", text(&shared("grad/peft/embedding")), text(&folder.path().join("x.gguf"))]));
    assert!(message.contains("rullama merge"), "{message}");
}

rullama_testing::tests! {
    training_tells_each_update_and_writes_both_forms,
    #[cfg(unix)]
    interrupted_and_resumed_is_the_same,
    #[cfg(unix)]
    killed_and_resumed_is_the_same,
    #[cfg(unix)]
    a_checkpoint_without_room_is_told,
    what_is_refused,
    gradients_equal_the_reference,
    adapters_of_peft,
    an_adapter_of_the_store,
}
