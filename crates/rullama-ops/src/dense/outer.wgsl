// c[first + m, n] += scale * sum over t of a[t, m] b[t, n]. Of a and b, "wide" is the one with more columns: an invocation forms 4
// columns of it x 4 BLOCKS of the other, over every SLICES-th token; the sums of the slices are added in the end.
struct Params {
    tokens: u32,
    wide_cols: u32,
    narrow_cols: u32,
    scale: f32,
    // In values, in quads where the operand is read by these.
    wide_offset: u32,
    wide_stride: u32,
    narrow_offset: u32,
    narrow_stride: u32,
    // Of c, in values.
    c_offset: u32,
    c_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
#if quads
@group(0) @binding(_) var<storage, read> wide: array<vec4<f32>>;

fn wide4(token: u32, quad: u32) -> vec4<f32> {
    return wide[params.wide_offset + token * params.wide_stride + quad];
}
#else
@group(0) @binding(_) var<storage, read> wide: array<f32>;

fn wide4(token: u32, quad: u32) -> vec4<f32> {
    let i = vec4<u32>(params.wide_offset + token * params.wide_stride)
        + min(vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.wide_cols - 1u));
    return vec4<f32>(wide[i.x], wide[i.y], wide[i.z], wide[i.w]);
}
#endif
#if quads
@group(0) @binding(_) var<storage, read> narrow: array<vec4<f32>>;

fn narrow4(token: u32, quad: u32) -> vec4<f32> {
    return narrow[params.narrow_offset + token * params.narrow_stride + min(quad, (params.narrow_cols - 1u) >> 2u)];
}
#else
@group(0) @binding(_) var<storage, read> narrow: array<f32>;

fn narrow4(token: u32, quad: u32) -> vec4<f32> {
    let i = vec4<u32>(params.narrow_offset + token * params.narrow_stride)
        + min(vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.narrow_cols - 1u));
    return vec4<f32>(narrow[i.x], narrow[i.y], narrow[i.z], narrow[i.w]);
}
#endif
@group(0) @binding(_) var<storage, read_write> c: array<f32>;

// Four columns of wide for one of narrow.
fn put(quad: u32, column: u32, sum: vec4<f32>) {
    if (column >= params.narrow_cols) { return; }
    for (var i = 0u; i < 4u; i++) {
        let w = 4u * quad + i;
        if (w >= params.wide_cols) { return; }
#if rows_wide
        let at = params.c_offset + w * params.c_stride + column;
#else
        let at = params.c_offset + column * params.c_stride + w;
#endif
        c[at] += params.scale * sum[i];
    }
}

#if slices
// Of four columns of narrow at a time.
var<workgroup> parts: array<vec4<f32>, 4u * WG>;
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let lane = lid % QUADS;
    let slice = lid / QUADS;
    let last = (params.wide_cols - 1u) >> 2u;
    let own = wg.x * QUADS + lane;
    let quad = min(own, last);
    let block = wg.y * BLOCKS;
#repeat b BLOCKS
#repeat i 4
    var sum{b}_{i} = vec4<f32>();
#end
#end
    for (var token = slice; token < params.tokens; token += SLICES) {
        let w = wide4(token, quad);
#repeat b BLOCKS
        let n{b} = narrow4(token, block + {b}u);
#repeat i 4
        sum{b}_{i} += n{b}[{i}] * w;
#end
#end
    }
#repeat b BLOCKS
#if slices
    workgroupBarrier();
#repeat i 4
    parts[{i}u * WG + lid] = sum{b}_{i};
#end
    workgroupBarrier();
    // Invocation (lane, slice) adds up what the slices have for column `slice`.
    for (var i = slice; i < 4u; i += SLICES) {
        var sum = vec4<f32>();
        for (var s = 0u; s < SLICES; s++) {
            sum += parts[i * WG + s * QUADS + lane];
        }
        if (own <= last) { put(own, 4u * (block + {b}u) + i, sum); }
    }
#else
    if (own <= last) {
#repeat i 4
        put(own, 4u * (block + {b}u) + {i}u, sum{b}_{i});
#end
    }
#endif
#end
}
