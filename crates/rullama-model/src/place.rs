//! Which activations share a buffer.

use crate::experts::passes;
use rullama_ops::graph::Node;
use rullama_ops::{Graph, Kind, Value};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A place for every value that a node makes: an index into the slots, and the slots' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    pub slots: Vec<u64>,
    pub of: HashMap<Value, usize>,
}

/// Places values by lifetime: from the node that makes one to the last that reads it, or to the end for outputs. A result takes
/// the slot of an operand that dies with its node where the operation allows it ([`rullama_ops::Op::may_alias`]). What nodes that run
/// again ([`crate::experts::passes`]) read lives until all of them have run. Of two ways to place them the one that takes less.
pub fn place(graph: &Graph) -> Placement {
    let last = last_uses(graph);
    let bytes = |placement: &Placement| placement.slots.iter().sum::<u64>();
    let (in_order, by_size) = (in_order(graph, &last), by_size(graph, &last));
    if bytes(&by_size) < bytes(&in_order) { by_size } else { in_order }
}

/// Where the values of a graph are, for others of the same nodes over smaller values: what is kept for one is then enough for them, too.
#[derive(Debug)]
pub struct Pattern {
    nodes: Vec<(&'static str, Vec<Value>, bool)>,
    outputs: Vec<Value>,
    pub placement: Placement,
}

impl Pattern {
    pub fn new(graph: &Graph) -> Self {
        Pattern { nodes: nodes(graph).collect(), outputs: outputs(graph), placement: place(graph) }
    }

    /// Whether the placement serves this graph.
    pub fn serves(&self, graph: &Graph) -> bool {
        let Placement { of, slots } = &self.placement;
        let fits = |value: Value| of.get(&value).is_some_and(|slot| graph.of(value).bytes() <= slots[*slot]);
        outputs(graph) == self.outputs && nodes(graph).eq(self.nodes.iter().cloned()) && graph.nodes.iter().flat_map(Node::made).all(fits)
    }
}

/// What a placement follows from, beside sizes: operations, operands by what they stand on, and whether a result may take an operand's slot.
fn nodes(graph: &Graph) -> impl Iterator<Item = (&'static str, Vec<Value>, bool)> + '_ {
    graph.nodes.iter().map(|node| {
        let bases = node.operands.iter().map(|value| graph.base(*value)).collect();
        let alike = |(made, read): (usize, usize)| graph.of(node.operands[made]) == graph.of(node.operands[read]);
        (node.op.name(), bases, node.op.may_alias().is_some_and(alike))
    })
}

fn outputs(graph: &Graph) -> Vec<Value> {
    graph.outputs.iter().map(|(_, value)| graph.base(*value)).collect()
}

/// Each value as it is made takes a slot that is free then.
fn in_order(graph: &Graph, last: &HashMap<Value, usize>) -> Placement {
    let mut placement = Placement::default();
    let mut free: Vec<usize> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let taken = alias(graph, node, at, last).and_then(|(made, read)| Some((made, read, *placement.of.get(&read)?)));
        for value in node.made() {
            let slot = match taken {
                Some((made, _, slot)) if made == value => slot,
                _ => take(&mut placement.slots, &mut free, graph.of(value).bytes()),
            };
            placement.of.insert(value, slot);
        }
        let bases: HashSet<Value> = node.operands.iter().map(|value| graph.base(*value)).collect();
        let mut dead: Vec<Value> = bases.into_iter().filter(|base| last.get(base) == Some(&at)).collect();
        dead.sort_unstable();
        let kept = taken.map(|(_, read, _)| read);
        free.extend(dead.into_iter().filter(|base| Some(*base) != kept).filter_map(|base| placement.of.get(&base)));
    }
    placement
}

/// A slot, and from where to where each of its values lives.
struct Lives {
    bytes: u64,
    taken: BTreeMap<usize, usize>,
}

impl Lives {
    fn is_free(&self, start: usize, end: usize) -> bool {
        self.taken.range(..=end).next_back().is_none_or(|(_, end)| *end < start)
    }
}

/// The largest value first, each into the smallest slot that is free as long as it lives: a small value that is kept for long has no
/// slot that a large one could use. Source: Pisarchyk & Lee 2020, "Efficient Memory Management for Deep Neural Net Inference".
fn by_size(graph: &Graph, last: &HashMap<Value, usize>) -> Placement {
    // Values that stand in one slot by an operation's leave: bytes, first and last node, and the values.
    let mut groups: Vec<(u64, usize, usize, Vec<Value>)> = Vec::new();
    let mut of: HashMap<Value, usize> = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let taken = alias(graph, node, at, last).and_then(|(made, read)| Some((made, *of.get(&read)?)));
        for value in node.made() {
            let end = last.get(&value).copied().unwrap_or(at);
            let group = match taken {
                Some((made, group)) if made == value => group,
                _ => {
                    groups.push((graph.of(value).bytes(), at, end, Vec::new()));
                    groups.len() - 1
                }
            };
            groups[group].2 = end;
            groups[group].3.push(value);
            of.insert(value, group);
        }
    }
    groups.sort_by_key(|(bytes, start, _, _)| (Reverse(*bytes), *start));
    let mut slots: Vec<Lives> = Vec::new();
    let mut placement = Placement::default();
    for (bytes, start, end, values) in groups {
        // Later slots are smaller.
        let slot = slots.iter().rposition(|slot| slot.is_free(start, end)).unwrap_or_else(|| {
            slots.push(Lives { bytes, taken: BTreeMap::new() });
            slots.len() - 1
        });
        slots[slot].taken.insert(start, end);
        placement.of.extend(values.into_iter().map(|value| (value, slot)));
    }
    placement.slots = slots.into_iter().map(|slot| slot.bytes).collect();
    placement
}

/// The node after which nobody reads a value.
fn last_uses(graph: &Graph) -> HashMap<Value, usize> {
    let mut last = HashMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        last.extend(node.operands.iter().map(|value| (graph.base(*value), at)));
    }
    for nodes in passes(graph) {
        let end = nodes.end - 1;
        for value in graph.nodes[nodes].iter().flat_map(|node| &node.operands) {
            last.entry(graph.base(*value)).and_modify(|at| *at = end.max(*at));
        }
    }
    last.extend(graph.outputs.iter().map(|(_, value)| (graph.base(*value), usize::MAX)));
    last
}

/// A value made here and the operand whose slot it takes: whole, of the same size, read here for the last time and as nothing else.
fn alias(graph: &Graph, node: &Node, at: usize, last: &HashMap<Value, usize>) -> Option<(Value, Value)> {
    let (made, read) = node.op.may_alias()?;
    let (made, read) = (node.operands[made], node.operands[read]);
    let whole = graph.info(read).kind == Kind::Made && graph.of(read) == graph.of(made);
    let alone = node.operands.iter().filter(|value| graph.base(**value) == read).count() == 1;
    (whole && alone && last.get(&read) == Some(&at)).then_some((made, read))
}

/// The smallest free slot that fits, else the largest, which grows, else a new one.
fn take(slots: &mut Vec<u64>, free: &mut Vec<usize>, bytes: u64) -> usize {
    let fitting = free.iter().copied().filter(|slot| slots[*slot] >= bytes).min_by_key(|slot| (slots[*slot], *slot));
    let Some(best) = fitting.or_else(|| free.iter().copied().max_by_key(|slot| (slots[*slot], *slot))) else {
        slots.push(bytes);
        return slots.len() - 1;
    };
    free.retain(|slot| *slot != best);
    slots[best] = slots[best].max(bytes);
    best
}
