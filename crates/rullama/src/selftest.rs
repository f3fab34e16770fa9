//! Before the first token: each kernel in use computes a small case and is compared with the
//! reference. Drivers do miscompile; nobody should get silent garbage.

use crate::Error;
use crate::engine::PLE_KEY;
use rullama_gpu::Device;
use rullama_model::gemma4::{Config, Specs};
use rullama_model::weights::Stack;
use rullama_ops::KvType;
use rullama_ops::smoke::{self, Smoke};

/// Variants that failed where another variant of the operation serves.
///
/// # Errors
/// An operation none of whose variants is right, by name.
pub(crate) async fn run(device: &Device, config: &Config, specs: &Specs, kv: KvType) -> Result<Vec<(String, &'static str)>, Error> {
    let mut banned = Vec::new();
    for case in smoke::cases(&used(config, specs, kv)?, device.caps().software) {
        let mut last = None;
        let mut passed = false;
        for variant in case.variants(device).await? {
            let entry = (case.op.name().to_string(), variant);
            if banned.contains(&entry) {
                continue;
            }
            match case.run_variant(device, variant).await {
                Ok(()) => {
                    passed = true;
                    break;
                }
                Err(message) => {
                    device.check()?;
                    last = Some((variant, message));
                    banned.push(entry);
                }
            }
        }
        if !passed {
            let (variant, message) = last.unwrap_or(("none", "no variant runs on this adapter".into()));
            return Err(Error::SelfTest { kernel: format!("{}/{variant}", case.op.name()), message });
        }
    }
    Ok(banned)
}

/// Formats and head sizes of the model.
fn used(config: &Config, specs: &Specs, kv: KvType) -> Result<Smoke, Error> {
    let mut used = Smoke {
        matrices: Vec::new(),
        pairs: Vec::new(),
        tables: Vec::new(),
        heads: Vec::new(),
        query_heads: config.heads,
        kv,
        window: config.window,
    };
    for spec in &specs.weights {
        let dtype = spec.dtype()?;
        let list = match spec.stack {
            Stack::Interleave => &mut used.pairs,
            Stack::Concat if spec.key == PLE_KEY => &mut used.tables,
            Stack::Concat => &mut used.matrices,
        };
        list.push(dtype);
        if spec.key == "token_embd" {
            used.tables.push(dtype);
        }
    }
    for list in [&mut used.matrices, &mut used.pairs, &mut used.tables] {
        list.sort_unstable();
        list.dedup();
    }
    used.heads = config.layers.iter().map(|l| (l.kv_heads, l.head_dim)).collect();
    used.heads.sort_unstable();
    used.heads.dedup();
    Ok(used)
}
