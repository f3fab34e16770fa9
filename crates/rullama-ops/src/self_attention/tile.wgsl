// A tile of 32 rows of one head against tiles of 32 columns, in 256 invocations: rows are queries and columns keys, or the other
// way round. An invocation has a column's products with four rows, 32 values of the head at a time through workgroup memory; or a
// quad of the output for 4, 8 or 16 rows, whose sums stay in registers.

const TILE = 32u;
// Four rows each.
const FOURS = TILE / 4u;
// Quads of a head taken at a time; a row of columns is one longer, against bank conflicts.
const CUT = 8u;
const COLUMN = CUT + 1u;

var<workgroup> lefts: array<vec4<f32>, TILE * CUT>;
var<workgroup> rights: array<vec4<f32>, TILE * COLUMN>;
// What each column adds: [column][four rows].
var<workgroup> weights: array<vec4<f32>, TILE * FOURS>;

// The four rows' sums, a column each.
fn outer(x: vec4<f32>, p: vec4<f32>) -> mat4x4<f32> { return mat4x4<f32>(x * p.x, x * p.y, x * p.z, x * p.w); }

// Products of `left` of four rows with `right` of a column, which `second` tells apart.
fn products(second: bool, first_row: u32, first_column: u32, head: u32, lid: u32) -> vec4<f32> {
    let load = lid / CUT;
    let at = lid % CUT;
    let column = lid % TILE;
    let four = lid / TILE;
    var s = vec4<f32>(0.0);
    for (var cut = 0u; cut < QUADS; cut += CUT) {
        var x = vec4<f32>(0.0);
        if (first_row + load < params.rows) { x = left(second, first_row + load, head, cut + at); }
        var z = vec4<f32>(0.0);
        if (first_column + load < params.rows) { z = right(second, first_column + load, head, cut + at); }
        workgroupBarrier();
        lefts[lid] = x;
        rights[load * COLUMN + at] = z;
        workgroupBarrier();
        for (var i = 0u; i < CUT; i++) {
            let b = rights[column * COLUMN + i];
            let a = four * 4u * CUT + i;
            s += vec4<f32>(dot(lefts[a], b), dot(lefts[a + CUT], b), dot(lefts[a + 2u * CUT], b), dot(lefts[a + 3u * CUT], b));
        }
    }
    return s;
}

// The first key that any query of the tile sees.
fn first_key_of_tile(first_row: u32) -> u32 {
    var first = NONE;
    for (var i = 0u; i < TILE; i++) { first = min(first, first_key(first_row + i)); }
    return first;
}
