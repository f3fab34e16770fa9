//! Values that are kept for the backward pass as halves.

use crate::graph::LAYERS;
use rullama_ops::graph::Node;
use rullama_ops::{Graph, Halve, Kind, Number, Type, Value, Widen};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What is narrower stays as it is: logarithms of sums, and products of low rank.
const NARROW: u32 = 128;

/// The graph of a step whose first `forward` nodes are the forward pass, with what the others read of layers kept as halves: rounded
/// where it is made, widened in each part of the model that reads it. The loss stays exact: its sums must fit what they are of.
pub fn kept_as_halves(mut graph: Graph, forward: usize) -> Graph {
    let nodes = std::mem::take(&mut graph.nodes);
    let of_layers = nodes[..forward].iter().filter(|node| graph.places[node.place].starts_with(LAYERS));
    let made: HashSet<Value> = of_layers.flat_map(Node::made).filter(|value| is_wide(graph.of(*value))).collect();
    let read = nodes[forward..].iter().flat_map(Node::inputs).map(|value| graph.base(value));
    let kept: HashSet<Value> = read.filter(|value| made.contains(value)).collect();
    let mut rounded = HashMap::new();
    // Of each part of the model that was last met, by what they stand for.
    let (mut wide, mut place) = (HashMap::new(), None);
    for (at, mut node) in nodes.into_iter().enumerate() {
        if at < forward {
            let made: Vec<Value> = node.made().filter(|value| kept.contains(value)).collect();
            let place = node.place;
            graph.nodes.push(node);
            for value in made {
                let of = graph.of(value);
                let halves = graph.new_value(Kind::Made, Type::halves(of.rows, of.cols));
                graph.nodes.push(Node { op: Arc::new(Halve), operands: vec![value, halves], after: Vec::new(), place });
                rounded.insert(value, halves);
            }
            continue;
        }
        if place.replace(node.place) != Some(node.place) {
            wide.clear();
        }
        for index in 0..node.operands.len() {
            let value = node.operands[index];
            let base = graph.base(value);
            if let Some(halves) = rounded.get(&base) {
                widen(&mut graph, &mut wide, (base, *halves), node.place);
                node.operands[index] = standing_on(&mut graph, &mut wide, value);
            }
        }
        graph.nodes.push(node);
    }
    graph
}

fn is_wide(of: Type) -> bool {
    of.number == Number::F32 && of.cols >= NARROW && of.cols.is_multiple_of(rullama_ops::halves::GROUP as u32)
}

/// Adds what widens `value`, unless it is there.
fn widen(graph: &mut Graph, wide: &mut HashMap<Value, Value>, (value, halves): (Value, Value), place: usize) {
    wide.entry(value).or_insert_with(|| {
        let made = graph.new_value(Kind::Made, graph.of(value));
        graph.nodes.push(Node { op: Arc::new(Widen), operands: vec![halves, made], after: Vec::new(), place });
        made
    });
}

/// What stands for `value`: what was widened, or a view of it.
fn standing_on(graph: &mut Graph, wide: &mut HashMap<Value, Value>, value: Value) -> Value {
    if let Some(known) = wide.get(&value) {
        return *known;
    }
    let info = graph.info(value).clone();
    let Kind::View { of, row, column } = info.kind else { return value };
    let of = standing_on(graph, wide, of);
    let view = graph.new_value(Kind::View { of, row, column }, info.of);
    wide.insert(value, view);
    view
}
