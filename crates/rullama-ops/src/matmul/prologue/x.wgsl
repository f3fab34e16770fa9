// The rows of x as they are stored.
#param x_offset: u32
#param x_stride: u32
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;

fn x_row(token: u32) -> u32 {
    return params.x_offset + token * params.x_stride;
}
