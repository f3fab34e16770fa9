// Random words as a function of counter and key: Philox-2x32-10 (Salmon et al. 2011).

fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let mid = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (mid & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (mid >> 16u) + (other >> 16u);
}

fn philox(start: vec2<u32>, first_key: u32) -> vec2<u32> {
    var counter = start;
    var key = first_key;
    for (var round = 0u; round < 10u; round++) {
        counter = vec2<u32>(multiply_high(counter.x, 0xd256d193u) ^ key ^ counter.y, counter.x * 0xd256d193u);
        key += 0x9e3779b9u;
    }
    return counter;
}
