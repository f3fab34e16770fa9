//! Keys and values of the layers that have their own.

use crate::ModelError;
use crate::model::CacheSpec;
use rullama_gpu::{Buffer, Device, Recorder, Usage};
use rullama_ops::{Cache, Half, KvType};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Slots of a global layer at the start; they double as the text grows.
const FIRST_SLOTS: u32 = 1024;

/// Slots of a ring for a window and steps of up to `step` tokens.
fn ring_slots(window: u32, step: u32, slack: u32) -> u32 {
    window.saturating_add(step.saturating_add(slack)).min(u32::MAX - 63).next_multiple_of(64)
}

/// Slots of a layer at the start: a ring of window, chunk and slack, or a buffer that grows, of at least a step's tokens, so that
/// padded steps stay inside.
fn first_slots(spec: &CacheSpec, shape: CacheShape) -> u32 {
    match spec.window {
        Some(window) => ring_slots(window, shape.chunk, shape.slack),
        None => FIRST_SLOTS.min(shape.context.max(shape.chunk).next_multiple_of(64)),
    }
}

/// Bytes of each buffer, two a layer, when `tokens` positions are in use.
pub fn buffer_bytes(specs: &[CacheSpec], shape: CacheShape, tokens: u32) -> Vec<u64> {
    let bytes = specs.iter().map(|spec| {
        let first = first_slots(spec, shape);
        let slots = if spec.window.is_some() { first } else { tokens.max(first) };
        shape.kv.bytes(slots, spec.width)
    });
    bytes.flat_map(|half| [half, half]).collect()
}

/// Sizes that decide how long the rings are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    pub kv: KvType,
    /// Most tokens of a step; rings grow for a longer one when it comes.
    pub chunk: u32,
    /// Tokens that a rewind may go back without computing anything anew, queued steps included.
    pub slack: u32,
    /// Most positions.
    pub context: u32,
}

/// Whether a ring of `slots`, written from `lacks` up to `written`, still holds every key that a token at `position` sees before it: those
/// of the `window - 1` positions before. It has a slot more for each token of the longest step, so that later tokens find theirs too.
fn ring_holds(slots: u32, window: u32, (lacks, written): (u32, u32), position: u32) -> bool {
    let first = position.saturating_sub(window.saturating_sub(1));
    first == position || (first >= lacks && u64::from(first) + u64::from(slots) >= u64::from(written))
}

/// Where positions go when a ring of `from` slots becomes one of `to`: runs of slots there, slots here, and how many. Both hold all
/// of `held`.
fn moves(held: Range<u32>, from: u32, to: u32) -> Vec<[u32; 3]> {
    let (mut at, mut runs) = (held.start, Vec::new());
    while at < held.end {
        let count = (held.end - at).min(from - at % from).min(to - at % to);
        runs.push([at % from, at % to, count]);
        at += count;
    }
    runs
}

/// Where planes of `slots` slots begin, how long they are in whole words, and the bytes of a slot.
fn ranges(planes: &[u64], slots: u32) -> Vec<[u64; 3]> {
    let mut start = 0;
    let ranges = planes.iter().map(|row| {
        let size = (u64::from(slots) * row).next_multiple_of(4);
        start += size;
        [start - size, size, *row]
    });
    ranges.collect()
}

/// The same [moves] in bytes, where the first `stored` slots of the ring of `from` are there. They begin at even slots, so that they are
/// whole words; what comes along stands where the longer ring holds nothing yet.
fn byte_moves(planes: &[u64], held: Range<u32>, (from, stored): (u32, u32), to: u32) -> Vec<[u64; 3]> {
    let runs = moves(held.start & !1..held.end, from, to);
    let mut all = Vec::new();
    for ([there, _, row], [here, ..]) in ranges(planes, stored).into_iter().zip(ranges(planes, to)) {
        let in_bytes = runs.iter().map(|run| run.map(|n| u64::from(n) * row));
        all.extend(in_bytes.map(|[from, to, size]| [there + from, here + to, size.next_multiple_of(4)]));
    }
    all
}

/// How far rings have grown, and what they lack since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rings {
    /// Tokens of the longest step that they serve.
    pub step: u32,
    /// Positions before this one are not in them, whatever their length.
    pub first: u32,
}

/// All caches of a session.
///
/// Sliding layers keep a ring of window + step + slack slots, where step is the chunk or the longest step that came; global layers a
/// linear buffer that grows. Position p stands in slot p % slots.
#[derive(Debug)]
pub struct KvCache {
    shape: CacheShape,
    layers: HashMap<usize, LayerCache>,
    rings: Rings,
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
        let rings = Rings { step: shape.chunk, first: 0 };
        let mut cache = KvCache { shape, layers: HashMap::new(), rings, written: 0 };
        for spec in specs {
            let &CacheSpec { layer, width, window } = spec;
            let slots = first_slots(spec, shape);
            let halves = [cache.buffer(device, layer, slots, width).await?, cache.buffer(device, layer, slots, width).await?];
            cache.layers.insert(layer, LayerCache { window, slots, width, halves });
        }
        Ok(cache)
    }

    async fn buffer(&self, device: &Device, layer: usize, slots: u32, width: u32) -> Result<Buffer, ModelError> {
        let size = self.shape.kv.bytes(slots, width);
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

    /// Makes room for positions below `end` and for steps of `step` tokens; true when buffers moved, so that recordings
    /// that name them are stale.
    pub async fn reserve(&mut self, device: &Device, end: u32, step: u32) -> Result<bool, ModelError> {
        let mut recorder = Recorder::new();
        let mut grown = Vec::new();
        let step = step.max(self.rings.step);
        for (&layer, cache) in &self.layers {
            let slots = match cache.window {
                Some(window) => ring_slots(window, step, self.shape.slack),
                None if cache.slots < end => {
                    end.next_power_of_two().min(self.shape.context.next_multiple_of(64)).max(end).next_multiple_of(64)
                }
                None => cache.slots,
            };
            if slots <= cache.slots {
                continue;
            }
            let copies = byte_moves(&self.shape.kv.planes(cache.width), self.held(cache), (cache.slots, cache.slots), slots);
            let mut halves = Vec::new();
            for old in &cache.halves {
                let new = self.buffer(device, layer, slots, cache.width).await?;
                copies.iter().for_each(|[from, to, size]| recorder.copy(old.slice(*from, *size), new.slice(*to, *size)));
                halves.push(new);
            }
            grown.push((layer, slots, halves));
        }
        if grown.is_empty() {
            return Ok(false);
        }
        device.submit(&recorder.finish(device).await?);
        if step > self.rings.step {
            self.rings = Rings { step, first: self.first_held() };
        }
        for (layer, slots, halves) in grown {
            if let (Some(cache), Ok(halves)) = (self.layers.get_mut(&layer), <[Buffer; 2]>::try_from(halves)) {
                cache.slots = slots;
                cache.halves = halves;
            }
        }
        Ok(true)
    }

    /// Positions that a layer's slots hold.
    fn held(&self, cache: &LayerCache) -> Range<u32> {
        let first = if cache.window.is_some() { self.rings.first } else { 0 };
        first.max(self.written.saturating_sub(cache.slots)).min(self.written)..self.written
    }

    /// Positions before it are missing in some ring.
    fn first_held(&self) -> u32 {
        self.layers.values().filter(|cache| cache.window.is_some()).map(|cache| self.held(cache).start).max().unwrap_or(0)
    }

    pub fn rings(&self) -> Rings {
        self.rings
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
            .all(|(slots, window)| ring_holds(slots, window, (self.rings.first, self.written), position))
    }

    /// Forgets everything; buffers stay.
    pub fn clear(&mut self) {
        self.written = 0;
        self.rings.first = 0;
    }

    /// The used part of every buffer, to be saved: layer, half and bytes.
    pub async fn save(&self, device: &Device, position: u32) -> Result<Vec<(usize, Half, Vec<u8>)>, ModelError> {
        let mut all = Vec::new();
        let mut layers: Vec<_> = self.layers.iter().collect();
        layers.sort_by_key(|l| l.0);
        for (&layer, cache) in layers {
            for (half, buffer) in [Half::Keys, Half::Values].into_iter().zip(&cache.halves) {
                let planes = self.shape.kv.planes(cache.width);
                let used = ranges(&planes, cache.slots.min(position));
                let mut bytes = Vec::new();
                for ([offset, ..], [_, size, _]) in ranges(&planes, cache.slots).into_iter().zip(used) {
                    bytes.extend(device.read(buffer, offset, size).await?);
                }
                all.push((layer, half, bytes));
            }
        }
        Ok(all)
    }

    /// Bytes that [`save`](Self::save) gives for `position`.
    pub fn saved_bytes(&self, position: u32) -> u64 {
        let half = |cache: &LayerCache| -> u64 {
            ranges(&self.shape.kv.planes(cache.width), cache.slots.min(position)).iter().map(|range| range[1]).sum()
        };
        self.layers.values().map(|cache| half(cache) * cache.halves.len() as u64).sum()
    }

    /// Whether parts are what [`save`](Self::save) gave for `position`, the same shapes and `rings`: each half once, of its size.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn check_parts(&self, position: u32, rings: Rings, parts: &[(usize, Half, &[u8])]) -> Result<(), String> {
        if rings.step < self.shape.chunk || rings.first > position {
            return Err(format!("{rings:?} are none of {position} tokens"));
        }
        let mut seen = HashSet::new();
        for (layer, half, bytes) in parts {
            let cache = self.layers.get(layer).ok_or_else(|| format!("layer {layer} has no cache"))?;
            let slots = cache.window.map_or(position, |window| ring_slots(window, rings.step, self.shape.slack).min(position));
            let used: u64 = ranges(&self.shape.kv.planes(cache.width), slots).iter().map(|range| range[1]).sum();
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

    /// Writes back parts that were [checked](Self::check_parts); room for `position` and for steps of `rings` has been
    /// [reserved](Self::reserve).
    pub fn restore(&mut self, device: &Device, position: u32, rings: Rings, parts: &[(usize, Half, &[u8])]) {
        self.written = position;
        self.rings.first = rings.first;
        let mut first = rings.first;
        for (layer, half, bytes) in parts {
            let Some(cache) = self.layers.get(layer) else { continue };
            let saved = cache.window.map_or(cache.slots, |window| ring_slots(window, rings.step, self.shape.slack));
            let held = self.held(cache).start.max(position.saturating_sub(saved))..position;
            if saved != cache.slots {
                first = first.max(held.start);
            }
            for [from, to, size] in byte_moves(&self.shape.kv.planes(cache.width), held, (saved, saved.min(position)), cache.slots) {
                let run = &bytes[from as usize..(from + size) as usize];
                device.write(&cache.halves[usize::from(*half == Half::Values)], to, run);
            }
        }
        self.rings.first = first;
    }
}

#[cfg(test)]
mod tests {
    use super::{byte_moves, ranges, ring_holds};

    /// Which position each slot holds after `written` positions were written in order.
    fn ring(slots: u32, written: u32) -> Vec<Option<u32>> {
        let mut ring = vec![None; slots as usize];
        (0..written).for_each(|p| ring[(p % slots) as usize] = Some(p));
        ring
    }

    /// The definition: the token at `position` sees the `window - 1` keys before it, and each is still in its slot.
    fn holds(ring: &[Option<u32>], window: u32, position: u32) -> bool {
        (position.saturating_sub(window - 1)..position).all(|p| ring[p as usize % ring.len()] == Some(p))
    }

    #[test]
    fn a_rewind_is_allowed_where_every_key_is_there() {
        for window in 1..6 {
            for slots in window + 1..window + 8 {
                for written in 0..30 {
                    let ring = ring(slots, written);
                    for position in 0..=written {
                        let (said, right) = (ring_holds(slots, window, (0, written), position), holds(&ring, window, position));
                        assert_eq!(said, right, "window {window}, {slots} slots, {written} written, back to {position}");
                    }
                }
            }
        }
    }

    /// Numbers of positions in planes of four and of two bytes.
    fn write(bytes: &mut [u8], slots: u32, positions: std::ops::Range<u32>) {
        for p in positions {
            let (slot, second) = ((p % slots) as usize, 4 * slots as usize);
            bytes[4 * slot..][..4].copy_from_slice(&(p + 1).to_le_bytes());
            bytes[second + 2 * slot..][..2].copy_from_slice(&(p as u16 + 1).to_le_bytes());
        }
    }

    /// Which position each slot holds by both planes.
    fn read(bytes: &[u8], slots: u32) -> Vec<Option<u32>> {
        let plane = |slot: usize| u32::from_le_bytes(bytes[4 * slot..][..4].try_into().unwrap());
        let second = |slot: usize| u16::from_le_bytes(bytes[4 * slots as usize + 2 * slot..][..2].try_into().unwrap());
        (0..slots as usize).map(|slot| plane(slot).checked_sub(1).filter(|p| p + 1 == u32::from(second(slot)))).collect()
    }

    /// A ring that becomes a longer one after `before` positions, by a copy or from what was saved, and goes on to `written`.
    #[test]
    fn a_ring_that_has_grown_knows_what_it_lacks() {
        let planes = [4, 2];
        for (window, short) in [(1, 2), (3, 4), (4, 10)] {
            for (long, before, more) in (1..6).flat_map(|n| (0..32_u32).map(move |i| (short + 2 * n, i, i * 7 % 13))) {
                let (mut old, lacks) = (vec![0; 6 * short as usize], before.saturating_sub(short));
                write(&mut old, short, 0..before);
                let stored = short.min(before);
                let saved: Vec<u8> = ranges(&planes, short)
                    .into_iter()
                    .zip(ranges(&planes, stored))
                    .flat_map(|([start, ..], [_, size, _])| old[start as usize..][..size as usize].to_vec())
                    .collect();
                for (bytes, stored) in [(&old, short), (&saved, stored)] {
                    let mut grown = vec![0; 6 * long as usize];
                    for run in byte_moves(&planes, lacks..before, (short, stored), long) {
                        assert!(run.iter().all(|n| n % 4 == 0), "{run:?}");
                        let [from, to, size] = run.map(|n| n as usize);
                        grown[to..to + size].copy_from_slice(&bytes[from..from + size]);
                    }
                    let written = before + more;
                    write(&mut grown, long, before..written);
                    let ring = read(&grown, long);
                    for position in 0..=written {
                        let (said, right) = (ring_holds(long, window, (lacks, written), position), holds(&ring, window, position));
                        // What came along with an odd run is more than is promised.
                        assert!(
                            if lacks % 2 == 0 { said == right } else { !said || right },
                            "window {window}, {short} to {long} slots at {before}, then {written}, back to {position}"
                        );
                    }
                }
            }
        }
    }
}
