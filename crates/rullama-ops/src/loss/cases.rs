use super::{LossGrad, LossStats, targets};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::op::Op;

/// Tiles below, at and above the workgroup, targets in, before and behind the tile, logits as far as the flat ends of tanh.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, tile) in [(1, 1), (3, 37), (5, 256), (2, 1500), (70, 65)] {
        for (cap, scale) in [(30.0, 10.0), (30.0, 500.0), (0.0, 20.0), (2.0, 1.0)] {
            for begins in [true, false] {
                all.push(stats(rows, tile, cap, scale, begins));
            }
            all.push(grad(rows, tile, cap, scale));
        }
    }
    all.push(stats(1, 8192, 30.0, 30.0, false));
    all.push(grad(2, 8192, 30.0, 30.0));
    all
}

const FIRST: u32 = 1000;

/// Ids around a tile of `tile` ids, every third of weight 0.
fn around(rng: &mut Rng, rows: usize, tile: usize) -> Host {
    let ids = (0..rows as u64).map(|i| match i % 4 {
        1 => FIRST - 1 - rng.below(900) as u32,
        2 => FIRST + (tile as u64 + rng.below(900)) as u32,
        _ => FIRST + rng.below(tile as u64) as u32,
    });
    let ids = ids.collect::<Vec<_>>();
    let weights: Vec<f32> = (0..rows).map(|i| if i % 3 == 2 { 0.0 } else { 1.0 / (i + 1) as f32 }).collect();
    targets(&ids, &weights)
}

fn stats(rows: usize, tile: usize, cap: f32, scale: f32, begins: bool) -> Case {
    let mut rng = Rng::new((rows * tile) as u64);
    let mut operands: Vec<Host> = vec![rng.tensor_scaled(rows, tile, scale).into(), around(&mut rng, rows, tile)];
    if !begins {
        // Of tiles with smaller and with larger logits.
        let before = (0..rows).flat_map(|row| [if row % 2 == 0 { 0.5 * scale } else { 1.2 * scale }, 1.0 + row as f32, rng.unit(), 0.0]);
        operands.push(Array { rows, cols: 4, data: before.collect() }.into());
    }
    operands.push(Array::zeros(rows, 4).into());
    let name = format!("{rows}x{tile} cap {cap} scale {scale}{}", if begins { " first" } else { "" });
    Case::new(name, LossStats { cap, first: FIRST, begins }, operands, tile)
}

fn grad(rows: usize, tile: usize, cap: f32, scale: f32) -> Case {
    let mut rng = Rng::new((rows * tile + 1) as u64);
    let z = rng.tensor_scaled(rows, tile, scale);
    let mut operands = vec![z.into(), around(&mut rng, rows, tile), Array::zeros(rows, 4).into()];
    LossStats { cap, first: FIRST, begins: true }.oracle(&mut operands);
    operands.push(Array::zeros(rows, tile).into());
    Case::new(format!("{rows}x{tile} cap {cap} scale {scale}"), LossGrad { cap, first: FIRST }, operands, tile)
}
