//! `decode` against gguf-py's values, bit for bit, for every format.

use std::fs;

use rullama_quant::{DType, QuantError, decode};

const ROWS: usize = 2;
const COLS: usize = 1024;

fn golden(dtype: DType) -> (Vec<u8>, Vec<f32>) {
    let path = format!("{}/tests/data/{}.bin", env!("CARGO_MANIFEST_DIR"), dtype.name());
    let mut bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let values = bytes.split_off(ROWS * dtype.row_bytes(COLS).unwrap());
    let values: Vec<f32> = values.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    assert_eq!(values.len(), ROWS * COLS, "{path}");
    (bytes, values)
}

#[test]
fn decode_is_ggufs() {
    for &dtype in DType::ALL {
        let (bytes, expected) = golden(dtype);
        let mut got = vec![f32::NAN; expected.len()];
        decode(dtype, &bytes, &mut got).unwrap();
        for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.to_bits(), expected.to_bits(), "{dtype}[{i}]: {got} is not {expected}");
        }
    }
}

#[test]
fn any_number_of_blocks_decodes() {
    for &dtype in DType::ALL {
        let (bytes, expected) = golden(dtype);
        for blocks in [0, 1, 3, 7] {
            let mut got = vec![f32::NAN; blocks * dtype.block_len()];
            decode(dtype, &bytes[..blocks * dtype.block_bytes()], &mut got).unwrap();
            assert_eq!(got, expected[..got.len()], "{dtype}");
        }
    }
}

#[test]
fn wrong_lengths_are_errors() {
    for &dtype in DType::ALL {
        let (bytes, block_bytes) = (dtype.block_bytes() + 1, dtype.block_bytes());
        let mut out = vec![0.0; dtype.block_len()];
        let error = decode(dtype, &vec![0; bytes], &mut out);
        assert_eq!(error, Err(QuantError::PartialBlock { dtype, bytes, block_bytes }));
        let error = decode(dtype, &vec![0; 2 * block_bytes], &mut out);
        let (expected, got) = (2 * dtype.block_len(), dtype.block_len());
        assert_eq!(error, Err(QuantError::OutputLength { dtype, expected, got }));
    }
}

#[test]
fn names_and_ids_are_ggufs() {
    // (id, values a block, bytes a block) as in ggml's table of types.
    let table = [
        (DType::F32, 0, 1, 4),
        (DType::F16, 1, 1, 2),
        (DType::Q4_0, 2, 32, 18),
        (DType::Q4_1, 3, 32, 20),
        (DType::Q5_0, 6, 32, 22),
        (DType::Q5_1, 7, 32, 24),
        (DType::Q8_0, 8, 32, 34),
        (DType::Q2K, 10, 256, 84),
        (DType::Q3K, 11, 256, 110),
        (DType::Q4K, 12, 256, 144),
        (DType::Q5K, 13, 256, 176),
        (DType::Q6K, 14, 256, 210),
        (DType::Iq4Nl, 20, 32, 18),
        (DType::Iq4Xs, 23, 256, 136),
        (DType::BF16, 30, 1, 2),
        (DType::Mxfp4, 39, 32, 17),
    ];
    assert_eq!(table.len(), DType::ALL.len());
    for (dtype, id, len, bytes) in table {
        assert_eq!((dtype.ggml_id(), dtype.block_len(), dtype.block_bytes()), (id, len, bytes));
        assert_eq!(DType::from_ggml(id), Some(dtype));
        assert_eq!(dtype.name(), dtype.label().to_lowercase());
    }
    for removed_or_unknown in [4, 5, 9, 15, 16, 31, 40, 43, u32::MAX] {
        assert_eq!(DType::from_ggml(removed_or_unknown), None);
    }
    assert_eq!(DType::Q4K.row_bytes(512), Some(288));
    assert_eq!(DType::Q4K.row_bytes(704), None);
    assert_eq!(DType::F32.row_bytes(usize::MAX), None);
}
