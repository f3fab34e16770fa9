// y = softmax(q K^T) V of a tile of queries, and the log of each softmax's sum.
// 1. scores: a key's with four queries.
// 2. weights: the running maximum of the four queries is kept by each of their invocations.
// 3. values. Key tiles that no query of the tile sees are never visited.
#import math
#import seen
#import tile

@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#if sums
@group(0) @binding(_) var<storage, read_write> lse: array<f32>;
#endif

const LOWEST = -3.0e38;

var<workgroup> fades: array<vec4<f32>, FOURS>;

fn left(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> { return query(row, head, i); }
fn right(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> { return key(row, head, i); }

fn scaled(x: mat4x4<f32>, f: vec4<f32>) -> mat4x4<f32> { return mat4x4<f32>(x[0] * f.x, x[1] * f.y, x[2] * f.z, x[3] * f.w); }

fn store_row(row: u32, column: u32, head: u32, x: vec4<f32>, total: f32) {
    if (row >= params.rows) { return; }
    y[(row * params.heads + head) * QUADS + column] = select(x / total, vec4<f32>(0.0), first_key(row) == NONE);
}

fn store_four(row: u32, column: u32, head: u32, x: mat4x4<f32>, total: vec4<f32>) {
    store_row(row, column, head, x[0], total.x);
    store_row(row + 1u, column, head, x[1], total.y);
    store_row(row + 2u, column, head, x[2], total.z);
    store_row(row + 3u, column, head, x[3], total.w);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    // The tiles with most keys begin first.
    let first_row = (groups.x - 1u - wg.x) * TILE;
    let head = wg.y;
    let start = first_key_of_tile(first_row);
    let end = end_of_tile(first_row, TILE);

    // Steps 1 and 2: this invocation's key and queries of the tile.
    let column_key = own_column(lid);
    let four = own_four(lid);
    let places = vec4<u32>(first_row + four * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let firsts = vec4<u32>(first_key(places.x), first_key(places.y), first_key(places.z), first_key(places.w));
    let lasts = vec4<u32>(last_key(places.x), last_key(places.y), last_key(places.z), last_key(places.w));
    // Step 3: the output quad, and the first of the FOURS / GROUPS fours of queries.
    let column = lid % QUADS;
    let group = lid / QUADS;
    let mine = (group % GROUPS) * (FOURS / GROUPS);
    var best = vec4<f32>(LOWEST);
    var total = vec4<f32>(0.0);
    var sum0 = mat4x4<f32>();
#if eight_rows
    var sum1 = mat4x4<f32>();
#endif
#if sixteen_rows
    var sum2 = mat4x4<f32>();
    var sum3 = mat4x4<f32>();
#endif
    for (var base = start; base < end; base += TILE) {
        let s = products(false, first_row, base, head, lid);
        let j = vec4<u32>(base + column_key);
        let seen = (j >= firsts) & (j <= lasts);
        weights[column_key][four] = select(vec4<f32>(LOWEST), s, seen);
        workgroupBarrier();
        let before = best;
        #repeat i 32
        best = max(best, weights[{i}][four]);
#end
        let fade = safe_exp4(before - best);
        let p = select(vec4<f32>(0.0), safe_exp4(s - best), seen);
        total = total * fade + p;
        workgroupBarrier();
        weights[column_key][four] = p;
        if (column_key == 0u) { fades[four] = fade; }
        workgroupBarrier();
        if (group < GROUPS) {
            sum0 = scaled(sum0, fades[mine]);
#if eight_rows
            sum1 = scaled(sum1, fades[mine + 1u]);
#endif
#if sixteen_rows
            sum2 = scaled(sum2, fades[mine + 2u]);
            sum3 = scaled(sum3, fades[mine + 3u]);
#endif
            let count = min(TILE, end - base);
            for (var first = 0u; first < count; first += 8u) {
#repeat i 8
                // Past the end a row is taken again; its weight is 0.
                let x{i} = value(min(base + first + {i}u, params.rows - 1u), head, column);
#end
#repeat i 8
                sum0 += outer(x{i}, weights[first + {i}u][mine]);
#if eight_rows
                sum1 += outer(x{i}, weights[first + {i}u][mine + 1u]);
#endif
#if sixteen_rows
                sum2 += outer(x{i}, weights[first + {i}u][mine + 2u]);
                sum3 += outer(x{i}, weights[first + {i}u][mine + 3u]);
#endif
#end
            }
        }
    }
    // The sums of the weights, over the 32 keys of each invocation's column.
    workgroupBarrier();
    weights[column_key][four] = total;
    workgroupBarrier();
    if (lid < FOURS) {
        var x = weights[0][lid];
#repeat i 31
        x += weights[{i} + 1][lid];
#end
        fades[lid] = x;
    }
    workgroupBarrier();
#if sums
    if (column_key == 0u) {
        let sums = fades[four];
        let logs = select(best + log(sums), vec4<f32>(0.0), firsts == vec4<u32>(NONE));
        if (places.x < params.rows) { lse[places.x * params.heads + head] = logs.x; }
        if (places.y < params.rows) { lse[places.y * params.heads + head] = logs.y; }
        if (places.z < params.rows) { lse[places.z * params.heads + head] = logs.z; }
        if (places.w < params.rows) { lse[places.w * params.heads + head] = logs.w; }
    }
#endif
    if (group >= GROUPS) { return; }
    let row = first_row + mine * 4u;
    store_four(row, column, head, sum0, fades[mine]);
#if eight_rows
    store_four(row + 4u, column, head, sum1, fades[mine + 1u]);
#endif
#if sixteen_rows
    store_four(row + 8u, column, head, sum2, fades[mine + 2u]);
    store_four(row + 12u, column, head, sum3, fades[mine + 3u]);
#endif
}
