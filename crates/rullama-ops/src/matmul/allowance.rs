//! What the results of products may be off by where they pass through `tanh`, or are clamped.

use super::{Epilogue, Matmul};
use crate::host::{Host, gelu};
use crate::tolerance::{gelu_error, product_error, rms, softcap_error};

/// See [`crate::Op::allowance`].
pub(super) fn of(op: &Matmul, operands: &[Host], share: f32) -> Option<Vec<f32>> {
    if op.epilogue == Epilogue::Plain {
        return None;
    }
    let sums = op.sums(operands);
    // What each may be off by: gates and ups are sums of their own kind.
    let error = |first: usize, step: usize| {
        let all = sums.iter().flat_map(|row| row.iter().skip(first).step_by(step).copied());
        f64::from(share) * rms(all)
    };
    let (plain, gates, ups) = (error(0, 1), error(0, 2), error(1, 2));
    let (_, after) = op.extras(operands);
    let of_token = |(token, sums): (usize, &Vec<f64>)| -> Vec<f32> {
        let value = |(i, v): (usize, &[f64])| match (op.epilogue, v) {
            // No more than the sum, however little the bounds leave of all.
            (Epilogue::Clamp { .. }, _) => plain,
            (Epilogue::Softcap(cap), [v]) => softcap_error(*v, f64::from(cap), plain),
            (Epilogue::Geglu, [gate, up]) => product_error((gelu(*gate), gelu_error(*gate, gates)), (*up, ups)),
            (_, v) => {
                let e = after.first().map_or(1.0, |e| f64::from(e.tensor().row(token)[i]));
                product_error((gelu(v[0]), gelu_error(v[0], plain)), (e, 0.0))
            }
        };
        sums.chunks(op.epilogue.together()).enumerate().map(|each| value(each) as f32).collect()
    };
    Some(sums.iter().enumerate().flat_map(of_token).collect())
}

#[cfg(test)]
mod tests {
    use crate::case::{Case, Rng};
    use crate::host::{Array, Host};
    use crate::{Epilogue, Matmul};
    use rullama_quant::DType;

    /// What a kernel may give that sums in f32 from `first` on and whose tanh is as WGSL allows, off by `off` of that.
    fn kernel(case: &Case, epilogue: Epilogue, first: usize, off: f64) -> Vec<f32> {
        let (x, w) = (case.operands[0].tensor(), case.operands[1].weight());
        let sum = |token: usize, row: usize| {
            let (weights, x) = (w.row(row), x.row(token));
            let n = weights.len();
            (0..n).map(|i| (first + i * 7) % n).fold(0f32, |sum, i| sum + weights[i] * x[i])
        };
        let tanh = |x: f32| {
            let x = f64::from(x.clamp(-10.0, 10.0));
            let exp = |x: f64| x.exp() * (1.0 + off * (3.0 + 2.0 * x.abs()) / f64::from(1 << 23));
            ((exp(x) - exp(-x)) / (exp(x) + exp(-x)) + off * 2.0 / f64::from(1 << 23)) as f32
        };
        let gelu = |v: f32| 0.5 * v * (1.0 + tanh(0.797_884_6 * v * (1.0 + 0.044715 * v * v)));
        let rows = epilogue.values(w.rows as u32) as usize;
        let value = |i: usize| {
            let (token, row) = (i / rows, i % rows);
            match epilogue {
                Epilogue::Softcap(cap) => cap * tanh(sum(token, row) / cap),
                Epilogue::GeluMul => gelu(sum(token, row)) * case.operands[2].tensor().row(token)[row],
                Epilogue::Plain => sum(token, row),
                Epilogue::Clamp { low, high } => sum(token, row).max(low).min(high),
                Epilogue::Geglu => gelu(sum(token, 2 * row)) * sum(token, 2 * row + 1),
            }
        };
        (0..x.rows * rows).map(value).collect()
    }

    fn case(dtype: DType, epilogue: Epilogue, cols: usize, scale: f32) -> Case {
        let mut rng = Rng::new(cols as u64 + u64::from(dtype.ggml_id()));
        let mut operands: Vec<Host> = vec![rng.tensor_scaled(5, cols, scale).into(), Host::Weight(rng.weight(dtype, 24, cols))];
        let values = epilogue.values(24) as usize;
        operands.extend((0..epilogue.extras()).map(|_| Host::from(rng.tensor(5, values))));
        operands.push(Array::zeros(5, values).into());
        Case::new("product", Matmul::with(epilogue), operands, cols)
    }

    fn judge(case: &Case, got: Vec<f32>) -> Result<(), String> {
        let mut want = case.operands.clone();
        case.op.oracle(&mut want);
        let want = want.last().unwrap();
        let array = want.tensor();
        case.compare(want, &Host::Tensor(Array { data: got, ..array.clone() }))
    }

    #[test]
    fn right_kernels_pass_and_wrong_ones_do_not() {
        let epilogues = [Epilogue::Plain, Epilogue::Softcap(30.0), Epilogue::Softcap(0.5), Epilogue::GeluMul, Epilogue::Geglu];
        for epilogue in epilogues {
            for (dtype, cols) in
                [(DType::F16, 32), (DType::F16, 64), (DType::Q4_1, 32), (DType::Q8_0, 64), (DType::F32, 96), (DType::Q6K, 256)]
            {
                for scale in [1.0, 30.0, 1e-2, 300.0] {
                    let case = case(dtype, epilogue, cols, scale);
                    let name = format!("{dtype} {cols} {epilogue:?} {scale}");
                    for (first, off) in [(0, 0.0), (5, 1.0), (cols - 1, -1.0)] {
                        judge(&case, kernel(&case, epilogue, first, off)).unwrap_or_else(|message| panic!("{name}: {message}"));
                    }
                    let mut missing = kernel(&case, epilogue, 0, 0.0);
                    let largest = (0..missing.len()).max_by(|a, b| missing[*a].abs().total_cmp(&missing[*b].abs())).unwrap();
                    let lost = 0.01 * missing[largest].abs();
                    missing[largest] *= 0.99;
                    // Far below the cap, WGSL's tanh may be off by more than that.
                    if case.allowance.as_ref().is_none_or(|allowed| lost > 2.0 * allowed[largest]) {
                        judge(&case, missing).expect_err(&format!("{name}: a value of 99 %"));
                    } else {
                        assert!(matches!(epilogue, Epilogue::Softcap(cap) if lost < 2e-4 * cap), "{name}: the bound is loose");
                    }
                    let swapped: Vec<f32> = kernel(&case, epilogue, 0, 0.0).into_iter().rev().collect();
                    judge(&case, swapped).expect_err(&format!("{name}: the wrong places"));
                }
            }
        }
    }

    #[test]
    fn a_missing_softcap_is_noticed_where_sums_reach_the_cap() {
        let cap = Epilogue::Softcap(30.0);
        let case = case(DType::F16, cap, 32, 30.0);
        judge(&case, kernel(&case, Epilogue::Plain, 0, 0.0)).unwrap_err();
    }
}
