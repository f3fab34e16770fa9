//! The towers that see: a vision transformer (E2B, E4B, 26B, 31B), and patches without an encoder (12B).

mod encoder;
mod patches;

use super::towers::TowerFile;
use crate::ModelError;
use crate::tower::{Features, Tower};
use rullama_source::gguf::Gguf;
use std::sync::Arc;

/// The vision tower of a file, told apart by its tensors; `None` where there is none.
pub(super) fn open(gguf: &Gguf, dim: u32) -> Result<Option<Arc<dyn Tower>>, ModelError> {
    if !gguf.tensors.contains("v.patch_embd.weight") {
        return Ok(None);
    }
    let file = TowerFile::new(gguf);
    file.check_projector("clip.vision.projector_type", &["gemma4v", "gemma4uv"])?;
    Ok(Some(if gguf.tensors.contains("v.patch_norm.1.weight") {
        Arc::new(patches::PatchTower::read(file, dim)?)
    } else {
        Arc::new(encoder::VisionTower::read(file, dim)?)
    }))
}

/// Soft tokens of a picture unless somebody says.
const BUDGET: u32 = 280;
/// Most that a file may say.
const LARGEST_BUDGET: u32 = 1120;
// A picture that is seen both ways is one step.
const _: () = assert!(LARGEST_BUDGET <= crate::pace::MAX_BLOCK);
const MAX_PIXELS: &str = "vision.image_max_pixels";

/// Soft tokens of a picture where nobody says how many: those of the most pixels that the file names, of `side` x `side` each.
fn budget(file: &TowerFile, side: u32) -> Result<u32, ModelError> {
    let pixels = file.u32_or(MAX_PIXELS, BUDGET * side * side)?;
    let budget = pixels / (side * side);
    if (1..=LARGEST_BUDGET).contains(&budget) {
        return Ok(budget);
    }
    Err(file.bad(MAX_PIXELS, pixels, &format!("gives {budget} soft tokens, outside 1..={LARGEST_BUDGET}")))
}

/// Side of a square of pixels by the inner dimensions of the patch embedding.
fn side(values: u64) -> Option<u32> {
    let side = (values / 3).isqrt();
    (side * side * 3 == values && (1..=256).contains(&side)).then_some(side as u32)
}

/// Where a picture's patches stand in the table of positions: that of columns, then that of rows, `places` each.
fn positions(features: &Features, places: u32) -> Result<[Vec<u32>; 2], ModelError> {
    let (columns, rows) = features.grid;
    if columns > places || rows > places {
        return Err(ModelError::TooManyPatches { columns, rows, places });
    }
    let of = |place: fn(u32, u32) -> u32| (0..columns * rows).map(|i| place(i, columns)).collect::<Vec<u32>>();
    Ok([of(|i, columns| i % columns), of(|i, columns| i / columns).into_iter().map(|y| y + places).collect()])
}

/// Patches by channel, y, x, as files keep the kernels, of patches by y, x, channel.
fn by_channel(features: &Features, map: impl Fn(f32) -> f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(features.values.len());
    for patch in features.values.chunks_exact(features.cols as usize) {
        out.extend((0..3).flat_map(|channel| patch.iter().skip(channel).step_by(3)).map(|value| map(*value)));
    }
    out
}
