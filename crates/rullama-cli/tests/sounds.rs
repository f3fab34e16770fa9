//! Sounds on the command line: small models with their towers, where there is an adapter.

use crate::common::{fails, need_adapter, ok, rullama};
use rullama_testing::golden;
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn files(names: [&str; 3]) -> [PathBuf; 3] {
    need_adapter();
    names.map(golden)
}

/// Model, towers and a sound of 331 ms, which becomes 9 soft tokens.
fn conformer() -> [PathBuf; 3] {
    files(["models/dense-ple-Q4_K_M.gguf", "models/mmproj-audio-f16.gguf", "mm/a331ms.wav"])
}

/// As `conformer`, without an encoder: 8 soft tokens.
fn frames() -> [PathBuf; 3] {
    files(["models/unified-f16.gguf", "models/mmproj-unified-f16.gguf", "mm/unified.wav"])
}

/// Ids with placeholders, of the small models' vocabulary.
fn ids(soft_tokens: usize) -> String {
    let ids = [&[2, 105, 605, 497, 107, 2042][..], &vec![2044; soft_tokens], &[2046, 1760, 106, 107, 105, 1764, 590, 535, 107]].concat();
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn values(file: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    tensor.data().chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn eval_writes_what_towers_made() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("o.safetensors");
    let reference = std::fs::read(golden("mm/sounds.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&reference).unwrap();
    let [model, towers, sound] = conformer();
    let common = ["eval", path(&model), "--mmproj", path(&towers), "--audio", path(&sound), "--ids", &ids(9)];
    ok(rullama(&common).args(["--out", path(&out)]));
    let bytes = std::fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("mel.0").unwrap().shape(), [33, 128]);
    assert_eq!(file.tensor("tower.0").unwrap().shape(), [9, 192]);
    assert!(worst(&values(&file, "mel.0"), &values(&reference, "audio.dense-ple.a331ms.mel")) <= 5e-4);
    assert!(worst(&values(&file, "soft_tokens.0"), &values(&reference, "audio.dense-ple.a331ms.soft_tokens")) <= 2e-3);

    let reference = std::fs::read(golden("mm/unified.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&reference).unwrap();
    let whole = reference.tensor("unified.audio.ids").unwrap();
    let all: Vec<String> = whole.data().chunks_exact(4).map(|id| i32::from_le_bytes(id.try_into().unwrap()).to_string()).collect();
    let [model, towers, sound] = frames();
    let common = ["eval", path(&model), "--mmproj", path(&towers), "--audio", path(&sound), "--kv", "f32", "--force"];
    ok(rullama(&common).args(["--ids", &all.join(","), "--out", path(&out)]));
    let bytes = std::fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("mel.0").unwrap().shape(), [8, 640]);
    assert!(worst(&values(&file, "soft_tokens.0"), &values(&reference, "unified.audio.soft_tokens")) <= 2e-3);
    let logits = values(&file, "logits");
    let last = values(&reference, "unified.audio.last_logits");
    assert!(worst(&logits[logits.len() - last.len()..], &last) <= 5e-3);
}

fn run_hears_sounds() {
    let [model, towers, sound] = conformer();
    let asked = ["run", path(&model), "Hi", "--json", "--max-tokens", "2", "--temperature", "0"];
    let prompt = |more: &[&str]| {
        let out = ok(rullama(&asked).args(more));
        serde_json::from_str::<Value>(out.lines().last().unwrap()).unwrap()["prompt_tokens"].as_u64().unwrap()
    };
    let audio = ["--mmproj", path(&towers), "--audio", path(&sound)];
    // A mark on both sides.
    assert_eq!(prompt(&audio), prompt(&[]) + 11);
    assert!(fails(1, rullama(&asked).args(&audio[2..])).contains("no tower for sounds"));
}

fn what_cannot_be_heard_is_named() {
    let [model, towers, sound] = conformer();
    let folder = tempfile::tempdir().unwrap();
    let (out, whole) = (folder.path().join("o.safetensors"), std::fs::read(&sound).unwrap());
    for (name, bytes, said) in [
        ("cut.wav", &whole[..whole.len() / 2], "WAV sound is damaged or cut off"),
        ("empty.wav", &[][..], "no sound that can be read"),
        ("none.wav", &whole[..44], "cut off"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let common = ["eval", path(&model), "--mmproj", path(&towers), "--audio", path(&file), "--ids", &ids(9)];
        let error = fails(1, rullama(&common).args(["--out", path(&out)]));
        assert!(error.contains(name) && error.contains(said), "{error}");
    }
    let common = ["eval", path(&model), "--mmproj", path(&towers), "--audio", path(&sound), "--ids", &ids(8)];
    assert!(fails(1, rullama(&common).args(["--out", path(&out)])).contains("placeholders"));
    assert!(!out.exists());
}

rullama_testing::tests! { eval_writes_what_towers_made, run_hears_sounds, what_cannot_be_heard_is_named }
