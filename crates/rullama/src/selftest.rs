//! Before the first token: each kernel in use computes a small case and is compared with the
//! reference. Drivers do miscompile; nobody should get silent garbage.

use crate::Error;
use crate::engine::PLE_KEY;
use rullama_gpu::Device;
use rullama_model::gemma4::{Config, Specs};
use rullama_model::weights::{Stack, WeightSpec};
use rullama_ops::case::Case;
use rullama_ops::smoke::{self, Product, ProductKind, Smoke};
use rullama_ops::{Epilogue, KvType, SampleMode};

/// Variants that failed where another variant of the operation serves.
///
/// # Errors
/// An operation none of whose variants is right, by name.
pub(crate) async fn run(
    device: &Device,
    config: &Config,
    specs: &Specs,
    kv: KvType,
    resident: bool,
) -> Result<Vec<(String, &'static str)>, Error> {
    let mut banned = Vec::new();
    let cases = smoke::cases(&used(config, specs, kv, resident)?, device.caps());
    loop {
        let known = banned.len();
        for case in &cases {
            try_variants(device, case, &mut banned).await?;
        }
        // A ban holds for all cases: those that had passed with the variant must pass with the next one.
        if banned.len() == known {
            return Ok(banned);
        }
    }
}

/// Tests the kernels of one way to sample.
pub(crate) async fn sampler(device: &Device, mode: SampleMode) -> Result<(), Error> {
    try_variants(device, &smoke::sampler(mode), &mut Vec::new()).await
}

/// Takes variants until one is right; bans the others.
async fn try_variants(device: &Device, case: &Case, banned: &mut Vec<(String, &'static str)>) -> Result<(), Error> {
    let mut last = ("none", "no variant runs on this adapter".to_string());
    for variant in case.variants(device).await? {
        let entry = (case.op.name().to_string(), variant);
        if banned.contains(&entry) {
            continue;
        }
        match case.run_variant(device, variant).await {
            Ok(()) => return Ok(()),
            Err(message) => {
                device.check()?;
                last = (variant, message);
                banned.push(entry);
            }
        }
    }
    let (variant, message) = last;
    Err(Error::SelfTest { kernel: format!("{}/{variant}", case.op.name()), message })
}

/// What the model multiplies, gathers and attends with.
fn used(config: &Config, specs: &Specs, kv: KvType, resident: bool) -> Result<Smoke, Error> {
    let mut used = Smoke {
        products: Vec::new(),
        tables: Vec::new(),
        heads: config.layers.iter().map(|l| (l.kv_heads, l.head_dim)).collect(),
        query_heads: config.heads,
        kv,
        window: config.window,
    };
    for spec in &specs.weights {
        let dtype = spec.dtype()?;
        if spec.key == "token_embd" || (spec.key == PLE_KEY && resident) {
            used.tables.push(dtype);
        }
        if let Some(kind) = kind(spec, config, specs) {
            let (rows, cols) = (spec.rows() as u32, spec.cols() as u32);
            used.products.push(Product { dtype, rows, cols, kind, prompts: takes_prompts(&spec.key, config, specs) });
        }
    }
    used.tables.sort_unstable();
    used.tables.dedup();
    used.heads.sort_unstable();
    used.heads.dedup();
    Ok(used)
}

fn head(specs: &Specs) -> &str {
    specs.head.as_deref().unwrap_or("token_embd")
}

/// Whether prompts run through a weight with all their rows: not the head, nor layers that only read others' caches.
fn takes_prompts(key: &str, config: &Config, specs: &Specs) -> bool {
    let layer = key.strip_prefix("blk.").and_then(|rest| rest.split('.').next()).and_then(|n| n.parse::<usize>().ok());
    let narrow = key == head(specs) || key == "per_layer_model_proj.shared" || layer.is_some_and(|n| n >= config.own_layers());
    !narrow
}

/// What the graph does with a weight; `None` where it only gathers rows.
fn kind(spec: &WeightSpec, config: &Config, specs: &Specs) -> Option<ProductKind> {
    let head = head(specs);
    Some(match spec.key.as_str() {
        _ if spec.stack == Stack::Interleave => ProductKind::Geglu,
        key if key == head => ProductKind::Plain(if config.softcap > 0.0 { Epilogue::Softcap(config.softcap) } else { Epilogue::None }),
        PLE_KEY | "token_embd" => return None,
        key if key.ends_with(".inp_gate") || key.ends_with(".ffn_gate") => ProductKind::Plain(Epilogue::GeluMul),
        _ => ProductKind::Plain(Epilogue::None),
    })
}
