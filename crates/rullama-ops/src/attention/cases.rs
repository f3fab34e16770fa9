use super::{Attention, ends};
use crate::case::{Case, EPSILON, Rng};
use crate::graph::Type;
use crate::host::Host;
use crate::kv::KvType;
use std::any::Any;

/// Heads, heads of keys, head size.
type Heads = (usize, usize, usize);

/// `real` of `tokens` tokens at `position`; where there is a window, the ring has `window +
/// tokens` slots.
fn case((heads, kv_heads, head_dim): Heads, [tokens, real, position]: [usize; 3], window: Option<u32>, kv: KvType) -> Case {
    let mut rng = Rng::new((heads * 131 + head_dim * 17 + tokens * 3 + position) as u64);
    let slots = window.map_or(position + tokens + 2, |w| w as usize + tokens);
    let mut state = vec![0; 8];
    (state[0], state[1]) = (position as u32, real as u32);
    let operands = vec![
        // Scores of a few units, so that several keys count.
        rng.tensor_scaled(tokens, heads * head_dim, 6.0 / (head_dim as f32).sqrt()).into(),
        Host::Cache(rng.cache(kv, slots, kv_heads * head_dim)),
        Host::Cache(rng.cache(kv, slots, kv_heads * head_dim)),
        Host::Words(state),
        rng.tensor(tokens, heads * head_dim).into(),
    ];
    let name = format!("{heads}/{kv_heads} heads of {head_dim}, {real} of {tokens} tokens at {position}, window {window:?}, {kv:?}");
    let op = Attention { heads: heads as u32, kv_heads: kv_heads as u32, head_dim: head_dim as u32, window, blocks: false, codes: false };
    let keys = window.map_or(position + real, |w| (position + real).min(w as usize));
    // A score of up to 10 is off by some 10 roundings of its sum, and so is its weight.
    let tolerance = 64.0 * EPSILON * ((head_dim + keys) as f32).sqrt();
    Case::new(name, op, operands, head_dim).tolerance(tolerance)
}

/// The same where the tokens of blocks see each other.
fn blocks(mut case: Case, op: Attention, at: u32, blocks: &[(u32, u32)]) -> Case {
    let y = case.operands.pop().expect("attention makes a value");
    let tokens = y.tensor().rows as u32;
    case.operands.extend([Host::Words(ends(at, tokens, blocks)), y]);
    case.op = Box::new(Attention { blocks: true, ..op });
    case.name.push_str(", in blocks");
    case
}

/// The same that gives codes.
fn codes(mut case: Case) -> Case {
    let op = (case.op.as_ref() as &dyn Any).downcast_ref::<Attention>().expect("an attention");
    case.op = Box::new(Attention { codes: true, ..op.clone() });
    let y = case.operands.pop().expect("attention makes a value").of();
    case.operands.push(Host::zeros(&Type::codes(y.rows, y.cols)));
    case.name.push_str(", to codes");
    case
}

/// Steps of one token to several, padded ones, heads of odd numbers of groups, blocks.
fn codes_cases() -> Vec<Case> {
    let in_blocks = Attention { heads: 4, kv_heads: 2, head_dim: 64, window: Some(31), blocks: true, codes: false };
    let all = [
        case((1, 1, 32), [1, 1, 5], Some(5), KvType::F32),
        case((3, 1, 160), [4, 3, 1500], Some(128), KvType::F16),
        case((5, 1, 96), [2, 0, 300], None, KvType::Q8),
        case((4, 2, 96), [17, 13, 3], Some(5), KvType::F16),
        case((8, 1, 256), [1, 1, 700], Some(512), KvType::F16),
        case((16, 1, 512), [1, 1, 90], None, KvType::F16),
        case((5, 1, 96), [40, 37, 300], None, KvType::F16),
        blocks(case((4, 2, 64), [40, 40, 20], Some(31), KvType::F16), in_blocks, 20, &[(0, 35)]),
    ];
    all.map(codes).into()
}

/// Blocks of one token, of several in a row, across tiles, at the start and the end of a step, longer and shorter than the window.
fn block_cases() -> Vec<Case> {
    type Blocks = (Heads, [usize; 3], Option<u32>, KvType, &'static [(u32, u32)]);
    let all: [Blocks; 6] = [
        ((1, 1, 32), [3, 3, 5], Some(5), KvType::F32, &[(0, 2)]),
        ((4, 2, 64), [40, 40, 20], Some(31), KvType::F16, &[(0, 35)]),
        ((4, 2, 96), [70, 66, 3], Some(5), KvType::F32, &[(2, 3), (3, 20), (20, 66)]),
        ((8, 1, 256), [64, 64, 700], Some(128), KvType::F16, &[(30, 34), (60, 64)]),
        ((2, 1, 64), [96, 90, 0], None, KvType::F32, &[(10, 80)]),
        ((4, 2, 96), [37, 35, 20], Some(31), KvType::Q8, &[(3, 30)]),
    ];
    let made = all.map(|(heads, step, window, kv, of)| {
        let op = Attention { heads: heads.0 as u32, kv_heads: heads.1 as u32, head_dim: heads.2 as u32, window, blocks: true, codes: false };
        blocks(case(heads, step, window, kv), op, step[2] as u32, of)
    });
    made.into()
}

/// Decode steps with the heads and windows of the models, of which a workgroup takes one, two or four.
fn model_cases() -> Vec<Case> {
    use KvType::F16;
    vec![
        case((8, 1, 256), [1, 1, 1700], Some(512), F16),
        case((8, 1, 64), [1, 1, 1200], Some(1024), F16),
        case((8, 1, 512), [1, 1, 1100], None, F16),
        case((8, 2, 256), [1, 1, 511], Some(512), F16),
        case((16, 1, 512), [1, 1, 90], None, F16),
        case((16, 8, 256), [1, 1, 1024], Some(1024), F16),
        case((32, 16, 256), [1, 1, 150], Some(1024), F16),
        case((32, 4, 512), [1, 1, 200], None, F16),
    ]
}

/// Head sizes and groupings, steps from one token to several tiles, positions from the start
/// to past the end of a ring, windows smaller and larger than a step, padded steps, all types of caches.
pub fn cases() -> Vec<Case> {
    use KvType::{F16, F32, Q8};
    let mut cases = vec![
        case((1, 1, 32), [1, 1, 0], None, F32),
        case((1, 1, 32), [1, 1, 5], Some(5), F16),
        case((8, 1, 64), [3, 3, 5], None, F16),
        case((8, 1, 64), [3, 2, 126], Some(128), F32),
        case((8, 1, 64), [3, 0, 9], None, F32),
        case((4, 2, 96), [17, 13, 3], Some(5), F16),
        case((4, 2, 96), [17, 17, 61], None, F32).strided(),
        case((4, 2, 96), [64, 64, 0], None, F16),
        case((4, 2, 64), [64, 64, 700], Some(128), F16),
        case((4, 2, 64), [64, 33, 90], Some(5), F32),
        case((6, 2, 32), [40, 40, 20], Some(31), F32),
        case((2, 1, 128), [64, 50, 40], Some(512), F16),
        case((5, 1, 128), [2, 2, 300], None, F16).strided(),
        case((8, 1, 256), [17, 17, 30], None, F16),
        case((2, 1, 512), [33, 33, 7], None, F16),
        case((3, 1, 160), [4, 3, 1500], Some(128), F32),
    ];
    // A token past one turn of the ring, and on both sides of the window's edge.
    cases.extend([4, 5, 6, 133, 127, 128].map(|p| case((4, 2, 32), [1, 1, p], Some(if p < 10 { 5 } else { 128 }), F16)));
    cases.extend(model_cases());
    // Scales behind codes: slots and blocks of odd counts, and the ends of rings.
    cases.extend([
        case((1, 1, 32), [1, 1, 5], Some(5), Q8),
        case((8, 1, 64), [3, 2, 126], Some(128), Q8),
        case((4, 2, 96), [17, 13, 3], Some(5), Q8),
        case((5, 1, 128), [2, 2, 300], None, Q8).strided(),
        case((3, 1, 160), [4, 3, 1500], Some(128), Q8),
        case((4, 2, 64), [64, 33, 700], Some(128), Q8),
        case((8, 1, 256), [17, 17, 30], None, Q8),
        case((2, 1, 512), [33, 33, 7], None, Q8),
        case((8, 1, 256), [1, 1, 1700], Some(512), Q8),
        case((8, 1, 512), [1, 1, 1100], None, Q8),
        case((16, 8, 256), [1, 1, 1024], Some(1024), Q8),
        case((32, 4, 512), [1, 1, 200], None, Q8),
    ]);
    // Tiles whose keys are shared out: fewer keys than shares would like, padded rows, tiles without one, rings, all sizes of heads.
    cases.extend([
        case((4, 2, 64), [64, 33, 700], None, F32),
        case((4, 2, 64), [64, 20, 90], None, F16),
        case((1, 1, 32), [9, 9, 130], None, F16).strided(),
        case((2, 1, 512), [33, 33, 300], None, F16),
        case((8, 1, 256), [40, 35, 900], Some(512), F16),
        case((3, 1, 160), [70, 0, 300], None, F32),
        case((4, 2, 96), [100, 100, 250], Some(200), Q8),
    ]);
    cases.extend(block_cases());
    cases.extend(codes_cases());
    cases
}
