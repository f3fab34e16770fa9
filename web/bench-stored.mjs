// Speed of loading a model from the browser's private storage, in Chromium on its software adapter: one JSON record.
//   node bench-stored.mjs MODEL.gguf [--rounds 5] [--ple resident] [--readers 0,1,3] [--packages OLDER/dist,packages/rullama/dist] [--blob] [--unwritten]
// Measured are the weights alone: from the first that is read to the last that is handed to the GPU. `--packages` compares builds in
// turns, in one browser, the last of them with each number of `--readers`; `--blob` reads the stored file as a picked one; `--unwritten`
// copies what is written to the GPU to a place of the worker's in its stead: the software adapter works on the same cores.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openPage, startBrowser } from './tests/browser.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    ple: { type: 'string', default: 'resident' },
    readers: { type: 'string' },
    packages: { type: 'string', default: fileURLToPath(new URL('packages/rullama/dist', import.meta.url)) },
    blob: { type: 'boolean', default: false },
    unwritten: { type: 'boolean', default: false },
  },
});
const [model] = positionals;
if (!model) {
  console.error('usage: node bench-stored.mjs MODEL.gguf [--rounds N] [--ple MODE] [--readers N,N] [--packages DIR,DIR] [--blob] [--unwritten]');
  process.exit(2);
}
const packages = values.packages.split(',');
/** Stands before the worker's script. */
const UNWRITTEN = `{
  const place = new Uint8Array(8 << 20);
  GPUQueue.prototype.writeBuffer = (buffer, at, data, start = 0, size = data.byteLength - start) =>
    place.set(new Uint8Array(data.buffer ?? data, (data.byteOffset ?? 0) + start, size));
}
`;
const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' };

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const [, place, ...rest] = pathname.split('/');
  const file = place === 'model.gguf' ? model : path.join(packages[Number(place)] ?? '/none', ...rest);
  if (pathname === '/') return response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>load</title>');
  if (values.unwritten && path.basename(file) === 'worker.js') return response.setHeader('Content-Type', TYPES['.js']).end(UNWRITTEN + readFileSync(file));
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) return response.writeHead(404).end();
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const [start, end] = range ? [Number(range[1]), range[2] === '' ? size - 1 : Number(range[2])] : [0, size - 1];
  const headers = { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'Content-Length': end - start + 1, 'Accept-Ranges': 'bytes', ETag: '"1"' };
  response.writeHead(range ? 206 : 200, { ...headers, ...(range && { 'Content-Range': `bytes ${start}-${end}/${size}` }) });
  if (request.method === 'HEAD') return response.end();
  createReadStream(file, { start, end }).pipe(response);
});
await new Promise((resolve) => server.listen(0, resolve));
const url = `http://localhost:${server.address().port}`;

/** In the page: loads once; bytes and milliseconds of the weights. */
async function load([entry, options, blob]) {
  const { Rullama } = await import(entry);
  let source = '/model.gguf';
  if (blob) {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
    for await (const [name, handle] of folder.entries()) if (name.endsWith('.gguf')) source = await handle.getFile();
  }
  let first, last;
  const stop = new AbortController();
  const onProgress = ({ phase, done, total }) => {
    if (phase === 'weights') first ??= { at: performance.now(), done };
    if (phase === 'weights' && done === total) last = { at: performance.now(), done };
    if (last) stop.abort();
  };
  // What follows is the self-test, in which the software adapter is slow.
  await Rullama.load(source, { ...options, onProgress, signal: stop.signal }).catch((error) => {
    if (error.code !== 'cancelled') throw error;
  });
  return { bytes: last.done - first.done, ms: last.at - first.at };
}

const { context, close } = await startBrowser();
const { page } = await openPage(context, `${url}/`);
page.setDefaultTimeout(0);
// Builds before the last may have no such option.
const readers = (i) => (i === packages.length - 1 && values.readers?.split(',').map(Number)) || [undefined];
const ways = packages.flatMap((name, i) => readers(i).map((count) => ({ package: name, entry: `/${i}/index.js`, ...(count !== undefined && { readers: count }), speeds: [] })));
const options = ({ readers: count }) => ({ ple: values.ple, store: 'always', ...(count !== undefined && { readers: count }) });
for (let round = 0; round <= Number(values.rounds); round++) {
  for (const way of ways) {
    const { bytes, ms } = await page.evaluate(load, [way.entry, options(way), values.blob && round > 0]);
    // The first stores the file.
    if (round > 0) way.speeds.push(bytes / ms / 1e6);
    console.error(`${way.package} readers ${way.readers ?? 'auto'}: ${(bytes / ms / 1e6).toFixed(3)} GB/s`);
  }
}
const rounded = (value) => Math.round(value * 1000) / 1000;
const spread = (speeds) => {
  const sorted = speeds.toSorted((a, b) => a - b);
  return { load_gb_s: rounded(sorted[sorted.length >> 1]), load_gb_s_spread: [rounded(sorted[0]), rounded(sorted.at(-1))] };
};
const browser = await page.evaluate(() => navigator.userAgent);
console.log(JSON.stringify({ browser, cores: await page.evaluate(() => navigator.hardwareConcurrency), model: path.basename(model), ple: values.ple, blob: values.blob, unwritten: values.unwritten, ways: ways.map(({ speeds, entry, ...way }) => ({ ...way, ...spread(speeds) })) }));
await close();
process.exit(0);
