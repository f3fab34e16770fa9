use super::{Epilogue, Matmul, Prologue};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use rullama_quant::DType;

/// Every format with odd shapes, then what shapes and epilogues add, then sizes of real models.
pub fn cases() -> Vec<Case> {
    let mut all = super::transposed::cases::cases();
    for &dtype in DType::ALL {
        let cols = dtype.block_len().max(32);
        // Fewer rows and groups than lanes; tokens that fill no block.
        all.push(matmul(dtype, 1, 13, cols));
        all.push(matmul(dtype, 3, 37, 3 * cols).strided().chunked(8));
        all.push(matmul(dtype, 11, 70, 2 * cols).strided());
    }
    for dtype in [DType::F16, DType::Q4K, DType::Q6K] {
        all.push(geglu(dtype, 2, 22, 256).strided().chunked(12));
    }
    // Every other row, as gates and ups stand, and a range of rows; chunks begin and end inside a view.
    for (view, chunk) in [((1, 2), 15), ((5, 1), 16), ((2, 3), 10)] {
        for tokens in [1, 9] {
            all.push(matmul(DType::Q4K, tokens, 37, 256).chunked(chunk).viewed(view.0, view.1));
            all.push(norm(Epilogue::Plain, tokens, 66, 96).viewed(view.0, view.1));
        }
    }
    // Both sides of each tile's edge.
    all.push(matmul(DType::Q8_0, 64, 64, 64));
    all.push(matmul(DType::Q8_0, 65, 129, 96).strided().chunked(100));
    all.push(matmul(DType::Q4_0, 129, 128, 32));
    all.push(geglu(DType::Q4_0, 67, 134, 96).chunked(68));
    for tokens in [1, 2, 5, 8, 9, 17] {
        all.push(epilogue(Epilogue::Softcap(3.0), tokens, 66).strided());
        all.push(epilogue(Epilogue::GeluMul, tokens, 66).strided().chunked(24));
        all.push(geglu(DType::Q5_0, tokens, 50, 160));
        for epilogue in [Epilogue::Plain, Epilogue::Softcap(3.0), Epilogue::GeluMul, Epilogue::Geglu] {
            all.push(norm(epilogue, tokens, 66, 96));
        }
    }
    all.push(norm(Epilogue::Plain, 1, 2048, 1536));
    // One token and a tile of them, terms that are shared.
    for (tokens, rows, cols) in [(1, 66, 96), (5, 34, 64), (70, 130, 96), (70, 66, 544)] {
        all.push(clamped(tokens, rows, cols).strided().chunked(40));
    }
    int8(&mut all);
    // Terms that workgroups share, the last one fewer.
    for (tokens, rows) in [(9, 66), (70, 130)] {
        all.push(matmul(DType::F16, tokens, rows, 544).strided().chunked(40));
        all.push(geglu(DType::Q8_0, tokens, rows, 544).chunked(40));
        all.push(gelu_mul(tokens, rows, 544).strided().chunked(40));
    }
    // Shapes of models, with few rows where rows are long: down, output and feed-forward
    // projections, per-layer input, and the vocabulary.
    for (rows, cols) in [(64, 6144), (24, 12288), (16, 21504), (1536, 256), (256, 1536), (96, 2560), (64, 5376), (2048, 1536)] {
        all.push(matmul(DType::Q4K, 1, rows, cols));
    }
    all.push(geglu(DType::Q4K, 1, 12288, 256));
    all.push(matmul(DType::Q4_0, 1, 262_144, 32).chunked(100_000));
    all
}

/// Both operands in codes: every format that has them, epilogues, both sides of the tiles' edges, odd numbers of groups, and groups of
/// zeros and of no numbers.
fn int8(all: &mut Vec<Case>) {
    for &dtype in DType::ALL.iter().filter(|dtype| dtype.has_codes()) {
        all.push(codes(dtype, Epilogue::Plain, 3, 37, 3 * dtype.block_len().max(32)).chunked(8));
    }
    all.push(codes(DType::Q4_0, Epilogue::Softcap(3.0), 1, 66, 96));
    all.push(codes(DType::Q4_0, Epilogue::GeluMul, 7, 66, 96));
    all.push(codes(DType::Q4K, Epilogue::Geglu, 65, 130, 256).chunked(100));
    all.push(codes(DType::Q6K, Epilogue::Plain, 129, 66, 256));
    // Terms that workgroups share, the last one fewer.
    all.push(codes(DType::Q5_1, Epilogue::Geglu, 70, 130, 544).chunked(40));
    for (rows, cols) in [(24, 12288), (16, 21504), (2048, 1536)] {
        all.push(codes(DType::Q4K, Epilogue::Plain, 1, rows, cols));
    }
    let mut odd = codes(DType::Q4K, Epilogue::Plain, 4, 66, 256);
    let x = odd.operands[0].codes_mut();
    x.row_mut(0)[..32].fill(0.0);
    x.row_mut(3)[192..224].fill(f32::NAN);
    all.push(odd);
}

fn codes(dtype: DType, epilogue: Epilogue, tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let values = epilogue.values(rows as u32) as usize;
    let mut operands = vec![rng.codes(tokens, cols, 2.0), Host::Weight(rng.weight(dtype, rows, cols))];
    operands.extend((0..epilogue.extras()).map(|_| Host::from(rng.tensor(tokens, values))));
    operands.push(Array::zeros(tokens, values).into());
    let op = Matmul { prologue: Prologue::Int8, epilogue };
    Case::new(format!("codes, {dtype} {epilogue:?} {tokens}x{rows}x{cols}"), op, operands, 4 * cols)
}

fn matmul(dtype: DType, tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let operands = vec![rng.tensor(tokens, cols).into(), Host::Weight(rng.weight(dtype, rows, cols)), Array::zeros(tokens, rows).into()];
    Case::new(format!("{dtype} {tokens}x{rows}x{cols}"), Matmul::PLAIN, operands, cols)
}

fn geglu(dtype: DType, tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let operands =
        vec![rng.tensor(tokens, cols).into(), Host::Weight(rng.weight(dtype, rows, cols)), Array::zeros(tokens, rows / 2).into()];
    // A product of two sums, one through gelu.
    Case::new(format!("{dtype} {tokens}x{rows}x{cols}"), Matmul::with(Epilogue::Geglu), operands, 4 * cols)
}

fn gelu_mul(tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let weight = Host::Weight(rng.weight(DType::Q4_0, rows, cols));
    let operands =
        vec![rng.tensor(tokens, cols).into(), weight, rng.tensor(tokens, rows).into(), Array::zeros(tokens, rows).into()];
    Case::new(format!("gelu_mul {tokens}x{rows}x{cols}"), Matmul::with(Epilogue::GeluMul), operands, 4 * cols)
}

/// Bounds on both sides of a product that hold a good part of the values.
fn clamped(tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let weight = Host::Weight(rng.weight(DType::F16, rows, cols));
    let operands = vec![rng.tensor(tokens, cols).into(), weight, Array::zeros(tokens, rows).into()];
    let op = Matmul { prologue: Prologue::Clamp { low: -0.75, high: 0.5 }, epilogue: Epilogue::Clamp { low: -0.5, high: 1.0 } };
    Case::new(format!("clamped {tokens}x{rows}x{cols}"), op, operands, cols)
}

/// A norm before the product; inputs far from a mean square of 1.
fn norm(epilogue: Epilogue, tokens: usize, rows: usize, cols: usize) -> Case {
    let mut rng = Rng::new((tokens * rows + cols) as u64);
    let values = epilogue.values(rows as u32) as usize;
    let weight = Host::Weight(rng.weight(DType::Q8_0, rows, cols));
    let mut operands = vec![rng.tensor_scaled(tokens, cols, 30.0).into(), weight, rng.tensor(1, cols).into()];
    operands.extend((0..epilogue.extras()).map(|_| Host::from(rng.tensor(tokens, values))));
    operands.push(Array::zeros(tokens, values).into());
    let op = Matmul { prologue: Prologue::Norm { eps: 1e-6 }, epilogue };
    Case::new(format!("norm, {epilogue:?} {tokens}x{rows}x{cols}"), op, operands, 4 * cols).strided().chunked(24)
}

fn epilogue(epilogue: Epilogue, tokens: usize, rows: usize) -> Case {
    let mut rng = Rng::new((tokens * rows) as u64);
    // Sums reach the flat ends of tanh; gelu's go where an unguarded one overflows.
    let scale = if epilogue == Epilogue::GeluMul { 500.0 } else { 10.0 };
    let mut operands = vec![rng.tensor_scaled(tokens, 64, scale).into(), Host::Weight(rng.weight(DType::F32, rows, 64))];
    if epilogue == Epilogue::GeluMul {
        operands.push(rng.tensor(tokens, rows).into());
    }
    operands.push(Array::zeros(tokens, rows).into());
    Case::new(format!("{epilogue:?} {tokens}x{rows}"), Matmul::with(epilogue), operands, 256)
}
