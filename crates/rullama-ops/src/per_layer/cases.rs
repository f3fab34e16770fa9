use super::PerLayerCombine;
use crate::case::{Case, Rng};
use crate::host::Array;

pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (tokens, layers, width) in [(1, 35, 256), (3, 7, 256), (9, 2, 32), (2, 1, 96)] {
        let mut rng = Rng::new((tokens * layers * width) as u64);
        let operands =
            vec![rng.tensor(tokens, layers * width).into(), rng.tensor(tokens, layers * width).into(), rng.tensor(1, width).into(), Array::zeros(tokens, layers * width).into()];
        let op = PerLayerCombine { eps: 1e-6, scale: 1.0 / 1536f32.sqrt() };
        all.push(Case::new(format!("{tokens} tokens, {layers} layers of {width}"), op, operands, width).strided());
    }
    all
}
