use super::{ExpertProduct, ExpertSum};
use crate::case::{Case, Rng};
use crate::host::Array;
use rullama_quant::DType;

/// Every format, gated and not, rows of x shared and not, one expert and many, rows and lengths below and above a workgroup's, and
/// experts over several chunks.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for &dtype in DType::ALL {
        let cols = if dtype.block_len() == 256 { 512 } else { 96 };
        all.push(product(dtype, (3, (2, 2)), (true, true), (10, cols)).chunked(10).strided());
        all.push(product(dtype, (4, (1, 3)), (false, false), (7, cols)).chunked(14));
    }
    for gated in [true, false] {
        for shared in [true, false] {
            all.push(product(DType::Q5_0, (6, (5, 4)), (gated, shared), (34, 352)).chunked(68).strided());
            all.push(product(DType::Q8_0, (1, (9, 1)), (gated, shared), (2, 32)));
        }
    }
    // More slots than a tile has for some experts, and experts without any.
    for gated in [true, false] {
        all.push(product(DType::Q4_0, (3, (70, 2)), (gated, true), (150, 64)).chunked(150).strided());
        all.push(product(DType::Q4K, (40, (33, 3)), (gated, false), (6, 256)));
    }
    // Slots are ordered by rounds of 512, of many experts by fewer; of more still they are not.
    for (experts, slots) in [(5, (300, 4)), (128, (300, 8)), (300, (200, 3)), (1000, (90, 2)), (1365, (33, 1)), (1500, (20, 2))] {
        all.push(product(DType::Q8_0, (experts, slots), (experts % 2 == 0, true), (if experts % 2 == 0 { 4 } else { 1 }, 32)));
    }
    for gated in [true, false] {
        all.push(pooled(DType::Q4_0, (3, (70, 2)), gated, (12, 64)).chunked(12));
        all.push(pooled(DType::Q8_0, (4, (2, 3)), gated, (8, 96)));
    }
    // The shapes of 26B-A4B, with few experts: 704 values, not a multiple of 256.
    all.push(product(DType::Q4K, (3, (1, 8)), (true, true), (176, 2816)));
    all.push(product(DType::Q5_0, (3, (1, 8)), (false, false), (352, 704)).chunked(704));
    for (tokens, used, dim) in [(1, 8, 2816), (5, 1, 32), (3, 4, 96), (2, 130, 4)] {
        all.push(ExpertSum.case(tokens, used, dim).strided());
    }
    all
}

fn product(
    dtype: DType,
    (experts, slots): (u32, (usize, usize)),
    (gated, shared): (bool, bool),
    (rows, cols): (usize, usize),
) -> Case {
    let op = ExpertProduct { experts, gated, pool_of: None };
    let (operands, name) = op.case(dtype, slots, rows, cols, shared);
    // A product of two sums, one through gelu.
    Case::new(name, op, operands, if gated { 4 * cols } else { cols })
}

/// Of more experts than the weight holds: slots of the others keep what they have.
fn pooled(dtype: DType, (experts, slots): (u32, (usize, usize)), gated: bool, (rows, cols): (usize, usize)) -> Case {
    let op = ExpertProduct { experts, gated, pool_of: Some(2 * experts) };
    let (mut operands, name) = op.case(dtype, slots, rows, cols, true);
    let mut rng = Rng::new(u64::from(experts));
    let places = (0..slots.0 * slots.1).map(|_| rng.below(u64::from(experts) + 1) as f32).collect();
    operands[1] = Array { rows: slots.0, cols: slots.1, data: places }.into();
    let kept = operands[3].tensor();
    operands[3] = rng.tensor(kept.rows, kept.cols).into();
    Case::new(format!("{name}, of a pool"), op, operands, if gated { 4 * cols } else { cols })
}
