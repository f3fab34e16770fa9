// y = x W^T for many tokens: a workgroup forms BM tokens x BN rows, BK terms at a time; each
// invocation forms TM tokens x TN rows in registers.
//
// 1. Both tiles lie in workgroup memory as f32, four terms (a "quad") a vec4: quad q of token or
//    row i at q * B + (i ^ q * SWIZZLE). Reads take consecutive i, writes take all quads of one
//    i; the xor spreads both over the banks without padding.
// 2. The next tiles are loaded and decoded into registers before the present ones are used.
// 3. Row n of the tile stands in slot n / 2, or BN / 2 + n / 2 for odd n, and an invocation takes
//    the slots n of both halves: so it holds gate and up of the same value.
#import math
#import product
#import weight

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;
const QUADS = BK / 4u;
const SWIZZLE = 8u / QUADS;

var<workgroup> x_tile: array<vec4<f32>, BM * QUADS>;
var<workgroup> w_tile: array<vec4<f32>, BN * QUADS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let first_row = wg.x * BN;
    let first_token = wg.y * BM;

    // This invocation's part of loading: one quad of every (WG / QUADS)-th token and slot.
    let quad = lid % QUADS;
    let index = lid / QUADS;
    // Past the end the last token or row is taken again; put() drops it.
#repeat i X_LOADS
    let x{i}_row = x_row(min(first_token + index + {i}u * (WG / QUADS), params.tokens - 1u));
    let x{i}_to = quad * BM + ((index + {i}u * (WG / QUADS)) ^ (quad * SWIZZLE));
    var x{i} = load_x(x{i}_row, quad, 1.0);
#end
#repeat i W_LOADS
    let slot{i} = index + {i}u * (WG / QUADS);
    let w{i}_at = row_at(first_row + slot{i} % (BN / 2u) * 2u + slot{i} / (BN / 2u));
    let w{i}_to = quad * BN + (slot{i} ^ (quad * SWIZZLE));
    var w{i} = decode4(planes(), w{i}_at, quad);
#end

    let nx = lid % NX;
    let ny = lid / NX;
#repeat i TM
#repeat j HALF
    var even{i}_{j} = 0.0;
    var odd{i}_{j} = 0.0;
#end
#end

    // In quads.
    let end = params.groups * 8u;
    for (var k = 0u; k < end; k += QUADS) {
        workgroupBarrier();
#repeat i X_LOADS
        x_tile[x{i}_to] = x{i};
#end
#repeat i W_LOADS
        w_tile[w{i}_to] = w{i};
#end
        workgroupBarrier();
        let next = k + QUADS;
        if (next < end) {
#repeat i X_LOADS
            x{i} = load_x(x{i}_row, next + quad, 1.0);
#end
#repeat i W_LOADS
            w{i} = decode4(planes(), w{i}_at + (next >> 3u), (next & 7u) + quad);
#end
        }
        for (var q = 0u; q < QUADS; q++) {
            let a_at = q * BM + (ny ^ (q * SWIZZLE));
            let b_at = q * BN + (nx ^ (q * SWIZZLE));
#repeat i TM
            let a{i} = x_tile[a_at + {i}u * NY];
#end
#repeat j HALF
            let b{j} = w_tile[b_at + {j}u * NX];
            let c{j} = w_tile[b_at + BN / 2u + {j}u * NX];
#repeat i TM
            even{i}_{j} = fma(a{i}.w, b{j}.w, fma(a{i}.z, b{j}.z, fma(a{i}.y, b{j}.y, fma(a{i}.x, b{j}.x, even{i}_{j}))));
            odd{i}_{j} = fma(a{i}.w, c{j}.w, fma(a{i}.z, c{j}.z, fma(a{i}.y, c{j}.y, fma(a{i}.x, c{j}.x, odd{i}_{j}))));
#end
#end
        }
    }

#repeat i TM
#repeat j HALF
    {
        let token = first_token + ny + {i}u * NY;
        let row = first_row + 2u * (nx + {j}u * NX);
#if pairs
        put(row, token, even{i}_{j}, odd{i}_{j});
#else
        put(row, token, even{i}_{j});
        put(row + 1u, token, odd{i}_{j});
#endif
    }
#end
#end
}
