use super::norm::{PARTS, parts};
use super::{ClipFactor, NormParts, UpdateSettings, row, smoke_clip, smoke_update};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};

/// Rows shorter than a part and of many, magnitudes whose squares leave the range of f32, values that are not finite, updates that are
/// skipped.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = [(4, 1.0), (1000, 1e-25), (1024, 1e25), (300_000, 3.0)].into_iter().flat_map(|(n, scale)| sums(n, scale)).collect();
    all.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY].map(not_finite));
    all.push(smoke_clip());
    all.extend([None, Some(1e30)].map(unclipped));
    all.extend([4, 1020, 262_144].map(smoke_update));
    let mut skipped = smoke_update(64);
    skipped.operands[2] = Array { rows: 1, cols: 4, data: vec![f32::INFINITY, 0.0, 0.0, 0.0] }.into();
    skipped.name = "skipped".into();
    all.push(skipped);
    all
}

fn sums(n: usize, scale: f32) -> [Case; 2] {
    let mut rng = Rng::new(n as u64);
    let x = rng.tensor_scaled(1, n, scale);
    let after = || Host::from(Array::zeros(PARTS as usize, 4));
    let name = format!("{n} of {scale:e}");
    [
        Case::new(name.clone(), NormParts { begins: true }, vec![x.clone().into(), after()], n.min(4096)),
        Case::new(name, NormParts { begins: false }, vec![x.into(), parts(&mut rng).into(), after()], n.min(4096)),
    ]
}

fn not_finite(value: f32) -> Case {
    let mut x = Rng::new(7).tensor(1, 4000);
    x.data[1234] = value;
    let after = Array::zeros(PARTS as usize, 4).into();
    Case::new(format!("with {value}"), NormParts { begins: true }, vec![x.into(), after], 1024)
}

/// A norm within what is allowed.
fn unclipped(clip: Option<f64>) -> Case {
    let settings = UpdateSettings::new(1e-3, (0.9, 0.999), 1e-8, 0.0, clip, 1);
    let operands = vec![parts(&mut Rng::new(9)).into(), row(&settings), Array::zeros(1, 4).into()];
    Case::new(format!("{clip:?}"), ClipFactor, operands, PARTS as usize)
}
