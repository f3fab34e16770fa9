// y[slot] = W[expert of slot] x[row of slot] for many slots: a workgroup forms BN rows of one expert for at most BM of its slots, BK terms
// at a time; each invocation forms TM slots x TN rows in registers.
//
// Both tiles lie in workgroup memory as f32, four terms (a "quad") a vec4: quad q of slot or row i at q * B + (i ^ q * SWIZZLE), which
// spreads reads and writes over the banks. The next tiles are loaded and decoded while the present ones are used. An invocation takes
// the same places of both halves of the rows: gates stand in the first half, ups in the second.
#import math
#import experts
#import weight
@group(0) @binding(_) var<storage, read> order: array<u32>;

const WG = (BM / TM) * (BN / TN);
const NX = BN / TN;
const NY = BM / TM;
const QUADS = BK / 4u;
const SWIZZLE = 8u / QUADS;

var<workgroup> x_tile: array<vec4<f32>, BM * QUADS>;
var<workgroup> w_tile: array<vec4<f32>, BN * QUADS>;

// The row of the expert that stands at `place` of the tile.
fn tile_row(expert: u32, first: u32, place: u32) -> u32 {
#if pairs
    return row_at(expert, first + place % (BN / 2u), place / (BN / 2u));
#else
    return row_at(expert, first + place, 0u);
#endif
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let tile = params.slots + 3u * (params.first + wg.y);
    let expert = order[tile];
    let first_slot = order[tile + 1u];
    let count = order[tile + 2u];
    // The same for the whole workgroup.
    if (count == 0u || !is_here(expert)) { return; }
#if pairs
    let first_value = wg.x * (BN / 2u);
#else
    let first_value = wg.x * BN;
#endif

    // This invocation's part of loading: one quad of every (WG / QUADS)-th slot and row. Past the end the last is taken again.
    let quad = lid % QUADS;
    let index = lid / QUADS;
#repeat i X_LOADS
    let x{i}_row = x_row(order[first_slot + min(index + {i}u * (WG / QUADS), count - 1u)]);
    let x{i}_to = quad * BM + ((index + {i}u * (WG / QUADS)) ^ (quad * SWIZZLE));
    var x{i} = x[x{i}_row + quad];
#end
#repeat i W_LOADS
    let w{i}_at = tile_row(expert, first_value, index + {i}u * (WG / QUADS));
    let w{i}_to = quad * BN + ((index + {i}u * (WG / QUADS)) ^ (quad * SWIZZLE));
    var w{i} = decode4(planes(), w{i}_at, quad);
#end

    let nx = lid % NX;
    let ny = lid / NX;
#repeat i TM
#repeat j HALF
    var low{i}_{j} = 0.0;
    var high{i}_{j} = 0.0;
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
            x{i} = x[x{i}_row + next + quad];
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
            low{i}_{j} = fma(a{i}.w, b{j}.w, fma(a{i}.z, b{j}.z, fma(a{i}.y, b{j}.y, fma(a{i}.x, b{j}.x, low{i}_{j}))));
            high{i}_{j} = fma(a{i}.w, c{j}.w, fma(a{i}.z, c{j}.z, fma(a{i}.y, c{j}.y, fma(a{i}.x, c{j}.x, high{i}_{j}))));
#end
#end
        }
    }

#repeat i TM
    if (ny + {i}u * NY < count) {
        let slot = order[first_slot + ny + {i}u * NY];
#repeat j HALF
#if pairs
        put(slot, first_value + nx + {j}u * NX, low{i}_{j}, high{i}_{j});
#else
        put(slot, first_value + nx + {j}u * NX, low{i}_{j});
        put(slot, first_value + BN / 2u + nx + {j}u * NX, high{i}_{j});
#endif
#end
    }
#end
}
