//! Files written by llama.cpp and by Ollama, where they are at hand.

use std::path::Path;

use rullama_source::{
    ByteSource, FileSource,
    gguf::{Gguf, write::GgufWriter},
};
use rullama_testing::shared;

fn parse(path: &Path) -> (FileSource, Gguf) {
    let source = FileSource::open(path).unwrap();
    let file = pollster::block_on(Gguf::open(&source)).unwrap();
    (source, file)
}

/// Copies a file through the parser and the writer, with data in pieces of odd length.
fn rewrite(source: &FileSource, file: &Gguf) -> Vec<u8> {
    let mut stream = GgufWriter::like(file).unwrap().start(Vec::new()).unwrap();
    for tensor in &file.tensors {
        let mut at = tensor.range.start;
        while at < tensor.range.end {
            let len = (tensor.range.end - at).min(99_991) as usize;
            let piece = pollster::block_on(source.read(at, len)).unwrap();
            stream.write(&tensor.name, &piece).unwrap();
            at += len as u64;
        }
    }
    stream.finish().unwrap()
}

/// Every GGUF file of a folder, `least` of them or more.
fn check_folder(folder: &str, least: usize) {
    let folder = shared(folder);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut magic = [0; 4];
        std::io::Read::read_exact(&mut std::fs::File::open(&path).unwrap(), &mut magic).unwrap();
        if &magic != b"GGUF" {
            continue;
        }
        let (source, file) = parse(&path);
        assert!(rewrite(&source, &file) == std::fs::read(&path).unwrap(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= least, "{seen} files, fewer than {least}");
}

fn llama_cpp_files_survive_byte_for_byte() {
    check_folder("models", 17);
    check_folder("tokenizer", 1);
}

fn ollama_file_survives_byte_for_byte() {
    check_folder("ollama_store/blobs", 1);
}

fn both_dialects_are_read() {
    let path = shared("models/dense-ple-Q4_K_M-ple_bf16.gguf");
    let (_, file) = parse(&path);
    assert_eq!(file.metadata.str("general.architecture").unwrap(), "gemma4");
    let layers = file.metadata.u32("gemma4.block_count").unwrap();
    let ffn = file.metadata.u32_array("gemma4.feed_forward_length").unwrap();
    assert_eq!((layers, ffn.len()), (7, 7));
    let table = file.tensors.require("per_layer_token_embd.weight").unwrap();
    assert_eq!(table.dtype().unwrap().ggml_id(), 30);
    assert_eq!(table.rows(), 2048);
    assert_eq!(table.row_range(2047..2048).unwrap().end, table.range.end);
    assert_eq!(table.row_range(2048..2049), None);
}

fn the_full_vocabulary_is_compact() {
    let path = shared("tokenizer/ggml-vocab-gemma-4.gguf");
    let (_, mut file) = parse(&path);
    let tokens = file.metadata.take_strings("tokenizer.ggml.tokens").unwrap();
    let merges = file.metadata.take_strings("tokenizer.ggml.merges").unwrap();
    assert_eq!((tokens.len(), merges.len()), (262_144, 514_906));
    assert_eq!(tokens.get(2), Some("<bos>"));
    let text: usize = tokens.iter().chain(merges.iter()).map(str::len).sum();
    let memory = tokens.memory() + merges.memory();
    assert_eq!(memory, text + 4 * (tokens.len() + merges.len()));
}

rullama_testing::tests! {
    llama_cpp_files_survive_byte_for_byte,
    ollama_file_survives_byte_for_byte,
    both_dialects_are_read,
    the_full_vocabulary_is_compact,
}
