//! Repacked bytes, read back by the plain definition of the layout, are what `decode` reads.

use proptest::prelude::*;

use crate::device::unpack;
use crate::{DType, Layout, QuantError, codes_wgsl, decode, wgsl};

/// Fills a device buffer from pieces that end at the given rows; returns it.
fn upload(layout: &Layout, bytes: &[u8], ends: &[usize]) -> Vec<u32> {
    let mut buffer = vec![0; layout.words()];
    let mut first = 0;
    for &end in ends {
        let piece = &bytes[first * layout.row_bytes()..end * layout.row_bytes()];
        for (offset, words) in layout.repack(first, piece).unwrap() {
            buffer[offset as usize..][..words.len()].copy_from_slice(&words);
        }
        first = end;
    }
    buffer
}

/// Deterministic bits that visit every byte value.
fn noise(len: usize, mut state: u64) -> Vec<u8> {
    let mut step = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..len).map(|_| step()).collect()
}

fn same_bits(a: f32, b: f32) -> bool {
    // Which payload a NaN gets from arithmetic is not specified.
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn repacked_is_decoded(
        format in 0..DType::ALL.len(), rows in 1usize..14, units in 1usize..4,
        cuts in proptest::collection::vec(0usize..4, 0..3), seed: u64,
    ) {
        let dtype = DType::ALL[format];
        let layout = Layout::new(dtype, rows, units * dtype.block_len().max(32)).unwrap();
        let bytes = noise(rows * layout.row_bytes(), seed);
        let mut expected = vec![0.0; rows * layout.cols()];
        decode(dtype, &bytes, &mut expected).unwrap();

        let cuts = cuts.iter().map(|cut| cut * Layout::ROW_STEP);
        let mut ends: Vec<usize> = cuts.filter(|&end| end < rows).collect();
        ends.push(rows);
        ends.sort_unstable();
        ends.dedup();

        let buffer = upload(&layout, &bytes, &ends);
        prop_assert_eq!(&buffer, &upload(&layout, &bytes, &[rows]), "pieces do not matter");
        for (i, (got, expected)) in unpack(&layout, &buffer).into_iter().zip(expected).enumerate() {
            prop_assert!(same_bits(got, expected), "{} [{}]: {} is not {}", dtype, i, got, expected);
        }
    }
}

#[test]
fn planes_hold_the_files_bits_and_no_more() {
    for &dtype in DType::ALL {
        let planes: usize = dtype.format().planes.iter().sum();
        assert_eq!(planes, dtype.block_bytes(), "{dtype}");
        let layout = Layout::new(dtype, 64, 1024).unwrap();
        assert_eq!(layout.words() % 4, 0);
        assert!(layout.planes().iter().all(|start| start % 4 == 0));
        let file = 64 * dtype.row_bytes(1024).unwrap();
        assert!(layout.words() * 4 <= file + file / 50, "{dtype}");
    }
}

#[test]
fn unaligned_pieces_are_errors() {
    let layout = Layout::new(DType::Mxfp4, 10, 32).unwrap();
    let rows = |count: usize| vec![0; count * 17];
    assert_eq!(layout.repack(0, &[0; 18]), Err(QuantError::PartialRow { dtype: DType::Mxfp4, bytes: 18, row_bytes: 17 }));
    assert_eq!(layout.repack(2, &rows(4)), Err(QuantError::PieceStart { first_row: 2, step: 4 }));
    for (first_row, end_row) in [(0, 5), (4, 11), (12, 13)] {
        let error = layout.repack(first_row, &rows(end_row - first_row));
        assert_eq!(error, Err(QuantError::PieceEnd { first_row, end_row, rows: 10, step: 4 }));
    }
    assert_eq!(layout.repack(8, &[]), Ok(vec![]));
}

#[test]
fn impossible_shapes_are_errors() {
    for (dtype, cols, multiple) in [(DType::F16, 48, 32), (DType::Q4_0, 0, 32), (DType::Q6K, 704, 256)] {
        assert_eq!(Layout::new(dtype, 4, cols), Err(QuantError::Columns { dtype, cols, multiple }));
    }
    for (rows, cols) in [(0, 32), (usize::MAX, 32), (1 << 28, 1 << 8)] {
        let dtype = DType::F32;
        assert_eq!(Layout::new(dtype, rows, cols), Err(QuantError::TensorSize { dtype, rows, cols }));
    }
}

#[test]
fn modules_define_the_two_entries_and_only_decode_names() {
    for &dtype in DType::ALL {
        let text = wgsl(dtype);
        for entry in [
            "fn decode_group(planes: vec4<u32>, g: u32) -> array<vec4<f32>, 8> {",
            "fn decode4(planes: vec4<u32>, g: u32, j: u32) -> vec4<f32> {",
        ] {
            assert_eq!(text.matches(entry).count(), 1, "{dtype}: {entry}");
        }
        let mut depth = 0;
        for line in text.lines() {
            assert!(depth > 0 || line.starts_with("fn decode"), "{dtype}: {line}");
            depth += line.matches('{').count();
            depth -= line.matches('}').count();
        }
    }
}

#[test]
fn modules_of_codes_define_their_two_entries() {
    for &dtype in DType::ALL {
        let Some(text) = codes_wgsl(dtype) else {
            assert!(!dtype.has_codes() && dtype.block_len() == 1, "{dtype}");
            continue;
        };
        for entry in ["fn codes_group(planes: vec4<u32>, g: u32) -> Codes {", "const CODES_ONE_SCALE = "] {
            assert_eq!(text.matches(entry).count(), 1, "{dtype}: {entry}");
        }
    }
}
