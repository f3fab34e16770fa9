use super::{HeadNorm, HeadRope, QkvPrepare, Store, rope_tables};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};
use crate::kv::KvType;

/// Tokens of a case's step.
struct Shape {
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    tokens: usize,
    real: usize,
    position: usize,
    slots: usize,
}

/// Largest position of the cases' tables.
const POSITIONS: u32 = 2048;

/// The first quarter of the pairs turns where `partial`, else all.
fn tables(head_dim: usize, partial: bool) -> [Host; 2] {
    let turned = if partial { head_dim / 8 } else { head_dim / 2 };
    let frequency = |i: usize| if i < turned { 1e4f64.powf(-2.0 * i as f64 / head_dim as f64) } else { 0.0 };
    let (low, high) = rope_tables(&(0..head_dim / 2).map(frequency).collect::<Vec<_>>(), POSITIONS);
    [low, high].map(|data| Array { rows: data.len() / head_dim, cols: head_dim, data }.into())
}

fn qkv(shape: &Shape, kv: KvType, partial: bool) -> Case {
    let &Shape { heads, kv_heads, head_dim, tokens, real, position, slots } = shape;
    let mut rng = Rng::new((heads * 31 + head_dim * 7 + tokens + position) as u64);
    let [low, high] = tables(head_dim, partial);
    let mut state = vec![0; 8];
    (state[0], state[1]) = (position as u32, real as u32);
    let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
    let operands = vec![
        rng.tensor_scaled(tokens, q_width, 3.0).into(),
        rng.tensor(tokens, kv_width).into(),
        rng.tensor_scaled(tokens, kv_width, 0.1).into(),
        rng.tensor(1, head_dim).into(),
        rng.tensor(1, head_dim).into(),
        low,
        high,
        Host::Words(state),
        rng.tensor(tokens, q_width).into(),
        Host::Cache(rng.cache(kv, slots, kv_width)),
        Host::Cache(rng.cache(kv, slots, kv_width)),
    ];
    let name = format!("{heads}/{kv_heads} heads of {head_dim}, {real} of {tokens} tokens at {position}, {kv:?}");
    let op = QkvPrepare { heads: heads as u32, kv_heads: kv_heads as u32, head_dim: head_dim as u32, eps: 1e-6 };
    Case::new(name, op, operands, head_dim)
}

/// Without keys and values: the query operands of the same case.
fn query(shape: &Shape) -> Case {
    let mut operands = qkv(shape, KvType::F32, true).operands;
    operands.truncate(9);
    for at in [4, 2, 1] {
        operands.remove(at);
    }
    let op = HeadRope { heads: shape.heads as u32, head_dim: shape.head_dim as u32, eps: 1e-6 };
    let name = format!("{} heads of {}, {} of {} tokens at {}", shape.heads, shape.head_dim, shape.real, shape.tokens, shape.position);
    Case::new(name, op, operands, shape.head_dim)
}

/// The values of the same case, normed, and stored.
fn values(shape: &Shape, kv: KvType) -> [Case; 2] {
    let mut operands = qkv(shape, kv, true).operands;
    let (cache, state, x) = (operands.remove(10), operands.remove(7), operands.remove(2));
    let zeros = Host::from(Array::zeros(x.tensor().rows, x.tensor().cols));
    let op = HeadNorm { heads: shape.kv_heads as u32, head_dim: shape.head_dim as u32, eps: 1e-6 };
    let name = format!("{} heads of {}, {} of {} tokens, {kv:?}", shape.kv_heads, shape.head_dim, shape.real, shape.tokens);
    [Case::new(&name, op, vec![x.clone(), zeros], shape.head_dim).strided(), Case::new(&name, Store, vec![x, state, cache], 1).strided()]
}

/// All head sizes and groupings, positions across a row of the tables and around the ring,
/// padded steps, all cache types, whole and partial rotation.
pub fn cases() -> Vec<Case> {
    let shape = |(heads, kv_heads, head_dim): (usize, usize, usize), tokens, real, position, slots| Shape {
        heads,
        kv_heads,
        head_dim,
        tokens,
        real,
        position,
        slots,
    };
    let shapes = [
        shape((1, 1, 32), 1, 1, 0, 4),
        shape((8, 1, 64), 3, 3, 5, 16),
        shape((4, 2, 96), 17, 13, 250, 40),
        shape((4, 2, 128), 5, 0, 9, 8),
        shape((8, 1, 256), 1, 1, 1800, 600),
        shape((8, 2, 512), 4, 3, 255, 300),
        shape((32, 16, 256), 1, 1, 70, 64),
        shape((32, 4, 512), 2, 2, 511, 512),
    ];
    let mut cases = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        for kv in KvType::ALL {
            cases.push(qkv(shape, kv, i % 2 == 1));
            cases.extend(values(shape, kv));
        }
        cases.push(query(shape));
        cases.push(query(shape).strided());
    }
    cases.extend(KvType::ALL.map(|kv| qkv(&shapes[2], kv, true).strided()));
    cases.push(codes());
    cases
}

/// What the definition of 8 bits says of blocks that are zero, tiny, between two codes, out of a scale's reach and no numbers.
fn codes() -> Case {
    let firsts = [0.0, 1e-6, 0.0077, 127.0, -127.0, 8_319_008.0, 1e7, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    let mut x = Array::zeros(3, 32 * firsts.len());
    for row in 0..x.rows {
        for (block, first) in x.row_mut(row).chunks_exact_mut(32).zip(firsts) {
            // Halves of steps, where the scale is 1: no division is off.
            let part = if first.abs() == 127.0 { 254.0 } else { 300.0 };
            block.iter_mut().enumerate().for_each(|(i, x)| *x = first / part * (i as f32 - 16.0 + row as f32));
            block[row] = first;
        }
    }
    let mut state = vec![0; 8];
    (state[0], state[1]) = (6, 3);
    let cache = Rng::new(4).cache(KvType::Q8, 7, x.cols);
    Case::new("blocks of all kinds", Store, vec![x.into(), Host::Words(state), Host::Cache(cache)], 1)
}
