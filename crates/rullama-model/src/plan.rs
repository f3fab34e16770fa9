//! A graph's recording: activations share buffers by lifetime, everything else is bound.

use crate::ModelError;
use crate::graph::{Graph, Half, Info, Input, Kind, Node, Value, Words};
use crate::weights::Weights;
use rullama_gpu::{Access, Buffer, Device, GpuError, Recorder, Recording, Slice, Usage};
use rullama_ops::{Cache, Context, Operand, Tensor};
use std::collections::HashMap;

/// Activation buffers that plans take turns with: only one step runs at a time.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<Buffer>,
    scratch: Option<Buffer>,
    inputs: HashMap<Input, Buffer>,
}

impl Pool {
    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().chain(&self.scratch).chain(self.inputs.values()).map(Buffer::size).sum()
    }

    /// The smallest free buffer that fits, or a new one.
    async fn take(&mut self, device: &Device, free: &mut Vec<usize>, size: u64) -> Result<usize, GpuError> {
        let fitting = free.iter().copied().filter(|i| self.buffers[*i].size() >= size);
        if let Some(best) = fitting.min_by_key(|i| self.buffers[*i].size()) {
            free.retain(|i| *i != best);
            return Ok(best);
        }
        self.buffers.push(device.buffer("activation", size, Usage::Storage).await?);
        Ok(self.buffers.len() - 1)
    }

    async fn scratch(&mut self, device: &Device, size: u64) -> Result<Slice, GpuError> {
        match &self.scratch {
            Some(buffer) if buffer.size() >= size => Ok(buffer.whole()),
            _ => Ok(self.scratch.insert(device.buffer("scratch", size, Usage::Storage).await?).whole()),
        }
    }

    async fn input(&mut self, device: &Device, input: Input, size: u64) -> Result<Slice, GpuError> {
        if self.inputs.get(&input).is_none_or(|b| b.size() < size) {
            self.inputs.insert(input, device.buffer("per-layer rows", size, Usage::Storage).await?);
        }
        Ok(self.inputs[&input].slice(0, size))
    }
}

/// What graph values that are not activations stand for.
pub trait Resources {
    fn weights(&self) -> &Weights;
    fn cache(&self, layer: usize, half: Half) -> Option<Cache>;
    fn words(&self, words: Words) -> Slice;
    /// Kernel variants not to use, by operation.
    fn banned(&self) -> &[(String, &'static str)];
}

/// What follows a graph in the same replay: given the outputs and the scratch asked for.
pub struct Then<'a> {
    pub record: &'a RecordThen<'a>,
    /// Bytes of scratch.
    pub scratch: u64,
}

/// Records dispatches that read a graph's outputs.
pub type RecordThen<'a> = dyn Fn(&mut Recorder, &HashMap<String, Tensor>, Option<Slice>) -> Result<(), GpuError> + 'a;

/// A step, ready to be replayed.
#[derive(Debug)]
pub struct Plan {
    pub recording: Recording,
    outputs: HashMap<String, Tensor>,
    inputs: HashMap<Input, Slice>,
}

impl Plan {
    /// A named output of the graph.
    pub fn output(&self, name: &str) -> Option<&Tensor> {
        self.outputs.get(name)
    }

    /// Where the host writes an input, if this plan reads it.
    pub fn input(&self, input: Input) -> Option<&Slice> {
        self.inputs.get(&input)
    }

    /// Builds the recording, then lets `then` record what follows in the same replay.
    pub async fn build(
        device: &Device,
        graph: &Graph,
        resources: &dyn Resources,
        pool: &mut Pool,
        then: &Then<'_>,
    ) -> Result<Plan, ModelError> {
        let mut builder = Builder { device, graph, resources, places: HashMap::new(), operands: HashMap::new(), inputs: HashMap::new() };
        builder.place(pool).await?;
        let scratch = builder.scratch_bytes()?.max(then.scratch);
        let scratch = if scratch > 0 { Some(pool.scratch(device, scratch).await?) } else { None };
        let mut recorder = Recorder::new();
        builder.record(&mut recorder, &scratch)?;
        let outputs: Result<HashMap<_, _>, ModelError> =
            graph.outputs.iter().map(|(name, value)| Ok((name.clone(), builder.operand(*value)?.tensor()?.clone()))).collect();
        let outputs = outputs?;
        (then.record)(&mut recorder, &outputs, scratch)?;
        let inputs = builder.inputs;
        Ok(Plan { recording: recorder.finish(device).await?, outputs, inputs })
    }
}

struct Builder<'a> {
    device: &'a Device,
    graph: &'a Graph,
    resources: &'a dyn Resources,
    /// Activation to its buffer.
    places: HashMap<Value, Slice>,
    operands: HashMap<Value, Operand>,
    inputs: HashMap<Input, Slice>,
}

impl Builder<'_> {
    /// The activation that a value lives in.
    fn base(&self, value: Value) -> Value {
        match self.graph.info(value).kind {
            Kind::View { of, .. } => self.base(of),
            _ => value,
        }
    }

    fn touched(node: &Node) -> Vec<Value> {
        match node {
            Node::Op { operands, .. } => operands.clone(),
            Node::Snapshot { of, to } => vec![*of, *to],
        }
    }

    /// Gives every activation a buffer; one is free again after its last use.
    async fn place(&mut self, pool: &mut Pool) -> Result<(), ModelError> {
        let mut last: HashMap<Value, usize> = HashMap::new();
        for (at, node) in self.graph.nodes.iter().enumerate() {
            for value in Self::touched(node) {
                last.insert(self.base(value), at);
            }
        }
        for (_, value) in &self.graph.outputs {
            last.insert(self.base(*value), usize::MAX);
        }
        let mut free: Vec<usize> = (0..pool.buffers.len()).collect();
        let mut held: HashMap<Value, usize> = HashMap::new();
        for (at, node) in self.graph.nodes.iter().enumerate() {
            let bases: Vec<Value> = Self::touched(node).into_iter().map(|v| self.base(v)).collect();
            for &base in &bases {
                let Info { kind, rows, cols } = self.graph.info(base);
                let size = u64::from(*rows) * u64::from(*cols) * 4;
                match kind {
                    Kind::Activation if !self.places.contains_key(&base) => {
                        let index = pool.take(self.device, &mut free, size).await?;
                        held.insert(base, index);
                        self.places.insert(base, pool.buffers[index].slice(0, size));
                    }
                    Kind::Input(input) if !self.places.contains_key(&base) => {
                        let slice = pool.input(self.device, *input, size).await?;
                        self.inputs.insert(*input, slice.clone());
                        self.places.insert(base, slice);
                    }
                    _ => {}
                }
            }
            for base in bases {
                if last.get(&base) == Some(&at) {
                    free.extend(held.remove(&base));
                }
            }
        }
        Ok(())
    }

    fn missing(what: String) -> ModelError {
        GpuError::Validation { what: "the graph".into(), message: format!("{what} is not loaded") }.into()
    }

    fn operand(&self, value: Value) -> Result<Operand, ModelError> {
        if let Some(known) = self.operands.get(&value) {
            return Ok(known.clone());
        }
        let info = self.graph.info(value);
        Ok(match &info.kind {
            Kind::Activation | Kind::Input(_) => {
                let slice = self.places.get(&value).cloned().ok_or_else(|| Self::missing(format!("{info:?}")))?;
                Operand::Tensor(Tensor { slice, rows: info.rows, cols: info.cols, stride: info.cols, offset: 0 })
            }
            Kind::View { of, column } => {
                let of = self.operand(*of)?;
                let base = of.tensor()?;
                Operand::Tensor(Tensor { rows: info.rows, cols: info.cols, offset: base.offset + column, ..base.clone() })
            }
            Kind::Weight(key) => Operand::Weight(self.resources.weights().weight(key).cloned().ok_or_else(|| Self::missing(key.clone()))?),
            Kind::Table(key) => Operand::Tensor(self.resources.weights().table(key).cloned().ok_or_else(|| Self::missing(key.clone()))?),
            Kind::Cache { layer, half } => {
                Operand::Cache(self.resources.cache(*layer, *half).ok_or_else(|| Self::missing(format!("the cache of layer {layer}")))?)
            }
            Kind::Words(words) => Operand::Words(self.resources.words(*words)),
        })
    }

    fn all_operands(&mut self, values: &[Value]) -> Result<Vec<Operand>, ModelError> {
        for value in values {
            let operand = self.operand(*value)?;
            self.operands.insert(*value, operand);
        }
        Ok(values.iter().map(|v| self.operands[v].clone()).collect())
    }

    fn scratch_bytes(&mut self) -> Result<u64, ModelError> {
        let mut most = 0;
        for node in &self.graph.nodes {
            if let Node::Op { op, operands } = node {
                let operands = self.all_operands(operands)?;
                most = most.max(op.scratch(self.device.caps(), &operands));
            }
        }
        Ok(most)
    }

    fn record(&mut self, recorder: &mut Recorder, scratch: &Option<Slice>) -> Result<(), ModelError> {
        for node in &self.graph.nodes {
            match node {
                Node::Op { op, operands } => {
                    debug_assert_eq!(op.access().len(), operands.len(), "{}", op.name());
                    let operands = self.all_operands(operands)?;
                    debug_assert!(op.access().iter().zip(&operands).all(|(a, o)| *a == Access::Read || !matches!(o, Operand::Weight(_))));
                    let mut context = Context {
                        recorder,
                        caps: self.device.caps(),
                        variant: None,
                        banned: self.resources.banned(),
                        scratch: scratch.clone(),
                    };
                    op.record(&mut context, &operands)?;
                }
                Node::Snapshot { of, to } => {
                    let (of, to) = (self.operand(*of)?, self.operand(*to)?);
                    recorder.copy(&of.tensor()?.slice, &to.tensor()?.slice);
                }
            }
        }
        Ok(())
    }
}
