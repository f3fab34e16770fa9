//! Sounds in whole models against what transformers computes from the same files.

use crate::senses::{STAGE_BOUND, TOWER_BOUND, Tensors, answers, close, engine, json, largest, picture, source};
use rullama::{Cancel, Engine, Extent, LoadOptions, Medium, SizeRule, Sound};
use rullama_testing::{existing, found, golden, variable};
use std::collections::HashMap;

const TEXT: &str = "models/dense-ple-Q4_K_M.gguf";
const TOWER: &str = "models/mmproj-audio-f16.gguf";

fn sound(name: &str) -> Medium {
    Medium::sound(Sound::decode(std::fs::read(golden(&format!("mm/{name}.wav"))).unwrap()).unwrap())
}

fn outputs(engine: &Engine, medium: &Medium, taps: bool) -> HashMap<String, (Vec<f32>, u32)> {
    pollster::block_on(engine.perceive(medium, taps, &Cancel::new())).unwrap().outputs
}

fn conformers_agree() {
    let engine = engine(TEXT, Some(TOWER));
    let want = Tensors::read("mm/sounds.safetensors");
    let got = outputs(&engine, &sound("a1600ms"), true);
    for name in ["subsample", "layer_0", "layer_1", "layer_2", "tower_out", "soft_tokens"] {
        let want = want.get(&format!("stage.dense-ple.a.a1600ms.{name}"));
        close(name, &got[if name == "tower_out" { "tower" } else { name }].0, want, STAGE_BOUND);
    }
    let tower = want.get("dense-ple.a1600ms.tower_out");
    close("tower", &got["tower"].0, tower, TOWER_BOUND * largest(tower));
    for name in ["a100ms", "a331ms"] {
        let got = outputs(&engine, &sound(name), false);
        let want = want.get(&format!("audio.dense-ple.{name}.soft_tokens"));
        close(name, &got["soft_tokens"].0, want, STAGE_BOUND);
    }
}

/// Windows of 30 s are heard each for itself, one after the other.
fn long_sounds_agree() {
    variable("RULLAMA_FULL");
    let engine = engine(TEXT, Some(TOWER));
    let want = Tensors::read("mm/extra.safetensors");
    let (got, cols) = outputs(&engine, &sound("a35s"), false).remove("soft_tokens").unwrap();
    let cols = cols as usize;
    assert_eq!(got.len(), 875 * cols);
    for (chunk, first) in [("chunk0", 0), ("chunk1", 750)] {
        let key = |of: &str| format!("audio.dense-ple.a35s.{chunk}.{of}");
        let chosen: Vec<f32> =
            want.numbers(&key("soft_rows")).iter().flat_map(|row| &got[(first + *row as usize) * cols..][..cols]).copied().collect();
        close(chunk, &chosen, want.get(&key("soft_tokens")), STAGE_BOUND);
    }
}

fn models_answer_about_sounds() {
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for name in ["a1600ms", "a2370ms"] {
        let key = format!("dense-ple.{name}");
        answers(&engine, &mm, &key, &[sound(name)], &one[&key]["hf_greedy16"]);
        let (tower, soft) = (mm.get(&format!("{key}.tower_out")), mm.get(&format!("{key}.soft_tokens")));
        let got = outputs(&engine, &sound(name), false);
        close(&format!("{key} tower"), &got["tower"].0, tower, TOWER_BOUND * largest(tower));
        close(&format!("{key} soft tokens"), &got["soft_tokens"].0, soft, STAGE_BOUND);
    }
    let (extra, all) = (Tensors::read("mm/extra.safetensors"), json("mm/extra.json"));
    let key = "multi.dense-ple.image_audio";
    answers(&engine, &extra, key, &[picture("exact384", 70), sound("a1600ms")], &all["prompts"][key]["hf_greedy8"]);
}

fn frames_without_an_encoder_agree() {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let (tensors, cases) = (Tensors::read("mm/unified.safetensors"), json("mm/unified.json"));
    let got = outputs(&engine, &sound("unified"), false);
    close("soft tokens", &got["soft_tokens"].0, tensors.get("unified.audio.soft_tokens"), STAGE_BOUND);
    answers(&engine, &tensors, "unified.audio", &[sound("unified")], &cases["cases"]["audio"]["hf_greedy8"]);
}

/// Ollama's names of the tensors.
fn files_with_towers_inside_answer() {
    let blob = "ollama_store/blobs/sha256-9324f714eb39f26a18da7a687454e393eb7ba9ad1652b53c9ecc94940b4bad03";
    let engine = engine(blob, None);
    let (tensors, cases) = (Tensors::read("mm/ollama.safetensors"), json("mm/ollama.json"));
    answers(&engine, &tensors, "ollama.audio", &[sound("a1600ms")], &cases["audio"]["hf_greedy12"]);
    let both = [picture("exact384", 70), sound("a1600ms")];
    answers(&engine, &tensors, "ollama.image_audio", &both, &cases["image_audio"]["hf_greedy12"]);
}

fn what_does_not_fit_is_said() {
    let engine = engine(TEXT, None);
    let encode = |medium: &Medium| pollster::block_on(engine.encode(medium, &Cancel::new()));
    let refused = encode(&sound("a100ms")).unwrap_err();
    assert_eq!(refused.code(), "model-unsupported");
    assert!(refused.to_string().contains("no tower for sounds"), "{refused}");
    pollster::block_on(engine.set_projector(Some(source(&golden("models/mmproj-unified-f16.gguf")))));
    let refused = encode(&sound("a100ms")).unwrap_err().to_string();
    assert!(refused.contains("another model's"), "{refused}");
    pollster::block_on(engine.set_projector(Some(source(&golden(TOWER)))));
    let short = Medium::sound(Sound::new(vec![0.1; 160]).unwrap());
    let refused = encode(&short).unwrap_err().to_string();
    assert!(refused.contains("too short"), "{refused}");
    let soft = encode(&sound("a100ms")).unwrap();
    assert_eq!(soft.rows(), 3);
    // One frame is one token; silence and loudness stay finite.
    for sample in [0.0, 1.0, 1e30] {
        assert_eq!(encode(&Medium::sound(Sound::new(vec![sample; 161]).unwrap())).unwrap().rows(), 1);
    }
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(pollster::block_on(engine.encode(&sound("a331ms"), &cancel)).unwrap_err().code(), "cancelled");
}

/// The embedded model's tower: rows of blocks, among them such as a product pads.
fn towers_in_blocks_hear() {
    let file = existing(rullama_testing::workspace().join("web/app/public/model/rullama-demo.gguf"));
    let loaded = pollster::block_on(Engine::load(source(&file), LoadOptions::default(), &mut |_| ()));
    let engine = found(loaded, |error| error.code() == "no-webgpu");
    let tone: Vec<f32> = (0..16_000).map(|i| 0.5 * (i as f32 * 0.17).sin()).collect();
    let sound = Sound::new(tone).unwrap();
    let cost = pollster::block_on(engine.cost(Extent::of_sound(&sound))).unwrap();
    let soft = pollster::block_on(engine.encode(&Medium::sound(sound), &Cancel::new())).unwrap();
    assert_eq!((soft.rows(), cost), (25, 25));
    assert!(largest(&soft.values) > 0.01, "it hears something");
    let cost = pollster::block_on(engine.cost(Extent::Picture { width: 384, height: 384, rule: SizeRule::fill(70).unwrap() }));
    assert_eq!(cost.unwrap(), 64);
}

rullama_testing::tests! {
    conformers_agree, long_sounds_agree, models_answer_about_sounds, frames_without_an_encoder_agree, files_with_towers_inside_answer,
    what_does_not_fit_is_said, towers_in_blocks_hear,
}
