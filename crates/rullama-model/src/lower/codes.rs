//! Products in codes of 8 bits, and where the codes come from.

use super::Pass;
use rullama_ops::graph::Node;
use rullama_ops::{Attention, Epilogue, Kind, Matmul, Next, Number, Prologue, Quantise, ResidualNorm, Type, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// `x Wᵀ` in codes of 8 bits, of which those of `x` are made once: for a large weight, and then also for small ones.
pub(super) fn products(pass: &mut Pass) {
    let product = |pass: &Pass, at: usize| {
        let node = pass.node(at);
        let op = node.is::<Matmul>().copied().filter(|op| op.prologue == Prologue::Plain)?;
        let w = pass.graph.of(node.operands[1]);
        let large = u64::from(w.rows) * u64::from(w.cols) >= pass.least;
        matches!(w.number, Number::Weight(dtype) if dtype.has_codes()).then_some((at, op, large))
    };
    let products: Vec<_> = pass.all::<Matmul>().into_iter().filter_map(|at| product(pass, at)).collect();
    let wanted: HashSet<Value> = products.iter().filter(|product| product.2).map(|product| pass.node(product.0).operands[0]).collect();
    let mut made: HashMap<Value, Value> = HashMap::new();
    for (at, op, _) in products {
        let (mut operands, place) = (pass.node(at).operands.clone(), pass.node(at).place);
        let x = operands[0];
        if !wanted.contains(&x) {
            continue;
        }
        operands[0] = *made.entry(x).or_insert_with(|| {
            let codes = pass.graph.new_value(Kind::Made, Type::codes(pass.graph.rows(x), pass.graph.cols(x)));
            pass.before[at] = Some(Node { op: Arc::new(Quantise), operands: vec![x, codes], after: Vec::new(), place });
            codes
        });
        pass.replace(at, &[], Matmul { prologue: Prologue::Int8, ..op }, operands, Vec::new());
    }
}

/// What can give codes itself does, where nobody reads its values.
pub(super) fn given(pass: &mut Pass) {
    for at in pass.all::<Quantise>() {
        let [y, codes] = pass.node(at).operands[..] else { continue };
        let Some(&maker) = pass.maker.get(&y).filter(|_| pass.only_for(y, at)) else { continue };
        let mut operands = pass.node(maker).operands.clone();
        if pass.gone[maker] || operands.pop() != Some(y) {
            continue;
        }
        operands.push(codes);
        let node = pass.node(maker);
        if let Some(op) = node.is::<ResidualNorm>().filter(|op| op.next == Next::Values) {
            let op = ResidualNorm { next: Next::Codes, ..op.clone() };
            pass.replace(maker, &[at], op, operands, Vec::new());
        } else if let Some(op) = node.is::<Attention>() {
            let op = Attention { codes: true, ..op.clone() };
            pass.replace(maker, &[at], op, operands, Vec::new());
        } else if let Some(op) = node.is::<Matmul>().filter(|op| op.epilogue == Epilogue::Geglu) {
            let op = Matmul { epilogue: Epilogue::GegluCodes, ..*op };
            pass.replace(maker, &[at], op, operands, Vec::new());
        }
    }
}
