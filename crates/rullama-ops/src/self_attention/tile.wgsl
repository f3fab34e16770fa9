// A tile of 32 rows of one head against tiles of 32 columns, in 256 invocations: rows are queries and columns keys, or the other
// way round. Of products, an invocation forms those of four rows with two columns over half of the head's values, 32 values at a time
// through workgroup memory, and keeps one column's when the halves have been added. Of outputs it has a quad for 4, 8 or 16 rows,
// whose sums stay in registers.

const TILE = 32u;
// Four rows each.
const FOURS = TILE / 4u;
// Quads of a head taken at a time, half of them by each half of the invocations, which is written out below.
const CUT = 8u;
const HALF = CUT / 2u;

// Indices that vary stand first, constants behind them: WebGPU's guards of indices then cost little. One more than is used, against
// bank conflicts: [half][four][row of it, quad], [half][quad][column].
var<workgroup> lefts: array<array<array<vec4<f32>, 4 * HALF + 1>, FOURS>, 2>;
var<workgroup> rights: array<array<array<vec4<f32>, TILE + 1>, HALF>, 2>;
// What each column adds: [column][four rows].
var<workgroup> weights: array<array<vec4<f32>, FOURS + 1>, TILE>;

// The column and the four rows whose products an invocation keeps.
fn own_column(lid: u32) -> u32 { return lid % 16u + lid / 128u * 16u; }
fn own_four(lid: u32) -> u32 { return lid % 128u / 16u; }

// The four rows' sums, a column each.
fn outer(x: vec4<f32>, p: vec4<f32>) -> mat4x4<f32> { return mat4x4<f32>(x * p.x, x * p.y, x * p.z, x * p.w); }

// Products of `left` of this invocation's four rows with `right` of its column, which `second` tells apart. `weights` are lost.
fn products(second: bool, first_row: u32, first_column: u32, head: u32, lid: u32) -> vec4<f32> {
    let load = lid / CUT;
    let at = lid % CUT;
    let half = lid / 128u;
    let column = lid % 16u;
    let four = own_four(lid);
    // Rows past the end are zeros.
    let row = first_row + load;
    let other = first_column + load;
    var x = vec4<f32>();
    var z = vec4<f32>();
    if (row < params.rows) { x = left(second, row, head, at); }
    if (other < params.rows) { z = right(second, other, head, at); }
    var near = vec4<f32>();
    var far = vec4<f32>();
    for (var cut = CUT; cut < QUADS + CUT; cut += CUT) {
        workgroupBarrier();
        lefts[at / HALF][load / 4u][load % 4u * HALF + at % HALF] = x;
        rights[at / HALF][at % HALF][load] = z;
        workgroupBarrier();
        // The next quads are on their way while these are used.
        if (cut < QUADS) {
            if (row < params.rows) { x = left(second, row, head, cut + at); }
            if (other < params.rows) { z = right(second, other, head, cut + at); }
        }
#repeat i 4
        {
            let b = rights[half][{i}][column];
            let c = rights[half][{i}][column + 16u];
#repeat r 4
            let a{r} = lefts[half][four][{r}u * HALF + {i}u];
#end
            near += vec4<f32>(dot(a0, b), dot(a1, b), dot(a2, b), dot(a3, b));
            far += vec4<f32>(dot(a0, c), dot(a1, c), dot(a2, c), dot(a3, c));
        }
#end
    }
    // Each half keeps one column and gives the other away.
    weights[column + (1u - half) * 16u][four] = select(far, near, half == 1u);
    workgroupBarrier();
    return select(near, far, half == 1u) + weights[own_column(lid)][four];
}

// The first key that any query of the tile sees.
fn first_key_of_tile(first_row: u32) -> u32 {
    var first = NONE;
#repeat i 32
    first = min(first, first_key(first_row + {i}u));
#end
    return first;
}
