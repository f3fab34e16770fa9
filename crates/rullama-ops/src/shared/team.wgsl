// Adding up what TEAM lanes of a workgroup summed, SUMS values a team. LANES of them stand in one subgroup and add by shuffles (LANES = 1
// without subgroups); when that is not the whole team, its PARTS = TEAM / LANES sums go through workgroup memory.
const PARTS = TEAM / LANES;

#if split
// A value's sum by a part, at [value * (WG / LANES) + part].
var<workgroup> parts: array<f32, SUMS * (WG / LANES)>;

fn part_sum(value: u32, team: u32) -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < PARTS; i++) {
        sum += parts[value * (WG / LANES) + team * PARTS + i];
    }
    return sum;
}
#endif

fn lanes_sum(value: vec4<f32>) -> f32 {
    var sum = (value.x + value.y) + (value.z + value.w);
#if subgroups
    if (LANES > 32u) { sum += subgroupShuffleXor(sum, 32u); }
    if (LANES > 16u) { sum += subgroupShuffleXor(sum, 16u); }
    if (LANES > 8u) { sum += subgroupShuffleXor(sum, 8u); }
    if (LANES > 4u) { sum += subgroupShuffleXor(sum, 4u); }
    if (LANES > 2u) { sum += subgroupShuffleXor(sum, 2u); }
    if (LANES > 1u) { sum += subgroupShuffleXor(sum, 1u); }
#endif
    return sum;
}
