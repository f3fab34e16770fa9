#param low: f32
#param high: f32

fn finish(sum: f32, token: u32, at: u32) -> f32 {
    return min(max(sum, params.low), params.high);
}
