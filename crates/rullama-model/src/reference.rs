//! Runs a graph on the operations' oracles: the CPU reference of every model for free.

use crate::ModelError;
use crate::gemma4::Config;
use crate::graph::{Graph, Half, Input, Kind, Node, Value, Words};
use crate::weights::{Table, WeightSpec};
use rullama_gpu::Access;
use rullama_ops::{Array, Host, HostCache, KvType};
use rullama_source::ByteSource;
use std::collections::HashMap;

/// What the reference keeps between steps.
pub struct Reference<'a> {
    pub source: &'a dyn ByteSource,
    pub weights: &'a [WeightSpec],
    pub tables: &'a [Table],
    pub words: HashMap<Words, Vec<u32>>,
    pub inputs: HashMap<Input, Vec<f32>>,
    caches: HashMap<(usize, Half), HostCache>,
}

impl<'a> Reference<'a> {
    /// Caches of `slots` positions; nothing wraps around.
    pub fn new(
        source: &'a dyn ByteSource,
        weights: &'a [WeightSpec],
        tables: &'a [Table],
        config: &Config,
        kv: KvType,
        slots: usize,
    ) -> Self {
        let mut caches = HashMap::new();
        for (i, layer) in config.layers.iter().enumerate().filter(|(i, l)| l.donor == *i) {
            let width = (layer.kv_heads * layer.head_dim) as usize;
            for half in [Half::Keys, Half::Values] {
                caches.insert((i, half), HostCache { kv, slots, width, data: vec![0.0; slots * width] });
            }
        }
        Reference { source, weights, tables, words: HashMap::new(), inputs: HashMap::new(), caches }
    }

    /// Computes the graph's outputs.
    pub async fn run(&mut self, graph: &Graph) -> Result<HashMap<String, Array>, ModelError> {
        let mut values: HashMap<Value, Host> = HashMap::new();
        for node in &graph.nodes {
            match node {
                Node::Snapshot { of, to } => {
                    let copy = values[of].clone();
                    values.insert(*to, copy);
                }
                Node::Op { op, operands } => {
                    let mut host = Vec::with_capacity(operands.len());
                    for value in operands {
                        host.push(self.fetch(graph, &values, *value).await?);
                    }
                    op.oracle(&mut host);
                    for ((value, data), access) in operands.iter().zip(host).zip(op.access()) {
                        if access == Access::ReadWrite {
                            self.store(graph, &mut values, *value, data);
                        }
                    }
                }
            }
        }
        Ok(graph.outputs.iter().map(|(name, value)| (name.clone(), values[value].tensor().clone())).collect())
    }

    async fn fetch(&self, graph: &Graph, values: &HashMap<Value, Host>, value: Value) -> Result<Host, ModelError> {
        let info = graph.info(value);
        let (rows, cols) = (info.rows as usize, info.cols as usize);
        let missing = |name: &str| ModelError::MissingTensor { name: name.into() };
        Ok(match &info.kind {
            Kind::Activation => values.get(&value).cloned().unwrap_or_else(|| Host::Tensor(Array::zeros(rows, cols))),
            Kind::Input(input) => Host::Tensor(Array { rows, cols, data: self.inputs[input][..rows * cols].to_vec() }),
            Kind::View { of, column } => {
                let base = Box::pin(self.fetch(graph, values, *of)).await?;
                let base = base.tensor();
                let data = (0..rows).flat_map(|r| base.row(r)[*column as usize..][..cols].to_vec()).collect();
                Host::Tensor(Array { rows, cols, data })
            }
            Kind::Weight(key) => {
                let spec = self.weights.iter().find(|s| s.key == *key).ok_or_else(|| missing(key))?;
                Host::Weight(spec.host(self.source).await?)
            }
            Kind::Table(key) => {
                let table = self.tables.iter().find(|t| t.key == *key).ok_or_else(|| missing(key))?;
                Host::Tensor(Array { rows: table.values.len() / table.cols, cols: table.cols, data: table.values.clone() })
            }
            Kind::Cache { layer, half } => Host::Cache(self.caches[&(*layer, *half)].clone()),
            Kind::Words(words) => Host::Words(self.words[words].clone()),
        })
    }

    fn store(&mut self, graph: &Graph, values: &mut HashMap<Value, Host>, value: Value, data: Host) {
        match (&graph.info(value).kind, data) {
            (Kind::Cache { layer, half }, Host::Cache(cache)) => {
                self.caches.insert((*layer, *half), cache);
            }
            (Kind::Words(words), Host::Words(data)) => {
                self.words.insert(*words, data);
            }
            (_, data) => {
                values.insert(value, data);
            }
        }
    }
}
