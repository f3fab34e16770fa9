//! Files that are cut, damaged or made to harm: an error that names the thing, soon, and never a panic.

use crate::common::{CONFIG, MODEL, adapter, config, f32s, framed, peft, query, read_all, safetensors, values};
use rullama_adapter::{Adapter, AdapterError, Precision, gguf, peft as form};
use serde_json::{Value, json};

/// Small files of each form: name and content, the one to damage first.
fn forms() -> Vec<Vec<(&'static str, Vec<u8>)>> {
    let mut small = adapter();
    while small.pairs.len() > 2 {
        small.pairs.pop_last();
    }
    let [model, json] = form::write(&small, Precision::F32).unwrap().try_into().unwrap();
    let gguf = gguf::write(&small, Precision::F16, "a.gguf", None).unwrap().remove(0);
    let tensor = |name: &'static str, shape: &'static [usize]| (name, "F32", shape, f32s(&values(1, shape[0] * shape[1])));
    let earlier = safetensors(
        &[tensor("lora.blk.0.ffn_up.A", &[1, 3]), tensor("lora.blk.0.ffn_up.B", &[2, 1])],
        json!({"rank": "1", "alpha": "2", "target_modules": "ffn_up"}),
    );
    vec![
        vec![(MODEL, model.bytes.clone()), (CONFIG, json.bytes.clone())],
        vec![(CONFIG, json.bytes), (MODEL, model.bytes)],
        vec![("a.gguf", gguf.bytes)],
        vec![("mine.safetensors", earlier)],
    ]
}

fn with_first(files: &[(&str, Vec<u8>)], first: &[u8]) -> Result<Adapter, AdapterError> {
    let mut all: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    all[0].1 = first;
    read_all(&all)
}

fn cut_at_every_byte() {
    for files in forms() {
        let whole = &files[0].1;
        assert!(with_first(&files, whole).is_ok());
        // A text stays what it is without the white space at its end, and padding is not looked at.
        let needed = if files[0].0 == "a.gguf" { whole.len() - 32 } else { whole.len() };
        for len in 0..needed {
            let error = with_first(&files, &whole[..len]).expect_err(files[0].0).to_string();
            assert!(error.contains(files[0].0) && error.ends_with('.'), "{len}: {error}");
        }
    }
}

fn every_byte_flipped() {
    for files in forms() {
        let whole = files[0].1.clone();
        for at in 0..whole.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= bits;
                // Some changes make another adapter; what is read is in order all the same.
                if let Ok(adapter) = with_first(&files, &damaged) {
                    adapter.check().unwrap();
                }
            }
        }
    }
}

fn refused(files: &[(&str, &[u8])], what: &str) {
    let message = read_all(files).expect_err(what).to_string();
    assert!(message.contains(what) && message.ends_with('.'), "{what}: {message}");
}

fn headers_of_safetensors() {
    let config = config(json!({}));
    let check = |bytes: &[u8], what: &str| refused(&[(CONFIG, &config), (MODEL, bytes)], what);
    let good =
        safetensors(&[("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32", &[1, 1], f32s(&[1.0]))], json!(null));
    for size in [u64::MAX, 1 << 62, 1 << 40, (16 << 20) + 1] {
        check(&[&size.to_le_bytes()[..], &good[8..]].concat(), "16777216");
    }
    check(&[&(good.len() as u64).to_le_bytes()[..], &good[8..]].concat(), "ends in it");
    let a = "x.layers.0.self_attn.q_proj.lora_A.weight";
    let tensor =
        |name: &str, from: u64, to: u64| format!(r#""{name}": {{"dtype": "F32", "shape": [1, 1], "data_offsets": [{from}, {to}]}}"#);
    let header = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
    // Ranges that overlap, leave a gap, go back, or leave the file; more data than tensors.
    for (tensors, len) in [
        (vec![tensor(a, 0, 4), tensor("y", 2, 6)], 8),
        (vec![tensor(a, 0, 4), tensor("y", 0, 4)], 4),
        (vec![tensor(a, 0, 4), tensor("y", 8, 12)], 12),
        (vec![tensor(a, 4, 0)], 4),
        (vec![tensor(a, 0, 8)], 8),
        (vec![tensor(a, 0, 4)], 3),
        (vec![tensor(a, 0, 4)], 5),
        (vec![tensor(a, 0, u64::MAX)], 4),
    ] {
        check(&framed(&header(&tensors), &vec![0; len]), "header");
    }
    for text in [
        format!(r#"{{"{a}": {{"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}}}"#),
        format!(r#"{{"{a}": {{"dtype": "F32", "shape": [18446744073709551615, 2], "data_offsets": [0, 4]}}}}"#),
        format!(r#"{{"{a}": {{"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}}}"#),
        r#"{"__metadata__": {"a": 1}}"#.to_owned(),
        format!("{{{}", "[".repeat(100_000)),
        "{\"a".to_owned(),
    ] {
        check(&framed(&text, &[0; 4]), "header");
    }
}

fn tensors_that_do_not_make_pairs() {
    type Change = fn(&mut Vec<(String, &'static str, &'static [usize], Vec<u8>)>);
    let changes: [(Change, &str); 14] = [
        (|all| drop(all.remove(0)), "matrix A of layers.0.self_attn.q_proj is missing"),
        (|all| drop(all.remove(1)), "matrix B of layers.0.self_attn.q_proj is missing"),
        (|all| all[0].3[..4].copy_from_slice(&f32::NAN.to_le_bytes()), "NaN"),
        (|all| all[1].3[..4].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes()), "-inf"),
        (|all| all[0].2 = &[8], "shape"),
        (|all| all[0].2 = &[2, 2, 2], "shape"),
        (|all| all[0].2 = &[4, 2], "rank is 2, that of"),
        (|all| (all[0].2, all[0].3) = (&[0, 4], Vec::new()), "shape"),
        (|all| (all[0].1, all[0].2) = ("I32", &[2, 4]), "type is I32"),
        (|all| (all[0].1, all[0].2) = ("F64", &[2, 2]), "type is F64"),
        (|all| all[1].0 = all[1].0.replace("lora_B", "lora_magnitude_vector"), "DoRA"),
        (|all| all[1].0 = all[1].0.replace("weight", "bias"), "bias"),
        (|all| all.push(("base_model.model.lm_head.weight".into(), "F32", &[1, 1], f32s(&[1.0]))), "modules_to_save"),
        (
            |all| all.push(("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".into(), "F32", &[2, 4], f32s(&[1.0; 8]))),
            "same matrix",
        ),
    ];
    for (change, what) in changes {
        let mut tensors = query(0);
        change(&mut tensors);
        let message = peft(&tensors, json!({})).expect_err(what).to_string();
        assert!(message.contains(what) && message.contains(MODEL) && message.ends_with('.'), "{what}: {message}");
    }
}

fn configurations_that_mean_something_else() {
    for (changes, what) in [
        (json!({"use_dora": true}), "DoRA"),
        (json!({"use_qalora": true}), "use_qalora"),
        (json!({"use_something_new": {"a": 1}}), "use_something_new"),
        (json!({"lora_bias": true}), "lora_bias"),
        (json!({"bias": "all"}), "bias"),
        (json!({"bias": "lora_only"}), "bias"),
        (json!({"modules_to_save": ["lm_head"]}), "modules_to_save"),
        (json!({"fan_in_fan_out": true}), "fan_in_fan_out"),
        (json!({"layer_replication": [[0, 4]]}), "layer_replication"),
        (json!({"target_parameters": ["experts.gate"]}), "target_parameters"),
        (json!({"trainable_token_indices": [3]}), "trainable_token_indices"),
        (json!({"alora_invocation_tokens": [1, 2]}), "aLoRA"),
        (json!({"arrow_config": {"top_k": 2}}), "Arrow"),
        (json!({"init_lora_weights": "pissa_niter_4"}), "pissa_niter_4"),
        (json!({"init_lora_weights": "olora"}), "olora"),
        (json!({"peft_type": "IA3"}), "IA3"),
        (json!({"peft_type": null}), "peft_type"),
        (json!({"r": null}), "r is missing"),
        (json!({"lora_alpha": null}), "lora_alpha is missing"),
        (json!({"r": 0}), "r is 0"),
        (json!({"r": -2}), "r is -2"),
        (json!({"r": 1e9}), "r is 1"),
        (json!({"r": 4097}), "4096"),
        (json!({"r": "2"}), "r is \"2\""),
        (json!({"lora_alpha": "4"}), "lora_alpha"),
        (json!({"lora_alpha": 1e300}), "lora_alpha"),
        (json!({"use_rslora": "yes"}), "use_rslora"),
        (json!({"r": 4}), "by r and rank_pattern"),
        (json!({"rank_pattern": {"q_proj": 3}}), "by r and rank_pattern"),
        (json!({"rank_pattern": ["q_proj"]}), "rank_pattern"),
        (json!({"rank_pattern": {"q_proj": "2"}}), "q_proj"),
        (json!({"alpha_pattern": {"q_proj": true}}), "q_proj"),
        (json!({"alpha_pattern": {"(": 1}}), "alpha_pattern"),
        (json!({"alpha_pattern": {"(a{200}){200}{200}": 1}}), "alpha_pattern"),
        (json!({"target_modules": 3}), "target_modules"),
        (json!({"target_modules": ["q_proj", 3]}), "target_modules"),
    ] {
        let message = peft(&query(0), changes.clone()).expect_err(what).to_string();
        assert!(message.contains(what) && message.ends_with('.'), "{changes}: {message}");
    }
    let many: Value = (0..40).map(|i| (format!("x{i}.*"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    assert!(peft(&query(0), json!({"alpha_pattern": many})).unwrap_err().to_string().contains("32 regular expressions"));
    for harmless in [
        json!({"use_dora": false, "modules_to_save": [], "layer_replication": null, "loftq_config": {}, "lora_bias": false}),
        json!({"init_lora_weights": "gaussian", "bias": null, "unknown": [1, 2]}),
        json!({"ensure_weight_tying": true}),
    ] {
        assert_eq!(peft(&query(0), harmless).unwrap().pairs.len(), 1);
    }
}

fn tied_adapters_and_texts_that_are_no_configuration() {
    let name = |half: &str| format!("base_model.model.lm_head.lora_{half}.weight");
    let head = vec![(name("A"), "F32", &[2, 4][..], f32s(&values(1, 8))), (name("B"), "F32", &[3, 2][..], f32s(&values(2, 6)))];
    assert_eq!(peft(&head, json!({})).unwrap().pairs.len(), 1);
    assert!(peft(&head, json!({"ensure_weight_tying": true})).unwrap_err().to_string().contains("ensure_weight_tying"));
    let model = form::write(&adapter(), Precision::F32).unwrap().remove(0).bytes;
    for (text, what) in [("{", "JSON"), ("{\"peft_type\": NaN}", "JSON"), ("{}", "peft_type"), ("{\"peft_type\": 3}", "peft_type")] {
        refused(&[(CONFIG, text.as_bytes()), (MODEL, &model)], what);
    }
    let long = format!("{{\"peft_type\": \"LORA\", \"x\": \"{}\"}}", "x".repeat(5 << 20));
    refused(&[(CONFIG, long.as_bytes()), (MODEL, &model)], "4194304");
}

fn many_names_take_no_long_time() {
    let patterns: serde_json::Map<String, Value> = (0..50_000).map(|i| (format!("layers.{i}.self_attn.q_proj"), json!(1))).collect();
    let tensors: Vec<_> = (0..1024).flat_map(query).collect();
    let begun = std::time::Instant::now();
    let adapter = peft(&tensors, json!({"alpha_pattern": patterns, "target_modules": ".*(a|b|q_proj)*(q_proj)+"})).unwrap();
    assert_eq!(adapter.pairs.len(), 1024);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

fn gguf_files_that_are_no_adapters() {
    use rullama_source::gguf::{Metadata, Value as Meta, write::GgufWriter};
    let file = |changes: &[(&str, Option<Meta>)], tensors: &[(&str, &[u64])]| {
        let mut metadata = Metadata::default();
        for (key, value) in [("general.architecture", "gemma4"), ("general.type", "adapter"), ("adapter.type", "lora")] {
            metadata.set(key, Meta::String(value.into()));
        }
        metadata.set("adapter.lora.alpha", Meta::F32(2.0));
        for (key, value) in changes {
            match value {
                Some(value) => metadata.set(*key, value.clone()),
                None => drop(metadata.take(key)),
            }
        }
        let mut writer = GgufWriter::new(metadata).unwrap();
        tensors.iter().for_each(|(name, dims)| writer.add(name, dims, rullama_quant::DType::F32).unwrap());
        let mut stream = writer.start(Vec::new()).unwrap();
        for (name, dims) in tensors {
            stream.write(name, &vec![0; 4 * dims.iter().product::<u64>() as usize]).unwrap();
        }
        stream.finish().unwrap()
    };
    let text = |text: &str| Some(Meta::String(text.into()));
    let (a, b): (&str, &str) = ("blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b");
    let pair: &[(&str, &[u64])] = &[(a, &[4, 2]), (b, &[2, 3])];
    assert!(read_all(&[("a.gguf", &file(&[], pair))]).is_ok());
    for (changes, what) in [
        (("general.type", text("model")), "is a GGUF model"),
        (("general.type", None), "is a GGUF model"),
        (("general.architecture", text("llama")), "llama"),
        (("adapter.type", text("ia3")), "ia3"),
        (("adapter.type", None), "adapter.type"),
        (("adapter.lora.alpha", Some(Meta::F32(f32::NAN))), "alpha"),
        (("adapter.lora.alpha", text("2")), "alpha"),
        (("adapter.alora.invocation_tokens", Some(Meta::U32(3))), "alora"),
    ] {
        refused(&[("a.gguf", &file(&[changes], pair))], what);
    }
    type Tensors<'a> = &'a [(&'a str, &'a [u64])];
    let wrong: [(Tensors<'_>, &str); 8] = [
        (&[(a, &[4, 2])], "matrix B"),
        (&[(b, &[2, 3])], "matrix A"),
        (&[(a, &[4, 2]), (b, &[3, 2])], "rank"),
        (&[(a, &[4, 2, 2]), (b, &[2, 3])], "shape"),
        (&[(a, &[4, 4097]), (b, &[4097, 3])], "4097"),
        (&[(a, &[4, 2]), (b, &[2, 3]), ("blk.0.attn_q.bias", &[3])], "neither"),
        (&[("blk.0.ffn_gate_exps.weight.lora_a", &[4, 2])], "ffn_gate_exps"),
        (&[], "no tensor"),
    ];
    for (tensors, what) in wrong {
        refused(&[("a.gguf", &file(&[], tensors))], what);
    }
}

rullama_testing::tests! {
    cut_at_every_byte,
    every_byte_flipped,
    headers_of_safetensors,
    tensors_that_do_not_make_pairs,
    configurations_that_mean_something_else,
    tied_adapters_and_texts_that_are_no_configuration,
    many_names_take_no_long_time,
    gguf_files_that_are_no_adapters,
}
