// What all sampler kernels share: settings as the host writes them, and f32 as ordered bits.

struct Settings {
    temperature: f32, top_k: u32, top_p: f32, min_p: f32,
    seed_low: u32, seed_high: u32,
    repeat_penalty: f32, presence_penalty: f32, frequency_penalty: f32, repeat_last_n: u32,
    logprobs: u32, greedy: u32, masked: u32,
}

const LARGEST = 3.4028234e38;

// Larger values have larger keys; every key is above 0; -0 and +0 have the same.
fn key_of(value: u32) -> u32 {
    let bits = select(value, 0u, value == 0x80000000u);
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

fn bits_of(key: u32) -> u32 {
    return select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u);
}

// By bits, since compilers may assume that NaN and infinity never occur.
fn not_finite(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u || bits == 0x7f800000u;
}

// The value of logit bits, with -inf as the least finite number.
fn value_of(bits: u32) -> f32 {
    return bitcast<f32>(select(bits, 0xff7fffffu, bits == 0xff800000u));
}

// ln p of a logit under the sum whose logarithm is `log_sum`.
fn logprob_bits(logit: u32, log_sum: f32) -> u32 {
    return select(bitcast<u32>(bitcast<f32>(logit) - log_sum), logit, logit == 0xff800000u);
}
