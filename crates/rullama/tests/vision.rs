//! Pictures in whole models against what transformers computes from the same files.

use crate::senses::{STAGE_BOUND, TOWER_BOUND, Tensors, answers, close, engine, engine_of, json, largest, picture, prompt, source};
use rullama::perception::picture::DEFAULT_BUDGET;
use rullama::source::MemorySource;
use rullama::source::gguf::write::GgufWriter;
use rullama::source::gguf::{Gguf, Metadata, Value};
use rullama::{Cancel, Engine, ExpertMode, GenerateOptions, Medium, Perceived, Picture, Prompt, Sampling, Session, SizeRule};
use rullama_testing::golden;
use std::sync::Arc;

/// Of the largest magnitude, behind our resize.
const RESIZED_BOUND: f32 = 1e-3;

/// The stages between on a picture that is taken as it is.
fn stages(model: &str, engine: &Engine, names: &[&str]) {
    let extra = Tensors::read(if model == "dense" { "mm/stage.dense.safetensors" } else { "mm/extra.safetensors" });
    let outputs = pollster::block_on(engine.perceive(&staged(model, &extra), true, &Cancel::new())).unwrap().outputs;
    for name in names {
        let (want, got) = (extra.get(&format!("stage.{model}.v.{name}")), &outputs[if *name == "tower_out" { "tower" } else { name }].0);
        let bound = if name.starts_with("layer") || *name == "pooled" { STAGE_BOUND * largest(want).max(1.0) } else { STAGE_BOUND };
        close(&format!("{model} {name}"), got, want, bound);
    }
}

fn staged(model: &str, extra: &Tensors) -> Medium {
    let pixels: Vec<u8> = extra.get(&format!("stage.{model}.v.pixels")).iter().map(|v| *v as u8).collect();
    let taken = Picture::new(144, 96, pixels).unwrap();
    // Six soft tokens are the whole budget, so that nothing is resized.
    Medium::Picture(Arc::new(taken), SizeRule::Fill { budget: 6 })
}

/// A file of towers with other metadata.
fn changed(name: &str, change: &dyn Fn(&mut Metadata)) -> Arc<MemorySource> {
    let bytes = std::fs::read(golden(name)).unwrap();
    let mut gguf = pollster::block_on(Gguf::open(&MemorySource::new(name, &bytes[..]))).unwrap();
    change(&mut gguf.metadata);
    let mut stream = GgufWriter::like(&gguf).unwrap().start(Vec::new()).unwrap();
    for tensor in &gguf.tensors {
        stream.write(&tensor.name, &bytes[tensor.range.start as usize..tensor.range.end as usize]).unwrap();
    }
    Arc::new(MemorySource::new(name, stream.finish().unwrap()))
}

/// The file says which form of GELU its tower has.
fn towers_with_quick_gates_agree() {
    let (name, engine) = ("models/mmproj-dense-f16.gguf", engine("models/dense-Q4_0.gguf", None));
    let extra = Tensors::read("mm/stage.dense.safetensors");
    let medium = staged("dense", &extra);
    let perceived = |said: &[(&str, bool)]| {
        let said = |metadata: &mut Metadata| said.iter().for_each(|(key, value)| metadata.set(*key, Value::Bool(*value)));
        pollster::block_on(engine.set_projector(Some(changed(name, &said))));
        pollster::block_on(engine.perceive(&medium, false, &Cancel::new()))
    };
    let (gelu, silu) = ("clip.use_gelu", "clip.use_silu");
    let (exact, quick) = ("soft_tokens", "soft_tokens_quick_gelu");
    for (said, form) in [(&[][..], exact), (&[(gelu, true), (silu, false)], exact), (&[(silu, false)], exact), (&[(gelu, false)], quick)] {
        let got = perceived(said).unwrap().outputs.remove("soft_tokens").unwrap().0;
        close(&format!("{said:?}"), &got, extra.get(&format!("stage.dense.v.{form}")), STAGE_BOUND);
    }
    let refused = perceived(&[(gelu, false), (silu, true)]).unwrap_err();
    assert!(refused.code() == "model-format" && refused.to_string().contains("`clip.use_silu` is true"), "{} {refused}", refused.code());
}

fn soft_tokens(tensors: &Tensors, key: &str, engine: &Engine, name: &str, budget: u32, bound: f32) {
    let Perceived { features, outputs } = pollster::block_on(engine.perceive(&picture(name, budget), false, &Cancel::new())).unwrap();
    let patches = tensors.get(&format!("image.{name}.patches_u8scaled"));
    // Halves of values in 0 ..= 1, or levels.
    let scale = if largest(patches) > 1.0 { 255.0 } else { 1.0 };
    let got: Vec<f32> = features.values.iter().map(|value| value * scale).collect();
    close(&format!("{key} patches"), &got, patches, scale / 4096.0);
    let want = tensors.get(&format!("{key}.soft_tokens"));
    close(&format!("{key} soft tokens"), &outputs["soft_tokens"].0, want, STAGE_BOUND.min(bound * largest(want)));
    if let Some(want) = tensors.0.get(&format!("{key}.tower_pooled")) {
        close(&format!("{key} tower"), &outputs["tower"].0, want, bound * largest(want));
    }
}

fn towers_with_clipped_linears_agree() {
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    stages("dense-ple", &engine, &["embed", "layer_0", "layer_1", "layer_2", "pooled", "tower_out", "soft_tokens"]);
    let mm = Tensors::read("mm/mm.safetensors");
    soft_tokens(&mm, "dense-ple.exact384", &engine, "exact384", 70, TOWER_BOUND);
    soft_tokens(&mm, "dense-ple.resize", &engine, "resize", 70, RESIZED_BOUND);
}

fn towers_agree_on_large_pictures() {
    rullama_testing::variable("RULLAMA_FULL");
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    let key = "dense-ple.exact816x768";
    soft_tokens(&mm, key, &engine, "exact816x768", DEFAULT_BUDGET, TOWER_BOUND);
    answers(&engine, &mm, key, &[picture("exact816x768", DEFAULT_BUDGET)], &one[key]["hf_greedy16"]);
}

/// The tower's weights are its own, whatever the text model's are.
fn towers_that_standardise_agree() {
    let engine = engine("models/dense-Q4_0.gguf", Some("models/mmproj-dense-f16.gguf"));
    stages("dense", &engine, &["embed", "layer_0", "layer_1", "pooled", "tower_out", "soft_tokens"]);
}

fn resized_pictures_agree() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let mm = Tensors::read("mm/mm.safetensors");
    soft_tokens(&mm, "dense.exact384", &engine, "exact384", 70, TOWER_BOUND);
    soft_tokens(&mm, "dense.resize", &engine, "resize", 70, RESIZED_BOUND);
}

fn patches_without_an_encoder_agree() {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let want = Tensors::read("mm/unified.safetensors");
    let outputs = pollster::block_on(engine.perceive(&picture("unified", 70), true, &Cancel::new())).unwrap().outputs;
    for (name, stage) in [("patch_dense", "patch_dense"), ("patch_ln2", "patch_ln2"), ("pos_norm", "tower"), ("soft_tokens", "soft_tokens")]
    {
        close(name, &outputs[stage].0, want.get(&format!("unified.image.{name}")), STAGE_BOUND);
    }
}

fn causal_models_answer_about_pictures() {
    let engine = engine("models/dense-ple-f16.gguf", Some("models/mmproj-dense-ple-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for (name, budget) in [("exact384", 70), ("resize", 70)] {
        let key = format!("dense-ple.{name}");
        answers(&engine, &mm, &key, &[picture(name, budget)], &one[&key]["hf_greedy16"]);
    }
    several("dense-ple", &engine);
}

/// Several pictures in a prompt, apart from each other and side by side.
fn several(model: &str, engine: &Engine) {
    let (extra, all) = (Tensors::read("mm/extra.safetensors"), json("mm/extra.json"));
    let media = [picture("exact384", 70), picture("resize", 70)];
    for name in ["two_images", "adjacent_images"] {
        let key = format!("multi.{model}.{name}");
        answers(engine, &extra, &key, &media, &all["prompts"][&key]["hf_greedy8"]);
    }
    let key = format!("video.{model}");
    let frames: Vec<Medium> = (0..3).map(|i| picture(&format!("frame{i}"), 70)).collect();
    answers(engine, &extra, &key, &frames, &all["prompts"][&key]["hf_greedy8"]);
}

fn models_that_see_pictures_both_ways_answer() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for (name, budget) in [("exact384", 70), ("resize", 70)] {
        let key = format!("dense.{name}");
        answers(&engine, &mm, &key, &[picture(name, budget)], &one[&key]["hf_greedy16"]);
    }
    several("dense", &engine);
}

/// A mixture of experts, its tower inside of another file, the one of a store.
fn mixtures_see() {
    let blob = "ollama_store/blobs/sha256-45f011f59cb4ba52d45bb5d492eb1b2c9cdf431137939ddab53de4ce1939e4db";
    let (mm, one) = (Tensors::read("mm/mm.safetensors"), json("mm/mm.json"));
    for (experts, name) in [(ExpertMode::Resident, "resize"), (ExpertMode::Streamed, "exact384")] {
        let (engine, key) = (engine_of("models/moe-f16.gguf", Some(blob), experts), format!("moe.{name}"));
        let bound = if name == "resize" { RESIZED_BOUND } else { TOWER_BOUND };
        soft_tokens(&mm, &key, &engine, name, 70, bound);
        answers(&engine, &mm, &key, &[picture(name, 70)], &one[&key]["hf_greedy16"]);
    }
}

fn a_model_without_an_encoder_answers() {
    let engine = engine("models/unified-f16.gguf", Some("models/mmproj-unified-f16.gguf"));
    let (tensors, cases) = (Tensors::read("mm/unified.safetensors"), json("mm/unified.json"));
    let greedy = |case: &str| cases["cases"][case]["hf_greedy8"].clone();
    answers(&engine, &tensors, "unified.image", &[picture("unified", 70)], &greedy("image"));
    answers(&engine, &tensors, "unified.text", &[], &greedy("text"));
}

fn files_with_towers_inside_answer() {
    let blob = "ollama_store/blobs/sha256-9324f714eb39f26a18da7a687454e393eb7ba9ad1652b53c9ecc94940b4bad03";
    let engine = engine(blob, None);
    let (tensors, cases) = (Tensors::read("mm/ollama.safetensors"), json("mm/ollama.json"));
    answers(&engine, &tensors, "ollama.text", &[], &cases["text"]["hf_greedy12"]);
    assert_eq!(pollster::block_on(engine.tower_bytes()), 0, "a tower was loaded for text");
    answers(&engine, &tensors, "ollama.image", &[picture("exact384", 70)], &cases["image"]["hf_greedy12"]);
    assert!(pollster::block_on(engine.tower_bytes()) > 0);
    let before = engine.memory().gpu;
    let bytes = pollster::block_on(engine.tower_bytes());
    pollster::block_on(engine.release_towers());
    assert!(engine.memory().gpu <= before - bytes, "{} of {before} after {bytes} were given back", engine.memory().gpu);
}

/// The next turn goes on from the picture; another picture of the same size never does.
fn caches_know_pictures_by_content() {
    let engine = engine("models/dense-f16.gguf", Some("models/mmproj-dense-f16.gguf"));
    let mm = Tensors::read("mm/mm.safetensors");
    let of = |medium: Medium| prompt(&engine, mm.numbers("dense.exact384.ids"), &[medium]);
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(4), ignore_eos: true, ..Default::default() };
    let ask = |session: &mut Session, prompt: &Prompt| {
        let summary = pollster::block_on(session.generate_prompt(prompt, &options, &Cancel::new(), &mut |_| ())).unwrap();
        (summary.ids, summary.timings.prefilled_tokens as usize)
    };
    let [one, other] = [of(picture("exact384", 70)), of(picture("frame0", 70))];
    let mut session = pollster::block_on(engine.session()).unwrap();
    let (first, all) = ask(&mut session, &one);
    assert_eq!(all, one.len());
    assert_eq!(ask(&mut session, &one), (first.clone(), 1));
    let (second, computed) = ask(&mut session, &other);
    assert!(second != first && computed > 64, "{computed} of another picture's tokens were computed");
    // As a fresh session does.
    let mut fresh = pollster::block_on(engine.session()).unwrap();
    assert_eq!(ask(&mut fresh, &other).0, second);
    // A prompt that ends inside of the picture shares nothing of it.
    let cut = pollster::block_on(fresh.truncate(40));
    assert!(cut.is_ok());
    assert_eq!(ask(&mut fresh, &other).0, second);

    let saved = pollster::block_on(session.save()).unwrap();
    let header = u64::from(u32::from_le_bytes(saved[40..44].try_into().unwrap()));
    assert_eq!(session.saved_bytes(), saved.len() as u64 - 44 - header);
    let mut restored = pollster::block_on(engine.session()).unwrap();
    pollster::block_on(restored.restore(&saved)).unwrap();
    assert_eq!(ask(&mut restored, &other), (second.clone(), 1));
    // Computed anew from what was saved.
    pollster::block_on(restored.restore(&saved)).unwrap();
    pollster::block_on(restored.truncate(other.len() as u32)).unwrap();
    assert_eq!(ask(&mut restored, &other).0, second);
}

fn what_does_not_fit_is_said() {
    let engine = engine("models/dense-ple-f16.gguf", None);
    let medium = picture("exact384", 70);
    let encode = || pollster::block_on(engine.encode(&medium, &Cancel::new()));
    let refused = encode().unwrap_err();
    assert_eq!(refused.code(), "model-unsupported");
    assert!(refused.to_string().contains("no tower for pictures"), "{refused}");
    pollster::block_on(engine.set_projector(Some(source(&golden("models/mmproj-unified-f16.gguf")))));
    let refused = encode().unwrap_err().to_string();
    assert!(refused.contains("another model's"), "{refused}");
    // A text model is no file of towers.
    pollster::block_on(engine.set_projector(Some(source(&golden("models/dense-f16.gguf")))));
    assert!(encode().unwrap_err().to_string().contains("no tower for pictures"));
    pollster::block_on(engine.set_projector(Some(source(&golden("models/mmproj-dense-ple-f16.gguf")))));
    let soft = encode().unwrap();
    let strip = Picture::new(1, 30_000, vec![9; 90_000]).unwrap();
    let refused = pollster::block_on(engine.encode(&Medium::picture(strip), &Cancel::new())).unwrap_err().to_string();
    assert!(refused.contains("840 patches"), "{refused}");
    let cancel = Cancel::new();
    cancel.cancel();
    let fresh = picture("frame1", 70);
    assert_eq!(pollster::block_on(engine.encode(&fresh, &cancel)).unwrap_err().code(), "cancelled");
    let mm = Tensors::read("mm/mm.safetensors");
    let all = mm.numbers("dense-ple.exact384.ids");
    for (ids, media) in
        [(all[..40].to_vec(), vec![soft.clone()]), (all.clone(), vec![soft.clone(), soft.clone()]), (vec![2, 3], vec![soft])]
    {
        assert_eq!(Prompt::new(&engine, ids, &media).unwrap_err().code(), "invalid-argument");
    }
}

/// Where a conversation finds no room, a tower that nobody uses goes, and comes again with the next picture.
fn idle_towers_make_room() {
    let engine = engine("models/dense-Q4_0.gguf", Some("models/mmproj-dense-f16.gguf"));
    let see = || pollster::block_on(engine.perceive(&picture("exact384", 70), false, &Cancel::new())).map(|seen| seen.outputs);
    let answer = || pollster::block_on(async { engine.session().await?.greedy(&[2, 5, 9], 4).await });
    let (tower, allocated) = (|| pollster::block_on(engine.tower_bytes()), || engine.device().allocated());
    let seen = see().unwrap();
    let want = answer().unwrap();
    let (before, bytes) = (allocated(), tower());
    let session = pollster::block_on(engine.session()).unwrap();
    let wanted = allocated() - before;
    drop(session);
    assert!(bytes > 0 && wanted > 0 && allocated() == before);
    engine.device().limit_memory(Some(before + wanted - 1));
    assert_eq!(answer().unwrap(), want);
    assert_eq!((tower(), allocated()), (0, before - bytes));
    // Nothing is left to go, so that what is refused is this call's.
    engine.device().limit_memory(Some(allocated() + wanted - 1));
    assert_eq!(answer().unwrap_err().code(), "out-of-memory");
    assert_eq!(see().unwrap_err().code(), "out-of-memory");
    engine.device().limit_memory(None);
    assert_eq!(see().unwrap(), seen);
    assert_eq!((tower(), answer().unwrap()), (bytes, want));
}

rullama_testing::tests! {
    idle_towers_make_room,
    causal_models_answer_about_pictures, models_that_see_pictures_both_ways_answer, a_model_without_an_encoder_answers,
    files_with_towers_inside_answer, caches_know_pictures_by_content, what_does_not_fit_is_said,
    towers_with_quick_gates_agree, mixtures_see, towers_with_clipped_linears_agree, towers_agree_on_large_pictures, towers_that_standardise_agree, resized_pictures_agree, patches_without_an_encoder_agree,
}
