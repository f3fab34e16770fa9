// out = (h + RMS(a) * weight) * scale; y = RMS(out) * next_weight, as values or as codes: a workgroup a row, of which an invocation
// has ROUNDS quads. All that is read is on its way before the first sum: a load takes as long as all the rest.
#import reduce

struct Params { rows: u32, dim: u32, stride: u32, offset: u32, h_stride: u32, h_offset: u32, eps: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(_) var<storage, read_write> out: array<vec4<f32>>;
#if next
@group(0) @binding(_) var<storage, read> next_weight: array<vec4<f32>>;
#if codes
#import codes_store
#else
@group(0) @binding(_) var<storage, read_write> y: array<vec4<f32>>;
#endif
#endif

#if in_place
fn h_at(row: u32, i: u32) -> vec4<f32> { return out[row * params.dim + i]; }
#else
@group(0) @binding(_) var<storage, read> h: array<vec4<f32>>;
fn h_at(row: u32, i: u32) -> vec4<f32> { return h[params.h_offset + row * params.h_stride + i]; }
#endif

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, lane: Lane) {
    let lid = number_of(lane);
    let row = wg.y * groups.x + wg.x;
    if (row >= params.rows) { return; }
    let a_row = params.offset + row * params.stride;
    let out_row = row * params.dim;
    var sum = 0.0;
#repeat r ROUNDS
    let i{r} = lid + {r}u * WG;
    let here{r} = i{r} < params.dim;
    let from{r} = min(i{r}, params.dim - 1u);
    var v{r} = select(vec4<f32>(), a[a_row + from{r}], here{r});
    let h{r} = h_at(row, from{r});
    let w{r} = weight[from{r}];
#if next
    let next{r} = next_weight[from{r}];
#endif
    sum += dot(v{r}, v{r});
#end
    let count = f32(4u * params.dim);
    let scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
    sum = 0.0;
#repeat r ROUNDS
    v{r} = select(vec4<f32>(), (h{r} + v{r} * scale * w{r}) * params.scale, here{r});
    if (here{r}) { out[out_row + i{r}] = v{r}; }
    sum += dot(v{r}, v{r});
#end
#if next
    let next_scale = inverseSqrt(reduce_add(sum, lane) / count + params.eps);
#repeat r ROUNDS
#if codes
    store_codes(out_row + i{r}, v{r} * next_scale * next{r}, here{r}, lid);
#else
    if (here{r}) { y[out_row + i{r}] = v{r} * next_scale * next{r}; }
#endif
#end
#endif
}
