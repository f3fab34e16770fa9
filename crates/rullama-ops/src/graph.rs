//! The network as data: values that are written once, and the operations between them.
//!
//! A model's `forward` builds a [`Graph`]. What an operation reads, makes and updates is in its signature ([`Op::uses`]), and
//! every value has a [`Type`], checked when the node is added. Only caches, words and what is trained are updated, and an update
//! gives a new version of them: whoever reads what was written has an edge to the writer. Nothing here knows a kernel or a buffer.

use crate::op::{KvType, Op, Use};
use rullama_quant::DType;
use std::collections::HashMap;
use std::sync::Arc;

pub use crate::types::{Number, Type};

/// A value of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(u32);

/// Which half of a layer's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    Keys,
    Values,
}

/// Small buffers of words that host and kernels share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Words {
    /// Token ids of a prompt's chunk.
    ChunkIds,
    /// State of a prompt's chunk.
    ChunkState,
    /// The id of the token to decode; the sampler writes the next one.
    StepId,
    /// State of the step whose logits are wanted; the sampler advances it.
    StepState,
    /// How to sample.
    Settings,
    /// What is added to logits.
    Bias,
    /// The last tokens.
    History,
    /// What the sampler drew.
    Results,
    /// Which ids the sampler may draw, a bit each.
    Mask,
    /// What workgroups of one dispatch pass on to each other; see [`Use::Exchange`].
    Exchange,
    /// For each token of a packed row the index of its example's first token; larger than the token's own index where it pads.
    Starts,
    /// For each token of packed texts the index behind its text's last token.
    Ends,
    /// First token of each packed text and the one behind its last, in turn.
    Spans,
    /// Rows of a step whose next token is predicted.
    TargetRows,
    /// Ids that are predicted, then the weight of each as f32.
    Targets,
    /// Seed and number of a training step.
    Chance,
    /// For each token of a chunk the row of its soft embedding, [`u32::MAX`] where it has none.
    SoftPlaces,
    /// For each token of a chunk the position behind the last key that it sees: its own, or the last of its block.
    BlockEnds,
    /// For each id of a table that is not on the GPU as a whole the place of its row there, counted from 1; 0 where it has none.
    RowPlaces,
    /// Rows that a tower takes of its tables, by the number of the list.
    Index(u8),
}

/// What is kept of a trained matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Value,
    /// The sum of its gradients since they were last cleared.
    Gradient,
    /// Running mean of the gradient.
    Mean,
    /// Running mean of the gradient's square.
    Variance,
}

/// Where a value's data is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Made by a node.
    Made,
    /// Rows `row ..` and columns `column ..` of another value.
    View {
        of: Value,
        row: u32,
        column: u32,
    },
    /// Rows `first`, `first + step`, ... of a weight, or of such a view.
    WeightView {
        of: Value,
        first: u32,
        step: u32,
    },
    /// A cache or words as an update left them.
    After {
        of: Value,
    },
    /// Written by the host before a step, by the name that the model gives it.
    Input(&'static str),
    /// A matrix, by the key of its specification.
    Weight(String),
    /// A vector or small f32 table.
    Table(String),
    Cache {
        layer: usize,
        half: Half,
    },
    Words(Words),
    /// A trained matrix, or what is kept of it, by its name.
    Trained {
        name: String,
        part: Part,
    },
}

/// Type and place of a value.
#[derive(Debug, Clone)]
pub struct Info {
    pub kind: Kind,
    pub of: Type,
}

/// A step of the network.
#[derive(Debug, Clone)]
pub struct Node {
    pub op: Arc<dyn Op>,
    /// As the operation takes them.
    pub operands: Vec<Value>,
    /// The new versions of updated operands, in their order.
    pub after: Vec<Value>,
    /// Index into [`Graph::places`].
    pub place: usize,
}

impl Node {
    /// The operation, if it is of this type.
    pub fn is<T: Op>(&self) -> Option<&T> {
        (self.op.as_ref() as &dyn std::any::Any).downcast_ref()
    }

    /// Operands that are read or updated, in order.
    pub fn inputs(&self) -> impl Iterator<Item = Value> + '_ {
        self.used(|u| u != Use::Write)
    }

    /// Operands that are made here, in order.
    pub fn made(&self) -> impl Iterator<Item = Value> + '_ {
        self.used(|u| u == Use::Write)
    }

    fn used(&self, wanted: impl Fn(Use) -> bool + 'static) -> impl Iterator<Item = Value> + '_ {
        self.op.uses().into_iter().zip(&self.operands).filter(move |(u, _)| wanted(*u)).map(|(_, v)| *v)
    }
}

/// Operands that do not fit together, where the graph is built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{op}` in {place}: {message}")]
pub struct GraphError {
    /// The layer or part of the model.
    pub place: String,
    pub op: &'static str,
    pub message: String,
}

/// Values, nodes in order, and the values that outlive the run.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub values: Vec<Info>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<(String, Value)>,
    /// Names of the parts that nodes belong to, as `blk.3`.
    pub places: Vec<String>,
    /// Values that are not made by nodes, by kind.
    known: HashMap<Kind, Value>,
    /// The version of each cache and words that holds now.
    latest: HashMap<Value, Value>,
    error: Option<GraphError>,
}

impl Graph {
    /// What follows belongs to `place`, as `blk.3`: errors name it, and a recording may be cut where places change.
    pub fn at(&mut self, place: impl Into<String>) {
        self.places.push(place.into());
    }

    pub fn info(&self, value: Value) -> &Info {
        &self.values[value.0 as usize]
    }

    pub fn of(&self, value: Value) -> Type {
        self.info(value).of
    }

    pub fn rows(&self, value: Value) -> u32 {
        self.of(value).rows
    }

    pub fn cols(&self, value: Value) -> u32 {
        self.of(value).cols
    }

    /// What a view or version stands on.
    pub fn base(&self, value: Value) -> Value {
        match self.info(value).kind {
            Kind::View { of, .. } | Kind::WeightView { of, .. } | Kind::After { of } => self.base(of),
            _ => value,
        }
    }

    /// Makes `value` another kind of the same type: what a rewrite does with a result that it computes elsewhere.
    pub fn set_kind(&mut self, value: Value, kind: Kind) {
        self.values[value.0 as usize].kind = kind;
    }

    /// A new value without a node that makes it.
    pub fn new_value(&mut self, kind: Kind, of: Type) -> Value {
        self.values.push(Info { kind, of });
        Value(self.values.len() as u32 - 1)
    }

    fn known(&mut self, kind: Kind, of: Type) -> Value {
        if let Some(&value) = self.known.get(&kind) {
            return value;
        }
        let value = self.new_value(kind.clone(), of);
        self.known.insert(kind, value);
        value
    }

    /// A matrix `[rows, cols]` in a format.
    pub fn weight(&mut self, key: &str, rows: u32, cols: u32, dtype: DType) -> Value {
        self.known(Kind::Weight(key.into()), Type { rows, cols, number: Number::Weight(dtype) })
    }

    /// A vector `[1, cols]`.
    pub fn vector(&mut self, key: &str, cols: u32) -> Value {
        self.table(key, 1, cols)
    }

    pub fn table(&mut self, key: &str, rows: u32, cols: u32) -> Value {
        self.known(Kind::Table(key.into()), Type::f32(rows, cols))
    }

    pub fn input(&mut self, name: &'static str, rows: u32, cols: u32) -> Value {
        self.known(Kind::Input(name), Type::f32(rows, cols))
    }

    /// Keys or values of a layer, `width` = kv_heads * head_dim a position, as they are now.
    pub fn cache(&mut self, layer: usize, half: Half, width: u32, kv: KvType) -> Value {
        self.now(Kind::Cache { layer, half }, Type::cache(width, kv))
    }

    /// Words as they are now.
    pub fn words(&mut self, words: Words) -> Value {
        self.now(Kind::Words(words), Type::words(0))
    }

    /// A trained matrix `[rows, cols]`, or what is kept of it, as it is now.
    pub fn trained(&mut self, name: &str, part: Part, rows: u32, cols: u32) -> Value {
        self.now(Kind::Trained { name: name.into(), part }, Type::f32(rows, cols))
    }

    fn now(&mut self, kind: Kind, of: Type) -> Value {
        let value = self.known(kind, of);
        self.latest.get(&value).copied().unwrap_or(value)
    }

    /// Columns `column .. column + cols` of `of`.
    pub fn columns(&mut self, of: Value, column: u32, cols: u32) -> Value {
        self.view(of, (0, column), (self.rows(of), cols))
    }

    /// `size` (rows, columns) of `of` from `first` on.
    pub fn view(&mut self, of: Value, first: (u32, u32), size: (u32, u32)) -> Value {
        let Type { rows, cols, number } = self.of(of);
        let fits = |first: u32, size: u32, all: u32| first.checked_add(size).is_some_and(|end| end <= all);
        if !fits(first.0, size.0, rows) || !fits(first.1, size.1, cols) || number != Number::F32 {
            self.fail("view", format!("{size:?} from {first:?} on of {}", self.of(of)));
        }
        self.new_value(Kind::View { of, row: first.0, column: first.1 }, Type::f32(size.0, size.1))
    }

    /// Rows `first`, `first + step`, ... of a weight: `rows` of them.
    pub fn view_rows(&mut self, weight: Value, first: u32, step: u32, rows: u32) -> Value {
        let of = self.of(weight);
        let end = u64::from(first) + u64::from(rows.saturating_sub(1)) * u64::from(step);
        if !matches!(of.number, Number::Weight(_)) || rows == 0 || step == 0 || end >= u64::from(of.rows) {
            self.fail("view_rows", format!("{rows} rows from {first} on, {step} apart, of {of}"));
        }
        self.new_value(Kind::WeightView { of: weight, first, step }, Type { rows, ..of })
    }

    /// Keeps a value's data after the run, under a name.
    pub fn output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.push((name.into(), value));
    }

    /// The output of this name.
    pub fn named(&self, name: &str) -> Option<Value> {
        self.outputs.iter().find(|output| output.0 == name).map(|output| output.1)
    }

    /// Adds a node that reads and updates `inputs`, in the operation's order; gives what it makes, then the new versions of
    /// what it updates. An operand that does not fit is kept as the graph's error, see [`checked`](Self::checked).
    pub fn add(&mut self, op: impl Op, inputs: &[Value]) -> Vec<Value> {
        self.add_node(Arc::new(op), inputs)
    }

    // Apart, so that it is compiled once and not for every operation.
    fn add_node(&mut self, op: Arc<dyn Op>, inputs: &[Value]) -> Vec<Value> {
        let types: Vec<Type> = inputs.iter().map(|v| self.of(*v)).collect();
        let uses = op.uses();
        let count = |wanted: Use| uses.iter().filter(|u| **u == wanted).count();
        let results = match op.results(&types) {
            Ok(results) if results.len() == count(Use::Write) && inputs.len() + results.len() == uses.len() => results,
            Ok(_) => self.misfit(&*op, format!("does not take {} operands", inputs.len()), count(Use::Write)),
            Err(message) => self.misfit(&*op, message, count(Use::Write)),
        };
        let made: Vec<Value> = results.into_iter().map(|of| self.new_value(Kind::Made, of)).collect();
        let (mut rest, mut new, mut after) = (inputs.iter(), made.iter(), Vec::new());
        let mut operands = Vec::with_capacity(uses.len());
        for used in uses {
            let next = if used == Use::Write { new.next() } else { rest.next() };
            let Some(&value) = next else { break };
            if used != Use::Write {
                self.check_version(&*op, value);
            }
            if matches!(used, Use::Update | Use::Exchange) {
                after.push(self.update(&*op, value));
            }
            operands.push(value);
        }
        let place = self.place();
        self.nodes.push(Node { op, operands, after: after.clone(), place });
        made.into_iter().chain(after).collect()
    }

    /// As [`add`](Self::add), for an operation that makes or updates one value.
    pub fn one(&mut self, op: impl Op, inputs: &[Value]) -> Value {
        self.add(op, inputs)[0]
    }

    fn place(&mut self) -> usize {
        if self.places.is_empty() {
            self.at("the model");
        }
        self.places.len() - 1
    }

    fn misfit(&mut self, op: &dyn Op, message: String, results: usize) -> Vec<Type> {
        self.fail(op.name(), message);
        vec![Type::f32(0, 0); results]
    }

    pub(crate) fn fail(&mut self, op: &'static str, message: String) {
        let place = self.places.last().cloned().unwrap_or_default();
        self.error.get_or_insert(GraphError { place, op, message });
    }

    /// Caches and words are read as they are, not as they were.
    fn check_version(&mut self, op: &dyn Op, value: Value) {
        let base = self.base(value);
        if self.latest.get(&base).is_some_and(|latest| *latest != value) {
            self.fail(op.name(), format!("takes {:?} as it was before an update", self.info(base).kind));
        }
    }

    fn update(&mut self, op: &dyn Op, value: Value) -> Value {
        let base = self.base(value);
        if !matches!(self.info(base).kind, Kind::Cache { .. } | Kind::Words(_) | Kind::Trained { .. }) {
            self.fail(op.name(), "updates a value that is no cache, no words and not trained".into());
        }
        let after = self.new_value(Kind::After { of: value }, self.of(value));
        self.latest.insert(base, after);
        after
    }

    /// The graph, if every operand fitted.
    ///
    /// # Errors
    /// The first node whose operands did not, with its place.
    pub fn checked(self) -> Result<Graph, GraphError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// What [`Op::results`] says of operands that do not fit: the operation's name for each, and its type.
pub fn misfit(named: &[(&str, &Type)]) -> String {
    let words: Vec<String> = named.iter().map(|(name, of)| format!("{name} is {of}")).collect();
    format!("operands do not fit: {}", words.join(", "))
}

/// For [`Op::results`]: exactly `N` operands.
pub fn take<const N: usize>(inputs: &[Type]) -> Result<[Type; N], String> {
    inputs.try_into().map_err(|_| format!("takes {N} inputs, not {}", inputs.len()))
}

/// For [`Op::results`]: the operands fit, or what they are.
pub fn fit(fits: bool, named: &[(&str, &Type)]) -> Result<(), String> {
    if fits { Ok(()) } else { Err(misfit(named)) }
}
