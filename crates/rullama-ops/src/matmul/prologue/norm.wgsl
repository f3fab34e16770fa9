#import row_scale

fn load_x(row: u32, quad: u32, scale: f32) -> vec4<f32> {
    return x[row + quad] * scale * norm[quad];
}
