// y = x W^T for many tokens, x and W in codes of 8 bits: a workgroup forms BM tokens x BN rows, BK terms (whole groups of 32) at a time;
// each invocation forms TM tokens x TN rows in registers. Where that makes few workgroups, several share the terms of a row.
//
// Sums of a group's products are whole numbers; scales and offsets are applied a group, or half a group, at a time.
// 1. Four codes a word, word after word: token i of word k at [k][i / 4][i % 4].
// 2. The next tiles are loaded into registers before the present ones are used.
// 3. An invocation takes four neighbouring rows of each BN / (TN / 4): so it holds gate and up of the same value.
#import math
#import product
#import weight
#import codes

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;
const GROUPS = BK / 32u;

var<workgroup> x_tile: array<array<vec4<u32>, BM / 4u>, BK / 4u>;
var<workgroup> w_tile: array<array<vec4<u32>, BN / 4u>, BK / 4u>;
// Of a token and group: the scale d, d times the sums of the codes of both halves, and of all.
var<workgroup> x_scale: array<vec4<f32>, BM * GROUPS>;
// Of four rows and half a group: scales and offsets.
var<workgroup> w_scale: array<array<vec4<f32>, BN / 4u>, 2u * GROUPS>;
var<workgroup> w_offset: array<array<vec4<f32>, BN / 4u>, 2u * GROUPS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let first_row = wg.x * BN;
    let first_token = wg.y * BM;
    // In groups.
    let begin = wg.z * (params.share >> 3u);
    let end = min(begin + (params.share >> 3u), params.groups);

    // This invocation's part of loading: whole groups. Past the end the last token, row or group is taken again; put() drops the
    // first two, and the third is not used.
#repeat i X_LOADS
    let x{i}_at = lid + {i}u * WG;
    let x{i}_row = x_row(min(first_token + x{i}_at % BM, params.tokens - 1u));
    var x{i} = load_codes(x{i}_row, min(begin + x{i}_at / BM, params.groups - 1u));
#end
#repeat i W_LOADS
    let w{i}_at = lid + {i}u * WG;
    let w{i}_row = row_at(first_row + w{i}_at % BN);
    var w{i} = codes_group(planes(), w{i}_row + min(begin + w{i}_at / BN, params.groups - 1u));
#end

#import tile_sums

    for (var k = begin; k < end; k += GROUPS) {
        workgroupBarrier();
#repeat i X_LOADS
        if (x{i}_at < BM * GROUPS) {
            let token = x{i}_at % BM;
            let word = x{i}_at / BM * 8u;
#repeat t 4
            x_tile[word + {t}u][token / 4u][token % 4u] = x{i}.lo[{t}];
            x_tile[word + 4u + {t}u][token / 4u][token % 4u] = x{i}.hi[{t}];
#end
            let both = x{i}.sums.x + x{i}.sums.y;
            // Of a group past the end nothing is added.
            x_scale[x{i}_at] = select(0.0, x{i}.d, k + x{i}_at / BM < end) * vec4<f32>(1.0, x{i}.sums, both);
        }
#end
#repeat i W_LOADS
        if (w{i}_at < BN * GROUPS) {
            let row = w{i}_at % BN;
            let group = w{i}_at / BN;
#repeat t 4
            w_tile[group * 8u + {t}u][row / 4u][row % 4u] = w{i}.lo[{t}];
            w_tile[group * 8u + 4u + {t}u][row / 4u][row % 4u] = w{i}.hi[{t}];
#end
            w_scale[2u * group][row / 4u][row % 4u] = w{i}.s.x;
            w_scale[2u * group + 1u][row / 4u][row % 4u] = w{i}.s.y;
            w_offset[2u * group][row / 4u][row % 4u] = w{i}.s.z;
            w_offset[2u * group + 1u][row / 4u][row % 4u] = w{i}.s.w;
        }
#end
        workgroupBarrier();
        let next = k + GROUPS;
        if (next < end) {
#repeat i X_LOADS
            x{i} = load_codes(x{i}_row, min(next + x{i}_at / BM, params.groups - 1u));
#end
#repeat i W_LOADS
            w{i} = codes_group(planes(), w{i}_row + min(next + w{i}_at / BN, params.groups - 1u));
#end
        }
        for (var g = 0u; g < GROUPS; g++) {
#repeat i M_QUADS
#repeat c 4
#repeat j N_QUADS
            var part{i}{c}_{j} = vec4<i32>();
#end
#end
#end
#repeat h 2
#repeat t 4
            {
#repeat i M_QUADS
                let a{i} = x_tile[8u * g + 4u * {h}u + {t}u][{i}u * NY + ny];
#end
#repeat j N_QUADS
                let b{j} = w_tile[8u * g + 4u * {h}u + {t}u][{j}u * NX + nx];
#repeat i M_QUADS
#repeat c 4
                part{i}{c}_{j} += dots(a{i}[{c}], b{j});
#end
#end
#end
            }
#end
            if (!CODES_ONE_SCALE || {h}u == 1u) {
#repeat i M_QUADS
#repeat c 4
                {
                    let given = x_scale[g * BM + 4u * ({i}u * NY + ny) + {c}u];
                    let all = select(given[1u + {h}u], given.w, CODES_ONE_SCALE);
#repeat j N_QUADS
                    sum{i}{c}_{j} = fma(w_offset[2u * g + {h}u][{j}u * NX + nx], vec4<f32>(all), sum{i}{c}_{j});
                    sum{i}{c}_{j} = fma(vec4<f32>(part{i}{c}_{j}), given.x * w_scale[2u * g + {h}u][{j}u * NX + nx], sum{i}{c}_{j});
                    part{i}{c}_{j} = vec4<i32>();
#end
                }
#end
#end
            }
#end
        }
    }

#import tile_put
}

fn dots(a: u32, b: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(dot4I8Packed(a, b.x), dot4I8Packed(a, b.y), dot4I8Packed(a, b.z), dot4I8Packed(a, b.w));
}
