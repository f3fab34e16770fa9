// What the kernels of products with experts share: interface, weight access, and where a sum goes.
struct Params {
    plane0: u32,
    plane1: u32,
    plane2: u32,
    plane3: u32,
    // Experts of this chunk.
    first_expert: u32,
    experts: u32,
    // Row r of the chunk stands at row start + r * step of its buffer.
    start: u32,
    step: u32,
    // Rows of an expert; values that become of them.
    rows: u32,
    values: u32,
    // Groups of 32 weights in a row.
    groups: u32,
    // The dispatch's first slot, or tile.
    first: u32,
    slots: u32,
    // Slots that share a row of x.
    shared_by: u32,
    // In quads.
    x_offset: u32,
    x_stride: u32,
#params
}


@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(_) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> y: array<f32>;

fn w4(i: u32) -> vec4<u32> {
    return weight[i];
}

fn w1(i: u32) -> u32 {
    return weight[i >> 2u][i & 3u];
}

fn planes() -> vec4<u32> {
    return vec4<u32>(params.plane0, params.plane1, params.plane2, params.plane3);
}

// The first group of the row that gives one side of a value; past the end the last is taken again, and put() drops what becomes of it.
fn row_at(expert: u32, value: u32, side: u32) -> u32 {
    let row = (expert - params.first_expert) * params.rows + side * params.values + min(value, params.values - 1u);
    return (params.start + row * params.step) * params.groups;
}

#if pairs
fn put(slot: u32, value: u32, gate: f32, up: f32) {
    if (value < params.values) { y[slot * params.values + value] = gelu(gate) * up; }
}
#else
fn put(slot: u32, value: u32, sum: f32) {
    if (value < params.values) { y[slot * params.values + value] = sum; }
}
#endif

fn x_row(slot: u32) -> u32 {
    return params.x_offset + slot / params.shared_by * params.x_stride;
}

// Whether the chunk has the expert.
fn is_here(expert: u32) -> bool {
    return expert >= params.first_expert && expert - params.first_expert < params.experts;
}
