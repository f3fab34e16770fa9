// Queries, keys and values of a step: norm over each head, rotation, and keys and values to
// their cache. A workgroup a head of a token; an invocation a pair (i, i + head_dim/2), four
// pairs at a time. cos and sin of position 256 m + j come from the rows m and j of two tables.
#import reduce
#if keyvalue
#import stored
#endif

struct Params {
    half: u32, // head_dim / 8: quads in half a head
    eps: f32,
    low_stride: u32, low_offset: u32,
    high_stride: u32, high_offset: u32,
#if query
    heads: u32,
    q_stride: u32, q_offset: u32, q_norm_offset: u32, q_out: u32,
#endif
#if keyvalue
    kv_heads: u32,
    slots: u32, // of the caches
    k_stride: u32, k_offset: u32, k_norm_offset: u32,
    v_stride: u32, v_offset: u32,
#endif
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> rope_low: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> rope_high: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> state: array<u32>;
#if query
@group(0) @binding(_) var<storage, read> q_raw: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> q_norm: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> q: array<vec4<f32>>;
#endif
#if keyvalue
@group(0) @binding(_) var<storage, read> k_raw: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> k_norm: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> v_raw: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> k: array<Stored>;
@group(0) @binding(_) var<storage, read_write> v: array<Stored>;
#endif

#if keyvalue
#if q8
// A quad's largest magnitude.
var<workgroup> magnitudes: array<u32, 2u * WG>;

// The scale of the block that a quad of the head is in.
fn scale_of(quad: u32) -> u32 {
    let first = quad / 8u * 8u;
    var largest = 0u;
    for (var i = 0u; i < 8u; i++) { largest = max(largest, magnitudes[first + i]); }
    return scale_bits(largest);
}

// The word with the scale of the block that a quad is in.
fn scale_word(quad: u32) -> u32 { return 2u * params.slots * params.kv_heads * params.half + quad / 16u; }

// Keeps quad i of the head whose first stands at `head`; the first of a block keeps its scale.
fn keep_key(head: u32, i: u32, x: vec4<f32>) {
    let scale = scale_of(i);
    let quad = head + i;
    atomicStore(&k[quad], codes(x, scale));
    if (i % 8u != 0u) { return; }
    atomicAnd(&k[scale_word(quad)], other_half(quad / 8u));
    atomicOr(&k[scale_word(quad)], in_half(quad / 8u, scale));
}

fn keep_value(head: u32, i: u32, x: vec4<f32>) {
    let scale = scale_of(i);
    let quad = head + i;
    atomicStore(&v[quad], codes(x, scale));
    if (i % 8u != 0u) { return; }
    atomicAnd(&v[scale_word(quad)], other_half(quad / 8u));
    atomicOr(&v[scale_word(quad)], in_half(quad / 8u, scale));
}
#else
fn keep_key(head: u32, i: u32, x: vec4<f32>) { k[head + i] = stored(x); }
fn keep_value(head: u32, i: u32, x: vec4<f32>) { v[head + i] = stored(x); }
#endif
#endif

// The two halves of a pair's four quads.
struct Pair { a: vec4<f32>, b: vec4<f32> }

fn rotate(x: Pair, position: u32, i: u32) -> Pair {
    let low = params.low_offset + (position % 256u) * params.low_stride + i;
    let high = params.high_offset + (position / 256u) * params.high_stride + i;
    let cos_low = rope_low[low];
    let sin_low = rope_low[low + params.half];
    let cos_high = rope_high[high];
    let sin_high = rope_high[high + params.half];
    let c = cos_low * cos_high - sin_low * sin_high;
    let s = sin_low * cos_high + cos_low * sin_high;
    return Pair(x.a * c - x.b * s, x.b * c + x.a * s);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, lane: Lane) {
    let lid = lane.id;
    let half = params.half;
    let token = wg.y;
    let here = lid < half;
    var head = wg.x;
    let real = token < state[TOKENS];
    let position = state[POSITION] + token;
    var x = Pair(vec4<f32>(0.0), vec4<f32>(0.0));
#if query
    let is_query = head < params.heads;
    if (is_query && here) {
        let at = params.q_offset + token * params.q_stride + head * 2u * half + lid;
        x = Pair(q_raw[at], q_raw[at + half]);
    }
#endif
#if keyvalue
#if query
    if (!is_query) { head -= params.heads; }
    let is_key = !is_query && head < params.kv_heads;
    let is_value = !is_query && !is_key;
#else
    let is_key = head < params.kv_heads;
    let is_value = !is_key;
#endif
    if (is_value) { head -= params.kv_heads; }
    if (is_key && here) {
        let at = params.k_offset + token * params.k_stride + head * 2u * half + lid;
        x = Pair(k_raw[at], k_raw[at + half]);
    }
    if (is_value && here) {
        let at = params.v_offset + token * params.v_stride + head * 2u * half + lid;
        x = Pair(v_raw[at], v_raw[at + half]);
    }
#endif
    let sum = reduce_add(dot(x.a, x.a) + dot(x.b, x.b), lane);
    let scale = inverseSqrt(sum / f32(8u * half) + params.eps);
    x.a *= scale;
    x.b *= scale;
#if query
    if (is_query && here) {
        let to = params.q_out + (token * params.heads + head) * 2u * half + lid;
        var y = Pair(vec4<f32>(0.0), vec4<f32>(0.0));
        if (real) {
            let norm = params.q_norm_offset + lid;
            y = rotate(Pair(x.a * q_norm[norm], x.b * q_norm[norm + half]), position, lid);
        }
        q[to] = y.a;
        q[to + half] = y.b;
    }
#endif
#if keyvalue
    if (is_key && here && real) {
        let norm = params.k_norm_offset + lid;
        x = rotate(Pair(x.a * k_norm[norm], x.b * k_norm[norm + half]), position, lid);
    }
#if q8
    if (here) {
        magnitudes[lid] = magnitude(x.a);
        magnitudes[lid + half] = magnitude(x.b);
    }
    workgroupBarrier();
#endif
    if (!here || !real) { return; }
    let slot = position % params.slots;
    let to = (slot * params.kv_heads + head) * 2u * half;
    if (is_key) {
        keep_key(to, lid, x.a);
        keep_key(to, lid + half, x.b);
    }
    if (is_value) {
        keep_value(to, lid, x.a);
        keep_value(to, lid + half, x.b);
    }
#endif
}
