#param e_offset: u32
#param e_stride: u32
@group(0) @binding(_) var<storage, read> e: array<f32>;

fn finish(sum: f32, token: u32, at: u32) -> f32 {
    return gelu(sum) * e[params.e_offset + token * params.e_stride + at];
}
