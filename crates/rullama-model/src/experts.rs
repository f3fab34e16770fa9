//! Experts that stay in the file: places for some of each layer on the GPU, and what a step does on its way to have those it chose.
//!
//! A step is cut where a layer has chosen. The host reads the choice back, brings what is missing, says where each slot's expert stands,
//! and goes on. Where a prompt's tokens chose more experts than there are places, the products run again, each time for other experts:
//! they write the slots whose expert is there and leave the rest.

use crate::loader::STAGING;
use crate::lru::Lru;
use crate::plan::Plan;
use crate::weights::WeightSpec;
use crate::{Loaded, ModelError};
use rullama_gpu::{Device, Readback, Slice};
use rullama_ops::{ExpertProduct, Graph, Kind, Route, Tensor, Value, Weight};
use rullama_quant::Layout;
use rullama_source::{ByteSource, parallel};
use std::collections::HashMap;
use std::ops::Range;

/// Nodes that run once a pass, a range for each layer with experts of a pool: its products and what stands between them.
pub fn passes(graph: &Graph) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if node.is::<ExpertProduct>().is_none_or(|op| op.pool_of.is_none()) {
            continue;
        }
        match found.last_mut() {
            Some(range) if graph.nodes[range.start].place == node.place => range.end = at + 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

/// What the router chose for the products that begin with node `at`.
pub(crate) fn chosen(graph: &Graph, at: usize) -> Option<Value> {
    graph.nodes[..at].iter().rev().find(|node| node.is::<Route>().is_some())?.made().next()
}

/// Keys of the weights that nodes multiply with.
pub(crate) fn weights_of(graph: &Graph, nodes: Range<usize>) -> Vec<String> {
    let operands = graph.nodes[nodes].iter().flat_map(|node| &node.operands);
    let keys = operands.filter_map(|value| match &graph.info(*value).kind {
        Kind::Weight(key) => Some(key.clone()),
        _ => None,
    });
    keys.collect()
}

/// A layer's part of a recording: commands that run once a pass, and what host and kernels tell each other.
#[derive(Debug)]
pub struct ExpertPasses {
    pub commands: Range<usize>,
    /// Keys of the weights.
    pub weights: Vec<String>,
    /// `[tokens, used]`: what was chosen.
    pub ids: Tensor,
    /// The same of places, which the host writes.
    pub places: Slice,
}

/// What streaming took, since the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExpertStats {
    /// Experts that layers wanted, each once a step.
    pub wanted: u64,
    /// Of these, how many were there.
    pub hits: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
    /// Times that the GPU was waited for to know a choice.
    pub round_trips: u64,
    /// Times that a layer's products ran.
    pub passes: u64,
}

impl ExpertStats {
    /// Part of the wanted experts that were there; 1 where none was wanted.
    pub fn hit_rate(&self) -> f64 {
        if self.wanted == 0 { 1.0 } else { self.hits as f64 / self.wanted as f64 }
    }

    pub fn add(&mut self, more: &ExpertStats) {
        self.wanted += more.wanted;
        self.hits += more.hits;
        self.bytes_read += more.bytes_read;
        self.round_trips += more.round_trips;
        self.passes += more.passes;
    }

    /// What was added since `earlier`.
    pub fn since(&self, earlier: &ExpertStats) -> ExpertStats {
        ExpertStats {
            wanted: self.wanted - earlier.wanted,
            hits: self.hits - earlier.hits,
            bytes_read: self.bytes_read - earlier.bytes_read,
            round_trips: self.round_trips - earlier.round_trips,
            passes: self.passes - earlier.passes,
        }
    }
}

/// The places of all layers.
#[derive(Debug)]
pub struct ExpertPools {
    places: u32,
    experts: u32,
    /// By the keys of a layer's weights.
    layers: HashMap<Vec<String>, Lru>,
    stats: ExpertStats,
    readback: Option<Readback>,
    /// Bytes handed to the GPU since it was waited for.
    staged: u64,
}

/// One expert's part of a weight, on its way to its place.
struct Move<'a> {
    spec: &'a WeightSpec,
    weight: &'a Weight,
    expert: u32,
    place: u32,
}

/// Where it goes in which chunk's buffer.
struct Moved {
    slice: Slice,
    planes: Vec<(u32, Vec<u32>)>,
    bytes: u64,
}

impl Move<'_> {
    async fn read(&self, source: &dyn ByteSource) -> Result<Moved, ModelError> {
        let rows = self.spec.expert_rows().unwrap_or(1);
        let first = u64::from(self.expert) * rows;
        let bytes = self.spec.read(source, first..first + rows).await?;
        let at = u64::from(self.place) * rows;
        let chunks = &self.weight.chunks;
        let chunk = chunks.iter().find(|chunk| (chunk.first_row.into()..u64::from(chunk.first_row + chunk.rows)).contains(&at));
        let outside = ModelError::Row { name: self.spec.key.clone(), row: at, rows: self.weight.rows.into() };
        let chunk = chunk.ok_or(outside)?;
        let layout = Layout::new(self.weight.dtype, chunk.rows as usize, self.weight.cols as usize)?;
        let planes = layout.repack((at - u64::from(chunk.first_row)) as usize, &bytes)?;
        Ok(Moved { slice: chunk.slice.clone(), planes, bytes: bytes.len() as u64 })
    }
}

impl ExpertPools {
    pub fn new(places: u32, experts: u32) -> Self {
        let (layers, stats, readback, staged) = Default::default();
        ExpertPools { places, experts, layers, stats, readback, staged }
    }

    pub fn stats(&self) -> ExpertStats {
        self.stats
    }

    /// What was chosen, `[tokens, used]` of the first tokens.
    async fn choice(&mut self, device: &Device, ids: &Tensor, tokens: u32) -> Result<Vec<u32>, ModelError> {
        let bytes = u64::from(ids.rows) * u64::from(ids.cols) * 4;
        // Kept for steps of few tokens, which come most often.
        let kept = self.readback.take();
        let readback = match kept.filter(|kept| kept.size() >= bytes) {
            Some(kept) => kept,
            None => Readback::new(device, bytes).await?,
        };
        readback.start(device, Some((&ids.slice.buffer, ids.slice.offset, bytes)));
        let read: Vec<f32> = bytemuck::pod_collect_to_vec(&readback.wait(device).await?);
        self.readback = Some(readback);
        self.stats.round_trips += 1;
        let tokens = tokens.clamp(1, ids.rows) as usize;
        // A router's NaN still names experts; what it names is checked all the same, since it came from a GPU.
        Ok(read[..tokens * ids.cols as usize].iter().map(|id| (*id as u32).min(self.experts - 1)).collect())
    }

    /// Brings experts to their places.
    async fn bring(&mut self, loaded: &Loaded, keys: &[String], missing: &[(u32, u32)]) -> Result<(), ModelError> {
        let specs = loaded.model.specs();
        let found = keys.iter().filter_map(|key| Some((specs.weight(key)?, &**loaded.weights.weight(key)?)));
        let parts: Vec<(&WeightSpec, &Weight)> = found.collect();
        let moves =
            missing.iter().flat_map(|&(expert, place)| parts.iter().map(move |&(spec, weight)| Move { spec, weight, expert, place }));
        let mut moves: Vec<Move> = moves.collect();
        while !moves.is_empty() {
            let rest = moves.split_off(parallel::width().min(moves.len()));
            for moved in parallel::map(moves, |one| Box::pin(one.read(&*loaded.source))).await {
                let Moved { slice, planes, bytes } = moved?;
                for (offset, words) in planes {
                    loaded.device.write(&slice.buffer, slice.offset + u64::from(offset) * 4, bytemuck::cast_slice(&words));
                }
                self.stats.bytes_read += bytes;
                self.staged += bytes;
            }
            if self.staged >= STAGING {
                loaded.device.finish().await?;
                self.staged = 0;
            }
            moves = rest;
        }
        Ok(())
    }

    /// Runs a layer's products for the choice of its first `tokens` tokens.
    async fn run(
        &mut self,
        loaded: &Loaded,
        plan: &Plan,
        of: &ExpertPasses,
        tokens: u32,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ModelError> {
        let mut chosen = self.choice(&loaded.device, &of.ids, tokens).await?;
        let mut left = chosen.clone();
        left.sort_unstable();
        left.dedup();
        // Rows that fill up a step do as the last token does.
        let used = of.ids.cols as usize;
        let last = chosen[chosen.len() - used..].to_vec();
        while chosen.len() < of.ids.rows as usize * used {
            chosen.extend_from_slice(&last);
        }
        self.stats.wanted += left.len() as u64;
        let mut first = true;
        while !left.is_empty() {
            if cancelled() {
                return Err(ModelError::Cancelled);
            }
            let (places, experts) = (self.places, self.experts);
            let lru = self.layers.entry(of.weights.clone()).or_insert_with(|| Lru::new(places, experts));
            let pass = lru.pass(&left);
            self.stats.hits += if first { pass.here.len() as u64 } else { 0 };
            first = false;
            self.bring(loaded, &of.weights, &pass.missing).await?;
            let mut place_of = vec![places as f32; experts as usize];
            if let Some(lru) = self.layers.get_mut(&of.weights) {
                pass.missing.iter().for_each(|one| lru.arrived(*one));
            }
            for &(expert, place) in pass.here.iter().chain(&pass.missing) {
                place_of[expert as usize] = place as f32;
                left.retain(|other| *other != expert);
            }
            let words: Vec<f32> = chosen.iter().map(|expert| place_of[*expert as usize]).collect();
            loaded.device.write(&of.places.buffer, of.places.offset, bytemuck::cast_slice(&words));
            loaded.device.submit_part(&plan.recording, of.commands.clone());
            self.stats.passes += 1;
        }
        Ok(())
    }
}

impl Loaded {
    /// What streaming experts took since the load; `None` where all are on the GPU.
    pub async fn expert_stats(&self) -> Option<ExpertStats> {
        Some(self.experts.as_ref()?.lock().await.stats())
    }

    /// Whether experts come from the file: no step can be queued before the host has seen what those before it chose.
    pub fn streams_experts(&self) -> bool {
        self.experts.is_some()
    }

    /// Runs a prompt's step as [`run_parts`](Self::run_parts) does, with experts brought on the way where they are streamed. `step` is
    /// the position behind its last token, its padded tokens, and its tokens.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`] between two parts; experts that cannot be read; a lost device.
    pub async fn run_step(
        &self,
        plan: &Plan,
        fences: &mut Vec<Readback>,
        (end, padded, tokens): (u32, u32, u32),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ModelError> {
        let mut at = 0;
        if let Some(experts) = &self.experts {
            let mut pools = experts.lock().await;
            for of in plan.passes() {
                self.run_range(plan, at..of.commands.start, fences, (end, padded), cancelled).await?;
                pools.run(self, plan, of, tokens, cancelled).await?;
                at = of.commands.end;
            }
        }
        self.run_range(plan, at..plan.recording.len(), fences, (end, padded), cancelled).await
    }

    /// Queues `steps` decode steps; where experts are streamed, each runs up to its last layer.
    ///
    /// # Errors
    /// Experts that cannot be read; a lost device.
    pub async fn run_decode(&self, plan: &Plan, steps: usize) -> Result<(), ModelError> {
        if self.experts.is_none() {
            self.device.submit_times(&plan.recording, steps);
            return Ok(());
        }
        for _ in 0..steps {
            self.run_until(plan, plan.recording.len()).await?;
        }
        Ok(())
    }

    /// Queues a decode step's commands up to `end`, which is behind its last layer.
    ///
    /// # Errors
    /// As [`run_decode`](Self::run_decode).
    pub async fn run_until(&self, plan: &Plan, end: usize) -> Result<(), ModelError> {
        let mut at = 0;
        if let Some(experts) = &self.experts {
            let mut pools = experts.lock().await;
            for of in plan.passes() {
                self.device.submit_part(&plan.recording, at..of.commands.start);
                pools.run(self, plan, of, 1, &|| false).await?;
                at = of.commands.end;
            }
        }
        self.device.submit_part(&plan.recording, at..end);
        Ok(())
    }
}
