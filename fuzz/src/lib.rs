//! Fuzz targets as plain functions: each takes bytes, and any panic is a finding.
//!
//! `cargo xtask test` runs each under libFuzzer for some seconds. With a nightly compiler cargo-fuzz does so for as long as one
//! likes (`cargo +nightly fuzz run gguf`). Built without further flags, the same programs replay the files named on their
//! command line, so an input that once failed can be looked at with any debugger.
//!
//! Inputs to begin with are in `seeds/TARGET`.
//!
//! ```no_run
//! rullama_fuzz::gguf(b"GGUF\x03\0\0\0");
//! ```

mod text;
mod vocabulary;

pub use text::{chat, parser};
pub use vocabulary::vocab;

use rullama_source::{
    MemorySource,
    gguf::{Gguf, write::GgufWriter},
    ollama::{Config, Manifest, ModelName, Params, StoredMessage},
};

/// Parses a file; one that is accepted keeps to its own bounds and survives a rewrite.
///
/// # Panics
/// On a finding.
pub fn gguf(data: &[u8]) {
    let source = MemorySource::new("fuzz", data);
    let Ok(file) = pollster::block_on(Gguf::open(&source)) else { return };
    for tensor in &file.tensors {
        assert!(tensor.range.end <= data.len() as u64);
        assert_eq!(tensor.rows() * tensor.row_bytes(), tensor.bytes());
    }
    for (key, _) in file.metadata.iter() {
        // Whatever the type, an accessor gives a value or an error.
        let _ = file.metadata.u32(key);
        let _ = file.metadata.f32_array(key);
        let _ = file.metadata.bool_array(key);
        let _ = file.metadata.strings(key);
    }
    let mut stream = GgufWriter::like(&file).and_then(|writer| writer.start(Vec::new())).expect("what was read can be written");
    for tensor in &file.tensors {
        let bytes = &data[tensor.range.start as usize..tensor.range.end as usize];
        stream.write(&tensor.name, bytes).expect("a tensor fits its own plan");
    }
    let copy = MemorySource::new("copy", stream.finish().expect("every tensor was written"));
    let again = pollster::block_on(Gguf::open(&copy)).expect("what was written can be read");
    // Compared as text: NaN values are equal to themselves here.
    assert_eq!(format!("{:?}", again.metadata), format!("{:?}", file.metadata));
    assert_eq!(again.tensors.len(), file.tensors.len());
}

/// Reads the texts of Ollama's store.
///
/// # Panics
/// On a finding.
pub fn ollama(data: &[u8]) {
    let _ = Manifest::parse(data).map(|manifest| manifest.size());
    let _ = Config::parse(data);
    let _ = Params::parse(data);
    let _ = StoredMessage::parse_all(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(name) = ModelName::parse(text) else { return };
    assert!(name.parts().iter().all(|part| !part.starts_with('.') && !part.contains(['/', '\\'])));
    let again = ModelName::parse(&name.to_string()).expect("a shown name can be read");
    assert!(again.same(&name));
}

/// Runs `target` on each file named on the command line.
///
/// # Errors
/// Those of reading a file.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}
