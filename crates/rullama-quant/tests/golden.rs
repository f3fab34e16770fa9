//! `decode` against gguf-py's values, bit for bit, for every format.

use std::fs;

use rullama_quant::{DType, QuantError, decode, scale_random};

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

fn names_and_ids_are_ggufs() {
    // (name, id, values a block, bytes a block): ggml's table of types, those without a format among them.
    let table = [
        ("F32", 0, 1, 4),
        ("F16", 1, 1, 2),
        ("Q4_0", 2, 32, 18),
        ("Q4_1", 3, 32, 20),
        ("Q5_0", 6, 32, 22),
        ("Q5_1", 7, 32, 24),
        ("Q8_0", 8, 32, 34),
        ("Q8_1", 9, 32, 36),
        ("Q2_K", 10, 256, 84),
        ("Q3_K", 11, 256, 110),
        ("Q4_K", 12, 256, 144),
        ("Q5_K", 13, 256, 176),
        ("Q6_K", 14, 256, 210),
        ("Q8_K", 15, 256, 292),
        ("IQ2_XXS", 16, 256, 66),
        ("IQ2_XS", 17, 256, 74),
        ("IQ3_XXS", 18, 256, 98),
        ("IQ1_S", 19, 256, 50),
        ("IQ4_NL", 20, 32, 18),
        ("IQ3_S", 21, 256, 110),
        ("IQ2_S", 22, 256, 82),
        ("IQ4_XS", 23, 256, 136),
        ("I8", 24, 1, 1),
        ("I16", 25, 1, 2),
        ("I32", 26, 1, 4),
        ("I64", 27, 1, 8),
        ("F64", 28, 1, 8),
        ("IQ1_M", 29, 256, 56),
        ("BF16", 30, 1, 2),
        ("TQ1_0", 34, 256, 54),
        ("TQ2_0", 35, 256, 66),
        ("MXFP4", 39, 32, 17),
        ("NVFP4", 40, 64, 36),
        ("Q1_0", 41, 128, 18),
        ("Q2_0", 42, 64, 18),
    ];
    for &dtype in DType::ALL {
        let &(_, id, len, bytes) = table.iter().find(|row| row.0 == dtype.label()).unwrap_or_else(|| panic!("{}", dtype.label()));
        assert_eq!((dtype.ggml_id(), dtype.block_len(), dtype.block_bytes()), (id, len, bytes), "{dtype}");
        assert_eq!(dtype.name(), dtype.label().to_lowercase());
    }
    for id in (0..64).chain([u32::MAX]) {
        let found = DType::from_ggml(id).map(DType::label);
        let expected = table.iter().find(|row| row.1 == id && DType::ALL.iter().any(|dtype| dtype.label() == row.0));
        assert_eq!(found, expected.map(|row| row.0), "{id}");
    }
    assert_eq!(DType::Q4K.row_bytes(512), Some(288));
    assert_eq!(DType::Q4K.row_bytes(704), None);
    assert_eq!(DType::F32.row_bytes(usize::MAX), None);
}

fn random_blocks_have_the_scale_asked_for() {
    for &dtype in DType::ALL {
        for scale in [1.0, 0.03125, 0.01] {
            let (blocks, mut state) = (64 * 256 / dtype.block_len(), 1u64);
            let mut bits = vec![0; blocks * dtype.block_bytes()];
            bits.fill_with(|| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 56) as u8
            });
            let before = bits.clone();
            scale_random(dtype, &mut bits, scale).unwrap();
            let mut values = vec![f32::NAN; blocks * dtype.block_len()];
            decode(dtype, &bits, &mut values).unwrap();
            let root = (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt() / scale;
            assert!((0.33..2.0).contains(&root), "{dtype} at {scale}: {root}");
            let mean = values.iter().sum::<f32>() / values.len() as f32 / scale;
            assert!(mean.abs() < 0.25, "{dtype} at {scale}: mean {mean}");
            let changed = bits.chunks(dtype.block_bytes()).zip(before.chunks(dtype.block_bytes())).next().unwrap();
            let changed = changed.0.iter().zip(changed.1).filter(|(a, b)| a != b).count();
            assert!(changed <= 4, "{dtype}: {changed} bytes of a block are not random any more");
        }
        let (bytes, block_bytes) = (dtype.block_bytes() * 2 + 1, dtype.block_bytes());
        let error = QuantError::PartialBlock { dtype, bytes, block_bytes };
        assert_eq!(scale_random(dtype, &mut vec![0; bytes], 1.0), Err(error));
    }
}

rullama_testing::tests! {
    decode_is_ggufs,
    any_number_of_blocks_decodes,
    wrong_lengths_are_errors,
    names_and_ids_are_ggufs,
    random_blocks_have_the_scale_asked_for,
}
