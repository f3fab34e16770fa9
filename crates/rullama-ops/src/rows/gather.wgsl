// y[i] = x[index[i]], or y[index[i]] = x[i]: one value an invocation. Rows that there are none of give zeros, or go nowhere.
struct Params {
    // Rows of index, and of what they point into.
    count: u32,
    rows: u32,
    cols: u32,
    offset: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> index: array<u32>;
@group(0) @binding(_) var<storage, read> x: array<f32>;
@group(0) @binding(_) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) wgs: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let at = (wg.y * wgs.x + wg.x) * WG + lid;
    let i = at / params.cols;
    if (i >= params.count) { return; }
    let column = at % params.cols;
    let row = index[i];
#if scatter
    if (row < params.rows) {
        y[row * params.cols + column] = x[params.offset + i * params.stride + column];
    }
#else
    // A row that is not there is not read.
    var value = 0.0;
    if (row < params.rows) { value = x[params.offset + row * params.stride + column]; }
    y[at] = value;
#endif
}
