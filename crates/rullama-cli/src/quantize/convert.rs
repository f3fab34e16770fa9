//! The bytes of one tensor in its new format, in order and in bounded memory.
//!
//! A tensor is a row of blocks, whatever its shape, so it is cut at whole blocks of both formats.
//! Thread t of n makes pieces t, t + n, ...; the caller's thread takes them in turn. Each thread runs
//! at most two pieces ahead, so the whole holds some 3 n pieces.

use super::{Delta, Planned};
use anyhow::{Result, anyhow, bail};
use rullama_quant::{DType, decode, encode};
use rullama_source::{ByteSource, gguf::TensorType};
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Values of a piece: a multiple of every block, 1 MiB of values.
const PIECE: u64 = 1 << 18;
/// Bytes of a piece that is only copied.
const COPIED: u64 = 4 << 20;

/// Calls `sink` with each piece of the new bytes, and the number of source bytes that it took.
///
/// # Errors
/// Of the source and of `sink`; values that are not finite, and those that the new format cannot hold.
pub fn pieces(source: &dyn ByteSource, planned: &Planned, threads: usize, sink: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    match planned.tensor.kind {
        TensorType::Known(from) => typed(source, planned, (from, planned.target), threads, sink),
        // What the bytes of such a type mean is not known here.
        _ => copied(source, &planned.tensor.range, sink),
    }
}

fn copied(source: &dyn ByteSource, range: &Range<u64>, sink: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    let mut at = range.start;
    while at < range.end {
        let len = (range.end - at).min(COPIED);
        sink(&pollster::block_on(source.read(at, len as usize))?, len)?;
        at += len;
    }
    Ok(())
}

/// From a format to another; without one the bytes stay, and their values are looked at.
type Formats = (DType, Option<DType>);

/// New bytes and the number of source bytes behind them.
type Piece = Result<(Vec<u8>, u64)>;

fn typed(
    source: &dyn ByteSource,
    planned: &Planned,
    formats: Formats,
    threads: usize,
    sink: &mut dyn FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let elements = planned.tensor.elements();
    let work = &Work { source, start: planned.tensor.range.start, formats, delta: planned.delta.as_deref() };
    let count = elements.div_ceil(PIECE);
    let threads = (threads as u64).clamp(1, count.max(1));
    std::thread::scope(|scope| {
        let spawn = |first: u64| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || {
                let mine = (first..count).step_by(threads as usize);
                let ranges = mine.map(|i| i * PIECE..((i + 1) * PIECE).min(elements));
                run(work, ranges, &sender);
            });
            receiver
        };
        // Dropped on every way out of here, which ends the threads.
        let receivers: Vec<Receiver<Piece>> = (0..threads).map(spawn).collect();
        for i in 0..count {
            let piece = receivers[(i % threads) as usize].recv();
            let (bytes, read) = piece.map_err(|_| anyhow!("a worker thread ended early"))??;
            sink(&bytes, read)?;
        }
        Ok(())
    })
}

/// What becomes of a tensor.
struct Work<'a> {
    source: &'a dyn ByteSource,
    start: u64,
    formats: Formats,
    delta: Option<&'a Delta>,
}

/// Makes the pieces of one thread until they or the receiver end.
fn run(work: &Work<'_>, ranges: impl Iterator<Item = Range<u64>>, sender: &SyncSender<Piece>) {
    let mut values = Vec::new();
    for range in ranges {
        let piece = one(work, &range, &mut values);
        let failed = piece.is_err();
        if sender.send(piece).is_err() || failed {
            return;
        }
    }
}

fn one(work: &Work<'_>, range: &Range<u64>, values: &mut Vec<f32>) -> Piece {
    let (from, to) = work.formats;
    let offset = |element: u64| element / from.block_len() as u64 * from.block_bytes() as u64;
    let len = offset(range.end) - offset(range.start);
    let bytes = pollster::block_on(work.source.read(work.start + offset(range.start), len as usize))?;
    values.resize((range.end - range.start) as usize, 0.0);
    decode(from, &bytes, values)?;
    if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
        bail!("it holds the value {bad}. The file is damaged: get it again.");
    }
    let Some(to) = to else { return Ok((bytes, len)) };
    if let Some(delta) = work.delta {
        delta.add(range.start, values);
        if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
            bail!("with the adapters it holds {bad}. Give them smaller scales.");
        }
    }
    let mut out = Vec::with_capacity(values.len() / to.block_len() * to.block_bytes());
    encode(to, values, &mut out)?;
    check(values, to, &out)?;
    Ok((out, len))
}

/// Blocks of nothing larger than this may become zeros, as ggml makes them: their scales are below what a half can hold.
const SMALL: f32 = 1e-3;
/// The share of its largest value by which a block may be off. Rounding makes at most a quarter of it.
const MOST_OFF: f32 = 0.75;

/// Refuses values that became others without a word: scales beyond a half's range are infinite, or make a block of zeros.
fn check(values: &[f32], to: DType, encoded: &[u8]) -> Result<()> {
    let mut again = vec![0.0; values.len()];
    decode(to, encoded, &mut again)?;
    for (block, again) in values.chunks(to.block_len()).zip(again.chunks(to.block_len())) {
        let largest = block.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let held = |(value, again): (&f32, &f32)| again.is_finite() && (largest <= SMALL || (value - again).abs() <= MOST_OFF * largest);
        if !block.iter().zip(again).all(held) {
            bail!("it holds values up to {largest:?}, which {} cannot hold. Choose bf16 or f32 for it.", to.label());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_source::MemorySource;
    use rullama_source::gguf::TensorInfo;

    fn planned(values: &[f32], to: DType) -> (MemorySource, Planned) {
        let mut bytes = vec![9; 32];
        encode(DType::F32, values, &mut bytes).unwrap();
        let range = 32..bytes.len() as u64;
        let tensor =
            TensorInfo { name: "t".into(), dims: vec![256, values.len() as u64 / 256], kind: TensorType::Known(DType::F32), range };
        (MemorySource::new("m", bytes), Planned { tensor, target: Some(to), delta: None })
    }

    fn all(source: &MemorySource, planned: &Planned, threads: usize) -> Result<Vec<u8>> {
        let (mut out, mut total) = (Vec::new(), 0);
        pieces(source, planned, threads, &mut |piece, read| {
            out.extend_from_slice(piece);
            total += read;
            Ok(())
        })?;
        assert_eq!(total, planned.tensor.bytes());
        Ok(out)
    }

    #[test]
    fn pieces_are_the_whole() {
        let len = 2 * PIECE as usize + 512;
        let values: Vec<f32> = (0..len).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect();
        for to in [DType::Q8_0, DType::F16, DType::Q4_0] {
            let (source, planned) = planned(&values, to);
            let mut expected = Vec::new();
            encode(to, &values, &mut expected).unwrap();
            for threads in [1, 2, 5] {
                assert!(all(&source, &planned, threads).unwrap() == expected, "{to} with {threads} threads");
            }
        }
    }

    #[test]
    fn values_that_do_not_fit() {
        let mut values = vec![0.5; 512];
        values[300] = 70000.0;
        let (source, large) = planned(&values, DType::F16);
        assert!(all(&source, &large, 2).unwrap_err().to_string().contains("70000"));
        let (source, fits) = planned(&values, DType::BF16);
        assert_eq!(all(&source, &fits, 2).unwrap().len(), 1024);
    }

    #[test]
    fn values_that_are_not_finite_are_refused_where_they_are_only_copied_too() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; PIECE as usize + 256];
            values[PIECE as usize + 3] = bad;
            for to in [None, Some(DType::Q8_0), Some(DType::F16), Some(DType::Q4K)] {
                let (source, mut damaged) = planned(&values, DType::F32);
                damaged.target = to;
                let error = all(&source, &damaged, 2).unwrap_err().to_string();
                assert!(error.contains(&bad.to_string()) && error.contains("damaged"), "{error}");
            }
        }
    }

    #[test]
    fn no_format_makes_other_values_without_a_word() {
        let wave = |i: usize| (i as f32 * 0.37).sin();
        for to in crate::quantize::policy::encoders() {
            for exponent in -44..=38 {
                let scale = 10f32.powi(exponent);
                let one_large: Vec<f32> = (0..512).map(|i| if i == 300 { scale } else { wave(i) * scale.min(1.0) }).collect();
                let all_large: Vec<f32> = (0..512).map(|i| wave(i) * scale).collect();
                for values in [one_large, all_large] {
                    let (source, planned) = planned(&values, to);
                    let Ok(bytes) = all(&source, &planned, 1) else {
                        assert!(scale > 6e4, "{to} refuses {scale:e}");
                        continue;
                    };
                    let mut again = vec![0.0; values.len()];
                    decode(to, &bytes, &mut again).unwrap();
                    for (value, again) in values.iter().zip(again) {
                        assert!((value - again).abs() <= 0.75 * scale.max(1e-3), "{to} makes {again:e} of {value:e} at {scale:e}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_failing_sink_ends_the_work() {
        let values = vec![0.25; 4 * PIECE as usize];
        let (source, planned) = planned(&values, DType::Q8_0);
        let mut calls = 0;
        let result = pieces(&source, &planned, 3, &mut |_, _| {
            calls += 1;
            bail!("full")
        });
        assert_eq!((result.unwrap_err().to_string().as_str(), calls), ("full", 1));
    }
}
