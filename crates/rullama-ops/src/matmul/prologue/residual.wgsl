// (h + RMS(x) * norm) * factor, which stands where x does in rows of its own.
#import row_scale
#param factor: f32
@group(0) @binding(_) var<storage, read> h: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> kept: array<vec4<f32>>;

fn load_x(row: u32, quad: u32, scale: f32) -> vec4<f32> {
    return (h[row + quad] + x[row + quad] * scale * norm[quad]) * params.factor;
}

fn keep(row: u32, token: u32, scale: f32, lid: u32) {
    for (var i = lid; i < 8u * params.groups; i += WG) { kept[token * 8u * params.groups + i] = load_x(row, i, scale); }
}
