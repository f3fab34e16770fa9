//! Writing the GGUF form, and the Modelfile that goes with it.

use crate::{Adapter, AdapterError, Blob, Module, Pair, Precision, Target};
use rullama_quant::DType;
use rullama_source::gguf::{Metadata, Value, write::GgufWriter};

/// Name of the file by which Ollama makes a model.
pub const MODELFILE: &str = "Modelfile";

/// The adapter's file under `name`, and the Modelfile beside it. `base` is what Ollama calls the model.
///
/// A file has one alpha: of pairs with another scale, the difference is multiplied into `lora_b`.
///
/// # Errors
/// Pairs on the embedding or the head: Gemma 4 has one table for both, and the form cannot say which is meant. A pair that
/// cannot be ([`Adapter::check`]), a value that `precision` cannot hold.
pub fn write(adapter: &Adapter, precision: Precision, name: &str, base: Option<&str>) -> Result<Vec<Blob>, AdapterError> {
    adapter.check()?;
    let tied = [Module::Embedding, Module::Head].map(Target::model).into_iter().find(|target| adapter.pairs.contains_key(target));
    if let Some(target) = tied {
        return Err(AdapterError::Form {
            adapter: adapter.name.clone(),
            what: format!("{target} cannot be in a GGUF adapter, since Gemma 4 has one table ({}) for embedding and head", "token_embd"),
            remedy: "Write it as PEFT, or merge it into the model (`rullama merge`).",
        });
    }
    let common = common(adapter);
    let dtype = if precision == Precision::F16 { DType::F16 } else { DType::F32 };
    let mut metadata = Metadata::default();
    let text = |text: &str| Value::String(text.to_owned());
    metadata.set("general.architecture", text("gemma4"));
    metadata.set("general.type", text("adapter"));
    metadata.set("adapter.type", text("lora"));
    metadata.set("general.name", text(&adapter.name));
    if let Some(base) = &adapter.info.base {
        metadata.set("general.base_model.count", Value::U32(1));
        metadata.set("general.base_model.0.name", text(base));
    }
    metadata.set("general.file_type", Value::U32(u32::from(precision == Precision::F16)));
    metadata.set("adapter.lora.alpha", Value::F32(common));
    let mut writer = GgufWriter::new(metadata)?;
    let names = |target: &Target| ["a", "b"].map(|half| format!("{}.weight.lora_{half}", target.gguf_name()));
    for (target, pair) in &adapter.pairs {
        let ([a, b], rank) = (names(target), pair.rank.into());
        writer.add(&a, &[pair.inputs.into(), rank], dtype)?;
        writer.add(&b, &[rank, pair.outputs.into()], dtype)?;
    }
    let mut stream = writer.start(Vec::new())?;
    for (target, pair) in &adapter.pairs {
        let ([a, b], factor) = (names(target), factor(pair, common));
        let scaled = pair.b.iter().map(|value| (f64::from(*value) * factor) as f32);
        stream.write(&a, &precision.encode(&adapter.name, *target, pair.a.iter().copied())?)?;
        stream.write(&b, &precision.encode(&adapter.name, *target, scaled)?)?;
    }
    let file = Blob { name: name.to_owned(), bytes: stream.finish()? };
    let base = base.map(str::to_owned).or_else(|| ollama_name(adapter.info.base.as_deref()?));
    Ok(vec![file, Blob { name: MODELFILE.to_owned(), bytes: modelfile(name, base.as_deref()).into_bytes() }])
}

/// The alpha of the file: the one under which most pairs keep their matrices.
fn common(adapter: &Adapter) -> f32 {
    let alphas = adapter.pairs.values().map(|pair| (f64::from(pair.scale) * f64::from(pair.rank)) as f32);
    // 0 would mean that there is no scale at all.
    let bits = super::common(alphas.filter(|alpha| *alpha != 0.0 && alpha.is_finite()).map(f32::to_bits));
    bits.map_or(1.0, f32::from_bits)
}

/// What `lora_b` is multiplied with, so that `alpha / rank` gives the pair's scale.
fn factor(pair: &Pair, alpha: f32) -> f64 {
    let own = f64::from(pair.scale) * f64::from(pair.rank);
    if own as f32 == alpha { 1.0 } else { own / f64::from(alpha) }
}

/// Text by which `ollama create` puts the adapter `file` on a model that Ollama calls `base`.
pub fn modelfile(file: &str, base: Option<&str>) -> String {
    let unknown = if base.is_none() { "# Name the model that the adapter was trained on in place of MODEL.\n" } else { "" };
    format!("# ollama create NAME -f Modelfile\n{unknown}FROM {}\nADAPTER ./{file}\n", base.unwrap_or("MODEL"))
}

/// What Ollama calls a published model: `google/gemma-4-E2B-it` is `gemma4:e2b`.
fn ollama_name(base: &str) -> Option<String> {
    let base = base.rsplit('/').next()?.to_ascii_lowercase();
    let size = base.strip_prefix("gemma-4-")?.strip_suffix("-it")?;
    ["e2b", "e4b", "12b", "31b"].contains(&size).then(|| format!("gemma4:{size}"))
}
