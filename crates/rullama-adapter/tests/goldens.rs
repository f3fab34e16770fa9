//! Adapters that PEFT and gguf-py wrote: what is read of them, and that what is written equals them.

use crate::common::{assert_same_terms, read_blobs};
use rullama_adapter::{Adapter, Blob, Form, Module, Precision, Target, files, gguf, peft, read};
use rullama_source::gguf::Gguf;
use rullama_source::{ByteSource, MemorySource};
use rullama_testing::golden;
use serde_json::Value;
use std::collections::BTreeMap;

fn at(path: &str) -> Adapter {
    let path = golden(&format!("grad/peft/{path}"));
    pollster::block_on(read(&files::open(&path).unwrap())).unwrap()
}

fn both_forms_are_one_adapter() {
    let facts: Value = serde_json::from_slice(&std::fs::read(golden("grad/peft.json")).unwrap()).unwrap();
    for (name, targets) in [("plain", 43), ("rslora", 18)] {
        let (folder, file) = (at(name), at(&format!("{name}.gguf")));
        assert_eq!((folder.info.form, file.info.form), (Some(Form::Peft), Some(Form::Gguf)));
        assert_eq!((folder.name.as_str(), folder.pairs.len()), (name, targets));
        assert_same_terms(&folder, &file, 1e-6);
        let scales = facts["adapters"][name]["scales"].as_object().unwrap();
        assert_eq!(scales.len(), targets);
        for (target, scale) in scales {
            let pair = &folder.pairs[&Target::from_hf(target).unwrap()];
            assert_eq!(f64::from(pair.scale), scale.as_f64().unwrap(), "{target}");
        }
    }
    let plain = at("plain");
    let (o, up) = (&plain.pairs[&Target::layer(3, Module::O)], &plain.pairs[&Target::layer(0, Module::Up)]);
    assert_eq!((o.rank, o.alpha, up.rank, up.alpha), (4, 4.0, 8, 32.0));
    assert!(at("rslora").info.rslora);
}

fn embedding_and_head() {
    let adapter = at("embedding");
    assert_eq!(adapter.info.base.as_deref(), Some("google/gemma-4-E2B-it"));
    let sizes = |module| {
        let pair = &adapter.pairs[&Target::model(module)];
        (pair.rank, pair.inputs, pair.outputs)
    };
    assert_eq!((sizes(Module::Embedding), sizes(Module::Head)), ((2, 2048, 256), (2, 256, 2048)));
    assert_eq!(sizes(Module::PerLayerModelProjection).1, 256);
    assert_eq!(adapter.pairs.len(), 17);
    let error = gguf::write(&adapter, Precision::F32, "a.gguf", None).unwrap_err().to_string();
    assert!(error.contains("embed_tokens") && error.contains("PEFT"), "{error}");
}

/// Names, types and shapes of a safetensors file.
fn header(bytes: &[u8]) -> BTreeMap<String, (Value, Value)> {
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    header
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, about)| (name, (about["dtype"].clone(), about["shape"].clone())))
        .collect()
}

fn written_names_are_pefts() {
    for name in ["plain", "rslora", "embedding"] {
        let adapter = at(name);
        let blobs = peft::write(&adapter, Precision::F32).unwrap();
        let [model, config] = [peft::MODEL, peft::CONFIG].map(|file| blobs.iter().find(|blob| blob.name == file).unwrap());
        assert_eq!(header(&model.bytes), header(&std::fs::read(golden(&format!("grad/peft/{name}/{}", peft::MODEL))).unwrap()));
        let [ours, theirs]: [Value; 2] =
            [config.bytes.clone(), std::fs::read(golden(&format!("grad/peft/{name}/{}", peft::CONFIG))).unwrap()]
                .map(|json| serde_json::from_slice(&json).unwrap());
        for key in [
            "peft_type",
            "task_type",
            "base_model_name_or_path",
            "r",
            "lora_alpha",
            "lora_dropout",
            "use_rslora",
            "rank_pattern",
            "alpha_pattern",
            "bias",
        ] {
            assert_eq!(ours[key], theirs[key], "{name}: {key}");
        }
        let pairs = read_blobs(&blobs).unwrap().pairs;
        assert!(pairs == adapter.pairs, "{name}");
    }
}

fn written_gguf_equals_gguf_pys() {
    for name in ["plain", "rslora"] {
        let blobs = gguf::write(&at(name), Precision::F32, "a.gguf", None).unwrap();
        let theirs = MemorySource::new("theirs", std::fs::read(golden(&format!("grad/peft/{name}.gguf"))).unwrap());
        let ours = MemorySource::new("ours", blobs[0].bytes.clone());
        let [a, b] = [&ours, &theirs].map(|source| pollster::block_on(Gguf::open(source)).unwrap());
        for key in ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"] {
            assert_eq!(a.metadata.get(key), b.metadata.get(key), "{name}: {key}");
        }
        assert_eq!(a.tensors.len(), b.tensors.len());
        for tensor in &a.tensors {
            let other = b.tensors.require(&tensor.name).unwrap();
            assert_eq!((&tensor.dims, tensor.kind), (&other.dims, other.kind), "{}", tensor.name);
            let bytes = |source: &MemorySource, range: &std::ops::Range<u64>| {
                pollster::block_on(source.read(range.start, (range.end - range.start) as usize)).unwrap()
            };
            assert!(bytes(&ours, &tensor.range) == bytes(&theirs, &other.range), "{name}: {} differs", tensor.name);
        }
        assert_eq!(
            String::from_utf8(blobs[1].bytes.clone()).unwrap().lines().skip(1).collect::<Vec<_>>(),
            ["FROM gemma4:e2b", "ADAPTER ./a.gguf"]
        );
    }
}

fn there_and_back() {
    for name in ["plain", "rslora"] {
        let first = at(name);
        let as_gguf = |adapter: &Adapter, precision| gguf::write(adapter, precision, "a.gguf", None).unwrap();
        let as_peft = |adapter: &Adapter, precision| peft::write(adapter, precision).unwrap();
        let again = |blobs: Vec<Blob>| read_blobs(&blobs).unwrap();
        for (precision, tolerance) in [(Precision::F32, 1e-6), (Precision::F16, 2e-3)] {
            let gguf = again(as_gguf(&first, precision));
            assert_same_terms(&first, &gguf, tolerance);
            let peft = again(as_peft(&gguf, precision));
            assert_same_terms(&first, &peft, 2.0 * tolerance);
            assert_same_terms(&first, &again(as_gguf(&peft, precision)), 2.0 * tolerance);
        }
    }
}

rullama_testing::tests! {
    both_forms_are_one_adapter,
    embedding_and_head,
    written_names_are_pefts,
    written_gguf_equals_gguf_pys,
    there_and_back,
}
