//! From a model's algebra to what is run: a short table of named rewrites.
//!
//! Each makes one node of several; the oracle of the new operation is the composition of theirs. Values keep their names, so
//! that whoever reads a result need not know where it is computed now.

use crate::weights::{Specs, Stack};
use rullama_ops::graph::Node;
use rullama_ops::{
    AddScale, Clamp, Epilogue, GeluMul, Graph, HeadNorm, HeadRope, Kind, Matmul, Next, Op, Prologue, QkvPrepare, ResidualNorm, RmsNorm,
    Softcap, Store, Type, Value,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

mod codes;
mod layer_tail;

/// What a graph is lowered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// As few dispatches as there can be.
    Run,
    /// Only what the weights' layout demands: every value of the algebra stays to be looked at.
    Look,
    /// One of these, with products in codes of 8 bits where a weight of at least so many values is stored in codes.
    Codes { least: u64, look: bool },
    /// A step of one token in codes, of which what lies behind a layer's attention is one dispatch of so many workgroups, where that can be.
    Resident { least: u64, workgroups: u32 },
}

/// One rule.
struct Rewrite {
    name: &'static str,
    when: When,
    apply: fn(&mut Pass),
}

/// Which graphs a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// The weights are stored for it, so that every graph needs it.
    Needed,
    /// Computes the same in fewer dispatches.
    Run,
    /// Rounds what products are given.
    Codes,
    /// Workgroups of one dispatch wait for each other.
    Resident,
}

impl When {
    fn is_for(self, mode: For) -> bool {
        match self {
            When::Needed => true,
            When::Run => !matches!(mode, For::Look | For::Codes { look: true, .. }),
            When::Codes => matches!(mode, For::Codes { .. } | For::Resident { .. }),
            When::Resident => matches!(mode, For::Resident { .. }),
        }
    }
}

/// In the order of their use.
const REWRITES: [Rewrite; 13] = [
    Rewrite { name: "gated product of interleaved rows", when: When::Needed, apply: gated },
    Rewrite { name: "products of one input with stacked rows", when: When::Needed, apply: stacked },
    Rewrite { name: "parts of stacks as views of their rows", when: When::Needed, apply: parts },
    Rewrite { name: "softcap after a product", when: When::Run, apply: softcap },
    Rewrite { name: "gelu and multiply after a product", when: When::Run, apply: gelu_mul },
    Rewrite { name: "bounds after a product", when: When::Run, apply: clamp_after },
    Rewrite { name: "bounds before a product", when: When::Run, apply: clamp_before },
    Rewrite { name: "queries, keys and values in one", when: When::Run, apply: qkv },
    Rewrite { name: "norm, residual and the next norm", when: When::Run, apply: residual_norm },
    Rewrite { name: "products in codes of 8 bits", when: When::Codes, apply: codes::products },
    Rewrite { name: "codes from what makes the values", when: When::Codes, apply: codes::given },
    Rewrite { name: "a norm before a product of few tokens", when: When::Run, apply: norm_before },
    Rewrite { name: "all behind a layer's attention", when: When::Resident, apply: layer_tail::tails },
];

/// Names of the rewrites that `For` applies.
pub fn names(mode: For) -> impl Iterator<Item = &'static str> {
    REWRITES.iter().filter(move |rewrite| rewrite.when.is_for(mode)).map(|rewrite| rewrite.name)
}

/// The graph as it is run; weights are named by their specifications' keys.
pub fn lower(graph: Graph, mode: For, specs: &Specs) -> Graph {
    let (least, resident) = match mode {
        For::Codes { least, .. } => (least, None),
        For::Resident { least, workgroups } => (least, Some(workgroups)),
        For::Run | For::Look => (0, None),
    };
    lower_with(graph, specs, (least, resident), |rewrite| rewrite.when.is_for(mode))
}

/// As [`lower`], with the needed rewrites and one other: what tests compare.
pub fn lower_one(graph: Graph, name: &str, specs: &Specs) -> Graph {
    lower_with(graph, specs, (0, None), |rewrite| rewrite.when == When::Needed || rewrite.name == name)
}

fn lower_with(graph: Graph, specs: &Specs, codes: (u64, Option<u32>), wanted: impl Fn(&Rewrite) -> bool) -> Graph {
    // What nobody needs goes last: a fused operation may write a cache and make a value that is not read.
    prune(REWRITES.iter().filter(|r| wanted(r)).fold(graph, |graph, rewrite| {
        let mut pass = Pass::new(graph, specs, codes);
        (rewrite.apply)(&mut pass);
        pass.finish()
    }))
}

/// Drops what neither an output nor an update needs.
pub fn prune(mut graph: Graph) -> Graph {
    let mut wanted: HashSet<Value> = graph.outputs.iter().map(|(_, value)| graph.base(*value)).collect();
    let mut kept = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes).into_iter().rev() {
        if !node.after.is_empty() || node.made().any(|value| wanted.contains(&value)) {
            wanted.extend(node.inputs().map(|value| graph.base(value)));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.nodes = kept;
    graph
}

/// A rule's way over the graph: who makes and reads what, and what has been replaced.
struct Pass<'a> {
    graph: Graph,
    specs: &'a Specs,
    /// Values of the smallest weight that is multiplied in codes.
    least: u64,
    /// Workgroups that stay, where they may.
    resident: Option<u32>,
    maker: HashMap<Value, usize>,
    readers: HashMap<Value, Vec<usize>>,
    /// Values that are seen from elsewhere: outputs, and what views stand on.
    seen: HashSet<Value>,
    gone: Vec<bool>,
    /// What stands in a node's place.
    placed: Vec<Option<Node>>,
    /// What stands before it.
    before: Vec<Option<Node>>,
}

impl<'a> Pass<'a> {
    fn new(graph: Graph, specs: &'a Specs, (least, resident): (u64, Option<u32>)) -> Self {
        let (mut maker, mut readers) = (HashMap::new(), HashMap::<Value, Vec<usize>>::new());
        let mut seen: HashSet<Value> = graph.outputs.iter().map(|(_, value)| *value).collect();
        for (at, node) in graph.nodes.iter().enumerate() {
            maker.extend(node.made().chain(node.after.iter().copied()).map(|value| (value, at)));
            for value in node.inputs() {
                readers.entry(value).or_default().push(at);
                if let Kind::View { of, .. } = graph.info(value).kind {
                    seen.insert(of);
                }
            }
        }
        let count = graph.nodes.len();
        let nodes = || vec![None; count];
        Pass { graph, specs, least, resident, maker, readers, seen, gone: vec![false; count], placed: nodes(), before: nodes() }
    }

    fn node(&self, at: usize) -> &Node {
        &self.graph.nodes[at]
    }

    /// The node that makes `value`, if it is still there and such an operation.
    fn made_by<T: Op>(&self, value: Value) -> Option<(usize, &T)> {
        let at = *self.maker.get(&value)?;
        (!self.gone[at]).then(|| self.node(at).is::<T>().map(|op| (at, op)))?
    }

    /// Whether nobody but the node at `at` sees the value.
    fn only_for(&self, value: Value, at: usize) -> bool {
        !self.seen.contains(&value) && self.readers.get(&value).is_some_and(|readers| readers == &[at])
    }

    /// Nodes of this operation that are still there.
    fn all<T: Op>(&self) -> Vec<usize> {
        (0..self.graph.nodes.len()).filter(|&at| !self.gone[at] && self.node(at).is::<T>().is_some()).collect()
    }

    /// Puts one node in the place of that at `at`, and drops the others.
    fn replace(&mut self, at: usize, others: &[usize], op: impl Op, operands: Vec<Value>, after: Vec<Value>) {
        debug_assert_eq!(op.uses().len(), operands.len(), "{}", op.name());
        others.iter().chain([&at]).for_each(|&at| self.gone[at] = true);
        let place = self.node(at).place;
        self.placed[at] = Some(Node { op: Arc::new(op), operands, after, place });
    }

    fn finish(mut self) -> Graph {
        let nodes = std::mem::take(&mut self.graph.nodes).into_iter().zip(self.gone).zip(self.placed);
        let placed = nodes.map(|((node, gone), placed)| placed.or((!gone).then_some(node)));
        self.graph.nodes = self.before.into_iter().zip(placed).flat_map(|(before, node)| [before, node]).flatten().collect();
        self.graph
    }

    /// The key of the weight that a plain product multiplies with.
    fn weight_of(&self, at: usize) -> Option<&str> {
        let node = self.node(at);
        node.is::<Matmul>().filter(|op| **op == Matmul::PLAIN)?;
        match &self.graph.info(node.operands[1]).kind {
            Kind::Weight(key) => Some(key),
            _ => None,
        }
    }

    /// The whole stack as a value.
    fn stack(&mut self, key: &str) -> Option<Value> {
        let spec = self.specs.weight(key)?;
        let dtype = spec.dtype().ok()?;
        Some(self.graph.weight(key, spec.rows() as u32, spec.cols() as u32, dtype))
    }
}

/// `gelu(x Gᵀ) * (x Uᵀ)` with the rows of G and U in turn.
fn gated(pass: &mut Pass) {
    for at in pass.all::<GeluMul>() {
        let [gate, up, y] = pass.node(at).operands[..] else { continue };
        let found = [gate, up].map(|value| pass.made_by::<Matmul>(value).map(|made| made.0));
        let [Some(first), Some(second)] = found else { continue };
        let x = pass.node(first).operands[0];
        let alone = pass.only_for(gate, at) && pass.only_for(up, at) && pass.node(second).operands[0] == x;
        let placed = [first, second].map(|at| pass.weight_of(at).and_then(|key| pass.specs.part(key)));
        let [Some(g), Some(u)] = placed else { continue };
        let pair = g.spec.key == u.spec.key && g.spec.stack == Stack::Interleave && (g.index, u.index) == (0, 1);
        if alone && pair {
            let key = g.spec.key.clone();
            let Some(w) = pass.stack(&key) else { continue };
            pass.replace(at, &[first, second], Matmul::with(Epilogue::Geglu), vec![x, w, y], Vec::new());
        }
    }
}

/// Products of one value with parts of one stack become one product, of which the results are columns.
fn stacked(pass: &mut Pass) {
    let mut groups: Vec<((Value, String), Vec<usize>)> = Vec::new();
    for at in pass.all::<Matmul>() {
        let Some(key) = pass.weight_of(at) else { continue };
        let Some(placed) = pass.specs.part(key) else { continue };
        if placed.spec.stack != Stack::Concat || placed.spec.key == key {
            continue;
        }
        let group = (pass.node(at).operands[0], placed.spec.key.clone());
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, members)) => members.push(at),
            None => groups.push((group, vec![at])),
        }
    }
    for ((x, key), members) in groups {
        let Some(w) = pass.stack(&key) else { continue };
        let whole = Type::f32(pass.graph.rows(x), pass.graph.rows(w));
        let y = pass.graph.new_value(Kind::Made, whole);
        for &at in &members {
            let first = pass.weight_of(at).and_then(|key| pass.specs.part(key)).map_or(0, |placed| placed.first_row);
            let result = pass.node(at).operands[2];
            pass.graph.set_kind(result, Kind::View { of: y, row: 0, column: first as u32 });
        }
        pass.replace(members[0], &members[1..], Matmul::PLAIN, vec![x, w, y], Vec::new());
    }
}

/// A weight that is stored as part of a stack, and still used by itself, is a view of the stack's rows.
fn parts(pass: &mut Pass) {
    let used: HashSet<Value> = (0..pass.graph.nodes.len()).flat_map(|at| pass.node(at).operands.clone()).collect();
    let mut used: Vec<Value> = used.into_iter().map(|value| pass.graph.base(value)).collect();
    used.sort_unstable();
    used.dedup();
    for value in used {
        let Kind::Weight(key) = pass.graph.info(value).kind.clone() else { continue };
        let Some(placed) = pass.specs.part(&key).filter(|placed| placed.spec.key != key) else { continue };
        let (first, step) = match placed.spec.stack {
            Stack::Concat | Stack::Experts { .. } => (placed.first_row as u32, 1),
            Stack::Interleave => (placed.index as u32, 2),
        };
        let stack = placed.spec.key.clone();
        let Some(of) = pass.stack(&stack) else { continue };
        pass.graph.set_kind(value, Kind::WeightView { of, first, step });
    }
}

/// `cap tanh(x Wᵀ / cap)`.
fn softcap(pass: &mut Pass) {
    for at in pass.all::<Softcap>() {
        let [x, y] = pass.node(at).operands[..] else { continue };
        let Some(cap) = pass.node(at).is::<Softcap>().map(|op| op.cap) else { continue };
        epilogue(pass, at, x, Epilogue::Softcap(cap), &[], y);
    }
}

/// `gelu(x Wᵀ) * e`.
fn gelu_mul(pass: &mut Pass) {
    for at in pass.all::<GeluMul>() {
        let [x, e, y] = pass.node(at).operands[..] else { continue };
        epilogue(pass, at, x, Epilogue::GeluMul, &[e], y);
    }
}

/// `clamp(x Wᵀ)`.
fn clamp_after(pass: &mut Pass) {
    for at in pass.all::<Clamp>() {
        let [x, y] = pass.node(at).operands[..] else { continue };
        let Some(Clamp { low, high }) = pass.node(at).is::<Clamp>().cloned() else { continue };
        epilogue(pass, at, x, Epilogue::Clamp { low, high }, &[], y);
    }
}

/// `clamp(x) Wᵀ`. Others that read the bounded values still do; nobody may be left.
fn clamp_before(pass: &mut Pass) {
    for at in pass.all::<Matmul>() {
        let node = pass.node(at);
        let Some(op) = node.is::<Matmul>().copied().filter(|op| op.prologue == Prologue::Plain) else { continue };
        let mut operands = node.operands.clone();
        let Some((clamp, Clamp { low, high })) = pass.made_by::<Clamp>(operands[0]).map(|(at, op)| (at, op.clone())) else { continue };
        operands[0] = pass.node(clamp).operands[0];
        pass.replace(at, &[], Matmul { prologue: Prologue::Clamp { low, high }, ..op }, operands, Vec::new());
    }
}

/// What the node at `at` does to a product's sums is done where they are formed.
fn epilogue(pass: &mut Pass, at: usize, sums: Value, epilogue: Epilogue, others: &[Value], y: Value) {
    let Some((product, op)) = pass.made_by::<Matmul>(sums) else { return };
    if *op == Matmul::PLAIN && pass.only_for(sums, at) {
        let [x, w] = [pass.node(product).operands[0], pass.node(product).operands[1]];
        let operands = [&[x, w], others, &[y]].concat();
        pass.replace(at, &[product], Matmul::with(epilogue), operands, Vec::new());
    }
}

/// Queries normed and rotated, keys normed, rotated and stored, values normed and stored.
fn qkv(pass: &mut Pass) {
    for values in pass.all::<Store>() {
        let found = find_qkv(pass, values);
        let Some((op, nodes, operands, after)) = found else { continue };
        let last = *nodes.iter().max().unwrap_or(&values);
        let others: Vec<usize> = nodes.into_iter().filter(|&at| at != last).collect();
        pass.replace(last, &others, op, operands, after);
    }
}

type Found = (QkvPrepare, Vec<usize>, Vec<Value>, Vec<Value>);

/// The nodes around a store of normed values.
fn find_qkv(pass: &Pass, values: usize) -> Option<Found> {
    let [v, state, v_cache] = pass.node(values).operands[..] else { return None };
    let (v_norm, v_op) = pass.made_by::<HeadNorm>(v)?;
    let near = |at: &usize| !pass.gone[*at] && pass.node(*at).place == pass.node(values).place;
    let around = || (0..pass.graph.nodes.len()).filter(near);
    let rope_of = |at: usize| pass.made_by::<HeadRope>(pass.node(at).operands[0]);
    let keys = around().find(|&at| pass.node(at).is::<Store>().is_some() && rope_of(at).is_some())?;
    let (k_rope, k_op) = rope_of(keys)?;
    let (k, k_cache) = (pass.node(keys).operands[0], pass.node(keys).operands[2]);
    let queries = around().find(|&at| at != k_rope && pass.node(at).is::<HeadRope>().is_some())?;
    let q_op = pass.node(queries).is::<HeadRope>()?;
    let [q_raw, q_norm, low, high, q_state, q] = pass.node(queries).operands[..] else { return None };
    let [k_raw, k_norm, k_low, k_high, k_state, _] = pass.node(k_rope).operands[..] else { return None };
    let last = keys.max(values).max(queries);
    let alike = (low, high, state) == (k_low, k_high, q_state) && state == k_state && pass.node(keys).operands[1] == state;
    let sizes = q_op.head_dim == k_op.head_dim && k_op.head_dim == v_op.head_dim && k_op.heads == v_op.heads;
    let eps = q_op.eps == k_op.eps && k_op.eps == v_op.eps;
    let alone = pass.only_for(k, keys) && pass.only_for(v, values);
    let later = pass.readers.get(&q).is_some_and(|readers| readers.iter().all(|&at| at > last));
    if !(alike && sizes && eps && alone && later) {
        return None;
    }
    let op = QkvPrepare { heads: q_op.heads, kv_heads: k_op.heads, head_dim: q_op.head_dim, eps: q_op.eps };
    let v_raw = pass.node(v_norm).operands[0];
    let operands = vec![q_raw, k_raw, v_raw, q_norm, k_norm, low, high, state, q, k_cache, v_cache];
    let after = [&pass.node(keys).after[..], &pass.node(values).after[..]].concat();
    Some((op, vec![queries, k_rope, v_norm, keys, values], operands, after))
}

/// Epsilon of a norm over whole rows at `at`; one over heads is no part of the fusions below.
fn row_norm_at(pass: &Pass, at: usize) -> Option<f32> {
    let (node, graph) = (pass.node(at), &pass.graph);
    node.is::<RmsNorm>().filter(|_| graph.cols(node.operands[0]) == graph.cols(node.operands[1])).map(|op| op.eps)
}

/// The norm over whole rows that makes `value`, and its epsilon.
fn row_norm(pass: &Pass, value: Value) -> Option<(usize, f32)> {
    let (at, _) = pass.made_by::<RmsNorm>(value)?;
    row_norm_at(pass, at).map(|eps| (at, eps))
}

/// `h' = (h + RMS(a) w) scale`, and the norm of it that opens the next block.
fn residual_norm(pass: &mut Pass) {
    for at in pass.all::<AddScale>() {
        let [normed, h, sum] = pass.node(at).operands[..] else { continue };
        let Some(scale) = pass.node(at).is::<AddScale>().map(|op| op.scale) else { continue };
        let Some((norm, eps)) = row_norm(pass, normed) else { continue };
        if !pass.only_for(normed, at) {
            continue;
        }
        let [a, weight] = [pass.node(norm).operands[0], pass.node(norm).operands[1]];
        let next = pass.readers.get(&sum).into_iter().flatten().copied();
        let next = next.filter(|&at| !pass.gone[at]).find(|&at| row_norm_at(pass, at) == Some(eps));
        let op = ResidualNorm { eps, scale, next: if next.is_some() { Next::Values } else { Next::None } };
        match next {
            Some(next) => {
                let [_, next_weight, y] = pass.node(next).operands[..] else { continue };
                pass.replace(at, &[norm, next], op, vec![a, weight, h, next_weight, sum, y], Vec::new());
            }
            None => pass.replace(at, &[norm], op, vec![a, weight, h, sum], Vec::new()),
        }
    }
}

/// Most tokens whose norm every workgroup of a product may form anew: those that one team takes at once.
const FEW: u32 = 8;

/// `(RMS(x) norm) Wᵀ`, where no other fusion has taken the norm.
fn norm_before(pass: &mut Pass) {
    for at in pass.all::<Matmul>() {
        let Some(op) = pass.node(at).is::<Matmul>().copied() else { continue };
        let x = pass.node(at).operands[0];
        let Some((norm, eps)) = row_norm(pass, x) else { continue };
        if op.prologue != Prologue::Plain || pass.graph.rows(x) > FEW || !pass.only_for(x, at) {
            continue;
        }
        let [raw, weight] = [pass.node(norm).operands[0], pass.node(norm).operands[1]];
        let mut operands = pass.node(at).operands.clone();
        operands[0] = raw;
        operands.insert(2, weight);
        pass.replace(at, &[norm], Matmul { prologue: Prologue::Norm { eps }, ..op }, operands, Vec::new());
    }
}
