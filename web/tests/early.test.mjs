// The real engine, in Chromium, on a model whose per-layer table has not arrived: what it says is what it would say of the whole file.
//
// Needs the package (npm run build or build:dev, with its wasm).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const PIECE = 4 << 20;
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
const { bytes: whole, start: table, rowBytes } = withTableAtEnd(readFileSync(path.join(here, '../../goldens/models/dense-ple-Q4_K_M.gguf')));
const NAME = `sha256-${digest(whole)}`;
const PROMPT = [2, 105, 300, 41, 1999, 7];

/** The file with its table in a piece of its own, behind all else, and what a row takes. */
function withTableAtEnd(model) {
  const name = Buffer.from('per_layer_token_embd.weight');
  const dims = model.indexOf(name) + name.length;
  assert.equal(model.readUInt32LE(dims), 2);
  const [cols, rows] = [Number(model.readBigUInt64LE(dims + 4)), Number(model.readBigUInt64LE(dims + 12))];
  // Q6_K: 210 bytes for each 256 values.
  assert.equal(model.readUInt32LE(dims + 20), 14);
  const [rowBytes, at] = [(cols / 256) * 210, dims + 24];
  // The data of the first tensor begins at offset 0 behind the last tensor's description.
  const base = baseOf(model);
  const from = base + Number(model.readBigUInt64LE(at));
  const start = Math.ceil(model.length / PIECE) * PIECE;
  const bytes = Buffer.alloc(start + rows * rowBytes);
  model.copy(bytes);
  bytes.fill(0, from, from + rows * rowBytes);
  model.copy(bytes, start, from, from + rows * rowBytes);
  bytes.writeBigUInt64LE(BigInt(start - base), at);
  return { bytes, start, rowBytes };
}

/** Where the tensors' data begin. */
function baseOf(model) {
  let at = 8;
  const number = (size) => (at += size, size === 4 ? model.readUInt32LE(at - 4) : Number(model.readBigUInt64LE(at - 8)));
  const sizes = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
  const pass = (bytes) => (at += bytes);
  const skip = (type) => {
    if (type === 8) text();
    else if (type !== 9) at += sizes[type];
    else for (let of = number(4), left = number(8); left > 0; left--) skip(of);
  };
  const text = () => pass(number(8));
  const [tensors, entries] = [number(8), number(8)];
  for (let i = 0; i < entries; i++) text(), skip(number(4));
  for (let i = 0; i < tensors; i++) text(), pass(number(4) * 8), pass(12);
  return Math.ceil(at / 32) * 32;
}

let files;
let site;
let browser;
const servers = [];

before(async () => {
  files = mkdtempSync(path.join(os.tmpdir(), 'rullama-early-'));
  writeFileSync(path.join(files, NAME), whole);
  site = await startServer({ '/package/': path.join(here, '../packages/rullama/dist'), '/': path.join(here, 'pages') });
  browser = await startBrowser();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  const page = await open();
  await page.evaluate(async () => (await import('/package/index.js')).clearStoredModels());
  await page.close();
});
after(async () => {
  await browser?.close();
  await site?.close();
  rmSync(files, { recursive: true, force: true });
});

const open = async () => (await openPage(browser.context, `${site.url}/blank.html`)).page;
const first = ({ range }) => Number(/=(\d+)/.exec(range)[1]);
const length = ({ range }) => /=(\d+)-(\d+)/.exec(range).slice(1).reduce((from, to) => Number(to) - from + 1);
const ofTable = (requests) => requests.filter((request) => first(request) >= table);

/** A server that sends the beginning of the table's piece and then nothing, until `free()`; rows it sends. */
async function holding(options = {}) {
  let held = true;
  const cut = (range) => (held && first({ range }) >= table && length({ range }) > rowBytes ? 100_000 : undefined);
  const server = await startServer({ '/': files }, { cors: true, cut, after: () => {}, ...options });
  servers.push(server);
  return Object.assign(server, { free: () => (held = false) });
}

/** In the page: loads the model and keeps it for the calls that follow. */
const load = (page, server, options, name = NAME) =>
  page.evaluate(async ([url, options]) => {
    const { Rullama, storedModels } = await import('/package/index.js');
    globalThis.ai = await Rullama.load(url, { context: 512, ...options });
    globalThis.lost = globalThis.ai.lost.then(({ code, message, remedy }) => ({ code, message, remedy }));
    return { ple: globalThis.ai.info.ple, rest: globalThis.ai.rest !== undefined, stored: (await storedModels()).map(({ bytes, complete }) => [bytes, complete]) };
  }, [`${server.url}/${name}`, options]);

const generate = (page, prompt = PROMPT) =>
  page.evaluate(
    (prompt) => globalThis.ai.generateIds(prompt, { temperature: 0, ignoreEos: true, maxTokens: 6 }).then(({ ids }) => ({ ids }), ({ code, message, remedy }) => ({ code, message, remedy })),
    prompt,
  );

/** Lets the rest come: what was asked for while it was held is asked for once more. */
async function release(page, server) {
  server.free();
  return page.evaluate(async () => {
    const { rest } = globalThis.ai;
    rest.pause();
    await new Promise((resolve) => rest.watch(({ progress }) => progress.state === 'paused' && resolve()));
    rest.resume();
    return rest.done.catch(({ code, message }) => ({ code, message }));
  });
}

test('it answers before the table has come, as of the whole file; a tab that is killed goes on, and all is verified', async () => {
  const server = await holding();
  const page = await open();
  assert.deepEqual(await load(page, server, { store: 'always', early: true }), { ple: 'streamed', rest: true, stored: [[table, false]] });
  const early = await generate(page);
  assert.equal(early.ids?.length, 6, early.message);
  const rows = ofTable(server.requests).filter((request) => length(request) <= rowBytes);
  assert.ok(rows.length >= PROMPT.length && rows.every((request) => (first(request) - table) % rowBytes === 0), 'rows came by themselves');
  assert.equal(await page.evaluate(async () => (await (await import('/package/index.js')).storedModels())[0].complete), false);
  await page.close({ runBeforeUnload: false });

  const again = await open();
  server.requests.length = 0;
  assert.equal((await load(again, server, { store: 'auto', early: true })).rest, true, 'what was begun is gone on with');
  assert.deepEqual(server.requests.filter((request) => first(request) < table).map(({ range }) => range), ['bytes=0-3']);
  assert.deepEqual(await generate(again), early);
  const done = await release(again, server);
  assert.deepEqual([done.verified, done.sha256, done.bytes], [true, digest(whole), whole.length]);
  server.requests.length = 0;
  assert.equal((await generate(again, [...PROMPT, 1234, 99])).ids?.length, 6);
  assert.deepEqual(server.requests, [], 'all rows are here');
  await again.evaluate(() => globalThis.ai.close());
  // The whole file says the same, with its table on the GPU.
  assert.deepEqual(await load(again, server, { store: 'always', early: true }), { ple: 'resident', rest: false, stored: [[whole.length, true]] });
  assert.deepEqual(await generate(again), early);
  await again.close();
});

test('a wrong byte of the table ends the model, with both digests', async () => {
  const server = await holding();
  const wrong = Buffer.from(whole);
  wrong[whole.length - 5] ^= 1;
  writeFileSync(path.join(files, NAME), wrong);
  const page = await open();
  await load(page, server, { store: 'always', early: true });
  const failed = await release(page, server);
  writeFileSync(path.join(files, NAME), whole);
  assert.equal(failed.code, 'source-changed');
  const lost = await page.evaluate(() => globalThis.lost);
  assert.ok([digest(wrong), digest(whole), 'may be wrong'].every((part) => lost.message.includes(part)), lost.message);
  assert.match(lost.remedy, /anew/);
  assert.equal((await generate(page)).code, 'source-changed');
  await page.close();
});

test('a file that changes on the server is never mixed in, and a lost network is named', async () => {
  let down = false;
  const server = await holding({ fail: () => (down ? 503 : 0) });
  const page = await open();
  // A copy that is needed, since rows are to be streamed.
  assert.deepEqual(await load(page, server, { store: 'auto', ple: 'streamed', early: true }), { ple: 'streamed', rest: true, stored: [[table, false]] });
  await page.evaluate(() => globalThis.ai.rest.pause());
  down = true;
  const refused = await generate(page);
  assert.equal(refused.code, 'network', refused.message);
  assert.match(`${refused.message} ${refused.remedy}`, /row of the per-layer table .*status 503.*Check the connection/s);
  down = false;
  assert.equal((await generate(page)).ids?.length, 6, 'and with it the chat goes on');
  utimesSync(path.join(files, NAME), new Date(), new Date(Date.now() + 60_000));
  const changed = await generate(page, [2, 5, 6, 8, 9]);
  assert.equal(changed.code, 'source-changed', changed.message);
  assert.match(`${changed.message} ${changed.remedy}`, /changed on the server.*Load the model again/s);
  assert.equal((await page.evaluate(() => globalThis.lost)).code, 'source-changed');
  await page.close();
});
