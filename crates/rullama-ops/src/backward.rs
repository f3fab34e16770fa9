//! From a graph to its gradients: more nodes of the same graph.
//!
//! [`grad`] walks the nodes from the last to the first. Each operation's rule ([`crate::Op::backward`]) turns the gradients of what the
//! node makes into gradients of what it reads. Values that no trained matrix stands behind have none, so the walk ends by itself below
//! the lowest trained layer.

use crate::graph::{Graph, GraphError, Kind, Node, Part, Value};
use crate::op::Use;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A node, for its rule.
pub struct Backward<'a> {
    pub graph: &'a mut Graph,
    /// The node's operands in the forward graph.
    operands: Vec<Value>,
    tracked: &'a HashSet<Value>,
    gradients: &'a mut HashMap<Value, Value>,
    again: &'a HashMap<Value, Value>,
}

/// A trained matrix among the operands, or some of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trained {
    pub name: String,
    /// Of the whole matrix.
    pub rows: u32,
    pub cols: u32,
    /// Where the operand's rows begin.
    pub first_row: u32,
}

impl Backward<'_> {
    /// The operand as the forward step had it.
    pub fn operand(&mut self, index: usize) -> Value {
        now(self.graph, self.again, self.operands[index])
    }

    /// Whether the operand is there: operations may have fewer.
    pub fn has(&self, index: usize) -> bool {
        index < self.operands.len()
    }

    /// The gradient of a made operand, if anything depends on it.
    pub fn gradient(&self, index: usize) -> Option<Value> {
        self.gradients.get(&self.operands[index]).copied()
    }

    /// Whether anything trained stands behind the operand.
    pub fn wants(&self, index: usize) -> bool {
        self.tracked.contains(&self.operands[index])
    }

    /// Adds `gradient` to that of the operand.
    pub fn give(&mut self, index: usize, gradient: Value) {
        self.add_to(index, |graph, sum| match sum {
            Some(sum) => graph.add_scale(gradient, sum, 1.0),
            None => gradient,
        });
    }

    /// As [`give`](Self::give), for rules that add by themselves: `make` gets the sum so far, if there is one, and gives the new one.
    pub fn add_to(&mut self, index: usize, make: impl FnOnce(&mut Graph, Option<Value>) -> Value) {
        let value = self.operands[index];
        if !self.wants(index) {
            return;
        }
        if matches!(self.graph.info(value).kind, Kind::View { .. }) {
            let gradient = make(self.graph, None);
            return self.place(value, gradient);
        }
        let sum = make(self.graph, self.gradients.get(&value).copied());
        self.gradients.insert(value, sum);
    }

    /// Adds the gradient of a view to that of what it stands on.
    fn place(&mut self, view: Value, gradient: Value) {
        let (mut base, mut first_row, mut first_column) = (view, 0, 0);
        while let Kind::View { of, row, column } = self.graph.info(base).kind {
            (base, first_row, first_column) = (of, first_row + row, first_column + column);
        }
        let (rows, cols) = (self.graph.rows(base), self.graph.cols(base));
        let sum = self.gradients.get(&base).copied().unwrap_or_else(|| self.graph.zeros(rows, cols));
        let sum = self.graph.add_part(sum, gradient, (first_row, first_column));
        self.gradients.insert(base, sum);
    }

    /// The trained matrix that the operand is, or is rows of: its gradient is updated in the graph, see [`Graph::trained`].
    pub fn trained(&self, index: usize) -> Option<Trained> {
        let value = self.operands[index];
        let whole = self.graph.base(value);
        let Kind::Trained { name, part: Part::Value } = &self.graph.info(whole).kind else { return None };
        let first_row = match self.graph.info(value).kind {
            Kind::View { row, .. } => row,
            _ => 0,
        };
        Some(Trained { name: name.clone(), rows: self.graph.rows(whole), cols: self.graph.cols(whole), first_row })
    }

    /// The gradient of a trained matrix as it is now, to be updated.
    pub fn gradient_of(&mut self, of: &Trained) -> Value {
        self.graph.trained(&of.name, Part::Gradient, of.rows, of.cols)
    }
}

/// Adds to `graph` the gradients of what is trained: `seeds` are values and their gradients.
///
/// `again` says by the name of a part of the model ([`Graph::at`]) and a node of it whether what the node makes is computed again where
/// rules need it, instead of kept: gradient checkpointing. Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
///
/// # Errors
/// An operation that cannot be trained through, with its place.
pub fn grad(mut graph: Graph, seeds: &[(Value, Value)], again: impl Fn(&str, &Node) -> bool) -> Result<Graph, GraphError> {
    let nodes = graph.nodes.clone();
    let tracked = tracked(&graph);
    let mut gradients: HashMap<Value, Value> = seeds.iter().copied().collect();
    for segment in segments(&nodes).into_iter().rev() {
        let place = graph.places[nodes[segment.start].place].clone();
        let needed = |node: &Node| node.made().any(|value| tracked.contains(&value) && gradients.contains_key(&value));
        if !nodes[segment.clone()].iter().any(needed) {
            continue;
        }
        graph.at(format!("{place}, backward"));
        let anew = repeat(&mut graph, nodes[segment.clone()].iter().filter(|node| again(&place, node)));
        for node in nodes[segment].iter().rev() {
            let reached = node.made().any(|value| gradients.contains_key(&value));
            if !reached || !node.inputs().any(|value| is_tracked(&graph, &tracked, value)) {
                continue;
            }
            let operands = node.operands.clone();
            let mut back = Backward { graph: &mut graph, operands, tracked: &tracked, gradients: &mut gradients, again: &anew };
            node.op.backward(&mut back).map_err(|message| GraphError { place: place.clone(), op: node.op.name(), message })?;
        }
    }
    graph.checked()
}

/// Values that something trained stands behind.
fn tracked(graph: &Graph) -> HashSet<Value> {
    let mut tracked = HashSet::new();
    for node in &graph.nodes {
        let inputs: Vec<Value> = node.inputs().collect();
        let mut any = false;
        for value in inputs {
            if is_tracked(graph, &tracked, value) {
                // Views are seen when they are read.
                tracked.insert(value);
                any = true;
            }
        }
        if any {
            tracked.extend(node.made());
        }
    }
    tracked
}

fn is_tracked(graph: &Graph, tracked: &HashSet<Value>, value: Value) -> bool {
    let base = graph.base(value);
    tracked.contains(&base) || matches!(graph.info(base).kind, Kind::Trained { part: Part::Value, .. })
}

/// Neighbouring nodes of one place.
fn segments(nodes: &[Node]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        match all.last_mut() {
            Some(last) if nodes[last.start].place == node.place => last.end = at + 1,
            _ => all.push(at..at + 1),
        }
    }
    all
}

/// Adds the nodes once more; gives what stands for each value that they made. Those that no rule reads are dropped later.
fn repeat<'a>(graph: &mut Graph, nodes: impl Iterator<Item = &'a Node>) -> HashMap<Value, Value> {
    let mut anew = HashMap::new();
    let place = graph.places.len() - 1;
    for node in nodes.filter(|node| node.after.is_empty()) {
        let mut operands = Vec::with_capacity(node.operands.len());
        for (value, used) in node.operands.iter().zip(node.op.uses()) {
            operands.push(if used == Use::Write {
                let made = graph.new_value(Kind::Made, graph.of(*value));
                anew.insert(*value, made);
                made
            } else {
                now(graph, &anew, *value)
            });
        }
        graph.nodes.push(Node { op: node.op.clone(), operands, after: Vec::new(), place });
    }
    anew
}

/// The value, or what stands for it; a view of what was made again is a view of that.
fn now(graph: &mut Graph, anew: &HashMap<Value, Value>, value: Value) -> Value {
    if let Some(made) = anew.get(&value) {
        return *made;
    }
    let info = graph.info(value).clone();
    match info.kind {
        Kind::View { of, row, column } => {
            let base = now(graph, anew, of);
            if base == of { value } else { graph.new_value(Kind::View { of: base, row, column }, info.of) }
        }
        _ => value,
    }
}
