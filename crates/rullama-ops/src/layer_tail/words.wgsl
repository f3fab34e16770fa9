// Words that workgroups of one dispatch pass values on by. A word is 0 until its value is there (a value of 0 travels as -0), and
// whoever wrote it clears it when all have read it. What a subgroup does together stands behind no branch: lanes that went apart need
// not meet again.
@group(0) @binding(_) var<storage, read_write> words: array<atomic<u32>>;

// Reads of words that are not there before a wait is given up: some tenths of a second.
const PATIENCE = 200000u;
var<private> patience: u32 = PATIENCE;
var<private> stale: u32;

fn publish(at: u32, value: f32) {
    // Whoever has given up sends no number.
    let bits = select(bitcast<u32>(value), 0x7fc00000u, patience == 0u);
    send(at, select(bits, 0x80000000u, bits == 0u));
}

// Finds words that were not clear: somebody may have taken them for what was to come.
fn send(at: u32, word: u32) { stale |= atomicExchange(&words[at], word); }

// Gives up where something is missing, or a word that was sent before was not clear. Uniform in a subgroup.
fn check(missing: bool, lane: u32) {
    if (subgroupAny(missing | (stale != 0u))) {
        patience = 0u;
        if (lane == 0u) { atomicOr(&words[STATUS], 1u); }
    }
}
