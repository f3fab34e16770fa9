// A vector of N values that travels in codes, by halves of groups: a word of four codes is never 0, since codes travel with 128 added,
// and their scale is a word of its own. Imported once a vector, with const N, AT, EACH (halves a workgroup), and
// rounds: CODES and SCALES of words an invocation, ROUNDS of halves a subgroup.

// Reads it into workgroup memory.
fn take_halves(lid: u32, lane: u32) {
#repeat i CODES
    let at{i} = min({i}u * WG + lid, N / 4u - 1u);
    var c{i} = atomicLoad(&words[AT + at{i}]);
#end
#repeat i SCALES
    let s_at{i} = min({i}u * WG + lid, N / 16u - 1u);
    var s{i} = atomicLoad(&words[AT + N / 4u + s_at{i}]);
#end
    var missing = true;
    for (var k = 0u; k < patience; k++) {
        missing = false;
#repeat i CODES
        if (subgroupAny(c{i} == 0u)) { c{i} = atomicLoad(&words[AT + at{i}]); }
        missing = missing | (c{i} == 0u);
#end
#repeat i SCALES
        if (subgroupAny(s{i} == 0u)) { s{i} = atomicLoad(&words[AT + N / 4u + s_at{i}]); }
        missing = missing | (s{i} == 0u);
#end
        if (!subgroupAny(missing)) { break; }
    }
    check(missing, lane);
#repeat i CODES
    staged[at{i} % 8u * PITCH + at{i} / 8u] = c{i} ^ 0x80808080u;
#end
#repeat i SCALES
    half_scales[s_at{i}] = abs(bitcast<f32>(s{i}));
#end
}

// Sends those of a workgroup, wg, wg + W, ..., of which `made` has the values: a subgroup half a group.
fn send_halves(wg: u32, warp: u32, lane: u32) {
#repeat r ROUNDS
    {
        let slot = min(warp + {r}u * WARPS, EACH - 1u);
        let half_group = wg + W * slot;
        let here = warp + {r}u * WARPS < EACH && half_group < N / 16u;
        var bits = 0u;
#repeat j HELD16
        let x{j} = made[slot * 16u + ({j}u * SUB + lane) % 16u];
        bits = max(bits, bitcast<u32>(x{j}) & 0x7fffffffu);
#end
        let scale = group_scale(subgroupMax(bits));
#repeat j HELD16
        let word{j} = word_of(i32(round(select(0.0, x{j}, scale.used) * scale.factor)) + 128, lane);
#end
#repeat j HELD16
        if (here && (lane & 3u) == 0u && lane < 16u) { send(AT + 4u * half_group + ({j}u * SUB + lane) / 4u, word{j}); }
#end
        if (here && lane == 0u) { publish(AT + N / 4u + half_group, bitcast<f32>(scale.d)); }
    }
#end
}

// Clears a workgroup's halves: those wg, wg + W, ...
fn clear_halves(wg: u32, lid: u32) {
    for (var i = lid; wg + W * (i / 5u) < N / 16u; i += WG) {
        let half_group = wg + W * (i / 5u);
        atomicStore(&words[select(AT + 4u * half_group + i % 5u, AT + N / 4u + half_group, i % 5u == 4u)], 0u);
    }
}
