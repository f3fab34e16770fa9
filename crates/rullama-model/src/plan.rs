//! A graph's recording: activations share buffers by lifetime, everything else is bound.

use crate::ModelError;
use crate::experts::{ExpertPasses, chosen, passes, weights_of};
use crate::place::{Pattern, place};
use crate::weights::Weights;
use rullama_gpu::{Buffer, Device, GpuError, Recorder, Recording, Slice, Usage};
use rullama_ops::{Cache, Context, Graph, Half, Kind, Op, Operand, Part, Tensor, Type, Value, Words};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Activation buffers that all plans of a device take turns with: only one step runs at a time.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<Buffer>,
    scratch: Option<Buffer>,
    inputs: HashMap<&'static str, Buffer>,
    /// Where values of the graph are that room was made for, and a buffer for each slot.
    reserved: Option<(Pattern, Vec<Buffer>)>,
}

impl Pool {
    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().chain(&self.scratch).chain(self.inputs.values()).map(Buffer::size).sum()
    }

    /// Room for the activations and inputs of a [lowered](crate::lower) graph, and so many bytes of scratch: graphs of the same nodes over
    /// smaller values take no more.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn reserve(&mut self, device: &Device, graph: &Graph, scratch: u64) -> Result<(), ModelError> {
        let pattern = Pattern::new(graph);
        let buffers = self.buffers(device, &pattern.placement.slots).await?;
        self.reserved = Some((pattern, buffers));
        self.scratch(device, scratch).await?;
        for base in graph.nodes.iter().flat_map(|node| node.inputs()).map(|value| graph.base(value)) {
            if let Kind::Input(name) = graph.info(base).kind {
                self.input(device, name, graph.of(base).bytes()).await?;
            }
        }
        Ok(())
    }

    /// A place for every value that the graph makes.
    ///
    /// # Errors
    /// Too little GPU memory; a lost device.
    pub async fn places(&mut self, device: &Device, graph: &Graph) -> Result<HashMap<Value, Slice>, GpuError> {
        let slice = |buffer: &Buffer, value: Value| (value, buffer.slice(0, graph.of(value).bytes()));
        if let Some((pattern, buffers)) = self.reserved.as_ref().filter(|(pattern, _)| pattern.serves(graph)) {
            let made = graph.nodes.iter().flat_map(|node| node.made());
            return Ok(made.map(|value| slice(&buffers[pattern.placement.of[&value]], value)).collect());
        }
        let placement = place(graph);
        let buffers = self.buffers(device, &placement.slots).await?;
        Ok(placement.of.into_iter().map(|(value, slot)| slice(&buffers[slot], value)).collect())
    }

    /// A buffer of its own for each slot: the largest slots choose first, each the smallest buffer that fits, or a new one.
    async fn buffers(&mut self, device: &Device, slots: &[u64]) -> Result<Vec<Buffer>, GpuError> {
        let mut order: Vec<usize> = (0..slots.len()).collect();
        order.sort_by_key(|slot| std::cmp::Reverse(slots[*slot]));
        let mut free: Vec<usize> = (0..self.buffers.len()).collect();
        let mut chosen = vec![None; slots.len()];
        for slot in order {
            let fitting = free.iter().copied().filter(|i| self.buffers[*i].size() >= slots[slot]);
            let index = match fitting.min_by_key(|i| self.buffers[*i].size()) {
                Some(index) => index,
                None => {
                    self.buffers.push(device.buffer("activation", slots[slot], Usage::Storage).await?);
                    self.buffers.len() - 1
                }
            };
            free.retain(|i| *i != index);
            chosen[slot] = Some(self.buffers[index].clone());
        }
        Ok(chosen.into_iter().flatten().collect())
    }

    async fn scratch(&mut self, device: &Device, size: u64) -> Result<Option<Slice>, GpuError> {
        match &self.scratch {
            _ if size == 0 => Ok(None),
            Some(buffer) if buffer.size() >= size => Ok(Some(buffer.whole())),
            _ => Ok(Some(self.scratch.insert(device.buffer("scratch", size, Usage::Storage).await?).whole())),
        }
    }

    async fn input(&mut self, device: &Device, name: &'static str, size: u64) -> Result<Slice, GpuError> {
        if self.inputs.get(name).is_none_or(|b| b.size() < size) {
            self.inputs.insert(name, device.buffer(name, size, Usage::Storage).await?);
        }
        Ok(self.inputs[name].slice(0, size))
    }
}

/// What graph values that no node makes stand for.
pub trait Resources {
    fn weights(&self) -> &Weights;
    fn cache(&self, layer: usize, half: Half) -> Option<Cache>;
    /// Words by their name, where there are any of it.
    fn words(&self, words: Words) -> Option<Slice>;
    /// A trained matrix, or what is kept of it.
    fn trained(&self, _name: &str, _part: Part) -> Option<Tensor> {
        None
    }
    /// Kernel variants not to use, by operation.
    fn banned(&self) -> &[(String, &'static str)];
}

/// A node of a plan, for those who cut it.
#[derive(Debug)]
struct Step {
    op: Arc<dyn Op>,
    inputs: Vec<Type>,
    /// Commands of the recording up to and with this node's.
    end: usize,
    /// Whether another layer begins after it.
    ends_layer: bool,
}

/// A step, ready to be replayed.
#[derive(Debug)]
pub struct Plan {
    pub recording: Recording,
    outputs: HashMap<String, Tensor>,
    inputs: HashMap<&'static str, Slice>,
    steps: Vec<Step>,
    passes: Vec<ExpertPasses>,
}

impl Plan {
    /// A named output of the graph.
    pub fn output(&self, name: &str) -> Option<&Tensor> {
        self.outputs.get(name)
    }

    /// All named outputs.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.outputs.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Where experts are brought to the GPU on the way, in order.
    pub fn passes(&self) -> &[ExpertPasses] {
        &self.passes
    }

    /// Where the host writes an input, if this plan reads it.
    pub fn input(&self, name: &str) -> Option<&Slice> {
        self.inputs.get(name)
    }

    /// The next part of the recording from command `start` on, of at most `most` work ([`Op::work`], where the step's last key is
    /// at `end - 1`): it ends after a layer where a layer is not more than that, else after an operation. Gives its commands and work.
    /// Of the commands before `until` alone.
    pub fn part(&self, (start, until): (usize, usize), end: u32, most: u64) -> (Range<usize>, u64) {
        let left = self.steps.iter().skip_while(|step| step.end <= start).take_while(|step| step.end <= until);
        let cuts = left.map(|step| Cut { work: step.op.work(&step.inputs, end), end: step.end, layer: step.ends_layer });
        let (end, work) = cut(cuts, most);
        (start..end, work)
    }

    /// The commands before the last node's, and the last node's.
    pub fn before_last(&self) -> (Range<usize>, Range<usize>) {
        let cut = self.steps.iter().rev().nth(1).map_or(0, |step| step.end);
        (0..cut, cut..self.recording.len())
    }

    /// Builds the recording of a [lowered](crate::lower) graph.
    pub async fn build(device: &Device, graph: &Graph, resources: &dyn Resources, pool: &mut Pool) -> Result<Plan, ModelError> {
        let mut builder = Builder { device, graph, resources, places: HashMap::new(), operands: HashMap::new(), inputs: HashMap::new() };
        builder.place(pool).await?;
        let scratch = pool.scratch(device, builder.scratch_bytes()?).await?;
        let mut recorder = Recorder::new();
        let steps = builder.record(&mut recorder, &scratch)?;
        let mut outputs = HashMap::new();
        for (name, value) in &graph.outputs {
            outputs.insert(name.clone(), builder.operand(*value)?.tensor()?.clone());
        }
        let ends: Vec<usize> = steps.iter().map(|step| step.end).collect();
        let mut found = Vec::new();
        for nodes in passes(graph) {
            let places = graph.nodes[nodes.start].operands[1];
            let commands = nodes.start.checked_sub(1).map_or(0, |before| ends[before])..ends[nodes.end - 1];
            let place = graph.places.get(graph.nodes[nodes.start].place).cloned().unwrap_or_default();
            let ids = chosen(graph, nodes.start).and_then(|ids| builder.operand(ids).ok());
            let ids = ids.ok_or_else(|| Builder::missing(format!("{place}: the choice of experts")))?.tensor()?.clone();
            let places = builder.operand(places)?.tensor()?.slice.clone();
            found.push(ExpertPasses { commands, weights: weights_of(graph, nodes), ids, places });
        }
        Ok(Plan { outputs, inputs: builder.inputs, recording: recorder.finish(device).await?, steps, passes: found })
    }
}

/// Where a recording may be cut: after commands up to `end`.
struct Cut {
    work: u64,
    end: usize,
    layer: bool,
}

/// Where the first part of these steps ends, and its work: at least one step.
fn cut(steps: impl Iterator<Item = Cut>, most: u64) -> (usize, u64) {
    let (mut operation, mut layer, mut work) = (None, None, 0u64);
    for step in steps {
        work = work.saturating_add(step.work);
        if work > most && operation.is_some() {
            return layer.or(operation).unwrap_or_default();
        }
        operation = Some((step.end, work));
        if step.layer {
            layer = operation;
        }
    }
    operation.unwrap_or_default()
}

struct Builder<'a> {
    device: &'a Device,
    graph: &'a Graph,
    resources: &'a dyn Resources,
    /// Activation to its buffer.
    places: HashMap<Value, Slice>,
    operands: HashMap<Value, Operand>,
    inputs: HashMap<&'static str, Slice>,
}

impl Builder<'_> {
    /// Gives every activation and input a buffer.
    async fn place(&mut self, pool: &mut Pool) -> Result<(), ModelError> {
        self.places = pool.places(self.device, self.graph).await?;
        for value in self.graph.nodes.iter().flat_map(|node| node.inputs()) {
            let base = self.graph.base(value);
            if let Kind::Input(name) = self.graph.info(base).kind
                && !self.places.contains_key(&base)
            {
                let slice = pool.input(self.device, name, self.graph.of(base).bytes()).await?;
                self.inputs.insert(name, slice.clone());
                self.places.insert(base, slice);
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
        let Type { rows, cols, .. } = info.of;
        Ok(match &info.kind {
            Kind::Made | Kind::Input(_) => {
                let slice = self.places.get(&value).cloned().ok_or_else(|| Self::missing(format!("{info:?}")))?;
                Operand::Tensor(Tensor { slice, rows, cols, stride: cols, offset: 0 })
            }
            Kind::View { of, row, column } => {
                let of = self.operand(*of)?;
                let base = of.tensor()?;
                Operand::Tensor(Tensor { rows, cols, offset: base.offset + row * base.stride + column, ..base.clone() })
            }
            Kind::WeightView { of, first, step } => Operand::Weight(Arc::new(self.operand(*of)?.weight()?.view(*first, *step, rows))),
            Kind::After { of } => self.operand(*of)?,
            Kind::Weight(key) => Operand::Weight(self.resources.weights().weight(key).cloned().ok_or_else(|| Self::missing(key.clone()))?),
            Kind::Table(key) => Operand::Tensor(self.resources.weights().table(key).cloned().ok_or_else(|| Self::missing(key.clone()))?),
            Kind::Cache { layer, half } => {
                Operand::Cache(self.resources.cache(*layer, *half).ok_or_else(|| Self::missing(format!("the cache of layer {layer}")))?)
            }
            Kind::Trained { name, part } => {
                Operand::Tensor(self.resources.trained(name, *part).ok_or_else(|| Self::missing(format!("{part:?} of {name}")))?)
            }
            Kind::Words(words) => Operand::Words(self.resources.words(*words).ok_or_else(|| Self::missing(format!("{words:?}")))?),
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
            let operands = self.all_operands(&node.operands)?;
            most = most.max(node.op.scratch(self.device.caps(), &operands));
        }
        Ok(most)
    }

    fn record(&mut self, recorder: &mut Recorder, scratch: &Option<Slice>) -> Result<Vec<Step>, ModelError> {
        let mut steps = Vec::with_capacity(self.graph.nodes.len());
        for (at, node) in self.graph.nodes.iter().enumerate() {
            let operands = self.all_operands(&node.operands)?;
            let mut context =
                Context { recorder, caps: self.device.caps(), variant: None, banned: self.resources.banned(), scratch: scratch.clone() };
            node.op.record(&mut context, &operands).map_err(|source| ModelError::Node {
                place: self.graph.places.get(node.place).cloned().unwrap_or_default(),
                source: Box::new(source),
            })?;
            let inputs = node.inputs().map(|value| self.graph.of(value)).collect();
            let ends_layer = self.graph.nodes.get(at + 1).is_none_or(|next| next.place != node.place);
            steps.push(Step { op: node.op.clone(), inputs, end: recorder.len(), ends_layer });
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cut, cut};

    /// All parts, as [`super::Plan::part`] gives one after the other.
    fn parts(work: &[u64], layers: &[bool], most: u64) -> Vec<(std::ops::Range<usize>, u64)> {
        let (mut all, mut start) = (Vec::new(), 0);
        while start < work.len() {
            let (end, sum) = cut((start..work.len()).map(|i| Cut { work: work[i], end: i + 1, layer: layers[i] }), most);
            all.push((start..end, sum));
            start = end;
        }
        all
    }

    /// Parts cover everything in order, none holds more than `most` unless it is one operation, and a cut falls inside a layer
    /// only where no layer ended in the part.
    #[test]
    fn parts_are_bounded_whole_and_end_with_layers() {
        for seed in 0..200u64 {
            let random = |i: u64, n: u64| ((seed * 7919 + i * 104_729).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) & (n - 1);
            let count = 1 + random(0, 32) as usize;
            let work: Vec<u64> = (0..count).map(|i| 1 + random(i as u64 + 1, 16)).collect();
            let layers: Vec<bool> = (0..count).map(|i| random(i as u64 + 50, 4) == 0).collect();
            let most = 1 + random(99, 64);
            let parts = parts(&work, &layers, most);
            assert_eq!(parts.iter().flat_map(|p| p.0.clone()).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>(), "{seed}");
            for (range, sum) in &parts {
                assert_eq!(work[range.clone()].iter().sum::<u64>(), *sum, "{seed}");
                assert!(*sum <= most || range.len() == 1, "{seed}: {range:?} has {sum} of {most}");
                let inside = range.end < count && !layers[range.end - 1];
                assert!(!inside || !range.clone().any(|i| layers[i]), "{seed}: {range:?}");
            }
        }
    }

    #[test]
    fn a_recording_within_the_bound_is_one_part() {
        assert_eq!(parts(&[3; 10], &[true; 10], 30), [(0..10, 30)]);
    }
}
