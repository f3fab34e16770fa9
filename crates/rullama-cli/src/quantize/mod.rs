//! Writing a model anew in other formats, piece by piece.
//!
//! 1. [`policy`]: the format that each tensor gets (a published mix, a uniform type, exceptions).
//! 2. [`convert`]: pieces of a tensor, decoded and encoded by several threads, in order.
//! 3. Here: the plan, the metadata and the file, which gets its name when it is complete.

mod convert;
mod policy;

pub use policy::{Override, Scheme};

use anyhow::{Context, Result};
use rullama_quant::DType;
use rullama_source::ByteSource;
use rullama_source::gguf::write::{GgufWriter, create};
use rullama_source::gguf::{GgmlType, Gguf, TensorInfo, TensorType, Value};
use std::path::Path;

/// `general.quantization_version`: the revision of ggml's block layouts.
const QUANTIZATION_VERSION: u32 = 2;

/// What to make.
pub struct Request<'a> {
    pub scheme: Scheme,
    pub overrides: &'a [Override],
    /// Overwrite an existing file.
    pub force: bool,
    pub threads: usize,
}

/// One tensor and what becomes of it.
#[derive(Debug, Clone)]
pub struct Planned {
    pub tensor: TensorInfo,
    /// `None`: its bytes are copied.
    pub target: Option<DType>,
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
pub fn plan(gguf: &Gguf, request: &Request<'_>) -> Result<Vec<Planned>> {
    let names: Vec<&str> = gguf.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let types = policy::assign(request.scheme, request.overrides, &names, gguf)?;
    let planned = gguf.tensors.iter().zip(types).map(|(tensor, wanted)| {
        let same = tensor.kind == TensorType::Known(wanted);
        let readable = matches!(tensor.kind, TensorType::Known(_));
        Planned { tensor: tensor.clone(), target: (readable && !same).then_some(wanted) }
    });
    Ok(planned.collect())
}

/// Writes the planned file to `out`. `progress` gets source bytes done and the tensor's name.
///
/// # Errors
/// The source, the output, values that are not finite or too large for the new type, Ctrl-C. On
/// every error nothing stands under the name `out` that was not there before.
pub fn write(
    source: &dyn ByteSource,
    gguf: &Gguf,
    planned: &[Planned],
    request: &Request<'_>,
    out: &Path,
    progress: &mut dyn FnMut(u64, &str),
) -> Result<()> {
    let mut metadata = gguf.metadata.clone();
    if let Some(file_type) = request.scheme.file_type() {
        metadata.set("general.file_type", Value::U32(file_type));
    }
    if planned.iter().any(|tensor| tensor.ggml_type().block_len() > 1) {
        metadata.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    }
    let mut writer = GgufWriter::new(metadata)?;
    for tensor in planned {
        writer.add(&tensor.tensor.name, &tensor.tensor.dims, tensor.ggml_type())?;
    }
    let mut stream = create(writer, out, request.force)?;
    let mut done = 0;
    for tensor in planned {
        let name = &tensor.tensor.name;
        let converted = convert::pieces(source, tensor, request.threads, &mut |piece, read| {
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
