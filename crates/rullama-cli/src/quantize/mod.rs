//! Writing a model anew in other formats, piece by piece.
//!
//! 1. [`policy`]: the format that each tensor gets (a published mix, a uniform type, exceptions).
//! 2. [`convert`]: pieces of a tensor, decoded and encoded by several threads, in order.
//! 3. [`delta`]: what is added to a tensor on the way, of adapters that are merged.
//! 4. Here: the plan, the metadata and the file, which gets its name when it is complete.

mod convert;
mod delta;
mod policy;

pub use delta::{Delta, Term};
pub use policy::{Override, Scheme, assign, encodes};

use anyhow::{Context, Result};
use rullama_quant::DType;
use rullama_source::ByteSource;
use rullama_source::gguf::write::{GgufWriter, create};
use rullama_source::gguf::{GgmlType, Gguf, Metadata, TensorInfo, TensorType, Value};
use std::path::Path;
use std::sync::Arc;

/// `general.quantization_version`: the revision of ggml's block layouts.
const QUANTIZATION_VERSION: u32 = 2;

/// The file to write.
pub struct Output<'a> {
    pub path: &'a Path,
    /// Overwrite an existing file.
    pub force: bool,
    /// For the metadata; `None` leaves what they say of the types.
    pub scheme: Option<Scheme>,
    pub threads: usize,
}

/// One tensor and what becomes of it.
#[derive(Debug, Clone)]
pub struct Planned {
    pub tensor: TensorInfo,
    /// `None`: its bytes are copied.
    pub target: Option<DType>,
    /// What is added to its values; only with a `target`.
    pub delta: Option<Arc<Delta>>,
}

impl Planned {
    /// The type in the new file.
    pub fn ggml_type(&self) -> GgmlType {
        self.target.map_or_else(|| self.tensor.ggml_type(), GgmlType::from)
    }

    /// Bytes in the new file.
    pub fn bytes(&self) -> u64 {
        let ggml = self.ggml_type();
        self.tensor.elements() / ggml.block_len() * ggml.block_bytes()
    }
}

/// The new type of every tensor, in file order.
///
/// # Errors
/// Exceptions that match no tensor, or ask for a type that a tensor's rows do not divide into.
pub fn plan(gguf: &Gguf, scheme: Scheme, overrides: &[Override]) -> Result<Vec<Planned>> {
    let tensors: Vec<&TensorInfo> = gguf.tensors.iter().collect();
    let types = assign(scheme, overrides, &tensors)?;
    let planned = gguf.tensors.iter().zip(types).map(|(tensor, wanted)| {
        let same = tensor.kind == TensorType::Known(wanted);
        let readable = matches!(tensor.kind, TensorType::Known(_));
        Planned { tensor: tensor.clone(), target: (readable && !same).then_some(wanted), delta: None }
    });
    Ok(planned.collect())
}

/// Writes the planned file. `progress` gets source bytes done and the tensor's name.
///
/// # Errors
/// The source, the output, values that are not finite or too large for the new type, Ctrl-C. On
/// every error nothing stands under the output's name that was not there before.
pub fn write(
    source: &dyn ByteSource,
    metadata: &Metadata,
    planned: &[Planned],
    output: &Output<'_>,
    progress: &mut dyn FnMut(u64, &str),
) -> Result<()> {
    let mut metadata = metadata.clone();
    if let Some(file_type) = output.scheme.and_then(Scheme::file_type) {
        metadata.set("general.file_type", Value::U32(file_type));
    }
    if planned.iter().any(|tensor| tensor.ggml_type().block_len() > 1) {
        metadata.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    }
    let mut writer = GgufWriter::new(metadata)?;
    for tensor in planned {
        writer.add(&tensor.tensor.name, &tensor.tensor.dims, tensor.ggml_type())?;
    }
    let mut stream = create(writer, output.path, output.force)?;
    let mut done = 0;
    for tensor in planned {
        let name = &tensor.tensor.name;
        let converted = convert::pieces(source, tensor, output.threads, &mut |piece, read| {
            crate::interrupt::check()?;
            stream.write(name, piece)?;
            done += read;
            progress(done, name);
            Ok(())
        });
        converted.with_context(|| format!("tensor {name}"))?;
    }
    stream.publish()?;
    Ok(())
}
