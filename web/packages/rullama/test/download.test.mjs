// Downloads against a server that misbehaves and a storage that forgets what was not flushed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begun, download, fileName, PIECE, RullamaError } from '../../../dist-test/internals.js';
import { Browser, digest, Folder, MB, modelBytes, serverOf } from './fake-storage.mjs';

const URL = 'https://example.org/dir/model.gguf';
const NAME = fileName(URL);
const whole = modelBytes(19 * MB + 5);
const other = modelBytes(19 * MB + 5, 2);

/** Starts a download in a tab; `told` is what it tells. */
function start(browser, server, { url = URL, signal = new AbortController().signal, ...request } = {}) {
  const told = [];
  const done = download({ url, ...request }, browser.host(server.fetch), (progress) => told.push(progress), signal);
  return { told, done };
}

/** One that fails: what it rejects with. */
async function failing(browser, server, options) {
  const error = await start(browser, server, options).done.then(() => assert.fail('it did not fail'), (thrown) => thrown);
  assert.ok(error instanceof RullamaError, String(error.stack));
  assert.ok(error.remedy.length > 10);
  return error;
}

const stored = (browser) => browser.folder.bytes(NAME);
const record = (browser) => JSON.parse(browser.folder.text(`${NAME}.json`));
const notices = (told) => [...new Set(told.map(({ notice }) => notice))].filter(Boolean);
const spans = (server) => server.requests.filter((range) => range !== 'bytes=0-3');
/** First bytes of the ranges that were asked for. */
const starts = (server) => spans(server).map((range) => Number(/=(\d+)/.exec(range)[1])).sort((a, b) => a - b);

function intact(browser, result, bytes = whole) {
  assert.equal(digest(stored(browser)), digest(bytes));
  assert.equal(result.sha256, digest(bytes));
  assert.deepEqual(browser.folder.names(), [NAME, `${NAME}.json`]);
  const { complete, len, url, sha256 } = record(browser);
  assert.deepEqual({ complete, len, url, sha256 }, { complete: true, len: bytes.length, url: URL, sha256: digest(bytes) });
}

test('a file comes over several connections, is hashed on the way, and a second call finds it', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  const { told, done } = start(browser, server);
  const result = await done;
  intact(browser, result);
  assert.equal(result.verified, false, 'nobody said what it should be');
  assert.equal(record(browser).tag, '"1"', 'as the engine compares it');
  assert.deepEqual(starts(server), [0, 2 * PIECE, 4 * PIECE], 'a small file is shared out in whole pieces');
  assert.deepEqual(told.at(-1), { ...told.at(-1), state: 'checking', done: whole.length, total: whole.length });
  assert.ok(told.every(({ done }, i) => i === 0 || done >= told[i - 1].done));
  server.requests.length = 0;
  await start(browser, server).done;
  assert.deepEqual(server.requests, ['bytes=0-3']);
  assert.equal((await start(browser, server, { sha256: digest(whole) }).done).verified, true, 'what was hashed is compared later, too');
  assert.equal((await start(browser, server).done).verified, true, 'and that is known from then on');
});

test('the digest of the caller, the address, the server or the hub is compared', async () => {
  const sha256 = digest(whole);
  assert.equal((await start(new Browser(), serverOf(whole), { sha256: sha256.toUpperCase() }).done).verified, true);
  const linked = serverOf(whole, { headers: { 'X-Linked-ETag': `"${sha256}"` } });
  assert.equal((await start(new Browser(), linked).done).verified, true);
  for (const url of [`http://localhost:8080/blobs/sha256-${sha256}`, `https://registry.example/v2/library/m/blobs/sha256:${sha256}`]) {
    assert.equal((await start(new Browser(), serverOf(whole), { url }).done).verified, true, url);
  }
  const asked = [];
  const hub = (size, status = 200) => serverOf(whole, { before: ({ address }) => {
    if (!address.includes('/api/')) return undefined;
    asked.push(address);
    return new Response(JSON.stringify([null, { path: 'dir/other.gguf' }, { path: 'dir/a b.gguf', lfs: { oid: sha256, size } }]), { status });
  } });
  const url = 'https://huggingface.co/o/n/resolve/main/dir/a%20b.gguf?download=true';
  assert.equal((await start(new Browser(), hub(whole.length), { url }).done).verified, true);
  assert.deepEqual(asked, ['https://huggingface.co/api/models/o/n/tree/main/dir']);
  assert.equal((await start(new Browser(), hub(whole.length, 500), { url }).done).verified, false, 'what is unknown is not claimed');
  assert.equal((await failing(new Browser(), hub(1), { url })).code, 'source-changed');
});

test('a corrupted byte is found; both digests are named, and the next call starts again', async () => {
  const wrong = Buffer.from(whole);
  wrong[11 * MB] ^= 1;
  const [browser, server, sha256] = [new Browser(), serverOf(wrong), digest(whole)];
  const error = await failing(browser, server, { sha256 });
  assert.equal(error.code, 'source-changed');
  assert.ok(error.message.includes(digest(wrong)) && error.message.includes(sha256), error.message);
  assert.match(error.remedy, /^Start again/);
  assert.equal(record(browser).complete, false);
  server.bytes = whole;
  server.requests.length = 0;
  const { told, done } = start(browser, server, { sha256 });
  intact(browser, await done);
  assert.deepEqual(notices(told), ['damaged']);
  assert.equal(starts(server)[0], 0);
});

test('a wrong digest of the caller loses nothing: with the right one the bytes are taken', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  await failing(browser, server, { sha256: digest(other) });
  server.requests.length = 0;
  const result = await start(browser, server, { sha256: digest(whole) }).done;
  intact(browser, result);
  assert.equal(result.verified, true);
  assert.deepEqual(spans(server), []);
});

test('connections that break go on where they ended', async () => {
  let cuts = 5;
  const [browser, server] = [new Browser(), serverOf(whole, { cut: () => (cuts-- > 0 ? 3 * MB + 7 : undefined) })];
  const { told, done } = start(browser, server);
  intact(browser, await done);
  assert.ok(told.some(({ state, reason }) => state === 'retrying' && /terminated/.test(reason)));
  const asked = starts(server);
  assert.ok(asked.includes(3 * MB + 7), `${asked}`);
  assert.equal(new Set(asked).size, asked.length, 'no byte is asked for twice');
});

test('a crash keeps the pieces that were flushed, and the rest is fetched', async () => {
  const browser = new Browser();
  let crashed;
  // The machine stops after 11 MB, without any goodbye.
  const dying = serverOf(whole, { cut: (from) => (from < 8 * MB ? undefined : 2 * MB), before: ({ number }) => {
    if (number < 6) return undefined;
    crashed ??= new Browser(browser.folder.crashed());
    return new Response(null, { status: 403 });
  } });
  await failing(browser, dying);
  const lines = crashed.folder.text(`${NAME}.journal`).trim().split('\n').slice(1);
  const server = serverOf(whole);
  // The last line of a journal may be half written.
  const journal = crashed.folder.files.get(`${NAME}.journal`);
  journal.data = Buffer.concat([journal.data, Buffer.from('4')]);
  const { told, done } = start(crashed, server);
  intact(crashed, await done);
  assert.deepEqual(notices(told), []);
  for (const piece of lines) assert.ok(!starts(server).includes(Number(piece) * PIECE), `piece ${piece} is not fetched again`);
});

test('pausing keeps what is whole; the journal says so, and the call goes on', async () => {
  const [browser, controller] = [new Browser(), new AbortController()];
  let cuts = 3;
  const slow = serverOf(whole, { cut: () => (cuts-- > 0 ? 6 * MB : MB), before: ({ number }) => number > 5 && controller.abort() });
  const error = await failing(browser, slow, { signal: controller.signal });
  assert.deepEqual([error.code, error.name], ['cancelled', 'AbortError']);
  const pieces = browser.folder.text(`${NAME}.journal`).trim().split('\n').slice(1).map(Number);
  assert.ok(pieces.length > 0, 'something was kept');
  const again = serverOf(whole);
  const { told, done } = start(browser, again);
  intact(browser, await done);
  assert.ok(told.find(({ state }) => state === 'downloading').done >= (pieces.length - 1) * PIECE);
  for (const piece of pieces) assert.ok(!starts(again).includes(piece * PIECE));
});

test('another file on the server starts again, and says so: between two visits, and under way', async () => {
  const [browser, first] = [new Browser(), serverOf(whole, { before: ({ number }) => number > 2 && new Response(null, { status: 403 }) })];
  await failing(browser, first);
  const { told, done } = start(browser, serverOf(other, { etag: '"2"' }));
  intact(browser, await done, other);
  assert.deepEqual(notices(told), ['changed']);
  for (const change of [(state) => (state.etag = '"2"'), (state) => (state.bytes = other.subarray(0, 18 * MB)), (state) => (state.bytes = Buffer.alloc(0))]) {
    const replaced = serverOf(whole, { change: (state) => {
      if (state.requests.length !== 4) return;
      change(state);
      state.etag = '"2"';
      if (state.bytes.length === 0) state.bytes = other.subarray(0, 4 * MB);
      else if (state.bytes === whole) state.bytes = other;
    } });
    const second = new Browser();
    const run = start(second, replaced);
    await run.done;
    assert.equal(digest(stored(second)), digest(replaced.bytes));
    assert.deepEqual(notices(run.told), ['changed']);
  }
  let version = 0;
  const restless = serverOf(whole, { change: (state) => (state.etag = `"${version++}"`) });
  const error = await failing(new Browser(), restless);
  assert.deepEqual([error.code, /changed while/.test(error.message)], ['source-changed', true]);
});

test('a server without ranges sends one stream from the beginning, which is said; after a failure nothing is left', async () => {
  let cuts = 1;
  const [browser, server] = [new Browser(), serverOf(whole, { ranges: false, cut: () => (cuts-- > 0 ? 5 * MB : undefined) })];
  const { told, done } = start(browser, server, { sha256: digest(whole) });
  const result = await done;
  intact(browser, result);
  assert.equal(result.verified, true);
  assert.deepEqual(notices(told), ['no-ranges']);
  assert.deepEqual(spans(server), [undefined, undefined]);
  const endless = serverOf(whole, { ranges: false, cut: () => MB });
  const failed = new Browser();
  assert.equal((await failing(failed, endless)).code, 'network');
  assert.deepEqual(failed.folder.names(), []);
  const secret = serverOf(whole, { ranges: false, length: false });
  const blind = new Browser();
  intact(blind, await start(blind, secret).done);
});

test('without a tag or a digest a later visit begins anew; a digest is enough to go on', async () => {
  const closed = { etag: null, cut: () => 5 * MB, before: ({ number }) => number > 4 && new Response(null, { status: 403 }) };
  const browser = new Browser();
  await failing(browser, serverOf(whole, closed));
  assert.deepEqual(browser.folder.names(), []);
  const { told, done } = start(browser, serverOf(whole, { etag: null }));
  intact(browser, await done);
  assert.deepEqual(notices(told), ['no-version']);
  const known = new Browser();
  const sha256 = digest(whole);
  await failing(known, serverOf(whole, closed), { sha256 });
  const server = serverOf(whole, { etag: null });
  const again = start(known, server, { sha256 });
  intact(known, await again.done);
  assert.ok(starts(server)[0] > 0);
});

test('what the engine began to store is taken where a digest will tell, and else fetched anew', async () => {
  const begun = () => {
    const folder = new Folder();
    const put = (name, data) => folder.files.set(name, { data: Buffer.from(data), safe: Buffer.from(data), open: false });
    put(NAME, whole.subarray(0, 9 * MB));
    put(`${NAME}.json`, JSON.stringify({ url: URL, tag: '"1"', len: whole.length, complete: false }));
    return new Browser(folder);
  };
  const [known, unknown] = [serverOf(whole), serverOf(whole)];
  let browser = begun();
  intact(browser, await start(browser, known, { sha256: digest(whole) }).done);
  assert.equal(starts(known)[0], 2 * PIECE);
  browser = begun();
  intact(browser, await start(browser, unknown).done);
  assert.equal(starts(unknown)[0], 0);
});

test('while the server is away its whole copy is given; part of one is not', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  await start(browser, server).done;
  const away = { fetch: () => Promise.reject(new TypeError('Failed to fetch')) };
  assert.equal((await start(browser, away).done).bytes, whole.length);
  assert.equal((await failing(new Browser(), away)).code, 'network');
});

test('without a network it waits for one', async () => {
  let broken = false;
  const browser = new Browser();
  const server = serverOf(whole, { before: ({ number }) => {
    if (number !== 3 || broken) return undefined;
    broken = true;
    browser.connected = false;
    setTimeout(() => (browser.connected = true, browser.offline.forEach((go) => go())), 20);
    return Promise.reject(new TypeError('Failed to fetch'));
  } });
  const { told, done } = start(browser, server);
  intact(browser, await done);
  assert.ok(told.some(({ state }) => state === 'offline'));
});

test('answers that are errors say what they mean; busy servers are waited for', async () => {
  const status = (status, headers = {}) => serverOf(whole, { before: () => new Response(null, { status, headers }) });
  const hub = 'https://huggingface.co/google/gemma/resolve/main/m.gguf';
  assert.match((await failing(new Browser(), status(404))).message, /no such file \(status 404\)/);
  const gated = await failing(new Browser(), status(401), { url: hub });
  assert.match(`${gated.message} ${gated.remedy}`, /gated.*licence.*huggingface\.co\/google\/gemma.*token/);
  assert.match((await failing(new Browser(), status(403))).remedy, /fresh link/);
  const page = serverOf(Buffer.from('<!doctype html>'), { headers: { 'Content-Type': 'text/html' } });
  assert.match((await failing(new Browser(), page)).message, /web page/);
  assert.equal((await failing(new Browser(), serverOf(Buffer.from('PK\u0003\u0004 an archive')))).code, 'model-format');
  const cors = { fetch: (_, { mode } = {}) => (mode === 'no-cors' ? Promise.resolve(new Response()) : Promise.reject(new TypeError('Failed to fetch'))) };
  assert.match((await failing(new Browser(), cors)).message, /CORS/);
  const browser = new Browser();
  const busy = serverOf(whole, { before: ({ number }) => number === 2 && new Response(null, { status: 429, headers: { 'Retry-After': '7' } }) });
  intact(browser, await start(browser, busy).done);
  assert.ok(browser.slept.includes(7000));
});

test('too little room is said before anything is fetched, and what was there stays', async () => {
  const browser = new Browser();
  browser.free = 10 * MB;
  const server = serverOf(whole);
  const error = await failing(browser, server);
  assert.equal(error.code, 'quota');
  assert.match(error.message, new RegExp(`${whole.length} more bytes`));
  assert.match(error.remedy, /delete kept models/);
  assert.deepEqual(browser.folder.names(), []);
  assert.deepEqual(spans(server), []);
  // Browsers round what they tell of free space.
  browser.free = undefined;
  browser.folder.full = (name, end) => end > 10 * MB;
  assert.equal((await failing(browser, server)).code, 'quota');
  assert.deepEqual(browser.folder.names(), []);
  assert.deepEqual(spans(server), []);
});

test('a disk that fills up under way keeps what was verified', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  let writes = 0;
  browser.folder.full = (name, _end, call) => call === 'write' && name === NAME && ++writes > 50;
  const error = await failing(browser, server);
  assert.equal(error.code, 'quota');
  assert.match(`${error.message} ${error.remedy}`, /disk became full.*is kept/);
  const kept = browser.folder.text(`${NAME}.journal`).trim().split('\n').length - 1;
  assert.ok(kept > 0);
  browser.folder.full = () => false;
  server.requests.length = 0;
  intact(browser, await start(browser, server).done);
  assert.ok(spans(server).length > 0 && starts(server).reduce((sum) => sum + 1, 0) < 6);
});

test('two tabs: the second follows, and goes on where the first stopped', async () => {
  const [browser, controller] = [new Browser(), new AbortController()];
  const first = serverOf(whole, { cut: () => (first.requests.length > 5 && controller.abort(), 4 * MB) });
  const one = start(browser, first, { signal: controller.signal });
  one.done.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  const server = serverOf(whole);
  const second = start(browser, server);
  await assert.rejects(one.done, { code: 'cancelled' });
  intact(browser, await second.done);
  const states = second.told.map(({ state }) => state);
  assert.equal(states[0], 'elsewhere');
  assert.ok(second.told.some(({ state, done }) => state === 'elsewhere' && done > 0), 'it tells how far the other is');
  assert.ok(starts(server)[0] > 0 || starts(server).length < 4, 'what the first stored is not fetched again');
  const third = start(browser, server);
  assert.equal((await third.done).bytes, whole.length);
});

test('a stored file that lost its end is not believed, nor is a length that nothing has', async () => {
  const browser = new Browser();
  await failing(browser, serverOf(whole, { cut: () => 5 * MB, before: ({ number }) => number > 4 && new Response(null, { status: 403 }) }));
  const file = browser.folder.files.get(NAME);
  file.data = file.data.subarray(0, 3 * MB);
  const server = serverOf(whole);
  intact(browser, await start(browser, server).done);
  assert.equal(starts(server)[0], 0);
  const boasting = { fetch: async () => new Response('GGUF', { status: 206, headers: { 'Content-Range': `bytes 0-3/${2 ** 50}` } }) };
  assert.match((await failing(new Browser(), boasting)).message, /more than any model/);
});

test('an older whole copy is hashed once its digest is known, unless it is being read', async () => {
  const folder = new Folder();
  const put = (name, data) => folder.files.set(name, { data: Buffer.from(data), safe: Buffer.from(data), open: false });
  put(NAME, whole);
  put(`${NAME}.json`, JSON.stringify({ url: URL, tag: '"1"', len: whole.length, complete: true }));
  const [browser, server, sha256] = [new Browser(folder), serverOf(whole), digest(whole)];
  folder.files.get(NAME).open = true;
  assert.equal((await start(browser, server, { sha256 }).done).verified, false);
  folder.files.get(NAME).open = false;
  const result = await start(browser, server, { sha256 }).done;
  intact(browser, result);
  assert.equal(result.verified, true);
  assert.deepEqual(spans(server), []);
});

test('a file that another program of the page has open is named', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  const handle = await (await browser.folder.getFileHandle(NAME, { create: true })).createSyncAccessHandle();
  const error = await failing(browser, server);
  assert.match(`${error.message} ${error.remedy}`, /another tab.*Close/);
  handle.close();
});

test('what was begun is known, and what is whole is not begun', async () => {
  const [browser, server] = [new Browser(), serverOf(whole)];
  const isBegun = () => begun([URL], browser.host(server.fetch));
  assert.equal(await isBegun(), false);
  await failing(browser, serverOf(whole, { cut: () => 5 * MB, before: ({ number }) => number > 4 && new Response(null, { status: 403 }) }));
  assert.equal(await isBegun(), true);
  intact(browser, await start(browser, server).done);
  assert.equal(await isBegun(), false, 'it is whole now');
});
