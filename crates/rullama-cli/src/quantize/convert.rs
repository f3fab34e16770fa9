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
/// Of the source and of `sink`; values that the new format cannot hold.
pub fn pieces(source: &dyn ByteSource, planned: &Planned, threads: usize, sink: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
    match (planned.tensor.kind, planned.target) {
        (TensorType::Known(from), Some(to)) => converted(source, planned, (from, to), threads, sink),
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

/// New bytes and the number of source bytes behind them.
type Piece = Result<(Vec<u8>, u64)>;

fn converted(
    source: &dyn ByteSource,
    planned: &Planned,
    formats: (DType, DType),
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
    formats: (DType, DType),
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
    match work.delta {
        None => check(values, to)?,
        Some(delta) => {
            check(values, DType::F32)?;
            delta.add(range.start, values);
            check_sum(values, to)?;
        }
    }
    let mut out = Vec::with_capacity(values.len() / to.block_len() * to.block_bytes());
    encode(to, values, &mut out)?;
    Ok((out, len))
}

/// Refuses sums that the new type cannot hold.
fn check_sum(values: &[f32], to: DType) -> Result<()> {
    match values.iter().find(|value| !value.is_finite() || (to == DType::F16 && value.abs() >= HALF_OVERFLOW)) {
        Some(bad) => bail!("with the adapters it holds {bad}, which {to} cannot hold. Give them smaller scales, or --type bf16 or f32."),
        None => Ok(()),
    }
}

/// Half of the last step over the largest half-precision number rounds to infinity.
const HALF_OVERFLOW: f32 = 65520.0;

/// Refuses values that would become others without a word.
fn check(values: &[f32], to: DType) -> Result<()> {
    if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
        bail!("it holds the value {bad}. The file is damaged: get it again.");
    }
    if to == DType::F16
        && let Some(large) = values.iter().find(|value| value.abs() >= HALF_OVERFLOW)
    {
        bail!("it holds {large}, which F16 cannot hold. Choose bf16 or f32 for it.");
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
        values[300] = f32::NAN;
        let (source, damaged) = planned(&values, DType::Q8_0);
        assert!(all(&source, &damaged, 2).unwrap_err().to_string().contains("NaN"));
        values[300] = 70000.0;
        let (source, large) = planned(&values, DType::F16);
        assert!(all(&source, &large, 2).unwrap_err().to_string().contains("70000"));
        let (source, fits) = planned(&values, DType::BF16);
        assert_eq!(all(&source, &fits, 2).unwrap().len(), 1024);
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
