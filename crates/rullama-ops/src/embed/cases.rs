use super::Embed;
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use rullama_quant::DType;

/// Every format in chunks, ids out of range, and a full vocabulary.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for &dtype in DType::ALL {
        let cols = dtype.block_len().max(32);
        all.push(embed(dtype, &[5, 0, 18, 5, 19, 1 << 31, 7], 19, 3 * cols).chunked(8));
    }
    all.push(embed(DType::Q4K, &[5, 0, 18, 19], 19, 512).chunked(8).viewed(3, 2));
    all.push(embed(DType::Q5K, &[2], 4, 1536));
    all.push(embed(DType::Q4_0, &[262_143, 0, 262_144, 131_072, u32::MAX], 262_144, 32).chunked(131_072));
    all
}

fn embed(dtype: DType, ids: &[u32], vocab: usize, dim: usize) -> Case {
    let mut rng = Rng::new((vocab + dim) as u64);
    let operands = vec![Host::Words(ids.to_vec()), Host::Weight(rng.weight(dtype, vocab, dim)), Array::zeros(ids.len(), dim).into()];
    Case::new(format!("{dtype} {}x{dim} of {vocab}", ids.len()), Embed { scale: (dim as f32).sqrt(), tokens: ids.len() as u32 }, operands, 1)
}
