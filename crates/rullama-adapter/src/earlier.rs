//! The safetensors file of rullama 0.4 and 0.5: `lora.blk.N.attn_q.A` and `.B`, with rank and alpha among its texts.

use crate::halves::{self, Half, Halves};
use crate::safetensors::Tensors;
use crate::target::index;
use crate::{Adapter, AdapterError, Form, Info, MAX_RANK, Module, Pair, Target};

/// What every tensor's name begins with.
pub(crate) const PREFIX: &str = "lora.blk.";

const AGAIN: &str = "Export the adapter again with rullama 0.5.";

/// Reads an adapter; its scale is `alpha / rank`.
///
/// # Errors
/// What is wrong with the file.
pub(crate) async fn read(tensors: &Tensors<'_>, name: String) -> Result<Adapter, AdapterError> {
    let file = tensors.file();
    let (rank, alpha) = (number(tensors, "rank")?, number(tensors, "alpha")? as f32);
    if rank.fract() != 0.0 || !(1.0..=f64::from(MAX_RANK)).contains(&rank) {
        return Err(wrong(tensors, "rank", format!("{rank}, where 1 to {MAX_RANK} is expected")));
    }
    let rank = rank as u32;
    let listed = tensors.texts().and_then(|texts| texts.get("target_modules"));
    let mut halves = Halves::new();
    for tensor in tensors.names() {
        let (target, half, module) = parse(&tensor).ok_or_else(|| {
            tensors.problem(&tensor, "its name is none of lora.blk.N.attn_q.A, .attn_k, .attn_v, .attn_o, .ffn_gate, .ffn_up, .ffn_down")
        })?;
        if listed.is_some_and(|list| !list.split(',').any(|name| name.trim() == module)) {
            return Err(tensors.problem(&tensor, format!("target_modules does not name {module}, so that its maker leaves it out")));
        }
        halves.add(file, target, half, &tensor, tensors.matrix(&tensor)?)?;
    }
    let pairs = halves.pairs(file)?;
    halves::bounded(file, pairs.iter().flat_map(|(_, both)| [both.a.1, both.b.1]))?;
    let mut adapter = Adapter { name, info: Info { rank, alpha, form: Some(Form::Rullama), ..Info::default() }, ..Adapter::default() };
    for (target, both) in pairs {
        let found = halves::rank(file, [&both.a.0, &both.b.0], both.a.1, both.b.1)?;
        if found != rank {
            return Err(tensors.problem(&both.a.0, format!("its rank is {found}, by the file's texts {rank}")));
        }
        let pair = Pair::new(rank, alpha, false, tensors.values(&both.a.0).await?, tensors.values(&both.b.0).await?);
        adapter.pairs.insert(target, pair);
    }
    Ok(adapter)
}

fn wrong(tensors: &Tensors<'_>, key: &str, problem: String) -> AdapterError {
    AdapterError::Key { file: tensors.file().to_owned(), key: key.to_owned(), problem, remedy: AGAIN }
}

fn number(tensors: &Tensors<'_>, key: &str) -> Result<f64, AdapterError> {
    let Some(text) = tensors.texts().and_then(|texts| texts.get(key)) else {
        return Err(wrong(tensors, key, "missing, so that the adapter's scale is not known".to_owned()));
    };
    let number = text.trim().parse().ok().filter(|number: &f64| (*number as f32).is_finite());
    let short = || text.chars().take(60).collect::<String>();
    number.ok_or_else(|| wrong(tensors, key, format!("{:?}, where a number is expected", short())))
}

/// The linear layer, the matrix, and the module as `target_modules` calls it.
fn parse(tensor: &str) -> Option<(Target, Half, &str)> {
    let (base, half) = tensor.strip_prefix(PREFIX)?.rsplit_once('.')?;
    let (layer, name) = base.split_once('.')?;
    let half = match half {
        "A" => Half::A,
        "B" => Half::B,
        _ => return None,
    };
    let module = match name {
        "attn_o" => Module::O,
        "lm_head" if layer == "0" => return Some((Target::model(Module::Head), half, name)),
        name => Module::ALL[..7].iter().copied().find(|module| module.gguf_name() == name)?,
    };
    Some((Target::layer(index(layer)?, module), half, name))
}
