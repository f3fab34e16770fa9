//! The tensors of a layer's experts, in both layouts.

use super::config::Experts;
use super::weights::File;
use crate::ModelError;
use crate::weights::{Part, Stack, TableSpec};

/// Lists a layer's router, norms and experts: gate and up in one tensor or in two, joined where they have one format.
///
/// # Errors
/// A missing tensor, a wrong shape: each names the tensor.
pub fn specs(file: &mut File, dim: u32, of: Experts, layer: usize) -> Result<(), ModelError> {
    let Experts { count, ffn, .. } = of;
    let b = format!("blk.{layer}");
    file.matrix(&format!("{b}.ffn_gate_inp"), dim, count)?;
    let scale = file.tensor(&format!("{b}.ffn_gate_inp.scale"), &[dim.into()])?;
    file.specs.tables.push(TableSpec { key: scale.name.clone(), tensor: scale, host: false });
    let key = format!("{b}.ffn_down_exps.scale");
    let names = [key.clone(), format!("{b}.ffn_gate_inp.per_expert_scale")];
    if names.iter().any(|name| file.gguf.tensors.contains(name)) {
        let tensor = file.first(&names, &[count.into()])?;
        file.specs.tables.push(TableSpec { key, tensor, host: false });
    }
    for (name, other) in
        [("pre_ffw_norm_2", "ffn_pre_norm_2"), ("post_ffw_norm_1", "ffn_post_norm_1"), ("post_ffw_norm_2", "ffn_post_norm_2")]
    {
        file.vector(&[format!("{b}.{name}"), format!("{b}.{other}")], dim)?;
    }
    matrices(file, &format!("{b}.ffn_down_exps"), (ffn, dim), count)?;
    let fused = format!("{b}.ffn_gate_up_exps");
    let [gate, up] = [format!("{b}.ffn_gate_exps"), format!("{b}.ffn_up_exps")];
    let has = |key: &str| file.gguf.tensors.contains(&format!("{key}.weight"));
    if has(&fused) || !(has(&gate) || has(&up)) {
        return matrices(file, &fused, (dim, 2 * ffn), count);
    }
    let shape = [dim.into(), ffn.into(), count.into()];
    let tensors = [file.tensor(&format!("{gate}.weight"), &shape)?, file.tensor(&format!("{up}.weight"), &shape)?];
    if tensors[0].kind != tensors[1].kind {
        matrices(file, &gate, (dim, ffn), count)?;
        return matrices(file, &up, (dim, ffn), count);
    }
    let rows = |expert: u32| u64::from(expert) * u64::from(ffn)..(u64::from(expert) + 1) * u64::from(ffn);
    let part = |expert, tensor: &_| Part { key: fused.clone(), tensor: Clone::clone(tensor), rows: rows(expert) };
    let parts = (0..count).flat_map(|expert| tensors.iter().map(move |tensor| (expert, tensor)));
    let parts = parts.map(|(expert, tensor)| part(expert, tensor)).collect();
    file.weight(&fused, Stack::Experts { rows: 2 * u64::from(ffn) }, parts);
    Ok(())
}

/// A matrix `[rows, cols]` for each expert, in one tensor.
fn matrices(file: &mut File, key: &str, (cols, rows): (u32, u32), count: u32) -> Result<(), ModelError> {
    let tensor = file.tensor(&format!("{key}.weight"), &[cols.into(), rows.into(), count.into()])?;
    file.weight(key, Stack::Experts { rows: rows.into() }, vec![Part::whole(key, tensor)]);
    Ok(())
}
