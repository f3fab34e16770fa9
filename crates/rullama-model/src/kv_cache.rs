//! Keys and values of the layers that have their own.

use crate::ModelError;
use crate::gemma4::{Config, Span};
use crate::graph::Half;
use rullama_gpu::{Buffer, Device, Recorder, Usage};
use rullama_ops::{Cache, KvType};
use std::collections::HashMap;

/// Slots of a global layer at the start; they double as the text grows.
const FIRST_SLOTS: u32 = 1024;

fn ring_slots(config: &Config, shape: CacheShape) -> u32 {
    (config.window + shape.chunk + shape.slack).next_multiple_of(64)
}

/// At least a step's tokens, so that padded steps stay inside.
fn first_slots(shape: CacheShape) -> u32 {
    FIRST_SLOTS.min(shape.context.max(shape.chunk).next_multiple_of(64))
}

/// Bytes of each buffer, two a layer, when `tokens` positions are in use.
pub fn buffer_bytes(config: &Config, shape: CacheShape, tokens: u32) -> Vec<u64> {
    let own = config.layers.iter().enumerate().filter(|(i, layer)| layer.donor == *i);
    let bytes = own.map(|(_, layer)| {
        let slots = match layer.span {
            Span::Sliding => ring_slots(config, shape),
            Span::Global => tokens.max(first_slots(shape)),
        };
        u64::from(slots) * u64::from(layer.kv_heads * layer.head_dim) * shape.kv.bytes()
    });
    bytes.flat_map(|half| [half, half]).collect()
}

/// Sizes that decide how long the rings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    pub kv: KvType,
    /// Most tokens of a step.
    pub chunk: u32,
    /// Tokens that a rewind may go back without computing anything anew, queued steps included.
    pub slack: u32,
    /// Most positions.
    pub context: u32,
}

/// All caches of a session.
///
/// Sliding layers keep a ring of window + chunk + slack slots; global layers a linear buffer
/// that grows. Position p stands in slot p % slots.
#[derive(Debug)]
pub struct KvCache {
    shape: CacheShape,
    window: u32,
    layers: HashMap<usize, LayerCache>,
    /// Positions up to this may have been overwritten by ring reuse.
    written: u32,
}

#[derive(Debug)]
struct LayerCache {
    span: Span,
    slots: u32,
    width: u32,
    halves: [Buffer; 2],
}

impl KvCache {
    pub async fn new(device: &Device, config: &Config, shape: CacheShape) -> Result<Self, ModelError> {
        let mut cache = KvCache { shape, window: config.window, layers: HashMap::new(), written: 0 };
        for (i, layer) in config.layers.iter().enumerate().filter(|(i, layer)| layer.donor == *i) {
            let slots = match layer.span {
                Span::Sliding => ring_slots(config, shape),
                Span::Global => first_slots(shape),
            };
            let width = layer.kv_heads * layer.head_dim;
            let halves = [cache.buffer(device, i, slots, width).await?, cache.buffer(device, i, slots, width).await?];
            cache.layers.insert(i, LayerCache { span: layer.span, slots, width, halves });
        }
        Ok(cache)
    }

    async fn buffer(&self, device: &Device, layer: usize, slots: u32, width: u32) -> Result<Buffer, ModelError> {
        let size = u64::from(slots) * u64::from(width) * self.shape.kv.bytes();
        let limit = device.caps().max_binding;
        if size > limit {
            let what = format!("{slots} positions of layer {layer}'s cache");
            return Err(rullama_gpu::GpuError::LimitTooSmall { limit: "maxStorageBufferBindingSize", have: limit, need: size, what }.into());
        }
        Ok(device.buffer(&format!("kv cache of layer {layer}"), size, Usage::Storage).await?)
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.layers.values().flat_map(|l| &l.halves).map(Buffer::size).sum()
    }

    /// The operand for a layer's half.
    pub fn operand(&self, layer: usize, half: Half) -> Option<Cache> {
        let cache = self.layers.get(&layer)?;
        let buffer = &cache.halves[usize::from(half == Half::Values)];
        Some(Cache { slice: buffer.whole(), kv: self.shape.kv, slots: cache.slots, width: cache.width })
    }

    /// Makes room for positions below `end`; true when buffers moved, so that recordings
    /// that name them are stale.
    pub async fn reserve(&mut self, device: &Device, end: u32) -> Result<bool, ModelError> {
        let mut recorder = Recorder::new();
        let mut grown = Vec::new();
        for (&layer, cache) in self.layers.iter().filter(|(_, c)| c.span == Span::Global && c.slots < end) {
            let slots = end.next_power_of_two().min(self.shape.context.next_multiple_of(64)).max(end);
            let mut halves = Vec::new();
            for old in &cache.halves {
                let new = self.buffer(device, layer, slots, cache.width).await?;
                let used = u64::from(cache.slots) * u64::from(cache.width) * self.shape.kv.bytes();
                recorder.copy(old.slice(0, used), new.slice(0, used));
                halves.push(new);
            }
            grown.push((layer, slots, halves));
        }
        if grown.is_empty() {
            return Ok(false);
        }
        device.submit(&recorder.finish(device).await?);
        for (layer, slots, halves) in grown {
            if let (Some(cache), Ok(halves)) = (self.layers.get_mut(&layer), <[Buffer; 2]>::try_from(halves)) {
                cache.slots = slots;
                cache.halves = halves;
            }
        }
        Ok(true)
    }

    /// Notes that positions below `end` are written or queued to be.
    pub fn note_written(&mut self, end: u32) {
        self.written = self.written.max(end);
    }

    /// Positions written or queued to be: what [`save`](Self::save) must cover.
    pub fn written(&self) -> u32 {
        self.written
    }

    /// Whether the next token may stand at `position`: every key its window needs, and those
    /// of a chunk after it, are still in their slots.
    pub fn can_rewind(&self, position: u32) -> bool {
        let rings = self.layers.values().filter(|c| c.span == Span::Sliding);
        rings
            .map(|c| c.slots)
            .min()
            .is_none_or(|slots| self.written <= slots || position + slots >= self.written + self.window.min(position))
    }

    /// Forgets everything; buffers stay.
    pub fn clear(&mut self) {
        self.written = 0;
    }

    /// The used part of every buffer, to be saved: layer, half and bytes.
    pub async fn save(&self, device: &Device, position: u32) -> Result<Vec<(usize, Half, Vec<u8>)>, ModelError> {
        let mut all = Vec::new();
        let mut layers: Vec<_> = self.layers.iter().collect();
        layers.sort_by_key(|l| l.0);
        for (&layer, cache) in layers {
            for (half, buffer) in [Half::Keys, Half::Values].into_iter().zip(&cache.halves) {
                let used = u64::from(cache.slots.min(position)) * u64::from(cache.width) * self.shape.kv.bytes();
                all.push((layer, half, device.read(buffer, 0, used).await?));
            }
        }
        Ok(all)
    }

    /// Writes back what [`save`](Self::save) gave for the same shapes; room for `position` has
    /// been [reserved](Self::reserve). Nothing is written unless every part fits.
    pub async fn restore(&mut self, device: &Device, position: u32, parts: &[(usize, Half, Vec<u8>)]) -> Result<(), ModelError> {
        let fits = |layer: &usize, bytes: &[u8]| {
            let used = self.layers.get(layer).map(|c| u64::from(c.slots.min(position)) * u64::from(c.width) * self.shape.kv.bytes());
            used == Some(bytes.len() as u64)
        };
        if let Some((layer, _, bytes)) = parts.iter().find(|(layer, _, bytes)| !fits(layer, bytes)) {
            let reason = "does not fit this model and its settings".to_string();
            return Err(ModelError::Config { key: "saved session".into(), value: format!("layer {layer}, {} bytes", bytes.len()), reason });
        }
        if parts.len() != 2 * self.layers.len() {
            let reason = format!("should be {}", 2 * self.layers.len());
            return Err(ModelError::Config { key: "saved session".into(), value: format!("{} parts", parts.len()), reason });
        }
        for (layer, half, bytes) in parts {
            if let Some(cache) = self.layers.get(layer) {
                device.write(&cache.halves[usize::from(*half == Half::Values)], 0, bytes);
            }
        }
        self.written = position;
        Ok(())
    }
}
