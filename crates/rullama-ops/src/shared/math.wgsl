// Guarded transcendental functions: some drivers return NaN from tanh and exp of large arguments.

fn safe_tanh(x: f32) -> f32 {
    return tanh(clamp(x, -10.0, 10.0));
}

// cap * tanh(x / cap). A NaN must get through: clamping hides it on some drivers, so it is told by its bits.
fn softcap(x: f32, cap: f32) -> f32 {
    return select(cap * safe_tanh(x / cap), x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

// exp for softmax: arguments are <= 0; below -87 the result is 0 in f32. A NaN must get through: max may hide it, so it is
// told by its bits.
fn safe_exp(x: f32) -> f32 {
    return select(select(exp(max(x, -87.0)), 0.0, x < -87.0), x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}

fn safe_exp4(x: vec4<f32>) -> vec4<f32> {
    let bad = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
    return select(select(exp(max(x, vec4<f32>(-87.0))), vec4<f32>(0.0), x < vec4<f32>(-87.0)), x, bad);
}

// gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + safe_tanh(0.7978845608028654 * x * (1.0 + 0.044715 * x * x)));
}
