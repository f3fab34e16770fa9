// The ids whose keys reach the threshold, in any order: of modified and, when best tokens are
// asked for, of unmodified logits.
#import settings

struct Params { vocab: u32, offset: u32, keys: u32, candidates: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<u32>;
@group(0) @binding(2) var<storage, read> settings: Settings;
@group(0) @binding(3) var<storage, read_write> head: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> work: array<u32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) lid: u32) {
    let least = vec2<u32>(atomicLoad(&head[0]), atomicLoad(&head[1]));
    let end = min((wg.x + 1u) * SPAN, params.vocab);
    for (var id = wg.x * SPAN + lid; id < end; id += WG) {
        // At least 1: what the mask does not allow is no candidate.
        if (work[params.keys + id] >= max(least.x, 1u)) { work[params.candidates + atomicAdd(&head[2], 1u)] = id; }
        if (settings.logprobs > 1u && key_of(logits[params.offset + id]) >= least.y) {
            work[params.candidates + params.vocab + atomicAdd(&head[3], 1u)] = id;
        }
    }
}
