use super::MatmulT;
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use rullama_quant::DType;

/// Every format in a view, odd shapes and chunks, then both sides of each tile's edge, and rows that workgroups share.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for &dtype in DType::ALL {
        all.push(case(dtype, false, 11, 52, 2 * dtype.block_len().max(32)).strided().chunked(100).viewed(1, 2));
    }
    for dtype in [DType::Q8_0, DType::Q5K] {
        let cols = dtype.block_len().max(32);
        all.push(case(dtype, false, 1, 13, cols));
        all.push(case(dtype, true, 3, 37, 3 * cols).strided().chunked(10));
    }
    for (tokens, rows, cols) in [(64, 64, 64), (65, 129, 96), (129, 100, 160), (17, 16, 32), (9, 33, 128), (8, 40, 32), (5, 41, 32)] {
        all.push(case(DType::Q8_0, false, tokens, rows, cols));
        all.push(case(DType::Q8_0, true, tokens, rows, cols).strided().chunked(36));
    }
    for (tokens, rows) in [(1, 520), (2, 600), (40, 700), (70, 1100)] {
        all.push(case(DType::Q4_0, false, tokens, rows, 64).chunked(512).viewed(3, 2));
        all.push(case(DType::Q4K, true, tokens, rows, 256).strided());
    }
    all.push(case(DType::Q6K, true, 3, 2048, 1536));
    all
}

fn case(dtype: DType, add: bool, tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let mut operands: Vec<Host> = vec![rng.tensor(tokens, rows).into(), Host::Weight(rng.weight(dtype, rows, cols))];
    operands.extend(add.then(|| rng.tensor(tokens, cols).into()));
    operands.push(Array::zeros(tokens, cols).into());
    let name = format!("{dtype} {tokens}x{rows}x{cols}{}", if add { " added" } else { "" });
    Case::new(name, MatmulT { add }, operands, rows)
}
