// y[t] = source[places[t]], or x[t] where there is no such row: one value an invocation.
struct Params { count: u32, cols: u32, rows: u32, stride: u32, offset: u32, with_stride: u32, with_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> x: array<f32>;
@group(0) @binding(_) var<storage, read> source: array<f32>;
@group(0) @binding(_) var<storage, read> places: array<u32>;
@group(0) @binding(_) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let index = (wg.y * groups.x + wg.x) * WG + lid;
    if (index >= params.count) { return; }
    let t = index / params.cols;
    let column = index % params.cols;
    let place = places[t];
    if (place < params.rows) {
        y[index] = source[params.with_offset + place * params.with_stride + column];
    } else {
        y[index] = x[params.offset + t * params.stride + column];
    }
}
