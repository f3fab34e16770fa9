// Speed of the wasm engine on Dawn, Chrome's WebGPU, in Node: one JSON record.
//   node bench.mjs MODEL.gguf [--prompt 512] [--tokens 128] [--rounds 5] [--ple resident] [--kv f16] [--context 2048]
//     [--bandwidth GB/s] [--readers N]
// Needs npm's `webgpu` (npm install --no-save webgpu) and the wasm engine (cargo xtask web).
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { loadInNode } from './packages/rullama/dist/node.js';

const number = (fallback) => ({ type: 'string', default: String(fallback) });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    prompt: number(512),
    tokens: number(128),
    rounds: number(5),
    context: number(2048),
    ple: { type: 'string', default: 'auto' },
    kv: { type: 'string', default: 'f16' },
    bandwidth: { type: 'string' },
    readers: { type: 'string' },
  },
});
const [path] = positionals;
if (!path) {
  console.error('usage: node bench.mjs MODEL.gguf [--prompt N] [--tokens N] [--rounds N] [--ple MODE] [--kv TYPE] [--context N] [--bandwidth GB/s] [--readers N]');
  process.exit(2);
}
const [prompt, tokens, rounds, context] = ['prompt', 'tokens', 'rounds', 'context'].map((key) => Number(values[key]));

let ai;
try {
  ai = await loadInNode(pathToFileURL(path), { ple: values.ple, kv: values.kv, context, ...(values.readers && { readers: Number(values.readers) }) });
} catch (error) {
  console.error(`${error.code}: ${error.message} ${error.remedy}`);
  process.exit(1);
}
// Any ids do: the work does not depend on them. A linear congruence spreads them over the vocabulary.
const ids = Array.from({ length: prompt }, (_, i) => (i * 7919 + 17) % ai.info.vocab);
const generate = async (maxTokens) => (await ai.generateIds(ids, { maxTokens, ignoreEos: true, temperature: 0 })).timings;
const runs = [];
for (let round = -3; round <= rounds; round++) {
  const timings = await generate(tokens);
  if (round > 0) runs.push(timings); // the others compile, and find the length of a prompt's chunks
}
const memory = await ai.memory();
const dispatches = await dispatchesPerToken();
const { info } = ai;
const [prefill, prefillSpread] = spread(runs.map((t) => t.prefillTokS));
const [decode, decodeSpread] = spread(runs.map((t) => t.decodeTokS));
const used = (info.bytesPerToken * decode) / 1e9;
// The fields of `rullama bench --json`.
console.log(
  JSON.stringify({
    device: info.device,
    backend: 'dawn',
    driver: info.driver,
    commit: commit(),
    model: path.split('/').pop(),
    ple: info.ple,
    kv: info.kv,
    context: prompt,
    prefill: prompt,
    decode: tokens,
    runs: rounds,
    sampling: 'greedy',
    prefill_tok_s: prefill,
    prefill_tok_s_spread: prefillSpread,
    decode_tok_s: decode,
    decode_tok_s_spread: decodeSpread,
    dispatches_per_token: dispatches,
    bytes_per_token: info.bytesPerToken,
    bandwidth_gb_s: used,
    bandwidth_share: values.bandwidth ? used / Number(values.bandwidth) : null,
    load_gb_s: info.loadedBytes / info.loadSeconds / 1e9,
    wasm_peak_bytes: memory.wasmBytes,
    wasm_grown_bytes: memory.wasmBytes - memory.wasmStartBytes,
    gpu_bytes: memory.gpuBytes,
    pipelines_compiled_during_decode: null,
    unmeasured: {
      pipelines_compiled_during_decode: 'not counted here',
      ...(!values.bandwidth && { bandwidth_share: 'the bandwidth was not given (--bandwidth)' }),
    },
  }),
);
process.exit(0);

/** Counted where they pass by: what eight more tokens take, an eighth each. */
async function dispatchesPerToken() {
  let count = 0;
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...groups) {
    count++;
    return dispatchWorkgroups.apply(this, groups);
  };
  const counted = async (maxTokens) => {
    count = 0;
    await generate(maxTokens);
    return count;
  };
  const [few, more] = [await counted(4), await counted(12)];
  GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
  return (more - few) / 8;
}

/** The median, and the least and the most. */
function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
  const [middle, least, most] = [median, sorted[0], sorted.at(-1)].map((value) => Math.round(value * 100) / 100);
  return [middle, [least, most]];
}

/** RULLAMA_COMMIT is for machines that have the program without its history. */
function commit() {
  if (process.env.RULLAMA_COMMIT) return process.env.RULLAMA_COMMIT;
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
