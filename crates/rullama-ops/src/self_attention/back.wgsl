// With P = exp(q K^T - lse) and dS = P (dO V^T - D), a tile of rows of one of
// dq = dS K: rows are queries, columns keys;
// dk = dS^T q (`by_key`): rows are keys, columns queries, of `each` query heads that share the keys;
// dv = P^T dO (`by_key`, without `values`).
// Tiles of columns that no query sees the keys of are never visited.
#import math
#import seen
#import tile
#param each: u32

@group(0) @binding(_) var<storage, read_write> out: array<vec4<f32>>;

#if by_key
fn left(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> {
#if values
    if (second) { return value(row, head, i); }
#endif
    return key(row, head, i);
}
fn right(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> {
    if (second) { return arriving(row, head, i); }
    return query(row, head, i);
}
// What a column's weight multiplies.
fn added(row: u32, head: u32, i: u32) -> vec4<f32> {
#if values
    return query(row, head, i);
#else
    return arriving(row, head, i);
#endif
}
#else
fn left(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> {
    if (second) { return arriving(row, head, i); }
    return query(row, head, i);
}
fn right(second: bool, row: u32, head: u32, i: u32) -> vec4<f32> {
    if (second) { return value(row, head, i); }
    return key(row, head, i);
}
fn added(row: u32, head: u32, i: u32) -> vec4<f32> { return key(row, head, i); }
#endif

// The query's log of a sum, and its D.
fn of_query(row: u32, head: u32) -> vec2<f32> {
    if (row >= params.rows) { return vec2<f32>(0.0); }
#if values
    return vec2<f32>(sum_of(row, head), delta_of(row, head));
#else
    return vec2<f32>(sum_of(row, head), 0.0);
#endif
}

fn store_four(row: u32, to: u32, stride: u32, x: mat4x4<f32>) {
    if (row < params.rows) { out[row * stride + to] = x[0]; }
    if (row + 1u < params.rows) { out[(row + 1u) * stride + to] = x[1]; }
    if (row + 2u < params.rows) { out[(row + 2u) * stride + to] = x[2]; }
    if (row + 3u < params.rows) { out[(row + 3u) * stride + to] = x[3]; }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    // The tiles with most columns begin first.
#if by_key
    let first_row = wg.x * TILE;
#else
    let first_row = (groups.x - 1u - wg.x) * TILE;
#endif
    let tile_column = own_column(lid);
    let four = own_four(lid);
    let rows = vec4<u32>(first_row + four * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let column = lid % QUADS;
    let group = lid / QUADS;
    let mine = (group % GROUPS) * (FOURS / GROUPS);
#if by_key
    let start = first_row;
    var end = params.rows;
    if (params.window != 0u) { end = min(end, first_row + TILE + params.window); }
#else
    let start = first_key_of_tile(first_row);
    let end = min(first_row + TILE, params.rows);
    let firsts = vec4<u32>(first_key(rows.x), first_key(rows.y), first_key(rows.z), first_key(rows.w));
#endif
    var sum0 = mat4x4<f32>();
#if eight_rows
    var sum1 = mat4x4<f32>();
#endif
#if sixteen_rows
    var sum2 = mat4x4<f32>();
    var sum3 = mat4x4<f32>();
#endif
    for (var n = 0u; n < params.each; n++) {
        let head = wg.y * params.each + n;
#if !by_key
        let a = of_query(rows.x, head);
        let b = of_query(rows.y, head);
        let c = of_query(rows.z, head);
        let d = of_query(rows.w, head);
        let sums = vec4<f32>(a.x, b.x, c.x, d.x);
        let deltas = vec4<f32>(a.y, b.y, c.y, d.y);
#endif
        for (var base = start; base < end; base += TILE) {
#if by_key
            let first_seen = first_key_of_tile(base);
            if (first_seen >= first_row + TILE) { continue; }
#endif
            let s = products(false, first_row, base, head, lid);
            let j = base + tile_column;
#if by_key
            let seen = (rows >= vec4<u32>(first_key(j))) & (rows <= vec4<u32>(j));
            let numbers = of_query(j, head);
            let sums = vec4<f32>(numbers.x);
            let deltas = vec4<f32>(numbers.y);
#else
            let seen = (vec4<u32>(j) >= firsts) & (vec4<u32>(j) <= rows);
#endif
            var weight = select(vec4<f32>(0.0), safe_exp4(s - sums), seen);
#if values
            weight *= products(true, first_row, base, head, lid) - deltas;
            // A weight of 0 stays one.
            weight = select(vec4<f32>(0.0), weight, seen);
#endif
            // Whoever reads the last weights is done: the products have barriers.
            weights[tile_column][four] = weight;
            workgroupBarrier();
            if (group < GROUPS) {
                let count = min(TILE, min(end, params.rows) - base);
                for (var first = 0u; first < count; first += 8u) {
#repeat i 8
                    // Past the end a row is taken again; its weight is 0.
                    let x{i} = added(min(base + first + {i}u, params.rows - 1u), head, column);
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
    }
    if (group >= GROUPS) { return; }
    let row = first_row + mine * 4u;
    let stride = groups.y * QUADS;
    let to = wg.y * QUADS + column;
    store_four(row, to, stride, sum0);
#if eight_rows
    store_four(row + 4u, to, stride, sum1);
#endif
#if sixteen_rows
    store_four(row + 8u, to, stride, sum2);
    store_four(row + 12u, to, stride, sum3);
#endif
}
