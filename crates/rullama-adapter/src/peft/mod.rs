//! PEFT's form: `adapter_config.json` and `adapter_model.safetensors`.

mod config;
mod name;
mod pattern;
mod write;

pub use write::write;

use crate::halves::{self, Halves};
use crate::safetensors::{Tensors, whole};
use crate::{Adapter, AdapterError, Form, Info, Module, Pair, Target};
use config::{Config, MAX_CONFIG};
use name::Name;
use rullama_source::ByteSource;

/// Name of the configuration.
pub const CONFIG: &str = "adapter_config.json";
/// Name of the matrices' file.
pub const MODEL: &str = "adapter_model.safetensors";

/// Reads an adapter as PEFT has it: scales from `r`, `lora_alpha`, `use_rslora` and the patterns.
///
/// # Errors
/// What is wrong with either file or cannot be applied.
pub(crate) async fn read(config: &dyn ByteSource, tensors: &Tensors<'_>, name: String) -> Result<Adapter, AdapterError> {
    let config = Config::parse(config.name(), &whole(config, "bytes of the configuration", MAX_CONFIG).await?)?;
    let file = tensors.file();
    let (mut halves, mut left_out) = (Halves::new(), Vec::new());
    for tensor in tensors.names() {
        let refused = |(problem, remedy)| AdapterError::Tensor { file: file.to_owned(), tensor: tensor.clone(), problem, remedy };
        match name::parse(&tensor).map_err(refused)? {
            Name::Half { path, target, half } => {
                let shape = tensors.matrix(&tensor)?;
                halves.add(file, target, half, &tensor, (path.to_owned(), shape))?;
            }
            Name::LeftOut => left_out.push(tensor),
        }
    }
    let pairs = halves.pairs(file)?;
    halves::bounded(file, pairs.iter().flat_map(|(_, both)| [both.a.1.1, both.b.1.1]))?;
    let info = Info {
        rank: config.rank,
        alpha: config.alpha as f32,
        rslora: config.rslora,
        dropout: config.dropout,
        base: config.base.clone(),
        form: Some(Form::Peft),
        left_out,
    };
    let mut adapter = Adapter { name, info, ..Adapter::default() };
    for (target, both) in pairs {
        let [(a, (path, a_shape)), (b, (_, b_shape))] = [both.a, both.b];
        let rank = halves::rank(file, [&a, &b], a_shape, b_shape)?;
        let alpha = alpha(&config, tensors, &a, &path, target, rank)?;
        let mut pair = Pair::new(rank, alpha as f32, config.rslora, tensors.values(&a).await?, tensors.values(&b).await?);
        pair.scale = (alpha / if config.rslora { f64::from(rank).sqrt() } else { f64::from(rank) }) as f32;
        adapter.pairs.insert(target, pair);
    }
    refuse_tied(&config, &adapter)?;
    Ok(adapter)
}

/// The module's alpha, where the configuration agrees with its matrices.
fn alpha(config: &Config, tensors: &Tensors<'_>, tensor: &str, path: &str, target: Target, rank: u32) -> Result<f64, AdapterError> {
    let (expected, alpha) = config.of(path);
    let problem = match () {
        () if !config.targets(path, target) => format!("target_modules of {} names no module {path}", config.file()),
        () if expected != rank => format!("its rank is {rank}, by r and rank_pattern of {} {expected}", config.file()),
        () => return Ok(alpha),
    };
    let remedy = "Give the configuration and the matrices of one and the same adapter.";
    Err(AdapterError::Tensor { file: tensors.file().to_owned(), tensor: tensor.to_owned(), problem, remedy })
}

/// One pair for embedding and head together, as `ensure_weight_tying` asks for, is none that is known here.
fn refuse_tied(config: &Config, adapter: &Adapter) -> Result<(), AdapterError> {
    let tied = [Module::Embedding, Module::Head].map(Target::model).iter().any(|target| adapter.pairs.contains_key(target));
    if config.ties && tied {
        return Err(AdapterError::Unsupported {
            file: config.file().to_owned(),
            what: "ensure_weight_tying with an adapter on the embedding or the head".to_owned(),
            remedy: "Train the adapter without it, or on other modules.",
        });
    }
    Ok(())
}
