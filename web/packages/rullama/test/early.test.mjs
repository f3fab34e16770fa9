// Models that are read before their file has arrived: what comes first, rows that are fetched by themselves, and what goes wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { download, fileName, Keeper, PIECE, RullamaError, tableIn } from '../../../dist-test/internals.js';
import { Browser, digest, MB, modelBytes, serverOf, tableModel } from './fake-storage.mjs';

const URL = 'https://example.org/dir/model.gguf';
const NAME = fileName(URL);
const model = tableModel({ before: 5 * MB, table: 23 * MB, behind: 6 * MB });
/** The first and the last piece that hold nothing else than rows. */
const FIRST = Math.ceil(model.start / PIECE);
const LAST = Math.floor(model.end / PIECE) - 1;
const starts = (server) => server.requests.filter((range) => range !== 'bytes=0-3').map((range) => Number(/=(\d+)/.exec(range)[1]));
const inTable = (at) => at >= FIRST * PIECE && at < (LAST + 1) * PIECE;
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

/** Opens a model's file in a tab; what it tells and what makes it unusable. */
function keeping(browser, server, { early = true } = {}) {
  const [told, lost] = [[], []];
  const keeper = new Keeper({ early, emit: (progress) => told.push(progress), onLost: (error) => lost.push(error), host: () => browser.host(server.fetch) });
  return { keeper, told, lost };
}

async function read(kept, at, length) {
  const into = new Uint8Array(length);
  return Buffer.from((await kept.read(at, into)) ?? into);
}

/** A model that can be read while its table is missing. */
async function begun(server = serverOf(model.bytes), browser = new Browser()) {
  const opened = keeping(browser, server);
  const kept = await opened.keeper.keep(URL, true, true);
  return { ...opened, browser, server, kept };
}

test('all but the table comes first, then a chat can begin; the rest follows, and the whole is compared', async () => {
  const server = serverOf(model.bytes, { headers: { 'X-Linked-ETag': digest(model.bytes) } });
  const { kept, keeper, told, browser } = await begun(server);
  assert.equal(kept.arriving, true);
  assert.equal(kept.length, model.bytes.length);
  assert.ok(starts(server).every((at) => !inTable(at)), `${starts(server)}`);
  const first = model.bytes.length - (LAST + 1 - FIRST) * PIECE;
  assert.deepEqual(told.at(-1), { phase: 'download', done: first, total: first, download: { ...told.at(-1).download, first, done: first, total: model.bytes.length } });
  // What is stored is read there, and a row that is not is fetched by itself.
  server.requests.length = 0;
  for (const [at, length] of [[0, 100], [model.start - 1000, 1000], [model.end, 5000]]) {
    assert.ok((await read(kept, at, length)).equals(model.bytes.subarray(at, at + length)));
  }
  assert.deepEqual(server.requests, []);
  const row = FIRST * PIECE + 777;
  assert.ok((await read(kept, row, 3000)).equals(model.bytes.subarray(row, row + 3000)));
  assert.deepEqual(server.requests, [`bytes=${row}-${row + 2999}`]);
  const states = [];
  const whole = await keeper.finish(({ state, done }) => states.push([state, done]), new AbortController().signal);
  assert.deepEqual([whole.verified, whole.sha256, whole.bytes], [true, digest(model.bytes), model.bytes.length]);
  assert.ok(starts(server).slice(1).every(inTable), 'only what was missing is fetched');
  assert.equal(states[0][0], 'paused');
  assert.equal(states.at(-1)[0], 'checking');
  assert.equal(kept.arriving, false);
  assert.equal(await keeper.finish(() => undefined, new AbortController().signal), null);
  server.requests.length = 0;
  assert.ok((await read(kept, row, 3000)).equals(model.bytes.subarray(row, row + 3000)));
  assert.deepEqual(server.requests, []);
  assert.deepEqual(browser.folder.names(), [NAME, `${NAME}.json`]);
  kept.close();
  // The next load finds it whole.
  const again = await begun(server, browser);
  assert.deepEqual([again.kept.arriving, server.requests], [false, ['bytes=0-3']]);
});

test('a download fetches it in the same order', async () => {
  const server = serverOf(model.bytes);
  await download({ url: URL }, new Browser().host(server.fetch), () => undefined, new AbortController().signal);
  const order = starts(server).map(inTable);
  assert.ok(order.indexOf(true) > order.lastIndexOf(false), `${starts(server)}`);
});

test('the rest is paused and goes on; what was stored when it was closed is not fetched again', async () => {
  const slow = serverOf(model.bytes);
  const { kept, keeper, browser } = await begun(slow);
  slow.requests.length = 0;
  const controller = new AbortController();
  const paused = keeper.finish(({ state }) => state === 'downloading' && controller.abort(), controller.signal);
  await assert.rejects(paused, { code: 'cancelled' });
  const before = slow.requests.length;
  await settled();
  assert.equal(slow.requests.length, before, 'nothing is fetched while it is paused');
  const row = LAST * PIECE + 5;
  assert.ok((await read(kept, row, 10)).equals(model.bytes.subarray(row, row + 10)), 'rows are, all the same');
  // Paused and resumed at once.
  const [second, third] = [new AbortController(), new AbortController()];
  const stopped = keeper.finish(() => undefined, second.signal);
  second.abort();
  const last = keeper.finish(({ state }) => state === 'downloading' && kept.close(), third.signal);
  await assert.rejects(stopped, { code: 'cancelled' });
  await assert.rejects(last, { code: 'closed' });
  await assert.rejects(read(kept, row, 10), { code: 'closed' });
  await settled();
  const server = serverOf(model.bytes);
  const again = await begun(server, browser);
  assert.equal(again.kept.arriving, true);
  assert.deepEqual(starts(server), [], 'all that a chat needs is here');
  const whole = await again.keeper.finish(() => undefined, new AbortController().signal);
  assert.equal(whole.sha256, digest(model.bytes));
  assert.ok(starts(server).every(inTable), `${starts(server)}`);
});

test('a wrong digest ends the model by name, and the next load fetches it anew', async () => {
  const wrong = Buffer.from(model.bytes);
  wrong[LAST * PIECE + 9] ^= 1;
  const server = serverOf(wrong, { headers: { 'X-Linked-ETag': digest(model.bytes) } });
  const { kept, keeper, lost, browser } = await begun(server);
  await assert.rejects(keeper.finish(() => undefined, new AbortController().signal), { code: 'source-changed' });
  assert.equal(lost.length, 1);
  assert.ok(lost[0].message.includes(digest(wrong)) && lost[0].message.includes(digest(model.bytes)), lost[0].message);
  assert.match(`${lost[0].message} ${lost[0].remedy}`, /may be wrong.*anew/s);
  await assert.rejects(read(kept, LAST * PIECE, 10), { code: 'source-changed' }, 'nothing is read of it any more');
  kept.close();
  server.bytes = model.bytes;
  const again = await begun(server, browser);
  assert.equal((await again.keeper.finish(() => undefined, new AbortController().signal)).verified, true);
});

test('rows of another version are never mixed in, whoever notices it first', async () => {
  for (const notices of ['a row', 'the rest']) {
    const { kept, keeper, lost, server } = await begun();
    server.etag = '"2"';
    server.bytes = tableModel({ before: 5 * MB, table: 23 * MB, behind: 6 * MB, seed: 2 }).bytes;
    const failing = notices === 'a row' ? read(kept, FIRST * PIECE, 100) : keeper.finish(() => undefined, new AbortController().signal);
    await assert.rejects(failing, (error) => error.code === 'source-changed' && /changed on the server/.test(error.message) && /Load the model again/.test(error.remedy), notices);
    await settled();
    assert.equal(lost.length, 1, notices);
    await assert.rejects(read(kept, FIRST * PIECE, 100), { code: 'source-changed' });
  }
});

test('without a network a row is named that cannot be had, and the chat goes on with the network', async () => {
  let down = false;
  const server = serverOf(model.bytes, { before: () => down && Promise.reject(new TypeError('Failed to fetch')) });
  const { kept, keeper, lost, browser } = await begun(server);
  down = true;
  const refused = (error) => error instanceof RullamaError && error.code === 'network' && /row of the per-layer table/.test(error.message) && /connection/.test(error.remedy);
  await assert.rejects(read(kept, FIRST * PIECE, 100), refused);
  browser.connected = false;
  server.requests.length = 0;
  await assert.rejects(read(kept, FIRST * PIECE, 100), (error) => refused(error) && /no network/.test(error.message));
  assert.equal(server.requests.length, 1, 'it is not waited for');
  browser.connected = true;
  await assert.rejects(keeper.finish(() => undefined, new AbortController().signal), { code: 'network' });
  assert.ok((await read(kept, 0, 100)).equals(model.bytes.subarray(0, 100)), 'what is stored is read');
  down = false;
  assert.ok((await read(kept, FIRST * PIECE, 100)).equals(model.bytes.subarray(FIRST * PIECE, FIRST * PIECE + 100)));
  assert.equal((await keeper.finish(() => undefined, new AbortController().signal)).sha256, digest(model.bytes));
  assert.deepEqual(lost, []);
});

test('servers that lie about a row are not believed', async () => {
  const answers = [
    [() => new Response(model.bytes, { status: 200, headers: { ETag: '"1"' } }), 'network'],
    [() => new Response(Buffer.alloc(300), { status: 206, headers: { ETag: '"1"' } }), 'source-changed'],
    [() => new Response(Buffer.alloc(9), { status: 206, headers: { ETag: '"1"' } }), 'network'],
    [() => new Response(Buffer.alloc(100), { status: 206, headers: { ETag: '"1"', 'Content-Range': `bytes 5-104/${model.bytes.length}` } }), 'network'],
    [() => new Response(Buffer.alloc(100), { status: 206, headers: { ETag: '"1"', 'Content-Range': `bytes ${FIRST * PIECE}-${FIRST * PIECE + 99}/9` } }), 'source-changed'],
    [() => new Response(null, { status: 416 }), 'source-changed'],
    [() => new Response(null, { status: 403 }), 'network'],
  ];
  for (const [answer, code] of answers) {
    let lies = false;
    const { kept } = await begun(serverOf(model.bytes, { before: () => lies && answer() }));
    lies = true;
    await assert.rejects(read(kept, FIRST * PIECE, 100), { code }, `${answer}`);
  }
});

test('what needs no copy is stored only where a chat begins sooner for it', async () => {
  const large = tableModel({ before: 5 * MB, table: 56 * MB, behind: 6 * MB }).bytes;
  const nothing = async (bytes, options = {}, wishes = {}) => {
    const browser = new Browser();
    Object.assign(browser, options);
    const { keeper } = keeping(browser, serverOf(bytes, options), wishes);
    assert.equal(await keeper.keep(URL, false, true), undefined);
    assert.deepEqual(browser.folder.names(), []);
  };
  await nothing(modelBytes(65 * MB));
  await nothing(tableModel({ before: MB, table: 2 * MB, behind: 64 * MB }).bytes);
  await nothing(large, {}, { early: false });
  await nothing(large, { etag: null });
  await nothing(large, { ranges: false });
  await nothing(large, { free: MB });
  await nothing(model.bytes);
  const { keeper } = keeping(new Browser(), serverOf(large));
  assert.equal(await keeper.keep(URL, false, false), undefined, 'nobody reads rows');
  const kept = await keeper.keep(URL, false, true);
  assert.equal(kept.arriving, true);
  kept.close();
  // A copy of another version stays.
  const browser = new Browser();
  const before = await download({ url: URL }, browser.host(serverOf(modelBytes(9 * MB)).fetch), () => undefined, new AbortController().signal);
  const changed = keeping(browser, serverOf(large, { etag: '"2"' }));
  assert.equal(await changed.keeper.keep(URL, false, true), undefined);
  assert.equal(digest(browser.folder.bytes(NAME)), before.sha256);
  // Where one is needed, all is waited for in which nothing can come later, or whose rows nobody reads.
  for (const [bytes, rows] of [[modelBytes(9 * MB), true], [model.bytes, false]]) {
    const whole = keeping(new Browser(), serverOf(bytes));
    assert.equal((await whole.keeper.keep(URL, true, rows)).arriving, false);
  }
});

test('a table is found wherever it lies, and a description that is cut or absurd is none', () => {
  const reader = (bytes) => (into, at) => void bytes.copy(into, 0, at);
  const find = (bytes, stored = bytes.length, length = bytes.length) => tableIn(reader(bytes), stored, length);
  const { start, end, head, bytes } = model;
  assert.deepEqual(find(bytes), { start, end });
  const last = tableModel({ before: 64, table: 640, behind: 0, words: 20_000 });
  assert.deepEqual(find(last.bytes), { start: last.start, end: last.bytes.length });
  for (let stored = 0; stored < head; stored++) assert.equal(find(bytes, stored), undefined, `${stored} bytes`);
  assert.deepEqual(find(bytes, head), { start, end });
  assert.equal(find(bytes.subarray(0, head - 1)), null, 'a file that ends there');
  const small = bytes.subarray(0, head + 4096);
  for (let at = 0; at < head; at++) {
    const flipped = Buffer.from(small);
    flipped[at] ^= 0xff;
    const began = performance.now();
    const found = find(flipped, flipped.length, bytes.length);
    assert.ok(found === null || found === undefined || (found.start < found.end && found.end <= bytes.length), `byte ${at}`);
    assert.ok(performance.now() - began < 1000, `byte ${at} takes long`);
  }
});
