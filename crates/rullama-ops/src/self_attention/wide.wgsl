// y = softmax(q K^T) V of a tile of 64 queries of one head against tiles of 64 keys, in 128 invocations: for heads of few values, of
// which the output's sums of 4 queries are few registers.
// 1. scores: an invocation forms those of 8 queries with 4 keys, 16 values of the head at a time through workgroup memory.
// 2. weights: an invocation goes over half of the keys of one query.
// 3. values: an invocation adds up, for 4 queries, each eighth quad. Key tiles that no query of the tile sees are never visited.
//
// Fours of queries or keys are a vec4; where they stand is mixed by xor with what differs between invocations that write at once, so
// that they meet different banks.
#import math
#import seen

@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

const LOWEST = -3.0e38;
const TILE = 64u;
const FOURS = TILE / 4u;
// Quads of a head taken at a time.
const CUT = 4u;
// Quads of the output, every EIGHTH-th, that an invocation has of COLUMNS in all.
const EIGHTH = 8u;

// [value of the head][four].
var<workgroup> queries: array<array<vec4<f32>, FOURS>, 4 * CUT>;
var<workgroup> keys: array<array<vec4<f32>, FOURS>, 4 * CUT>;
// Scores, then weights: [key][four queries].
var<workgroup> weights: array<array<vec4<f32>, FOURS>, TILE>;
// Of each query: the largest score of either half of the keys; what earlier sums fade by.
var<workgroup> tops: array<array<f32, TILE>, 2>;
var<workgroup> fades: array<vec4<f32>, FOURS>;

fn first_key_of_tile(first_row: u32) -> u32 {
    var first = NONE;
    for (var i = 0u; i < TILE; i++) { first = min(first, first_key(first_row + i)); }
    return first;
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let first_row = wg.x * TILE;
    let head = wg.y;
    let start = first_key_of_tile(first_row);
    let end = end_of_tile(first_row, TILE);

    // Step 1: what this invocation loads, and its four keys and two fours of queries.
    let quad = lid % CUT;
    let load = lid / CUT;
    let four_keys = lid % 16u;
    let four_rows = lid / 16u;
    // Step 2: its query, and half of the keys.
    let mine = lid % TILE;
    let half = lid / TILE;
    let four = mine / 4u;
    let lane = mine % 4u;
    let first = first_key(first_row + mine);
    let last = last_key(first_row + mine);
    var best = LOWEST;
    var total = 0.0;
    // Step 3: its first quad, and its queries.
    let column = lid % EIGHTH;
    let group = lid / EIGHTH;
#repeat n COLUMNS
    let column{n} = min(column + {n}u * EIGHTH, QUADS - 1u);
#repeat c 4
    var sum{c}_{n} = vec4<f32>(0.0);
#end
#end

    for (var base = start; base < end; base += TILE) {
#repeat c 4
        var near{c} = vec4<f32>(0.0);
        var far{c} = vec4<f32>(0.0);
#end
#repeat i 2
        let row{i} = first_row + load + {i}u * 32u;
        let key{i} = base + load + {i}u * 32u;
        let to{i} = (load / 4u + {i}u * 8u) ^ quad;
        var q{i} = vec4<f32>(0.0);
        var k{i} = vec4<f32>(0.0);
        // Rows past the end are zeros.
        if (row{i} < params.rows) { q{i} = query(row{i}, head, quad); }
        if (key{i} < params.rows) { k{i} = key(key{i}, head, quad); }
#end
        for (var cut = 0u; cut < QUADS; cut += CUT) {
            workgroupBarrier();
#repeat i 2
#repeat t 4
            queries[4u * quad + {t}u][to{i}][load % 4u] = q{i}[{t}];
            keys[4u * quad + {t}u][to{i}][load % 4u] = k{i}[{t}];
#end
#end
            workgroupBarrier();
            // The next quads are on their way while these are used.
            let next = cut + CUT;
            if (next < QUADS) {
#repeat i 2
                if (row{i} < params.rows) { q{i} = query(row{i}, head, next + quad); }
                if (key{i} < params.rows) { k{i} = key(key{i}, head, next + quad); }
#end
            }
#repeat q 4
            {
                let at_rows = four_rows ^ {q}u;
                let at_keys = four_keys ^ {q}u;
#repeat t 4
                {
                    let a = queries[4u * {q}u + {t}u][at_rows];
                    let b = queries[4u * {q}u + {t}u][8u + at_rows];
                    let k = keys[4u * {q}u + {t}u][at_keys];
#repeat c 4
                    near{c} = fma(vec4<f32>(a[{c}]), k, near{c});
                    far{c} = fma(vec4<f32>(b[{c}]), k, far{c});
#end
                }
#end
            }
#end
        }
        // The four of queries at key j stands at four ^ (j / 4 % 8).
#repeat e 4
        weights[4u * four_keys + {e}u][four_rows ^ (four_keys % 8u)] = vec4<f32>(near0[{e}], near1[{e}], near2[{e}], near3[{e}]);
        weights[4u * four_keys + {e}u][8u + (four_rows ^ (four_keys % 8u))] = vec4<f32>(far0[{e}], far1[{e}], far2[{e}], far3[{e}]);
#end
        workgroupBarrier();

        var top = best;
#repeat i 32
        {
            let j = half * 32u + {i}u;
            let s = weights[j][four ^ ({i}u / 4u)][lane];
            top = max(top, select(LOWEST, s, base + j >= first && base + j <= last));
        }
#end
        tops[half][mine] = top;
        workgroupBarrier();
        top = max(tops[0][mine], tops[1][mine]);
        let fade = safe_exp(best - top);
        best = top;
        total *= fade;
        if (half == 0u) { fades[four][lane] = fade; }
#repeat i 32
        {
            let j = half * 32u + {i}u;
            let s = weights[j][four ^ ({i}u / 4u)][lane];
            let p = select(0.0, safe_exp(s - top), base + j >= first && base + j <= last);
            weights[j][four ^ ({i}u / 4u)][lane] = p;
            total += p;
        }
#end
        workgroupBarrier();

        let f = fades[group];
#repeat n COLUMNS
#repeat c 4
        sum{c}_{n} *= f[{c}];
#end
#end
        let count = min(TILE, end - base);
        for (var at = 0u; at < count; at += 4u) {
#repeat i 4
#repeat n COLUMNS
            // Past the end a row is taken again; its weight is 0.
            let x{i}_{n} = value(min(base + at + {i}u, params.rows - 1u), head, column{n});
#end
#end
            let place = group ^ (at / 4u % 8u);
#repeat i 4
            {
                let p = weights[at + {i}u][place];
#repeat n COLUMNS
#repeat c 4
                sum{c}_{n} = fma(vec4<f32>(p[{c}]), x{i}_{n}, sum{c}_{n});
#end
#end
            }
#end
        }
    }
    // The sums of the weights, of both halves of the keys.
    workgroupBarrier();
    tops[half][mine] = total;
    workgroupBarrier();
#repeat c 4
    {
        let at = 4u * group + {c}u;
        let row = first_row + at;
        if (row < params.rows) {
            // A row that sees nothing is padding: zeros.
            let real = first_key(row) != NONE;
            let all = tops[0][at] + tops[1][at];
#repeat n COLUMNS
            if (column + {n}u * EIGHTH < QUADS) {
                y[(row * params.heads + head) * QUADS + column{n}] = select(vec4<f32>(0.0), sum{c}_{n} / all, real);
            }
#end
        }
    }
#end
}
