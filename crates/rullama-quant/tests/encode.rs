//! `encode` against the bytes of ggml's reference quantisers, and against `decode`.

use proptest::prelude::*;
use rullama_quant::{DType, QuantError, decode, encode};
use sha2::{Digest, Sha256};

/// SHA-256 of the rows written by `quantize_row_*_ref`, compiled without contraction to FMA.
const HASHES: [(DType, usize, &str); 9] = [
    (DType::F32, 4096, "5288a0918efbed775e23137d746f02250c018acd7e446da053c0e9820de0f0ae"),
    (DType::Q4_0, 576, "ad5ab5e9287eb0610b20962f83cea952d49dc14072b81ae225b672effe42723e"),
    (DType::Q4_1, 640, "ae67dee009807aa1e7dab6f95314720407ef098b12f4dcbeadeacc7d066ba92f"),
    (DType::Q5_0, 704, "65e076c9b7465ce21c92ba78ae48d8728722030896c42992560ebe8ef66e32eb"),
    (DType::Q5_1, 768, "30c66cc65586aadfc81ee891979ae8837498f0fa3308e5fd943ce92b8aebd695"),
    (DType::Q8_0, 1088, "27e7011c824928bb7e53c6fed699f3e461b6e6a816bea8eb029db8860ad655d4"),
    (DType::Q4K, 576, "44efdf6e5cb66599a6820d5b236fd6c4881c1f4e5439927db7f6a15dc15589e6"),
    (DType::Q5K, 704, "1db2fba793278c9727b14c63a78e223d088bcf5e50998c164ccfb7080baadbc0"),
    (DType::Q6K, 840, "84be5379810c5df34aec5faccb0a7b27946b658c3a459f714c2f0ab2a28f8cde"),
];

/// Rounded to nearest, which `plain_formats_are_stable` checks.
const PLAIN: [DType; 2] = [DType::F16, DType::BF16];

/// (format, half of a code step relative to the largest magnitude of the 256 values).
/// Affine codes span up to twice that magnitude; the searches of the K formats minimise a
/// weighted squared error and may clip, which a second step allows for.
const STEPS: [(DType, f32); 11] = [
    (DType::F32, 0.0),
    (DType::BF16, 1.0 / 256.0),
    (DType::F16, 1.0 / 2048.0),
    (DType::Q8_0, 0.5 / 127.0),
    (DType::Q4_0, 1.0 / 8.0),
    (DType::Q4_1, 1.0 / 15.0),
    (DType::Q5_0, 1.0 / 16.0),
    (DType::Q5_1, 1.0 / 31.0),
    (DType::Q4K, 4.0 / 15.0),
    (DType::Q5K, 4.0 / 31.0),
    (DType::Q6K, 2.0 / 32.0),
];

/// 1024 values of a linear congruential generator, small ones more often than large ones, with
/// one outlier in each 256 and the range growing from block to block.
fn values() -> Vec<f32> {
    let mut state = 12345u32;
    let mut draw = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 8) as f32 / 16777216.0 * 2.0 - 1.0
    };
    (0..1024)
        .map(|i| {
            let (a, b) = (draw(), draw());
            let value = a * b * b * (i / 256 + 1) as f32 * 0.25;
            if i % 256 == 7 { value + 0.3 } else { value }
        })
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(dtype: DType, values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(dtype, values, &mut bytes).unwrap();
    bytes
}

fn bytes_are_ggmls() {
    for (dtype, len, hash) in HASHES {
        let bytes = encoded(dtype, &values());
        assert_eq!((bytes.len(), sha256(&bytes)), (len, hash.to_owned()), "{dtype}");
    }
}

fn every_encoder_is_held_to_a_reference() {
    for &dtype in DType::ALL {
        let encoder = encode(dtype, &values(), &mut Vec::new());
        assert!(encoder == Ok(()) || encoder == Err(QuantError::NoEncoder { dtype }), "{dtype}: {encoder:?}");
        let referenced = PLAIN.contains(&dtype) || HASHES.iter().any(|row| row.0 == dtype);
        assert_eq!(encoder.is_ok(), referenced, "{dtype}: a hash of ggml's bytes for each encoder, and only for those");
        assert_eq!(encoder.is_ok(), STEPS.iter().any(|row| row.0 == dtype), "{dtype}: a bound for each encoder");
    }
}

fn partial_blocks_are_errors() {
    for &dtype in DType::ALL.iter().filter(|dtype| dtype.block_len() > 1) {
        let len = dtype.block_len() - 1;
        let error = match encode(dtype, &[], &mut Vec::new()) {
            Ok(()) => QuantError::PartialValues { dtype, values: len, block_len: len + 1 },
            Err(no_encoder) => no_encoder,
        };
        assert_eq!(encode(dtype, &vec![0.0; len], &mut Vec::new()), Err(error));
    }
}

fn zero_and_constant_blocks_survive() {
    for &dtype in DType::ALL {
        for constant in [0.0, 0.5, -0.5] {
            let values = [constant; 256];
            let mut bytes = Vec::new();
            if encode(dtype, &values, &mut bytes).is_err() {
                continue;
            }
            let mut back = [f32::NAN; 256];
            decode(dtype, &bytes, &mut back).unwrap();
            assert!(back.iter().all(|x| (x - constant).abs() < 1e-3), "{dtype}: {constant}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// No value is further off than `steps` of a uniform grid over the block's range, plus the
    /// rounding of a scale to 16 bits (2^-11 of the range).
    fn round_trip_error_is_bounded(values in proptest::collection::vec(-1.0f32..1.0, 256)) {
        let largest = values.iter().fold(0.0f32, |a, x| a.max(x.abs()));
        for (dtype, step) in STEPS {
            let mut back = [f32::NAN; 256];
            decode(dtype, &encoded(dtype, &values), &mut back).unwrap();
            for (x, y) in values.iter().zip(back) {
                let bound = largest * (step + 2.0 / 1024.0);
                prop_assert!((x - y).abs() <= bound, "{}: {} became {}", dtype, x, y);
            }
        }
    }

    /// 16-bit floats are stored exactly, so decoding and encoding again gives the same bytes.
    fn plain_formats_are_stable(bits in proptest::collection::vec(any::<u16>(), 32)) {
        for dtype in PLAIN {
            let finite: Vec<u16> = bits.iter().map(|b| b & 0xbfff).collect();
            let bytes: Vec<u8> = finite.iter().flat_map(|b| b.to_le_bytes()).collect();
            let mut values = [0.0; 32];
            decode(dtype, &bytes, &mut values).unwrap();
            prop_assert_eq!(encoded(dtype, &values), bytes);
        }
    }
}

rullama_testing::tests! {
    bytes_are_ggmls,
    every_encoder_is_held_to_a_reference,
    partial_blocks_are_errors,
    zero_and_constant_blocks_survive,
    round_trip_error_is_bounded,
    plain_formats_are_stable,
}
