//! The GGUF form: `general.type` is `adapter`, matrices are `TENSOR.lora_a` and `TENSOR.lora_b`.
//!
//! Dimensions are in `ne` order: `lora_a` `[inputs, rank]`, `lora_b` `[rank, outputs]`; of the embedding, whose rows are
//! looked up, `lora_a` is `[rank, vocabulary]`. Source: llama.cpp `src/llama-adapter.cpp`.

mod write;

pub use write::{MODELFILE, modelfile, write};

use crate::halves::{self, Both, Half, Halves};
use crate::{Adapter, AdapterError, Form, Info, Pair, Target, values};
use rullama_quant::DType;
use rullama_source::ByteSource;
use rullama_source::gguf::{Gguf, MetadataError, TensorInfo};

/// Reads a GGUF adapter: scales are `alpha / rank`, and 1 where `adapter.lora.alpha` is 0.
///
/// # Errors
/// What is wrong with the file or cannot be applied.
pub(crate) async fn read(source: &dyn ByteSource, name: String) -> Result<Adapter, AdapterError> {
    let file = source.name();
    let gguf = Gguf::open(source).await.map_err(|error| AdapterError::header(file, error))?;
    let (alpha, base) = keys(file, &gguf)?;
    let (mut halves, mut left_out) = (Halves::new(), Vec::new());
    for tensor in &gguf.tensors {
        match half(file, tensor)? {
            Some((target, half)) => halves.add(file, target, half, &tensor.name, tensor)?,
            None => left_out.push(tensor.name.clone()),
        }
    }
    let pairs = halves.pairs(file)?;
    let mut shapes = Vec::with_capacity(2 * pairs.len());
    for (target, both) in &pairs {
        shapes.extend(matrices(file, *target, both)?);
    }
    halves::bounded(file, shapes.iter().copied())?;
    let mut adapter = Adapter { name, ..Adapter::default() };
    for ((target, both), shape) in pairs.into_iter().zip(shapes.chunks_exact(2)) {
        let rank = halves::rank(file, [&both.a.0, &both.b.0], shape[0], shape[1])?;
        // No alpha means that the user's scale stands alone.
        let alpha = if alpha == 0.0 { rank as f32 } else { alpha };
        let mut a = of(source, both.a.1).await?;
        if target.is_table() {
            a = transposed(&a, rank as usize);
        }
        adapter.pairs.insert(target, Pair::new(rank, alpha, false, a, of(source, both.b.1).await?));
    }
    let rank = common(adapter.pairs.values().map(|pair| pair.rank)).unwrap_or_default();
    adapter.info = Info { rank, alpha, base, form: Some(Form::Gguf), left_out, ..Info::default() };
    Ok(adapter)
}

/// The value that most have; the least of equals.
pub(crate) fn common<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts = std::collections::BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0usize) += 1);
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

/// Checks what the file says it is; gives alpha and the base model's name.
fn keys(file: &str, gguf: &Gguf) -> Result<(f32, Option<String>), AdapterError> {
    let metadata = &gguf.metadata;
    let wrong = |error: MetadataError| AdapterError::header(file, error.into());
    let text = |key: &str| MetadataError::optional(metadata.str(key)).map_err(wrong);
    let not = |what: String, remedy| Err(AdapterError::NotAnAdapter { file: file.to_owned(), what, remedy });
    match text("general.type")? {
        Some("adapter") => {}
        kind => {
            let kind = kind.unwrap_or("model");
            return not(format!("is a GGUF {kind}"), "Give it as the model, and the adapter's file here.");
        }
    }
    match text("general.architecture")? {
        Some("gemma4") => {}
        other => {
            let what = format!("is a GGUF adapter for {}", other.unwrap_or("no model that it names"));
            return not(what, "Take one that was made for Gemma 4 (`gemma4`).");
        }
    }
    let unsupported = |what: String| AdapterError::Unsupported {
        file: file.to_owned(),
        what,
        remedy: "Take a LoRA, or merge the adapter into the model with the program that made it.",
    };
    match text("adapter.type")? {
        Some("lora") => {}
        other => return Err(unsupported(format!("adapter.type {:?}", other.unwrap_or("(missing)")))),
    }
    if metadata.iter().any(|(key, _)| key.starts_with("adapter.alora.")) {
        return Err(unsupported("adapter.alora (an adapter that begins at a token)".to_owned()));
    }
    let alpha = MetadataError::optional(metadata.f32("adapter.lora.alpha")).map_err(wrong)?.unwrap_or(0.0);
    if !alpha.is_finite() {
        return Err(AdapterError::Key {
            file: file.to_owned(),
            key: "adapter.lora.alpha".to_owned(),
            problem: format!("{alpha}, where a number is expected"),
            remedy: "Convert the adapter anew.",
        });
    }
    Ok((alpha, text("general.base_model.0.name")?.map(str::to_owned)))
}

/// Which matrix a tensor is; `None` for what llama.cpp passes over, and for towers.
fn half(file: &str, tensor: &TensorInfo) -> Result<Option<(Target, Half)>, AdapterError> {
    let name = &tensor.name;
    let refused = |problem: String, remedy| AdapterError::Tensor { file: file.to_owned(), tensor: name.clone(), problem, remedy };
    if name.ends_with("_norm.weight") || ["v.", "a.", "mm."].iter().any(|tower| name.starts_with(tower)) {
        return Ok(None);
    }
    let (base, half) = match name.rsplit_once('.') {
        Some((base, "lora_a")) => (base, Half::A),
        Some((base, "lora_b")) => (base, Half::B),
        _ => return Err(refused("it is neither matrix of a pair".to_owned(), "Convert the adapter anew.")),
    };
    match base.strip_suffix(".weight").and_then(Target::from_gguf) {
        Some(target) => Ok(Some((target, half))),
        None => Err(refused(
            format!("{base} is no linear layer of Gemma 4's dense language models"),
            "Take an adapter for a dense Gemma 4 model, with layers such as blk.0.attn_q.",
        )),
    }
}

/// `[rank, inputs]` and `[outputs, rank]` of a pair.
fn matrices(file: &str, target: Target, both: &Both<&TensorInfo>) -> Result<[[u32; 2]; 2], AdapterError> {
    let [cols_a, rows_a] = matrix(file, both.a.1)?;
    let [cols_b, rows_b] = matrix(file, both.b.1)?;
    let a = if target.is_table() { [cols_a, rows_a] } else { [rows_a, cols_a] };
    Ok([a, [rows_b, cols_b]])
}

fn matrix(file: &str, tensor: &TensorInfo) -> Result<[u32; 2], AdapterError> {
    let size = |size: u64| u32::try_from(size).ok().filter(|size| (1..=1 << 24).contains(size));
    // ggml leaves out dimensions of 1 at the end.
    let found = match tensor.dims[..] {
        [cols] => size(cols).zip(Some(1)),
        [cols, rows, ref rest @ ..] if rest.iter().all(|size| *size == 1) => size(cols).zip(size(rows)),
        _ => None,
    };
    let (cols, rows) =
        found.ok_or_else(|| values::problem(file, &tensor.name, format!("its shape is {:?}, a matrix is expected", tensor.dims)))?;
    match tensor.dtype() {
        Ok(DType::F32 | DType::F16 | DType::BF16 | DType::Q8_0) => Ok([cols, rows]),
        _ => Err(AdapterError::Tensor {
            file: file.to_owned(),
            tensor: tensor.name.clone(),
            problem: format!("its type is {}", tensor.ggml_type().name()),
            remedy: "Convert the adapter to F32, F16, BF16 or Q8_0.",
        }),
    }
}

async fn of(source: &dyn ByteSource, tensor: &TensorInfo) -> Result<Vec<f32>, AdapterError> {
    let dtype = tensor.dtype().map_err(|error| AdapterError::header(source.name(), error))?;
    values::read(source, &tensor.name, dtype, tensor.range.start, tensor.elements() as usize).await
}

/// A matrix of rows of `cols` values, turned.
pub(crate) fn transposed(values: &[f32], cols: usize) -> Vec<f32> {
    let rows = values.len() / cols.max(1);
    (0..cols).flat_map(|col| (0..rows).map(move |row| values[row * cols + col])).collect()
}
