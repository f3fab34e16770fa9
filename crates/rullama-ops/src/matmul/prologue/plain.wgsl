#import x

fn x_scale(row: u32, lid: u32) -> f32 {
    return 1.0;
}

fn load_x(row: u32, quad: u32, scale: f32) -> vec4<f32> {
    return x[row + quad];
}
