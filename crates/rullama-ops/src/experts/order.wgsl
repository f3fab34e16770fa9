// Slots in the order of their experts, and tiles of at most BM slots of one expert: a counting sort by one workgroup, ROUND slots at a
// time. Which slots of a round are an expert's is a mask of a bit a slot: a slot's place is behind as many as have bits before its own,
// so that the order is that of the slots, whatever runs first.
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

const ROUND = 32u * WORDS;

var<workgroup> counts: array<atomic<u32>, EXPERTS>;
// Where an expert's next slot stands.
var<workgroup> places: array<u32, EXPERTS>;
var<workgroup> masks: array<array<atomic<u32>, WORDS>, EXPERTS>;

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lid: u32) {
    for (var expert = lid; expert < EXPERTS; expert += WG) {
        atomicStore(&counts[expert], 0u);
        for (var word = 0u; word < WORDS; word++) { atomicStore(&masks[expert][word], 0u); }
    }
    workgroupBarrier();
    for (var slot = lid; slot < params.slots; slot += WG) {
        let expert = expert_of(slot);
        if (expert < EXPERTS) { atomicAdd(&counts[expert], 1u); }
    }
    workgroupBarrier();
    for (var expert = lid; expert < EXPERTS; expert += WG) {
        var first = 0u;
        var tile = 0u;
        for (var other = 0u; other < expert; other++) {
            let count = atomicLoad(&counts[other]);
            first += count;
            tile += (count + BM - 1u) / BM;
        }
        places[expert] = first;
        let count = atomicLoad(&counts[expert]);
        for (var done = 0u; done < count; done += BM) {
            let to = params.slots + 3u * tile;
            order[to] = expert;
            order[to + 1u] = first + done;
            order[to + 2u] = min(BM, count - done);
            tile++;
        }
        if (expert == EXPERTS - 1u) {
            for (; tile < params.tiles; tile++) { order[params.slots + 3u * tile + 2u] = 0u; }
        }
    }
    for (var start = 0u; start < params.slots; start += ROUND) {
        let end = min(ROUND, params.slots - start);
        for (var i = lid; i < end; i += WG) {
            let expert = expert_of(start + i);
            if (expert < EXPERTS) { atomicOr(&masks[expert][i / 32u], 1u << (i % 32u)); }
        }
        workgroupBarrier();
        for (var i = lid; i < end; i += WG) {
            let expert = expert_of(start + i);
            if (expert < EXPERTS) {
                var rank = countOneBits(atomicLoad(&masks[expert][i / 32u]) & ((1u << (i % 32u)) - 1u));
                for (var word = 0u; word < i / 32u; word++) { rank += countOneBits(atomicLoad(&masks[expert][word])); }
                order[places[expert] + rank] = start + i;
            }
        }
        workgroupBarrier();
        for (var expert = lid; expert < EXPERTS; expert += WG) {
            var count = 0u;
            for (var word = 0u; word < WORDS; word++) {
                count += countOneBits(atomicLoad(&masks[expert][word]));
                atomicStore(&masks[expert][word], 0u);
            }
            places[expert] += count;
        }
        workgroupBarrier();
    }
}
