//! One list of cases drives every operation, variant and odd shape on any device.

use crate::graph::Type;
use crate::host::{Array, Host, HostCache, HostWeight};
use crate::op::{Cache, Context, Op, Operand, Tensor, Use};
use crate::tolerance::{compare_each, compare_values, of_sums};
use crate::weight::{Chunk, Weight};
use crate::{codes, halves};
use rullama_gpu::{Buffer, Caps, Device, GpuError, Kernel, Recorder, Slice, Usage};
use rullama_quant::Layout;
use std::sync::Arc;

mod apart;
mod cached;
mod cover;
mod random;

pub use crate::tolerance::EPSILON;
pub use cover::Cover;
pub use random::Rng;

/// An operation with operands; the oracle gives what they must become.
#[derive(Debug)]
pub struct Case {
    pub name: String,
    pub op: Box<dyn Op>,
    pub operands: Vec<Host>,
    /// Largest difference allowed, as a share of the output's root mean square.
    pub tolerance: f32,
    /// The same for each value of the output, where the operation passes its sums through functions with errors of their own;
    /// see [`Op::allowance`].
    pub allowance: Option<Vec<f32>>,
    /// Largest rows of a weight chunk, to exercise splitting.
    pub chunk_rows: Option<usize>,
    /// Weights stand as rows `first`, `first + step`, ... of a taller one.
    pub view: Option<(u32, u32)>,
    /// Rows of weights are laid out one by one: see [`EmbedPlaced`](crate::EmbedPlaced).
    pub apart: bool,
    /// Read tensors stand inside wider rows.
    pub strided: bool,
}

impl From<Array> for Host {
    fn from(array: Array) -> Self {
        Host::Tensor(array)
    }
}

impl Case {
    /// `terms` is the length of the longest sum.
    pub fn new(name: impl Into<String>, op: impl Op + 'static, operands: Vec<Host>, terms: usize) -> Self {
        Self::of(name.into(), Box::new(op), operands, terms)
    }

    // Apart, so that it is compiled once and not for every operation.
    fn of(name: String, op: Box<dyn Op>, operands: Vec<Host>, terms: usize) -> Self {
        let tolerance = of_sums(terms);
        let allowance = op.allowance(&operands, tolerance);
        Case { name, op, operands, tolerance, allowance, chunk_rows: None, view: None, apart: false, strided: false }
    }

    /// Also run with padded rows.
    pub fn strided(mut self) -> Self {
        self.strided = true;
        self
    }

    pub fn chunked(mut self, rows: usize) -> Self {
        self.chunk_rows = Some(rows);
        self
    }

    /// Weights are views: rows `first`, `first + step`, ... of a taller one.
    pub fn viewed(mut self, first: u32, step: u32) -> Self {
        self.view = Some((first, step));
        self
    }

    /// Rows of weights are laid out one by one.
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// For operations that pass through functions with a known error of their own.
    pub fn tolerance(mut self, tolerance: f32) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Types of the operands that are read or updated.
    pub fn inputs(&self) -> Vec<Type> {
        let read = self.operands.iter().zip(self.op.uses()).filter(|(_, used)| *used != Use::Write);
        read.map(|(host, _)| host.of()).collect()
    }

    /// Kernel variants that the device allows, best first.
    ///
    /// # Errors
    /// [`GpuError::OutOfMemory`] without room for the operands; [`GpuError::DeviceLost`] after a loss.
    pub async fn variants(&self, device: &Device) -> Result<Vec<&'static str>, GpuError> {
        let bound = self.bind(device).await?;
        let operands: Vec<Operand> = bound.into_iter().map(|b| b.operand).collect();
        Ok(self.op.variants(device.caps(), &operands))
    }

    /// The variants whose dispatches differ from those that `other` capabilities lead to: what is left for this
    /// device where all variants run under `other` as well.
    ///
    /// # Errors
    /// As [`variants`](Self::variants), and [`GpuError::Validation`] for a variant that cannot be recorded.
    pub async fn variants_beyond(&self, device: &Device, other: &Caps) -> Result<Vec<&'static str>, GpuError> {
        let bound = self.bind(device).await?;
        let operands: Vec<Operand> = bound.into_iter().map(|b| b.operand).collect();
        let known = self.op.variants(other, &operands);
        let bytes = [device.caps(), other].map(|caps| self.op.scratch(caps, &operands));
        let scratch = self.scratch(device, bytes[0].max(bytes[1])).await?;
        let mut beyond = Vec::new();
        for variant in self.op.variants(device.caps(), &operands) {
            let record = |caps| self.record(caps, &operands, variant, scratch.clone());
            if !known.contains(&variant) || !record(device.caps())?.same_work(&record(other)?) {
                beyond.push(variant);
            }
        }
        Ok(beyond)
    }

    /// Runs every variant that the device allows; returns how many, or what differed.
    ///
    /// # Errors
    /// What differed, or why a variant could not be run.
    pub async fn run(&self, device: &Device) -> Result<usize, String> {
        let variants = self.variants(device).await.map_err(|e| e.to_string())?;
        for variant in &variants {
            self.run_variant(device, variant).await?;
        }
        Ok(variants.len())
    }

    /// Runs one variant and compares every operand with the oracle's; says what differed.
    ///
    /// # Errors
    /// What differed, or why the variant could not be run.
    pub async fn run_variant(&self, device: &Device, variant: &'static str) -> Result<(), String> {
        let fail = |message: String| format!("{} / {} / {variant}: {message}", self.op.name(), self.name);
        let mut expected = self.operands.clone();
        self.op.oracle(&mut expected);
        for alias in self.aliases() {
            let computed = self.compute_aliased(device, device.caps(), variant, alias).await.map_err(|e| fail(e.to_string()))?;
            for (i, (got, want)) in computed.iter().zip(&expected).enumerate() {
                if alias.is_some_and(|(_, read)| read == i) {
                    continue;
                }
                let place = if alias.is_some() { ", in place" } else { "" };
                self.compare_operand(i, want, got).map_err(|m| fail(format!("operand {i}{place}: {m}")))?;
            }
        }
        Ok(())
    }

    /// The operands as the device leaves them, with the dispatches that `caps` lead to.
    ///
    /// # Errors
    /// [`GpuError`] when it cannot be run, or a kernel wrote outside of its operands.
    pub async fn compute(&self, device: &Device, caps: &Caps, variant: &'static str) -> Result<Vec<Host>, GpuError> {
        self.compute_aliased(device, caps, variant, None).await
    }

    async fn compute_aliased(
        &self,
        device: &Device,
        caps: &Caps,
        variant: &'static str,
        alias: Option<(usize, usize)>,
    ) -> Result<Vec<Host>, GpuError> {
        let bound = self.bind_aliased(device, alias).await?;
        let operands: Vec<Operand> = bound.iter().map(|b| b.operand.clone()).collect();
        bound.iter().for_each(|b| b.fill(device));
        let scratch = self.scratch(device, self.op.scratch(caps, &operands)).await?;
        let recording = self.record(caps, &operands, variant, scratch)?.finish(device).await?;
        device.try_submit(&recording).await?;
        let mut computed = Vec::with_capacity(bound.len());
        for bound in &bound {
            computed.push(bound.fetch(device).await?);
        }
        Ok(computed)
    }

    /// Kernels of a run with what `caps` lead to, the one in place among them.
    ///
    /// # Errors
    /// As [`variants_beyond`](Self::variants_beyond).
    pub async fn kernels(&self, device: &Device, caps: &Caps, variant: &'static str) -> Result<Vec<Kernel>, GpuError> {
        let mut kernels = Vec::new();
        for alias in self.aliases() {
            let operands: Vec<Operand> = self.bind_aliased(device, alias).await?.into_iter().map(|b| b.operand).collect();
            let scratch = self.scratch(device, self.op.scratch(caps, &operands)).await?;
            kernels.extend(self.record(caps, &operands, variant, scratch)?.kernels().cloned());
        }
        Ok(kernels)
    }

    /// Which operands share a buffer, a run each: none, and those that may.
    fn aliases(&self) -> impl Iterator<Item = Option<(usize, usize)>> {
        [None].into_iter().chain(self.op.may_alias().map(Some))
    }

    /// Dispatches that `caps` lead to.
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    pub async fn dispatches(&self, device: &Device, caps: &Caps, variant: &'static str) -> Result<usize, GpuError> {
        let operands: Vec<Operand> = self.bind(device).await?.into_iter().map(|b| b.operand).collect();
        let scratch = self.scratch(device, self.op.scratch(caps, &operands)).await?;
        Ok(self.record(caps, &operands, variant, scratch)?.len())
    }

    async fn scratch(&self, device: &Device, bytes: u64) -> Result<Option<Slice>, GpuError> {
        if bytes == 0 {
            return Ok(None);
        }
        Ok(Some(device.buffer("scratch", bytes, Usage::Storage).await?.whole()))
    }

    fn record(&self, caps: &Caps, operands: &[Operand], variant: &'static str, scratch: Option<Slice>) -> Result<Recorder, GpuError> {
        let mut recorder = Recorder::new();
        let mut context = Context { recorder: &mut recorder, caps, variant: Some(variant), banned: &[], scratch };
        self.op.record(&mut context, operands)?;
        Ok(recorder)
    }

    async fn bind(&self, device: &Device) -> Result<Vec<Bound>, GpuError> {
        self.bind_aliased(device, None).await
    }

    /// Operands (made, read) in `alias` share one buffer, which holds what is read.
    async fn bind_aliased(&self, device: &Device, alias: Option<(usize, usize)>) -> Result<Vec<Bound>, GpuError> {
        let mut all = Vec::new();
        for (i, (host, used)) in self.operands.iter().zip(self.op.uses()).enumerate() {
            let pad = self.strided && used == Use::Read && alias.is_none_or(|(_, read)| read != i);
            all.push(Bound::new(device, host, pad, self).await?);
        }
        if let Some((made, read)) = alias {
            all[made] = all[read].clone();
        }
        Ok(all)
    }

    /// What each value of the operand may be off by, if the operation says so.
    fn allowed(&self, operand: usize) -> Option<&[f32]> {
        let all = self.allowance.as_deref()?;
        let changed = self.operands.iter().zip(self.op.uses()).enumerate().filter(|(_, (_, used))| *used != Use::Read);
        let sizes = changed.filter_map(|(i, (host, _))| match host {
            Host::Tensor(array) => Some((i, array.data.len())),
            _ => None,
        });
        let mut first = 0;
        let mut found = None;
        for (i, size) in sizes {
            found = if i == operand { Some(first..first + size) } else { found };
            first += size;
        }
        // Of the last operand alone, where there are fewer.
        if first == all.len() { found.map(|range| &all[range]) } else { Some(all) }
    }

    fn compare_operand(&self, operand: usize, want: &Host, got: &Host) -> Result<(), String> {
        match (want, got) {
            // Only the status means something.
            (Host::Words(want), Host::Words(got)) if self.op.uses()[operand] == Use::Exchange && want[0] == got[0] => Ok(()),
            _ => self.compare_within(want, got, self.allowed(operand)),
        }
    }

    /// Compares the last operand.
    #[cfg(test)]
    pub(crate) fn compare(&self, want: &Host, got: &Host) -> Result<(), String> {
        self.compare_within(want, got, self.allowance.as_deref())
    }

    fn compare_within(&self, want: &Host, got: &Host, allowed: Option<&[f32]>) -> Result<(), String> {
        match (want, got) {
            (Host::Tensor(want), Host::Tensor(got)) => match allowed {
                Some(allowed) if allowed.len() == want.data.len() => compare_each(&want.data, &got.data, |i| allowed[i]),
                _ => compare_values(&want.data, &got.data, self.tolerance, 0.0),
            },
            (Host::Codes(want), Host::Codes(got)) => codes::compare(&want.data, &got.data, self.tolerance),
            (Host::Halves(want), Host::Halves(got)) => halves::compare(&want.data, &got.data),
            (Host::Cache(want), Host::Cache(got)) => cached::compare(want, got, self.tolerance),
            (want, got) if want == got => Ok(()),
            (Host::Words(want), Host::Words(got)) => {
                let at = want.iter().zip(got).position(|(a, b)| a != b).unwrap_or_default();
                Err(format!("word {at}: want {}, got {}", want[at], got[at]))
            }
            _ => Err("a read-only operand changed".into()),
        }
    }
}

/// Words kept before and after a tensor's data: a stray write shows.
const GUARD: usize = 64;
const GUARD_WORD: u32 = 0x7fc0_dead;

/// An operand on the device with the bytes it starts from.
#[derive(Clone)]
struct Bound {
    operand: Operand,
    host: Host,
    buffer: Option<Buffer>,
    words: Vec<u32>,
}

impl Bound {
    async fn new(device: &Device, host: &Host, pad: bool, case: &Case) -> Result<Bound, GpuError> {
        let (operand, buffer, words) = match host {
            Host::Weight(weight) => {
                let weight = match case.view {
                    _ if case.apart => apart::upload(device, weight).await?,
                    None => upload(device, weight, case.chunk_rows).await?,
                    Some(view) => upload(device, &taller(weight, view), case.chunk_rows).await?.view(view.0, view.1, weight.rows as u32),
                };
                (Operand::Weight(Arc::new(weight)), None, Vec::new())
            }
            Host::Tensor(array) => {
                // Vectors (norm weights) are never views.
                let (offset, stride) = if pad && array.rows > 1 { (4, array.cols + 8) } else { (0, array.cols) };
                let mut words = vec![GUARD_WORD; offset + array.rows * stride];
                for row in 0..array.rows {
                    let bits: Vec<u32> = array.row(row).iter().map(|v| v.to_bits()).collect();
                    words[offset + row * stride..][..array.cols].copy_from_slice(&bits);
                }
                let (buffer, slice) = guarded(device, words.len()).await?;
                let tensor =
                    Tensor { slice, rows: array.rows as u32, cols: array.cols as u32, stride: stride as u32, offset: offset as u32 };
                (Operand::Tensor(tensor), Some(buffer), words)
            }
            Host::Codes(array) | Host::Halves(array) => {
                let words = if matches!(host, Host::Codes(_)) { codes::words(array) } else { halves::words(array) };
                let ((buffer, slice), cols) = (guarded(device, words.len()).await?, array.cols as u32);
                (Operand::Tensor(Tensor { slice, rows: array.rows as u32, cols, stride: cols, offset: 0 }), Some(buffer), words)
            }
            Host::Cache(cache) => {
                let words = cached::words(cache);
                let (buffer, slice) = guarded(device, words.len()).await?;
                (Operand::Cache(Cache { slice, kv: cache.kv, slots: cache.slots as u32, width: cache.width as u32 }), Some(buffer), words)
            }
            Host::Words(words) => {
                let (buffer, slice) = guarded(device, words.len()).await?;
                (Operand::Words(slice), Some(buffer), words.clone())
            }
        };
        Ok(Bound { operand, host: host.clone(), buffer, words })
    }

    fn fill(&self, device: &Device) {
        if let Some(buffer) = &self.buffer {
            let mut words = vec![GUARD_WORD; GUARD];
            words.extend(&self.words);
            words.resize(buffer.size() as usize / 4, GUARD_WORD);
            device.write(buffer, 0, bytemuck::cast_slice(&words));
        }
    }

    async fn fetch(&self, device: &Device) -> Result<Host, GpuError> {
        let Some(buffer) = &self.buffer else { return Ok(self.host.clone()) };
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&device.read(buffer, 0, buffer.size()).await?);
        let end = GUARD + self.words.len();
        let stray = |message: &str| GpuError::Validation { what: "a kernel".into(), message: message.into() };
        if words[..GUARD].iter().chain(&words[end..]).any(|w| *w != GUARD_WORD) {
            return Err(stray("wrote outside its operand"));
        }
        let words = &words[GUARD..end];
        Ok(match (&self.host, &self.operand) {
            (Host::Tensor(array), Operand::Tensor(tensor)) => {
                let mut out = Array::zeros(array.rows, array.cols);
                for row in 0..array.rows {
                    let from = &words[tensor.offset as usize + row * tensor.stride as usize..][..array.cols];
                    out.row_mut(row).iter_mut().zip(from).for_each(|(o, w)| *o = f32::from_bits(*w));
                }
                Host::Tensor(out)
            }
            (Host::Codes(array), _) => Host::Codes(Array { data: codes::values(array.rows, array.cols, words), ..*array }),
            (Host::Halves(array), _) => Host::Halves(Array { data: halves::values(array.rows, array.cols, words), ..*array }),
            (Host::Cache(cache), _) => Host::Cache(HostCache { data: cached::values(cache, words), ..cache.clone() }),
            _ => Host::Words(words.to_vec()),
        })
    }
}

async fn guarded(device: &Device, words: usize) -> Result<(Buffer, Slice), GpuError> {
    let size = ((2 * GUARD + words) * 4).next_multiple_of(256) as u64;
    let buffer = device.buffer("case operand", size, Usage::Storage).await?;
    let slice = buffer.slice((GUARD * 4) as u64, (words * 4) as u64);
    Ok((buffer, slice))
}

/// A weight of which `weight` is rows `first`, `first + step`, ...; the others are zero bits.
fn taller(weight: &HostWeight, (first, step): (u32, u32)) -> HostWeight {
    let len = weight.bytes.len() / weight.rows;
    let rows = first as usize + weight.rows * step as usize;
    let mut bytes = vec![0; rows * len];
    for (row, from) in weight.bytes.chunks(len).enumerate() {
        bytes[(first as usize + row * step as usize) * len..][..len].copy_from_slice(from);
    }
    HostWeight { rows, bytes, ..*weight }
}

/// A weight on the device, split into chunks of at most `chunk_rows` rows.
///
/// # Errors
/// [`GpuError::OutOfMemory`] without room; [`GpuError::DeviceLost`] after a loss.
pub async fn upload(device: &Device, host: &HostWeight, chunk_rows: Option<usize>) -> Result<Weight, GpuError> {
    let fail = |message: String| GpuError::Validation { what: "a weight of a case".into(), message };
    let step = chunk_rows.unwrap_or(host.rows).max(1);
    let row_bytes = host.bytes.len() / host.rows;
    let mut chunks = Vec::new();
    for first in (0..host.rows).step_by(step) {
        let rows = step.min(host.rows - first);
        let layout = Layout::new(host.dtype, rows, host.cols).map_err(|e| fail(e.to_string()))?;
        let buffer = device.buffer("case weight", layout.words() as u64 * 4, Usage::Storage).await?;
        let pieces = layout.repack(0, &host.bytes[first * row_bytes..][..rows * row_bytes]).map_err(|e| fail(e.to_string()))?;
        for (offset, words) in pieces {
            device.write(&buffer, u64::from(offset) * 4, bytemuck::cast_slice(&words));
        }
        chunks.push(Chunk {
            slice: buffer.whole(),
            first_row: first as u32,
            rows: rows as u32,
            planes: layout.planes(),
            start: 0,
            step: 1,
        });
    }
    Ok(Weight { name: "case".into(), dtype: host.dtype, rows: host.rows as u32, cols: host.cols as u32, chunks })
}
