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

// Beyond it the argument of gelu's tanh is beyond 10 as well. Clamped before it is cubed, which overflows from 1e12 on.
const GELU_FLAT = 8.0;

// gelu(x) = x/2 (1 + tanh(z)), z = sqrt(2/pi) (x + 0.044715 x^3): the argument z.
fn gelu_argument(x: f32) -> f32 {
    let c = clamp(x, -GELU_FLAT, GELU_FLAT);
    return 0.7978845608028654 * c * (1.0 + 0.044715 * c * c);
}

// In f32 tanh is 1 from 9.1 on. Of a large negative x nothing may be left, whatever a driver's tanh is off by.
fn gelu_tanh(z: f32) -> f32 {
    return select(safe_tanh(z), sign(z), abs(z) >= 10.0);
}

fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + gelu_tanh(gelu_argument(x)));
}

// gelu'(x) = (1 + t)/2 + x/2 (1 - t^2) z', t = tanh(z). 1 - t^2 = 4 e / (1 + e)^2 with e = exp(-2 |z|), which does not cancel.
fn gelu_slope(x: f32) -> f32 {
    let z = gelu_argument(x);
    let e = exp(-2.0 * min(abs(z), 10.0));
    let bend = select(4.0 * e / ((1.0 + e) * (1.0 + e)), 0.0, abs(z) >= 10.0);
    let c = clamp(x, -GELU_FLAT, GELU_FLAT);
    let slope = 0.5 * (1.0 + gelu_tanh(z)) + 0.5 * c * bend * 0.7978845608028654 * (1.0 + 0.134145 * c * c);
    // A NaN must get through, which clamping may hide.
    return select(slope, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}
