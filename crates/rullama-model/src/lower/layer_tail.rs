//! What of a layer lies behind its attention, in one operation: for one token, products in codes and per-layer embeddings.

use super::Pass;
use rullama_ops::{Epilogue, Kind, LayerTail, Matmul, Next, Number, Prologue, Quantise, ResidualNorm, Then, Type, Value, Words};

/// The nodes of a layer from the product behind its attention on.
struct Found {
    nodes: Vec<usize>,
    op: LayerTail,
    operands: Vec<Value>,
    results: [Value; 2],
}

/// Rows of the next layer's first product, of which the output's table has far more.
const MOST_ROWS: u32 = 1 << 13;

pub(super) fn tails(pass: &mut Pass) {
    let Some(workgroups) = pass.resident else { return };
    let found: Vec<Found> = pass.all::<ResidualNorm>().into_iter().filter_map(|at| find(pass, at, workgroups)).collect();
    let base = pass.graph.words(Words::Exchange);
    let mut words = base;
    for Found { nodes, op, mut operands, results } in found {
        let after = pass.graph.new_value(Kind::After { of: base }, Type::words(0));
        operands.push(words);
        operands.extend(results);
        let (last, others) = nodes.split_last().expect("a layer has nodes");
        pass.replace(*last, others, op, operands, vec![after]);
        words = after;
    }
}

/// The product in codes that makes `value`, and its operands.
fn int8<'a>(pass: &'a Pass, value: Value, epilogue: Epilogue) -> Option<(usize, &'a [Value])> {
    let (at, op) = pass.made_by::<Matmul>(value)?;
    (*op == Matmul { prologue: Prologue::Int8, epilogue }).then_some((at, &pass.node(at).operands[..]))
}

/// A small product, in codes or not: the nodes that make `value`, what is multiplied, and the operands behind that.
fn small<'a>(pass: &'a Pass, value: Value, epilogue: Epilogue) -> Option<(Vec<usize>, Value, &'a [Value])> {
    let (at, op) = pass.made_by::<Matmul>(value)?;
    let (given, others) = pass.node(at).operands.split_first()?;
    if *op == Matmul::with(epilogue) {
        return Some((vec![at], *given, others));
    }
    let (quantise, _) = int8(pass, value, epilogue).and_then(|_| pass.made_by::<Quantise>(*given))?;
    Some((vec![quantise, at], pass.node(quantise).operands[0], others))
}

fn norm<'a>(pass: &'a Pass, value: Value) -> Option<(usize, &'a ResidualNorm, &'a [Value])> {
    let (at, op) = pass.made_by::<ResidualNorm>(value)?;
    Some((at, op, &pass.node(at).operands[..]))
}

fn find(pass: &Pass, last: usize, workgroups: u32) -> Option<Found> {
    let op = pass.node(last).is::<ResidualNorm>()?;
    let &[p, norm_proj, h2, norm_next, out, y] = &pass.node(last).operands[..] else { return None };
    let (proj, u, &[w_proj, _]) = small(pass, p, Epilogue::Plain)? else { return None };
    let (gate, given, &[w_gate, e, _]) = small(pass, u, Epilogue::GeluMul)? else { return None };
    let (third, third_op, &[d, norm_down, h1, _]) = norm(pass, h2)? else { return None };
    let (down, &[f, w_down, _]) = int8(pass, d, Epilogue::Plain)? else { return None };
    let (up, &[x, w_up, _]) = int8(pass, f, Epilogue::GegluCodes)? else { return None };
    let (second, second_op, &[o, norm_o, h, norm_up, kept, codes]) = norm(pass, x)? else { return None };
    let (first, &[a, w_o, _]) = int8(pass, o, Epilogue::Plain)? else { return None };
    let alone = [(o, second), (x, up), (f, down), (d, third), (u, proj[0]), (p, last)];
    let alone = alone.iter().all(|(value, at)| pass.only_for(*value, *at));
    let alike = [second_op, third_op].iter().all(|norm| norm.eps == op.eps && norm.scale == 1.0);
    let chained = given == h2 && kept == h1 && codes == x && op.next == Next::Codes && second_op.next == Next::Codes;
    let (graph, sizes) = (&pass.graph, [h, w_down, w_gate].map(|value| pass.graph.of(value)));
    let coded = [w_gate, w_proj].iter().all(|w| matches!(graph.of(*w).number, Number::Weight(dtype) if dtype.has_codes()));
    let fits = graph.rows(h) == 1 && coded && LayerTail::fits([sizes[0].cols, sizes[1].cols, sizes[2].rows], workgroups);
    if !(alone && alike && chained && fits) {
        return None;
    }
    let mut operands = vec![a, w_o, norm_o, h, norm_up, w_up, w_down, norm_down, w_gate, e, w_proj, norm_proj, norm_next];
    let mut nodes = [&[first, second, up, down, third][..], &gate, &proj, &[last]].concat();
    let (mut then, mut results) = (Then::Codes, [out, y]);
    if let Some((at, w, made)) = behind(pass, y) {
        operands.push(w);
        nodes.insert(0, at);
        (then, results) = (Then::Product, [out, made]);
    }
    Some(Found { nodes, op: LayerTail { eps: op.eps, scale: op.scale, then, workgroups }, operands, results })
}

/// The product that a layer's codes open the next with, if they are for it alone.
fn behind(pass: &Pass, codes: Value) -> Option<(usize, Value, Value)> {
    let &[at] = &pass.readers.get(&codes)?[..] else { return None };
    let &[given, w, made] = &pass.node(at).operands[..] else { return None };
    let (product, _) = int8(pass, made, Epilogue::Plain)?;
    (product == at && given == codes && pass.only_for(codes, at) && pass.graph.rows(w) <= MOST_ROWS).then_some((at, w, made))
}
