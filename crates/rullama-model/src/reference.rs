//! Runs a graph on the operations' oracles: the CPU reference of every model for free.

use crate::ModelError;
use crate::model::CacheSpec;
use crate::weights::{Specs, Table};
use rullama_ops::{Array, Graph, Half, Host, HostCache, HostWeight, Kind, KvType, Part, Use, Value, Words};
use rullama_source::ByteSource;
use std::collections::HashMap;

/// What the reference keeps between steps.
pub struct Reference<'a> {
    pub source: &'a dyn ByteSource,
    pub specs: &'a Specs,
    pub tables: &'a [Table],
    pub words: HashMap<Words, Vec<u32>>,
    pub inputs: HashMap<&'static str, Vec<f32>>,
    /// Weights that stand in for those of the source, such as the rows of a table that have a place.
    pub weights: HashMap<String, HostWeight>,
    pub trained: HashMap<(String, Part), Array>,
    pub caches: HashMap<(usize, Half), HostCache>,
}

impl<'a> Reference<'a> {
    /// Caches of `slots` positions; nothing wraps around.
    pub fn new(source: &'a dyn ByteSource, specs: &'a Specs, tables: &'a [Table], caches: &[CacheSpec], kv: KvType, slots: usize) -> Self {
        let halves = caches.iter().flat_map(|spec| [Half::Keys, Half::Values].map(|half| (spec, half)));
        let empty = |width: usize| HostCache { kv, slots, width, data: vec![0.0; slots * width] };
        let caches = halves.map(|(spec, half)| ((spec.layer, half), empty(spec.width as usize))).collect();
        Reference {
            source,
            specs,
            tables,
            words: HashMap::new(),
            inputs: HashMap::new(),
            weights: HashMap::new(),
            trained: HashMap::new(),
            caches,
        }
    }

    /// Computes the graph's outputs, before or after [lowering](crate::lower).
    pub async fn run(&mut self, graph: &Graph) -> Result<HashMap<String, Array>, ModelError> {
        let mut values: HashMap<Value, Host> = HashMap::new();
        for node in &graph.nodes {
            let mut host = Vec::with_capacity(node.operands.len());
            for (value, used) in node.operands.iter().zip(node.op.uses()) {
                host.push(match used {
                    Use::Write => Host::zeros(&graph.of(*value)),
                    Use::Exchange => Host::Words(Vec::new()),
                    Use::Read | Use::Update => self.fetch(graph, &values, *value).await?,
                });
            }
            node.op.oracle(&mut host);
            for ((value, data), used) in node.operands.iter().zip(host).zip(node.op.uses()) {
                match (used, data) {
                    (Use::Write, data) => {
                        values.insert(*value, data);
                    }
                    (Use::Update, data) => self.update(graph, *value, data),
                    _ => {}
                }
            }
        }
        let mut outputs = HashMap::new();
        for (name, value) in &graph.outputs {
            outputs.insert(name.clone(), self.fetch(graph, &values, *value).await?.tensor().clone());
        }
        Ok(outputs)
    }

    async fn fetch(&self, graph: &Graph, values: &HashMap<Value, Host>, value: Value) -> Result<Host, ModelError> {
        let info = graph.info(value);
        let (rows, cols) = (info.of.rows as usize, info.of.cols as usize);
        let missing = |name: &str| ModelError::MissingTensor { name: name.into() };
        Ok(match &info.kind {
            Kind::Made => values.get(&value).cloned().ok_or_else(|| missing("a value before it is made"))?,
            Kind::Input(input) => {
                let data = self.inputs.get(input).and_then(|data| data.get(..rows * cols)).ok_or_else(|| missing(input))?;
                Array { rows, cols, data: data.to_vec() }.into()
            }
            Kind::View { of, row, column } => {
                let base = Box::pin(self.fetch(graph, values, *of)).await?;
                let base = base.tensor();
                let data = (0..rows).flat_map(|r| base.row(*row as usize + r)[*column as usize..][..cols].to_vec()).collect();
                Array { rows, cols, data }.into()
            }
            Kind::WeightView { of, first, step } => {
                let base = Box::pin(self.fetch(graph, values, *of)).await?;
                Host::Weight(base.weight().view(*first as usize, *step as usize, rows))
            }
            Kind::After { of } => Box::pin(self.fetch(graph, values, *of)).await?,
            Kind::Weight(key) if self.weights.contains_key(key) => Host::Weight(self.weights[key].clone()),
            Kind::Weight(key) => Host::Weight(match (self.specs.weight(key), self.specs.part(key)) {
                (Some(spec), _) => spec.host(self.source).await?,
                (None, Some(placed)) => placed.part.host(self.source).await?,
                (None, None) => return Err(missing(key)),
            }),
            Kind::Table(key) => {
                let table = self.tables.iter().find(|t| t.key == *key).ok_or_else(|| missing(key))?;
                Array { rows: table.values.len() / table.cols, cols: table.cols, data: table.values.clone() }.into()
            }
            Kind::Cache { layer, half } => Host::Cache(self.caches.get(&(*layer, *half)).cloned().ok_or_else(|| missing("a cache"))?),
            Kind::Trained { name, part } => self.trained.get(&(name.clone(), *part)).cloned().ok_or_else(|| missing(name))?.into(),
            Kind::Words(words) => Host::Words(self.words.get(words).cloned().ok_or_else(|| missing("words"))?),
        })
    }

    fn update(&mut self, graph: &Graph, value: Value, data: Host) {
        match (&graph.info(graph.base(value)).kind, data) {
            (Kind::Cache { layer, half }, Host::Cache(cache)) => {
                self.caches.insert((*layer, *half), cache);
            }
            (Kind::Words(words), Host::Words(data)) => {
                self.words.insert(*words, data);
            }
            (Kind::Trained { name, part }, Host::Tensor(array)) => {
                self.trained.insert((name.clone(), *part), array);
            }
            _ => {}
        }
    }
}
