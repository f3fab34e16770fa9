use super::{Dense, OuterSum};
use crate::case::{Case, Rng};
use crate::host::{Array, Host};

/// Ranks from 1 on with sizes that are no multiples of 4, both orientations, then sizes of models.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for transposed in [true, false] {
        for (tokens, k, n) in [(1, 66, 2), (3, 130, 1), (9, 513, 7), (2, 3, 66), (4, 1, 5), (11, 260, 3)] {
            all.push(dense(Dense { transposed, scale: 0.5, add: false }, tokens, k, n).strided());
        }
        for (tokens, k, n) in [(2, 3, 66), (5, 96, 16), (17, 16, 132)] {
            all.push(dense(Dense { transposed, scale: -1.5, add: true }, tokens, k, n).strided());
        }
    }
    for transposed in [true, false] {
        all.push(dense(Dense { transposed, scale: 2.0, add: false }, 3, 6144, 16).strided());
        all.push(dense(Dense { transposed, scale: 2.0, add: true }, 5, 16, 3072));
        all.push(dense(Dense { transposed, scale: 1.0, add: false }, 1, 4, 9000));
    }
    for (tokens, m, n) in [(1, 1, 1), (3, 2, 66), (7, 65, 3), (33, 8, 100), (70, 132, 16), (64, 5, 5), (40, 16, 34), (257, 9, 40)] {
        all.push(outer(tokens, m, n, 0));
        all.push(outer(tokens, m, n, 5).strided());
    }
    all.push(outer(5, 16, 12288, 0));
    all.push(outer(5, 8200, 16, 3).strided());
    all
}

fn dense(op: Dense, tokens: usize, k: usize, n: usize) -> Case {
    let mut rng = Rng::new((tokens * k + n) as u64);
    let m = if op.transposed { rng.tensor(n, k) } else { rng.tensor(k, n) };
    let mut operands: Vec<Host> = vec![rng.tensor(tokens, k).into(), m.into()];
    operands.extend(op.add.then(|| rng.tensor(tokens, n).into()));
    operands.push(Array::zeros(tokens, n).into());
    let flags = format!("{}{}", if op.transposed { " transposed" } else { "" }, if op.add { " added" } else { "" });
    Case::new(format!("{tokens}x{k} to {n}{flags}"), op, operands, k)
}

fn outer(tokens: usize, m: usize, n: usize, first_row: usize) -> Case {
    let mut rng = Rng::new((tokens * m + n) as u64);
    // Rows before and behind stay as they are.
    let rows = m + 2 * first_row;
    let operands = vec![rng.tensor(tokens, m).into(), rng.tensor(tokens, n).into(), rng.tensor(rows, n).into()];
    Case::new(format!("{tokens}: {m}x{n} from {first_row}"), OuterSum { scale: 0.3, first_row: first_row as u32 }, operands, tokens)
}
