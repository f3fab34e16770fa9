// The keys that a token sees, or one of the ROWS neighbouring tokens that a workgroup takes, shared evenly among a fixed number of
// workgroups. A share is at least LEAST keys, so that a short context is not cut to crumbs; some workgroups then have none.

const POSITION = 0u;
const TOKENS = 1u;
const LOWEST = -3.0e38;

// Keys start .. start + count, `share` keys a workgroup.
struct Span { start: u32, count: u32, share: u32 }

fn span_of(token: u32, position: u32, tokens: u32, window: u32, splits: u32) -> Span {
    if (token >= tokens) { return Span(0u, 0u, LEAST); }
    let first = token / ROWS * ROWS;
    let end = position + min(first + ROWS, tokens);
    // None of them sees farther back than the first.
    let own = position + first + 1u;
    let start = select(0u, own - min(own, window), window != 0u);
    let count = end - start;
    let even = (count + splits - 1u) / splits;
    return Span(start, count, (even + LEAST - 1u) / LEAST * LEAST);
}
