// Radix selection, a digit of 8 bits at a time, from the highest: with a histogram of the digit,
// the digit of the entry that stands at place `want` (from 1) in descending order.

struct Digit {
    value: u32,
    // Entries with a larger digit, and with this one.
    above: u32,
    equal: u32,
}

var<workgroup> histogram: array<atomic<u32>, WG>;
var<workgroup> at_least: array<u32, WG>;
var<workgroup> found: Digit;

fn clear_histogram(lid: u32) {
    workgroupBarrier();
    atomicStore(&histogram[lid], 0u);
    workgroupBarrier();
}

// Every invocation must call; `want` is at most the number of entries.
fn pick_digit(want: u32, lid: u32) -> Digit {
    workgroupBarrier();
    let own = atomicLoad(&histogram[lid]);
    var sum = own;
    at_least[lid] = sum;
    for (var span = 1u; span < WG; span *= 2u) {
        workgroupBarrier();
        var more = 0u;
        if (lid + span < WG) { more = at_least[lid + span]; }
        workgroupBarrier();
        sum += more;
        at_least[lid] = sum;
    }
    if (sum - own < want && (sum >= want || lid == 0u)) { found = Digit(lid, sum - own, own); }
    return workgroupUniformLoad(&found);
}
