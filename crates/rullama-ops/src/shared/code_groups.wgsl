// Groups of 32 values in codes of 8 bits.

// Of a weight: see rullama_quant::codes_wgsl.
struct Codes {
    lo: vec4<u32>,
    hi: vec4<u32>,
    s: vec4<f32>,
}

// Of what it is multiplied with, as the operation `quantise` defines them: the codes, their scale d and the sums of both halves.
struct Given {
    lo: vec4<u32>,
    hi: vec4<u32>,
    d: f32,
    sums: vec2<f32>,
}
