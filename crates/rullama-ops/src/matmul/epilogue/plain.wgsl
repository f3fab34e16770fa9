fn finish(sum: f32, token: u32, at: u32) -> f32 {
    return sum;
}
