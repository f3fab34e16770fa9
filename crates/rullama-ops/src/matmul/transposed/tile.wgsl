// y = [acc +] g W for many tokens: a workgroup forms BM tokens x BN columns, BK rows of the weight at a time; each invocation
// forms TM tokens x TN columns in registers.
//
// 1. Both tiles lie in workgroup memory as f32, term after term: g as x in a product, four tokens a vec4; W as quads of columns, so
//    that decoded quads are used as they come.
// 2. The next tiles are loaded and decoded into registers before the present ones are used.
// 3. An invocation takes the quads of columns nx, nx + NX, ...
#import product
#import weight

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;
const WIDE = BN / 4u;

var<workgroup> g_tile: array<array<vec4<f32>, BM / 4u>, BK>;
var<workgroup> w_tile: array<array<vec4<f32>, NX>, BK * WIDE / NX>;

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
#repeat i X_LOADS
    let g{i}_at = index + {i}u * (WG / QUADS);
    let g{i}_row = params.g_offset + min(first_token + g{i}_at, params.tokens - 1u) * params.g_stride;
    var g{i} = load_g(g{i}_row, (begin >> 2u) + quad, end);
#end
#repeat i W_LOADS
    let w{i}_row = begin + (lid + {i}u * WG) / WIDE;
    let w{i}_quad = min(first_quad + (lid + {i}u * WG) % WIDE, 8u * params.groups - 1u);
    var w{i} = decode4(planes(), row_at(w{i}_row) + (w{i}_quad >> 3u), w{i}_quad & 7u);
#end

#import tile_sums

    for (var k = begin; k < end; k += BK) {
        workgroupBarrier();
#repeat i X_LOADS
#repeat t 4
        g_tile[4u * quad + {t}u][(g{i}_at / 4u) ^ quad][g{i}_at % 4u] = g{i}[{t}];
#end
#end
#repeat i W_LOADS
        w_tile[ny + {i}u * NY][nx] = w{i};
#end
        workgroupBarrier();
        let next = k + BK;
        if (next < end) {
#repeat i X_LOADS
            g{i} = load_g(g{i}_row, (next >> 2u) + quad, end);
#end
#repeat i W_LOADS
            w{i} = decode4(planes(), row_at(w{i}_row + next - begin) + (w{i}_quad >> 3u), w{i}_quad & 7u);
#end
        }
#repeat q QUADS
        {
            let g_lane = ny ^ {q}u;
#repeat t 4
            {
#repeat i M_QUADS
                let a{i} = g_tile[4u * {q}u + {t}u][{i}u * NY + g_lane];
#end
#repeat j N_QUADS
                let b{j} = w_tile[(4u * {q}u + {t}u) * (WIDE / NX) + {j}u][nx];
#repeat i M_QUADS
#repeat c 4
                sum{i}{c}_{j} = fma(vec4<f32>(a{i}[{c}]), b{j}, sum{i}{c}_{j});
#end
#end
#end
            }
#end
        }
#end
    }

#repeat i M_QUADS
#repeat c 4
#repeat j N_QUADS
    put(wg.z, first_token + 4u * ({i}u * NY + ny) + {c}u, first_quad + nx + {j}u * NX, sum{i}{c}_{j});
#end
#end
#end
}
