use super::{Embed, EmbedPlaced};
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
    for &dtype in DType::ALL {
        // Rows of an odd number of blocks, whose planes would not begin at whole words one behind the other.
        let cols = dtype.block_len().max(32);
        all.push(placed(dtype, &[5, 0, 18, 5, 19, 1 << 31, 7], (19, 5), 3 * cols));
    }
    all.push(placed(DType::Q6K, &[2], (4, 4), 1536));
    all.push(placed(DType::BF16, &[262_143, 0, 262_144, 131_072, u32::MAX], (262_144, 3), 32));
    all
}

/// `slots` rows for `vocab` ids: the asked for ones have a place in turn, of those within `vocab` the last has none.
fn placed(dtype: DType, ids: &[u32], (vocab, slots): (u32, usize), dim: usize) -> Case {
    let mut rng = Rng::new(vocab as u64 + dim as u64);
    let mut places = vec![0; vocab as usize];
    let there = || ids.iter().filter(|id| **id < vocab);
    let last = there().next_back().filter(|_| ids.len() > 1);
    for (at, id) in there().enumerate() {
        places[*id as usize] = if Some(id) == last { 0 } else { (slots - at % slots) as u32 };
    }
    let operands = [Host::Words(ids.to_vec()), Host::Words(places), Host::Weight(rng.weight(dtype, slots, dim))];
    let operands = operands.into_iter().chain([Array::zeros(ids.len(), dim).into()]).collect();
    let op = EmbedPlaced { scale: (dim as f32).sqrt(), tokens: ids.len() as u32, vocab };
    Case::new(format!("{dtype} {}x{dim} of {vocab}, {slots} placed", ids.len()), op, operands, 1).apart()
}

fn embed(dtype: DType, ids: &[u32], vocab: usize, dim: usize) -> Case {
    let mut rng = Rng::new((vocab + dim) as u64);
    let operands = vec![Host::Words(ids.to_vec()), Host::Weight(rng.weight(dtype, vocab, dim)), Array::zeros(ids.len(), dim).into()];
    Case::new(format!("{dtype} {}x{dim} of {vocab}", ids.len()), Embed { scale: (dim as f32).sqrt(), tokens: ids.len() as u32 }, operands, 1)
}
