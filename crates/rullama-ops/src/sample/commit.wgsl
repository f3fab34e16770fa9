// Publishes the chosen id and advances the step: for one invocation. The kernel declares
// history, state, step_id and results.

fn commit(id: u32, flags: u32, logprob: u32) {
    let position = state[POSITION] + 1u;
    let sampled = state[SAMPLED];
    step_id[0] = id;
    history[position % HISTORY] = id;
    let record = (sampled % RESULTS) * RESULT_WORDS;
    results[record] = id;
    results[record + 1u] = flags;
    results[record + 2u] = logprob;
    state[POSITION] = position;
    state[TOKENS] = 1u;
    state[SAMPLED] = sampled + 1u;
}
