// y = x W^T for many tokens: a workgroup forms BM tokens x BN rows, BK terms at a time; each
// invocation forms TM tokens x TN rows in registers. Where that makes few workgroups, several share the terms of a row.
//
// 1. Both tiles lie in workgroup memory as f32, term after term: four tokens or rows a vec4, token i of term k at
//    [k][i / 4 ^ k / 4][i % 4]. An invocation reads TM / 4 and TN / 4 of them for TM * TN products; a quad that is loaded is written to
//    four terms, and the xor spreads those of neighbouring quads over the banks. Where an invocation reads, indices are constants but
//    for one that many reads share: WebGPU's guards of indices then cost little.
// 2. The next tiles are loaded and decoded into registers before the present ones are used.
// 3. An invocation takes four neighbouring rows of each BN / (TN / 4): so it holds gate and up of the same value.
#import math
#import product
#import weight

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;

var<workgroup> x_tile: array<array<vec4<f32>, BM / 4u>, BK>;
var<workgroup> w_tile: array<array<vec4<f32>, BN / 4u>, BK>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let first_row = wg.x * BN;
    let first_token = wg.y * BM;
    // In quads of terms.
    let begin = wg.z * params.share;
    let end = min(begin + params.share, params.groups * 8u);

    // This invocation's part of loading: one quad of terms of every (WG / QUADS)-th token and row. Past the end the last token or row
    // is taken again; put() drops it.
    let quad = lid % QUADS;
    let index = lid / QUADS;
#repeat i X_LOADS
    let x{i}_at = index + {i}u * (WG / QUADS);
    let x{i}_row = x_row(min(first_token + x{i}_at, params.tokens - 1u));
    var x{i} = load_x(x{i}_row, begin + quad, 1.0);
#end
#repeat i W_LOADS
    let w{i}_row = index + {i}u * (WG / QUADS);
    let w{i}_at = row_at(first_row + w{i}_row);
    var w{i} = decode4(planes(), w{i}_at + (begin >> 3u), (begin & 7u) + quad);
#end

#import tile_sums

    for (var k = begin; k < end; k += QUADS) {
        workgroupBarrier();
#repeat i X_LOADS
#repeat t 4
        x_tile[4u * quad + {t}u][(x{i}_at / 4u) ^ quad][x{i}_at % 4u] = x{i}[{t}];
#end
#end
#repeat i W_LOADS
#repeat t 4
        w_tile[4u * quad + {t}u][(w{i}_row / 4u) ^ quad][w{i}_row % 4u] = w{i}[{t}];
#end
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
#repeat q QUADS
        {
            let x_lane = ny ^ {q}u;
            let w_lane = nx ^ {q}u;
#repeat t 4
            {
#repeat i M_QUADS
                let a{i} = x_tile[4u * {q}u + {t}u][{i}u * NY + x_lane];
#end
#repeat j N_QUADS
                let b{j} = w_tile[4u * {q}u + {t}u][{j}u * NX + w_lane];
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

#import tile_put
}
