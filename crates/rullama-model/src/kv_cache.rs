//! Keys and values of the layers that have their own.

use crate::ModelError;
use crate::model::CacheSpec;
use rullama_gpu::{Buffer, Device, Recorder, Usage};
use rullama_ops::{Cache, Half, KvType};
use std::collections::{HashMap, HashSet};

/// Slots of a global layer at the start; they double as the text grows.
const FIRST_SLOTS: u32 = 1024;

/// Slots of a layer at the start: a ring of window, chunk and slack, or a buffer that grows, of at least a step's tokens, so that
/// padded steps stay inside.
fn first_slots(spec: &CacheSpec, shape: CacheShape) -> u32 {
    match spec.window {
        Some(window) => window.saturating_add(shape.chunk + shape.slack).next_multiple_of(64),
        None => FIRST_SLOTS.min(shape.context.max(shape.chunk).next_multiple_of(64)),
    }
}

/// Bytes of each buffer, two a layer, when `tokens` positions are in use.
pub fn buffer_bytes(specs: &[CacheSpec], shape: CacheShape, tokens: u32) -> Vec<u64> {
    let bytes = specs.iter().map(|spec| {
        let first = first_slots(spec, shape);
        let slots = if spec.window.is_some() { first } else { tokens.max(first) };
        u64::from(slots) * u64::from(spec.width) * shape.kv.bytes()
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

/// Whether a ring of `slots`, written up to `written`, still holds every key that a token at `position` sees before it: those of the
/// `window - 1` positions before. It has a slot more for each token of the longest chunk, so that later tokens find theirs too.
fn ring_holds(slots: u32, window: u32, written: u32, position: u32) -> bool {
    let first = position.saturating_sub(window.saturating_sub(1));
    first == position || u64::from(first) + u64::from(slots) >= u64::from(written)
}

/// All caches of a session.
///
/// Sliding layers keep a ring of window + chunk + slack slots; global layers a linear buffer
/// that grows. Position p stands in slot p % slots.
#[derive(Debug)]
pub struct KvCache {
    shape: CacheShape,
    layers: HashMap<usize, LayerCache>,
    /// Positions up to this may have been overwritten by ring reuse.
    written: u32,
}

#[derive(Debug)]
struct LayerCache {
    window: Option<u32>,
    slots: u32,
    width: u32,
    halves: [Buffer; 2],
}

impl KvCache {
    pub async fn new(device: &Device, specs: &[CacheSpec], shape: CacheShape) -> Result<Self, ModelError> {
        let mut cache = KvCache { shape, layers: HashMap::new(), written: 0 };
        for spec in specs {
            let &CacheSpec { layer, width, window } = spec;
            let slots = first_slots(spec, shape);
            let halves = [cache.buffer(device, layer, slots, width).await?, cache.buffer(device, layer, slots, width).await?];
            cache.layers.insert(layer, LayerCache { window, slots, width, halves });
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
        for (&layer, cache) in self.layers.iter().filter(|(_, c)| c.window.is_none() && c.slots < end) {
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
        self.layers
            .values()
            .filter_map(|c| Some((c.slots, c.window?)))
            .all(|(slots, window)| ring_holds(slots, window, self.written, position))
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

    /// Whether parts are what [`save`](Self::save) gave for `position` and the same shapes: each half once, of its size.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check_parts(&self, position: u32, parts: &[(usize, Half, &[u8])]) -> Result<(), String> {
        let mut seen = HashSet::new();
        for (layer, half, bytes) in parts {
            let cache = self.layers.get(layer).ok_or_else(|| format!("layer {layer} has no cache"))?;
            // A layer that grows will have room by then; a ring keeps its size.
            let slots = if cache.window.is_some() { cache.slots.min(position) } else { position };
            let used = u64::from(slots) * u64::from(cache.width) * self.shape.kv.bytes();
            if bytes.len() as u64 != used {
                return Err(format!("layer {layer} has {} bytes in place of {used}", bytes.len()));
            }
            if !seen.insert((*layer, *half)) {
                return Err(format!("the {half:?} of layer {layer} are given twice"));
            }
        }
        if seen.len() != 2 * self.layers.len() {
            return Err(format!("{} halves of caches are given, {} are needed", seen.len(), 2 * self.layers.len()));
        }
        Ok(())
    }

    /// Writes back parts that were [checked](Self::check_parts); room for `position` has been [reserved](Self::reserve).
    pub fn restore(&mut self, device: &Device, position: u32, parts: &[(usize, Half, &[u8])]) {
        for (layer, half, bytes) in parts {
            if let Some(cache) = self.layers.get(layer) {
                device.write(&cache.halves[usize::from(*half == Half::Values)], 0, bytes);
            }
        }
        self.written = position;
    }
}

#[cfg(test)]
mod tests {
    use super::ring_holds;

    /// Which position each slot holds after `written` positions were written in order.
    fn ring(slots: u32, written: u32) -> Vec<Option<u32>> {
        let mut ring = vec![None; slots as usize];
        (0..written).for_each(|p| ring[(p % slots) as usize] = Some(p));
        ring
    }

    /// The definition: the token at `position` sees the `window - 1` keys before it, and each is still in its slot.
    fn holds(slots: u32, window: u32, written: u32, position: u32) -> bool {
        let ring = ring(slots, written);
        (position.saturating_sub(window - 1)..position).all(|p| ring[(p % slots) as usize] == Some(p))
    }

    #[test]
    fn a_rewind_is_allowed_where_every_key_is_there() {
        for window in 1..6 {
            for slots in window + 1..window + 8 {
                for written in 0..30 {
                    for position in 0..=written {
                        let (said, right) = (ring_holds(slots, window, written, position), holds(slots, window, written, position));
                        assert_eq!(said, right, "window {window}, {slots} slots, {written} written, back to {position}");
                    }
                }
            }
        }
    }
}
