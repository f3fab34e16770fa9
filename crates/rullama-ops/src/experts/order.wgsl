// Slots in the order of their experts, and tiles of at most BM slots of one expert: one workgroup, a lane an expert, which goes through
// all slots, so that the order is always the same.
//
// order: the slots, then of each tile expert, first place in the order, and slots (0: no tile).
struct Params {
    slots: u32,
    tiles: u32,
#params
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(_) var<storage, read_write> order: array<u32>;
#import slots

var<workgroup> counts: array<u32, EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
    for (var expert = lid; expert < EXPERTS; expert += WG) {
        var count = 0u;
        for (var slot = 0u; slot < params.slots; slot++) {
            count += select(0u, 1u, expert_of(slot) == expert);
        }
        counts[expert] = count;
    }
    workgroupBarrier();
    for (var expert = lid; expert < EXPERTS; expert += WG) {
        var first = 0u;
        var tile = 0u;
        for (var other = 0u; other < expert; other++) {
            first += counts[other];
            tile += (counts[other] + BM - 1u) / BM;
        }
        var at = first;
        for (var slot = 0u; slot < params.slots; slot++) {
            if (expert_of(slot) == expert) {
                order[at] = slot;
                at++;
            }
        }
        for (var done = 0u; done < counts[expert]; done += BM) {
            let to = params.slots + 3u * tile;
            order[to] = expert;
            order[to + 1u] = first + done;
            order[to + 2u] = min(BM, counts[expert] - done);
            tile++;
        }
    }
    var all = 0u;
    for (var expert = 0u; expert < EXPERTS; expert++) {
        all += (counts[expert] + BM - 1u) / BM;
    }
    for (var tile = all + lid; tile < params.tiles; tile += WG) {
        order[params.slots + 3u * tile + 2u] = 0u;
    }
}
