fn finish(gate: f32, up: f32, token: u32, at: u32) -> f32 {
    return gelu(gate) * up;
}
