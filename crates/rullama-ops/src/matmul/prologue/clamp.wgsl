#import x
#param x_low: f32
#param x_high: f32

fn load_x(row: u32, quad: u32, scale: f32) -> vec4<f32> {
    return min(max(x[row + quad], vec4<f32>(params.x_low)), vec4<f32>(params.x_high));
}
