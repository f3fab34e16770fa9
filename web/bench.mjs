// Speed of the wasm engine on Dawn, Chrome's WebGPU, in Node: one JSON record.
//   node bench.mjs MODEL.gguf [--prompt 512] [--tokens 128] [--rounds 5] [--ple resident] [--kv f16] [--context 2048]
// Needs npm's `webgpu` (npm install --no-save webgpu) and the wasm engine (cargo xtask web).
import { execFileSync } from 'node:child_process';
import { openAsBlob } from 'node:fs';
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
  },
});
const [path] = positionals;
if (!path) {
  console.error('usage: node bench.mjs MODEL.gguf [--prompt N] [--tokens N] [--rounds N] [--ple MODE] [--kv TYPE] [--context N]');
  process.exit(2);
}
const [prompt, tokens, rounds, context] = ['prompt', 'tokens', 'rounds', 'context'].map((key) => Number(values[key]));

let ai;
try {
  ai = await loadInNode(await openAsBlob(path), { ple: values.ple, kv: values.kv, context });
} catch (error) {
  console.error(`${error.code}: ${error.message} ${error.remedy}`);
  process.exit(1);
}
// Any ids do: the work does not depend on them. A linear congruence spreads them over the vocabulary.
const ids = Array.from({ length: prompt }, (_, i) => (i * 7919 + 17) % ai.info.vocab);
const runs = [];
for (let round = -3; round <= rounds; round++) {
  const { timings } = await ai.generateIds(ids, { maxTokens: tokens, ignoreEos: true, temperature: 0 });
  if (round > 0) runs.push(timings); // the others compile, and find the length of a prompt's chunks
}
const memory = await ai.memory();
const { info } = ai;
const prefill = spread(runs.map((t) => t.prefillTokS));
const decode = spread(runs.map((t) => t.decodeTokS));
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
    prefill_tok_s: prefill.median,
    prefill_tok_s_range: prefill.range,
    decode_tok_s: decode.median,
    decode_tok_s_range: decode.range,
    bytes_per_token: info.bytesPerToken,
    load_gb_s: round3(info.loadedBytes / info.loadSeconds / 1e9),
    wasm_peak_bytes: memory.wasmBytes,
    wasm_grown_bytes: memory.wasmBytes - memory.wasmStartBytes,
    gpu_bytes: memory.gpuBytes,
  }),
);
process.exit(0);

function spread(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return { median: round3(sorted[Math.floor(sorted.length / 2)]), range: [round3(sorted[0]), round3(sorted.at(-1))] };
}

function round3(value) {
  return Math.round(value * 1000) / 1000;
}

function commit() {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
