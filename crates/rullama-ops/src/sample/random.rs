//! The sampler's random numbers: a function of seed and position, the same everywhere.

/// Philox-2x32 with 10 rounds: mixes a counter of two words under a key of one.
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; Random123.
pub fn philox2x32(mut counter: [u32; 2], mut key: u32) -> [u32; 2] {
    for _ in 0..10 {
        let product = u64::from(counter[0]) * 0xd256_d193;
        counter = [(product >> 32) as u32 ^ key ^ counter[1], product as u32];
        key = key.wrapping_add(0x9e37_79b9);
    }
    counter
}

/// Uniform in [0, 1) in steps of 2^-24, for the token that will stand at `position`:
/// counter (position, high word of the seed), key the low word.
pub fn uniform(seed: u64, position: u32) -> f32 {
    (philox2x32([position, (seed >> 32) as u32], seed as u32)[0] >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of Random123 (`kat_vectors`, philox2x32 with 10 rounds).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox2x32([0, 0], 0), [0xff1d_ae59, 0x6cd1_0df2]);
        assert_eq!(philox2x32([!0, !0], !0), [0x2c3f_628b, 0xab4f_d7ad]);
        assert_eq!(philox2x32([0x243f_6a88, 0x85a3_08d3], 0x1319_8a2e), [0xdd7c_e038, 0xf62a_4c12]);
    }

    #[test]
    fn uniform_fills_the_unit_interval_evenly() {
        let mut bins = [0u32; 16];
        for i in 0..16_000 {
            let u = uniform(0x1234_5678_9abc_def0, i);
            assert!((0.0..1.0).contains(&u));
            bins[(u * 16.0) as usize] += 1;
        }
        let chi: f64 = bins.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi < 37.7, "chi-square {chi} at 15 degrees of freedom: p < 0.001");
    }
}
