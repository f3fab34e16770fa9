use super::{SelfAttention, SelfAttentionDelta};
use crate::case::Case;
use crate::rotate::cases::packed;

/// Head sizes and groupings, rows from one token to several tiles, one example and many, padding at the end and in between, windows
/// smaller and larger than a tile and than the row.
pub fn cases() -> Vec<Case> {
    let op = |heads, kv_heads, head_dim, window| SelfAttention { heads, kv_heads, head_dim, window };
    let mut holes = packed(&[20, 20, 5], 2);
    (holes[3], holes[40]) = (u32::MAX, 47);
    let steps = [
        (op(1, 1, 32, None), packed(&[1], 0)),
        (op(1, 1, 32, Some(1)), packed(&[5, 1], 1)),
        (op(8, 1, 64, None), packed(&[31, 2, 40], 4)),
        (op(4, 2, 96, Some(5)), packed(&[33, 33], 0)),
        (op(4, 2, 96, None), packed(&[64], 0)),
        (op(4, 4, 64, Some(33)), packed(&[100], 7)),
        (op(6, 2, 32, Some(1000)), packed(&[7, 40], 17)),
        (op(5, 1, 128, None), holes),
        (op(2, 1, 160, Some(64)), packed(&[90, 10], 0)),
        (op(8, 2, 256, Some(20)), packed(&[24, 9], 3)),
        (op(2, 1, 512, None), packed(&[40, 5], 2)),
        (op(8, 1, 512, Some(16)), packed(&[35], 0)),
        (op(2, 1, 64, None), packed(&[], 40)),
    ];
    let mut all = Vec::new();
    for (i, (op, starts)) in steps.iter().enumerate() {
        let examples = format!("case {i}");
        let [query, keys] = op.back_cases(op.operands(starts), &examples);
        let made = [op.case(op.operands(starts), &examples), query, keys];
        all.extend(made.map(|case| if i % 2 == 0 { case.strided() } else { case }));
        all.push(SelfAttentionDelta { heads: op.heads, head_dim: op.head_dim }.case(starts.len()).strided());
    }
    all
}
