// y = [acc +] g W for many tokens: a workgroup forms BM tokens x BN columns, BK rows of the weight at a time; each invocation
// forms TM tokens x TN columns in registers.
//
// 1. Both tiles lie in workgroup memory as f32. g as quads of terms: quad q of token i at q * BM + (i ^ q * SWIZZLE); W as quads of
//    columns, row after row, so that decoded quads are used as they come.
// 2. The next tiles are loaded and decoded into registers before the present ones are used.
// 3. An invocation takes the quads of columns nx, nx + NX, ...
#import product
#import weight

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;
const QUADS = BK / 4u;
const SWIZZLE = 8u / QUADS;
const WIDE = BN / 4u;

var<workgroup> g_tile: array<vec4<f32>, BM * QUADS>;
var<workgroup> w_tile: array<vec4<f32>, BK * WIDE>;

// Terms 4 quad .. of a row of g; zeros from `end` on.
fn load_g(row: u32, quad: u32, end: u32) -> vec4<f32> {
#if quads
    return select(vec4<f32>(), g[row + min(quad, (params.rows >> 2u) - 1u)], 4u * quad < end);
#else
    let k = vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u);
    let at = vec4<u32>(row) + min(k, vec4<u32>(params.rows - 1u));
    return select(vec4<f32>(), vec4<f32>(g[at.x], g[at.y], g[at.z], g[at.w]), k < vec4<u32>(end));
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let first_quad = wg.x * WIDE;
    let first_token = wg.y * BM;
    let begin = wg.z * params.share;
    let end = min(begin + params.share, params.rows);

    // This invocation's part of loading: a quad of terms of some tokens, and quads of columns of some rows. Past the end the
    // last token or column is taken again; put() drops it.
    let quad = lid % QUADS;
    let index = lid / QUADS;
#repeat i G_LOADS
    let g{i}_row = params.g_offset + min(first_token + index + {i}u * (WG / QUADS), params.tokens - 1u) * params.g_stride;
    let g{i}_to = quad * BM + ((index + {i}u * (WG / QUADS)) ^ (quad * SWIZZLE));
    var g{i} = load_g(g{i}_row, (begin >> 2u) + quad, end);
#end
#repeat i W_LOADS
    let w{i}_row = begin + (lid + {i}u * WG) / WIDE;
    let w{i}_quad = min(first_quad + (lid + {i}u * WG) % WIDE, 8u * params.groups - 1u);
    var w{i} = decode4(planes(), row_at(w{i}_row) + (w{i}_quad >> 3u), w{i}_quad & 7u);
#end

    let nx = lid % NX;
    let ny = lid / NX;
#repeat i TM
#repeat j TQ
    var sum{i}_{j} = vec4<f32>();
#end
#end

    for (var k = begin; k < end; k += BK) {
        workgroupBarrier();
#repeat i G_LOADS
        g_tile[g{i}_to] = g{i};
#end
#repeat i W_LOADS
        w_tile[lid + {i}u * WG] = w{i};
#end
        workgroupBarrier();
        let next = k + BK;
        if (next < end) {
#repeat i G_LOADS
            g{i} = load_g(g{i}_row, (next >> 2u) + quad, end);
#end
#repeat i W_LOADS
            w{i} = decode4(planes(), row_at(w{i}_row + next - begin) + (w{i}_quad >> 3u), w{i}_quad & 7u);
#end
        }
        for (var q = 0u; q < QUADS; q++) {
            let a_at = q * BM + (ny ^ (q * SWIZZLE));
            let b_at = 4u * q * WIDE + nx;
#repeat i TM
            let a{i} = g_tile[a_at + {i}u * NY];
#end
#repeat t 4
#repeat j TQ
            let b{t}_{j} = w_tile[b_at + {t}u * WIDE + {j}u * NX];
#repeat i TM
            sum{i}_{j} = fma(vec4<f32>(a{i}[{t}]), b{t}_{j}, sum{i}_{j});
#end
#end
#end
        }
    }

#repeat i TM
#repeat j TQ
    put(wg.z, first_token + ny + {i}u * NY, first_quad + nx + {j}u * NX, sum{i}_{j});
#end
#end
}
