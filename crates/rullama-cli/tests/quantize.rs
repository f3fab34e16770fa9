//! `rullama quantize`: against llama.cpp's files, on a file made here, and where it must refuse.

use crate::common::{fails, ok, rullama};
use rullama_quant::{DType, decode, encode};
use rullama_source::gguf::{GgmlType, Gguf, Metadata, Value, write::GgufWriter};
use rullama_source::{ByteSource, MemorySource};
use rullama_testing::golden;
use std::path::Path;

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Tensors of a small model: name, dimensions, type.
fn tensors() -> Vec<(&'static str, [u64; 2], GgmlType)> {
    let (f16, f32) = (GgmlType::from(DType::F16), GgmlType::F32);
    vec![
        ("token_embd.weight", [256, 8], f16),
        ("blk.0.attn_q.weight", [256, 4], f16),
        ("blk.0.attn_norm.weight", [256, 1], f32),
        ("per_layer_token_embd.weight", [64, 8], f16),
        ("v.blk.0.attn_q.weight", [96, 4], f16),
        ("blk.0.tokens", [4, 2], GgmlType::from_id(26).unwrap()),
    ]
}

/// A model whose values are known, as a file.
fn model(folder: &Path) -> std::path::PathBuf {
    let mut metadata = Metadata::default();
    metadata.set("general.architecture", Value::String("gemma4".into()));
    metadata.set("general.file_type", Value::U32(1));
    metadata.set("x.i64", Value::I64(-5));
    let mut writer = GgufWriter::new(metadata).unwrap();
    for (name, dims, ggml) in tensors() {
        let dims = if name.contains("norm") { &dims[..1] } else { &dims[..] };
        writer.add(name, dims, ggml).unwrap();
    }
    let mut stream = writer.start(Vec::new()).unwrap();
    for (name, dims, ggml) in tensors() {
        let values: Vec<f32> = (0..dims[0] * dims[1]).map(|i| (i as f32 * 0.37).sin() * 0.5).collect();
        let mut bytes = vec![7; values.len() * 4];
        if let Some(dtype) = ggml.dtype() {
            bytes.clear();
            encode(dtype, &values, &mut bytes).unwrap();
        }
        stream.write(name, &bytes).unwrap();
    }
    let path = folder.join("in.gguf");
    std::fs::write(&path, stream.finish().unwrap()).unwrap();
    path
}

fn read(path: &Path) -> (MemorySource, Gguf) {
    let source = MemorySource::new("m", std::fs::read(path).unwrap());
    let gguf = pollster::block_on(Gguf::open(&source)).unwrap();
    (source, gguf)
}

fn bytes(file: &(MemorySource, Gguf), name: &str) -> Vec<u8> {
    let range = file.1.tensors.get(name).unwrap().range.clone();
    pollster::block_on(file.0.read(range.start, (range.end - range.start) as usize)).unwrap()
}

fn names(file: &(MemorySource, Gguf)) -> Vec<(&str, &'static str)> {
    file.1.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.ggml_type().name())).collect()
}

fn equal_to_files_of_llama_cpp() {
    let source = golden("models/dense-f16.gguf");
    let folder = tempfile::tempdir().unwrap();
    let files = ["Q8_0", "Q4_K_M", "Q4_0", "Q6_K", "Q5_0", "Q5_1", "Q4_1"].map(|file| (file, golden(&format!("models/dense-{file}.gguf"))));
    for (file, expected) in files {
        let scheme = &file.to_lowercase();
        let out = folder.path().join(file);
        ok(&mut rullama(&["quantize", path(&source), path(&out), "--type", scheme]));
        let (ours, theirs) = (read(&out), read(&expected));
        fn sorted(file: &(MemorySource, Gguf)) -> std::collections::BTreeSet<(&str, &str)> {
            names(file).into_iter().collect()
        }
        // llama.cpp sorts the tensors, we keep their order.
        assert_eq!(sorted(&ours), sorted(&theirs), "{file}");
        for (name, _) in names(&ours) {
            assert!(bytes(&ours, name) == bytes(&theirs, name), "{file}: {name} differs");
        }
        // The same pairs; llama.cpp writes those it adds in another place.
        assert_eq!(ours.1.metadata.len(), theirs.1.metadata.len());
        for (key, value) in ours.1.metadata.iter() {
            assert_eq!(Some(value), theirs.1.metadata.get(key), "{file}: {key}");
        }
    }
}

fn types_values_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (model(folder.path()), folder.path().join("out.gguf"));
    let text = ok(&mut rullama(&["quantize", path(&input), path(&out), "--type", "q4_k_m"]));
    assert!(text.contains("F16") && text.contains("Q6_K") && text.contains("Q4_K_M"), "{text}");
    let (before, after) = (read(&input), read(&out));
    let expected = [
        ("token_embd.weight", "Q6_K"),
        ("blk.0.attn_q.weight", "Q4_K"),
        ("blk.0.attn_norm.weight", "F32"),
        ("per_layer_token_embd.weight", "F16"),
        ("v.blk.0.attn_q.weight", "F16"),
        ("blk.0.tokens", "I32"),
    ];
    assert_eq!(names(&after), expected);
    for name in ["blk.0.attn_norm.weight", "per_layer_token_embd.weight", "v.blk.0.attn_q.weight", "blk.0.tokens"] {
        assert!(bytes(&before, name) == bytes(&after, name), "{name} was to be copied");
    }
    let mut values = [0.0; 1024];
    decode(DType::F16, &bytes(&before, "blk.0.attn_q.weight"), &mut values).unwrap();
    let mut blocks = Vec::new();
    encode(DType::Q4K, &values, &mut blocks).unwrap();
    assert!(bytes(&after, "blk.0.attn_q.weight") == blocks);
    let metadata = &after.1.metadata;
    assert_eq!(metadata.get("general.file_type"), Some(&Value::U32(15)));
    assert_eq!(metadata.get("general.quantization_version"), Some(&Value::U32(2)));
    assert_eq!(metadata.get("x.i64"), Some(&Value::I64(-5)));
}

fn exceptions() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (model(folder.path()), folder.path().join("out.gguf"));
    let base = ["quantize", path(&input), path(&out), "--type", "q4_k_m", "--force"];
    let with = |more: &[&str]| rullama(&[&base[..], more].concat());
    ok(&mut with(&["--tensor-type", "v.*=q8_0", "--tensor-type", "per_layer=q5_0", "--tensor-type", "blk.0.=keep"]));
    let expected = [
        ("token_embd.weight", "Q6_K"),
        ("blk.0.attn_q.weight", "F16"),
        ("blk.0.attn_norm.weight", "F32"),
        ("per_layer_token_embd.weight", "Q5_0"),
        ("v.blk.0.attn_q.weight", "F16"),
        ("blk.0.tokens", "I32"),
    ];
    // `blk.0.` is also part of the tower's name and comes last.
    assert_eq!(names(&read(&out)), expected);
    let message = fails(2, &mut with(&["--tensor-type", "ffn_dwon=q8_0"]));
    assert!(message.contains("ffn_dwon") && message.contains("--tensors"), "{message}");
    let message = fails(2, &mut with(&["--tensor-type", "v.*=q4_k"]));
    assert!(message.contains("v.blk.0.attn_q.weight") && message.contains("96"), "{message}");
}

fn refusals() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (model(folder.path()), folder.path().join("out.gguf"));
    let quantize = |from: &Path, to: &Path| rullama(&["quantize", path(from), path(to), "--type", "q8_0"]);
    std::fs::write(&out, "precious").unwrap();
    assert!(fails(1, &mut quantize(&input, &out)).contains("--force"));
    assert_eq!(std::fs::read(&out).unwrap(), b"precious");
    assert!(fails(1, quantize(&input, &input).arg("--force")).contains("Choose another name"));
    assert!(fails(2, &mut rullama(&["quantize", "a", "b", "--type", "q9_z"])).contains("q4_k_m"));
    std::fs::remove_file(&out).unwrap();
    let missing = folder.path().join("im.gguf");
    assert!(fails(1, &mut quantize(&missing, &out)).contains("in.gguf"));
    let nowhere = folder.path().join("no/out.gguf");
    assert!(fails(1, &mut quantize(&input, &nowhere)).contains("no/out.gguf"));

    let whole = std::fs::read(&input).unwrap();
    let cut = folder.path().join("cut.gguf");
    std::fs::write(&cut, &whole[..whole.len() - 8]).unwrap();
    assert!(fails(1, &mut quantize(&cut, &out)).contains("blk.0.tokens"));
    // A value that is not finite stops the run in the middle, also where it would only be copied; nothing stays.
    for (name, value) in [("blk.0.attn_q.weight", &0x7e00u16.to_le_bytes()[..]), ("blk.0.attn_norm.weight", &f32::INFINITY.to_le_bytes())] {
        let mut damaged = whole.clone();
        let at = read(&input).1.tensors.get(name).unwrap().range.start as usize;
        damaged[at..at + value.len()].copy_from_slice(value);
        std::fs::write(&cut, damaged).unwrap();
        assert!(fails(1, &mut quantize(&cut, &out)).contains(name));
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (model(folder.path()), folder.path().join("out.gguf"));
    let text = ok(&mut rullama(&["quantize", path(&input), path(&out), "--type", "q8_0", "--dry-run"]));
    assert!(text.contains("would be Q8_0"), "{text}");
    assert!(!out.exists());
}

fn names_that_a_result_must_not_take() {
    let folder = tempfile::tempdir().unwrap();
    let made = model(folder.path());
    let out = folder.path().join("out.gguf");
    let input = folder.path().join("out.gguf.partial");
    std::fs::rename(made, &input).unwrap();
    let quantize = |out: &Path| {
        let mut command = rullama(&["quantize", path(&input), path(out), "--type", "q8_0", "--force"]);
        command.args(["--threads", "1"]);
        command
    };
    let before = std::fs::read(&input).unwrap();
    ok(&mut quantize(&out));
    assert_eq!(std::fs::read(&input).unwrap(), before);
    assert!(fails(1, &mut quantize(folder.path())).contains("regular file"));
    #[cfg(unix)]
    {
        let at = |name: &str| folder.path().join(name);
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        assert!(fails(1, &mut quantize(&at("socket"))).contains("regular file"));
        std::os::unix::fs::symlink(at("nowhere"), at("broken")).unwrap();
        assert!(fails(1, &mut quantize(&at("broken"))).contains("regular file"));
        std::fs::write(at("real"), b"old").unwrap();
        std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
        ok(&mut quantize(&at("link")));
        assert!(at("link").is_symlink() && std::fs::read(at("real")).unwrap() == std::fs::read(&out).unwrap());
    }
}

rullama_testing::tests! {
    equal_to_files_of_llama_cpp,
    types_values_and_metadata,
    exceptions,
    refusals,
    dry_run_writes_nothing,
    names_that_a_result_must_not_take,
}
