#param cap: f32

fn finish(sum: f32, token: u32, at: u32) -> f32 {
    return softcap(sum, params.cap);
}
