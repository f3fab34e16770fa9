//! What each form may look like, and that every form gives the same pairs.

use crate::common::{
    CONFIG, MODEL, adapter, assert_same_terms, config, f32s, peft, query, read_all, read_blobs, safetensors, values, with_table,
};
use rullama_adapter::{Adapter, Form, Module, Pair, Precision, Target, gguf, peft as form};
use rullama_quant::{DType, encode};
use rullama_source::gguf::{Metadata, Value as Meta, write::GgufWriter};
use serde_json::json;

fn peft_there_and_back() {
    let first = with_table();
    let again = read_blobs(&form::write(&first, Precision::F32).unwrap()).unwrap();
    assert!(again.pairs == first.pairs);
    assert_eq!((again.info.rank, again.info.alpha, again.info.rslora, again.info.form), (2, 4.0, false, Some(Form::Peft)));
    assert_eq!(again.digest(), first.digest());
    let half = read_blobs(&form::write(&first, Precision::F16).unwrap()).unwrap();
    assert_same_terms(&first, &half, 2e-3);
}

fn scales_survive_whatever_they_are() {
    let mut first = adapter();
    for (i, pair) in first.pairs.values_mut().enumerate() {
        pair.scale = [0.3, 1.0 / 3.0, 0.0, -2.0, 1e-8, 7.1][i % 6];
    }
    let peft = read_blobs(&form::write(&first, Precision::F32).unwrap()).unwrap();
    for (target, pair) in &first.pairs {
        assert_eq!(peft.pairs[target].scale, pair.scale, "{target}");
    }
    let gguf = read_blobs(&gguf::write(&first, Precision::F32, "a.gguf", None).unwrap()).unwrap();
    for (target, pair) in &first.pairs {
        let [ours, theirs] = [pair, &gguf.pairs[target]].map(|pair| crate::common::delta(*target, pair));
        let most = ours.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= 1e-6 * most), "{target}");
    }
}

fn rank_stabilised_adapters_stay_so() {
    let mut first = Adapter { name: "rs".into(), ..Adapter::default() };
    first.info.rslora = true;
    for layer in 0..3 {
        first.pairs.insert(Target::layer(layer, Module::V), crate::common::pair(3, 5.0, true, 4, 6));
    }
    let blobs = form::write(&first, Precision::F32).unwrap();
    let again = read_blobs(&blobs).unwrap();
    assert!(again.info.rslora && again.pairs == first.pairs && again.pairs.values().all(|pair| pair.scale == (5.0 / 3f64.sqrt()) as f32));
    // A pair that does not have such a scale makes plain LoRA of all, with the same terms.
    first.pairs.values_mut().next().unwrap().scale = 1.25;
    let again = read_blobs(&form::write(&first, Precision::F32).unwrap()).unwrap();
    assert!(!again.info.rslora);
    assert_same_terms(&first, &again, 1e-6);
}

fn full_paths_keep_pefts_hands_off_the_towers() {
    let blobs = form::write(&with_table(), Precision::F32).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&blobs[1].bytes).unwrap();
    let targets: Vec<&str> = config["target_modules"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(targets.len(), with_table().pairs.len());
    assert!(targets.iter().all(|name| name.starts_with("model.language_model.") || *name == "lm_head"), "{targets:?}");
    assert_eq!(config["rank_pattern"], json!({"layers.12.self_attn.o_proj": 3}));
}

fn patterns_and_targets_as_peft_has_them() {
    let tensors = || [query(1), query(11)].concat();
    let scales = |changes: serde_json::Value| {
        let adapter = peft(&tensors(), changes).unwrap();
        [1, 11].map(|layer| adapter.pairs[&Target::layer(layer, Module::Q)].scale)
    };
    assert_eq!(scales(json!({})), [2.0, 2.0]);
    assert_eq!(scales(json!({"alpha_pattern": {"layers.1.self_attn.q_proj": 8}})), [4.0, 2.0]);
    assert_eq!(scales(json!({"alpha_pattern": {"q_proj": 6, "layers.1.self_attn.q_proj": 8}})), [3.0, 3.0]);
    assert_eq!(scales(json!({"alpha_pattern": {r"layers\.1.\.self_attn\.(q|k)_proj": 1.5}})), [2.0, 0.75]);
    assert_eq!(scales(json!({"use_rslora": true})), [(4.0 / 2f64.sqrt()) as f32; 2]);
    // What PEFT puts adapters on, in every way to say it.
    for targets in [
        json!(["q_proj"]),
        json!(["k_proj", "self_attn.q_proj"]),
        json!("all-linear"),
        json!(r"model\.language_model\..*\.q_proj"),
        json!(r"model\.layers\.\d+\.self_attn\.(q|v)_proj"),
        json!(r"^(?!.*vision).*q_proj$"),
        json!(null),
    ] {
        assert_eq!(peft(&tensors(), json!({"target_modules": targets})).unwrap().pairs.len(), 2, "{targets}");
    }
    for targets in [json!(["k_proj"]), json!(["proj"]), json!("q_proj"), json!(r".*\.layers\.1\..*"), json!([])] {
        let message = peft(&tensors(), json!({"target_modules": targets})).unwrap_err().to_string();
        assert!(message.contains("target_modules") && message.contains("q_proj.lora_A"), "{targets}: {message}");
    }
}

fn names_of_other_classes_and_of_several_adapters() {
    let one = |prefix: &str, tail: &str| {
        let name = |half: &str| format!("{prefix}layers.5.self_attn.q_proj.lora_{half}{tail}");
        let tensors: Vec<_> =
            [name("A"), name("B")].into_iter().zip(query(0)).map(|(name, (_, dtype, shape, bytes))| (name, dtype, shape, bytes)).collect();
        peft(&tensors, json!({})).unwrap()
    };
    let expected = one("base_model.model.model.language_model.", ".weight");
    for (prefix, tail) in
        [("base_model.model.model.", ".weight"), ("base_model.model.model.", ".default.weight"), ("model.language_model.", ".mine.weight")]
    {
        assert!(one(prefix, tail).pairs == expected.pairs, "{prefix}{tail}");
    }
}

fn towers_and_copies_of_weights_are_left_out_and_named() {
    let mut tensors = query(0);
    let towers =
        ["A", "B"].map(|half| format!("base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.linear.lora_{half}.weight"));
    let base = "base_model.model.lm_head.base_layer.weight".to_owned();
    for name in towers.iter().chain([&base]) {
        tensors.push((name.clone(), "F32", &[1, 1], f32s(&[1.0])));
    }
    let adapter = peft(&tensors, json!({})).unwrap();
    assert_eq!(adapter.pairs.len(), 1);
    let mut left_out = adapter.info.left_out;
    left_out.sort();
    assert_eq!(left_out, [base, towers[0].clone(), towers[1].clone()]);
    let message = peft(&tensors[2..], json!({})).unwrap_err().to_string();
    assert!(message.contains("nothing for the language model"), "{message}");
}

fn types_of_values() {
    let exact: Vec<f32> = values(3, 8).iter().map(|value| (value * 8.0).round() / 8.0).collect();
    let as_type = |dtype: DType| {
        let mut bytes = Vec::new();
        encode(dtype, &exact, &mut bytes).unwrap();
        bytes
    };
    for (name, dtype) in [("F32", DType::F32), ("F16", DType::F16), ("BF16", DType::BF16)] {
        let mut tensors = query(0);
        (tensors[0].1, tensors[0].3) = (name, as_type(dtype));
        assert_eq!(peft(&tensors, json!({})).unwrap().pairs[&Target::layer(0, Module::Q)].a, exact);
    }
}

/// A GGUF adapter: tensors by name, dimensions and type, with their values.
fn gguf_file(alpha: Option<f32>, tensors: &[(&str, &[u64], DType, Vec<f32>)]) -> Vec<u8> {
    let mut metadata = Metadata::default();
    for (key, value) in [("general.architecture", "gemma4"), ("general.type", "adapter"), ("adapter.type", "lora")] {
        metadata.set(key, Meta::String(value.into()));
    }
    if let Some(alpha) = alpha {
        metadata.set("adapter.lora.alpha", Meta::F32(alpha));
    }
    let mut writer = GgufWriter::new(metadata).unwrap();
    for (name, dims, dtype, _) in tensors {
        writer.add(name, dims, *dtype).unwrap();
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for (name, _, dtype, values) in tensors {
        let mut bytes = Vec::new();
        encode(*dtype, values, &mut bytes).unwrap();
        stream.write(name, &bytes).unwrap();
    }
    stream.finish().unwrap()
}

fn gguf_turns_the_embedding() {
    let (a, b) = (values(1, 2 * 5), values(2, 3 * 2));
    // Rows by token: [5, 2].
    let turned: Vec<f32> = (0..5).flat_map(|token| [a[token], a[5 + token]]).collect();
    let file = gguf_file(
        Some(3.0),
        &[("token_embd.weight.lora_a", &[2, 5], DType::F32, turned), ("token_embd.weight.lora_b", &[2, 3], DType::F32, b.clone())],
    );
    let adapter = read_all(&[("e.gguf", &file)]).unwrap();
    assert_eq!(adapter.pairs[&Target::model(Module::Embedding)], Pair::new(2, 3.0, false, a, b));
    assert_eq!(adapter.name, "e");
}

fn gguf_types_alpha_and_further_tensors() {
    let tensors = |dtype| {
        let (a, b) = (values(1, 32 * 32), values(2, 32 * 32));
        gguf_file(
            Some(64.0),
            &[
                ("blk.0.inp_gate.weight.lora_a", &[32, 32], dtype, a),
                ("blk.0.attn_norm.weight", &[32], DType::F32, vec![1.0; 32]),
                ("blk.0.inp_gate.weight.lora_b", &[32, 32], dtype, b),
                ("v.blk.0.attn_q.weight.lora_a", &[32, 1], DType::F32, vec![1.0; 32]),
            ],
        )
    };
    let read = |dtype| read_all(&[("a", &tensors(dtype))]).unwrap();
    let exact = read(DType::F32);
    assert_eq!(exact.pairs[&Target::layer(0, Module::PerLayerGate)].scale, 2.0);
    assert_eq!(exact.info.left_out, ["blk.0.attn_norm.weight", "v.blk.0.attn_q.weight.lora_a"]);
    for (dtype, tolerance) in [(DType::F16, 1e-3), (DType::BF16, 3e-2), (DType::Q8_0, 3e-2)] {
        assert_same_terms(&exact, &read(dtype), tolerance);
    }
    let message = read_all(&[("a", &tensors(DType::Q4_0))]).unwrap_err().to_string();
    assert!(message.contains("Q4_0") && message.contains("inp_gate"), "{message}");
    // Rank 1, whose last dimension ggml leaves out, and no alpha.
    for alpha in [None, Some(0.0)] {
        let one =
            [("output.weight.lora_a", &[3u64][..], DType::F32, vec![1.0; 3]), ("output.weight.lora_b", &[1, 4], DType::F32, vec![2.0; 4])];
        let adapter = read_all(&[("a", &gguf_file(alpha, &one))]).unwrap();
        let pair = &adapter.pairs[&Target::model(Module::Head)];
        assert_eq!((pair.scale, pair.rank, pair.inputs, pair.outputs), (1.0, 1, 3, 4));
    }
}

fn rullama_of_earlier_versions() {
    let texts = json!({"rank": "2", "alpha": "3", "target_modules": "attn_q, attn_o,lm_head"});
    let of = |name: &'static str, shape: &'static [usize], seed| (name, "F32", shape, f32s(&values(seed, shape[0] * shape[1])));
    let tensors = [
        of("lora.blk.0.attn_q.A", &[2, 4], 1),
        of("lora.blk.0.attn_q.B", &[6, 2], 2),
        of("lora.blk.11.attn_o.A", &[2, 6], 3),
        of("lora.blk.11.attn_o.B", &[4, 2], 4),
        of("lora.blk.0.lm_head.A", &[2, 4], 5),
        of("lora.blk.0.lm_head.B", &[9, 2], 6),
    ];
    let adapter = read_all(&[("mine.safetensors", &safetensors(&tensors, texts.clone()))]).unwrap();
    assert_eq!((adapter.name.as_str(), adapter.info.form, adapter.info.rank), ("mine", Some(Form::Rullama), 2));
    let expected = [Target::layer(0, Module::Q), Target::layer(11, Module::O), Target::model(Module::Head)];
    let mut found: Vec<Target> = adapter.pairs.keys().copied().collect();
    found.sort_by_key(|target| (target.module, target.layer));
    assert_eq!(found, expected);
    let q = &adapter.pairs[&expected[0]];
    assert_eq!((q.scale, q.inputs, q.outputs, &q.a), (1.5, 4, 6, &values(1, 8)));
    for (texts, what) in [
        (json!({"rank": "3", "alpha": "3"}), "rank is 2"),
        (json!({"rank": "0", "alpha": "3"}), "rank"),
        (json!({"rank": "2.5", "alpha": "3"}), "rank"),
        (json!({"alpha": "3"}), "rank"),
        (json!({"rank": "2"}), "alpha"),
        (json!({"rank": "2", "alpha": "inf"}), "alpha"),
        (json!({"rank": "2", "alpha": "much"}), "alpha"),
        (json!({"rank": "2", "alpha": "3", "target_modules": "attn_q"}), "target_modules"),
    ] {
        let message = read_all(&[("m", &safetensors(&tensors, texts.clone()))]).unwrap_err().to_string();
        assert!(message.contains(what), "{texts}: {message}");
    }
    for name in ["lora.blk.0.attn_x.A", "lora.blk.0.attn_q.C", "lora.blk.x.attn_q.A", "lora.blk.1.lm_head.A", "other"] {
        let mut tensors = tensors.to_vec();
        tensors[0].0 = name;
        let message = read_all(&[("m", &safetensors(&tensors, texts.clone()))]).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

fn one_form_and_all_of_it() {
    let peft = form::write(&adapter(), Precision::F32).unwrap();
    let gguf = gguf::write(&adapter(), Precision::F32, "a.gguf", None).unwrap().remove(0).bytes;
    let (model, json) = (&peft[0].bytes[..], &peft[1].bytes[..]);
    for (files, what) in [
        (vec![], "nothing was given"),
        (vec![(MODEL, model)], CONFIG),
        (vec![(CONFIG, json)], MODEL),
        (vec![(CONFIG, json), (CONFIG, json), (MODEL, model)], "second configuration"),
        (vec![(CONFIG, json), ("x", &gguf)], "GGUF"),
        (vec![("x", &gguf), (MODEL, model)], "second file"),
        (vec![("x", b"" as &[u8])], "empty"),
        (vec![("x", b"PK\x03\x04rest of a zip")], "safe_serialization"),
        (vec![("x", b"<!doctype html><p>")], "web page"),
        (vec![("x", b"hello there, this is text")], "text"),
        (vec![(MODEL, &config(json!({})))], MODEL),
    ] {
        let message = read_all(&files).unwrap_err().to_string();
        assert!(message.contains(what) && message.ends_with('.'), "{message}");
    }
    // The order and the names do not matter.
    assert!(read_all(&[("b", model), ("a", json)]).unwrap().pairs == adapter().pairs);
}

rullama_testing::tests! {
    peft_there_and_back,
    scales_survive_whatever_they_are,
    rank_stabilised_adapters_stay_so,
    full_paths_keep_pefts_hands_off_the_towers,
    patterns_and_targets_as_peft_has_them,
    names_of_other_classes_and_of_several_adapters,
    towers_and_copies_of_weights_are_left_out_and_named,
    types_of_values,
    gguf_turns_the_embedding,
    gguf_types_alpha_and_further_tensors,
    rullama_of_earlier_versions,
    one_form_and_all_of_it,
}
