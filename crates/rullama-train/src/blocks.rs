//! Values of layers that are too large for a binding, in blocks of rows.

use crate::graph::LAYERS;
use rullama_ops::graph::Node;
use rullama_ops::{AddScale, Dense, Dropout, GeluMul, Graph, JoinRows, Kind, Matmul, Number, Op, RmsNorm, Type, Use, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Rows of a block are a multiple of these, so that tiles of products are full.
const WHOLE: u32 = 64;

/// Blocks of rows: where each begins, and its rows.
type Blocks = Vec<(u32, u32)>;

/// The graph with values in blocks of rows that would have more than `most` bytes with `longest` rows, as far as what makes and reads
/// them goes row by row: the rest reads them whole.
pub fn in_blocks(mut graph: Graph, most: u64, longest: u32) -> Graph {
    let widest = most / (4 * u64::from(longest.max(1)));
    let Some(blocks) = blocks(&graph, most, widest) else { return graph };
    let nodes = std::mem::take(&mut graph.nodes);
    let mut pass = Pass { graph, blocks, widest, split: HashMap::new(), joined: HashSet::new() };
    for node in nodes {
        pass.node(node);
    }
    pass.graph
}

/// The blocks that the widest value asks for; `None` where nothing is too large, all is in one block, or nothing helps.
fn blocks(graph: &Graph, most: u64, widest: u64) -> Option<Blocks> {
    let of_layers = graph.nodes.iter().filter(|node| graph.places[node.place].starts_with(LAYERS) && by_rows(node).is_some());
    let large: Vec<Type> = of_layers.flat_map(Node::made).map(|value| graph.of(value)).filter(|of| is_large(of, widest)).collect();
    let rows = large.first()?.rows;
    let cols = large.iter().map(|of| of.cols).max()?;
    let fitting = u32::try_from(most / (4 * u64::from(cols))).unwrap_or(u32::MAX);
    let height = if fitting >= WHOLE { fitting / WHOLE * WHOLE } else { fitting };
    (height > 0 && height < rows).then(|| (0..rows).step_by(height as usize).map(|first| (first, height.min(rows - first))).collect())
}

fn is_large(of: &Type, widest: u64) -> bool {
    of.number == Number::F32 && u64::from(of.cols) > widest
}

/// Operands of which row t belongs to token t, where a node's results for a token are made of that token's rows alone.
fn by_rows(node: &Node) -> Option<Vec<usize>> {
    let last = node.operands.len() - 1;
    if node.is::<AddScale>().is_some() || node.is::<GeluMul>().is_some() {
        return Some((0..=last).collect());
    }
    if let Some(op) = node.is::<Dense>() {
        return Some(if op.add { vec![0, 2, last] } else { vec![0, last] });
    }
    let plain = node.is::<Matmul>().is_some_and(|op| *op == Matmul::PLAIN);
    (plain || node.is::<RmsNorm>().is_some() || node.is::<Dropout>().is_some()).then(|| vec![0, last])
}

struct Pass {
    graph: Graph,
    blocks: Blocks,
    /// Columns that a value may have.
    widest: u64,
    /// The blocks of a value.
    split: HashMap<Value, Vec<Value>>,
    /// Split values that are whole as well.
    joined: HashSet<Value>,
}

impl Pass {
    fn node(&mut self, node: Node) {
        let large = node.made().any(|value| is_large(&self.graph.of(value), self.widest));
        // What is whole again asks for no further blocks.
        let in_parts = |base: &Value| self.split.contains_key(base) && !self.joined.contains(base);
        let split: Vec<Value> = node.inputs().map(|value| self.graph.base(value)).filter(in_parts).collect();
        let rows = by_rows(&node).filter(|_| self.graph.places[node.place].starts_with(LAYERS) && (large || !split.is_empty()));
        let Some(rows) = rows else {
            split.into_iter().for_each(|value| self.join(value, node.place));
            return self.graph.nodes.push(node);
        };
        for index in &rows {
            self.join_unless_cut(node.operands[*index], node.place);
        }
        let mut parts: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
        for at in 0..self.blocks.len() {
            let (first, count) = self.blocks[at];
            let mut operands = Vec::with_capacity(node.operands.len());
            for (index, (value, used)) in node.operands.iter().zip(node.op.uses()).enumerate() {
                operands.push(if used == Use::Write {
                    let made = self.graph.new_value(Kind::Made, Type { rows: count, ..self.graph.of(*value) });
                    parts.entry(*value).or_default().push(made);
                    made
                } else if rows.contains(&index) {
                    self.block(*value, at)
                } else {
                    *value
                });
            }
            let op: Arc<dyn Op> = match node.is::<Dropout>() {
                Some(op) => Arc::new(Dropout { first_row: first, ..op.clone() }),
                None => node.op.clone(),
            };
            self.graph.nodes.push(Node { op, operands, after: Vec::new(), place: node.place });
        }
        for (value, parts) in parts {
            self.split.insert(value, parts);
            if !is_large(&self.graph.of(value), self.widest) {
                self.join(value, node.place);
            }
        }
    }

    /// Makes a split value whole, unless it is.
    fn join(&mut self, value: Value, place: usize) {
        if self.joined.insert(value) {
            let parts = self.split[&value].clone();
            let operands = parts.iter().copied().chain([value]).collect();
            self.graph.nodes.push(Node { op: Arc::new(JoinRows { parts: parts.len() as u32 }), operands, after: Vec::new(), place });
        }
    }

    /// Makes whole what `value` stands on, where its rows are not those of the blocks.
    fn join_unless_cut(&mut self, value: Value, place: usize) {
        let base = self.graph.base(value);
        let columns = matches!(self.graph.info(value).kind, Kind::View { of, row: 0, .. } if of == base);
        let cut = value == base || columns && self.graph.rows(value) == self.graph.rows(base);
        if !cut && self.split.contains_key(&base) {
            self.join(base, place);
        }
    }

    /// A block of a value's rows: as it was made, else a view.
    fn block(&mut self, value: Value, at: usize) -> Value {
        if let Some(parts) = self.split.get(&value).filter(|_| !self.joined.contains(&value)) {
            return parts[at];
        }
        let info = self.graph.info(value).clone();
        let (first, rows) = self.blocks[at];
        match info.kind {
            Kind::View { of, row: 0, column } if self.split.contains_key(&of) => {
                let of = self.block(of, at);
                self.graph.new_value(Kind::View { of, row: 0, column }, Type { rows, ..info.of })
            }
            _ => self.graph.view(value, (first, 0), (rows, info.of.cols)),
        }
    }
}
