// y_t = scale * table[ids_t]: four values an invocation. With `placed`, row id of the table stands at places[id] - 1, or nowhere.
#import weight

struct Params {
    plane0: u32,
    plane1: u32,
    plane2: u32,
    plane3: u32,
    // Rows of the whole table.
    vocab: u32,
#if placed
    // Words of a row, whose planes stand together.
    row_words: u32,
#else
    // Rows of this chunk, and the first of them in the whole table.
    rows: u32,
    first_row: u32,
    // Row r of the chunk stands at row start + r * step of its buffer.
    start: u32,
    step: u32,
#endif
    // Groups of 32 values in a row.
    groups: u32,
    tokens: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> ids: array<u32>;
#if placed
@group(0) @binding(_) var<storage, read> places: array<u32>;
#endif
@group(0) @binding(_) var<storage, read> table: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;

fn w4(i: u32) -> vec4<u32> {
    return table[i];
}

fn w1(i: u32) -> u32 {
    return table[i >> 2u][i & 3u];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    let quads = params.groups * 8u;
    let token = at / quads;
    if (token >= params.tokens) { return; }
    let quad = at % quads;
    let id = ids[token];
    if (id >= params.vocab) {
        y[at] = vec4<f32>();
        return;
    }
    var planes = vec4<u32>(params.plane0, params.plane1, params.plane2, params.plane3);
#if placed
    let place = places[id];
    if (place == 0u) {
        y[at] = vec4<f32>();
        return;
    }
    planes = planes + vec4<u32>((place - 1u) * params.row_words);
    let group = quad >> 3u;
#else
    // Below first_row the difference wraps to a large number.
    let row = id - params.first_row;
    if (row >= params.rows) { return; }
    let group = (params.start + row * params.step) * params.groups + (quad >> 3u);
#endif
    y[at] = params.scale * decode4(planes, group, quad & 7u);
}
