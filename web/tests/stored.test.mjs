// Copies of addresses in the browser's private storage: full disks, broken downloads, other versions.
//
// Needs the package (npm run build) and a model in app/dist.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { flood, startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const models = path.join(here, '../app/dist/model');
const whole = readFileSync(path.join(models, JSON.parse(readFileSync(path.join(models, 'model.json'), 'utf8')).file));
const MB = 1 << 20;
/** What a download stores as a whole. */
const PIECE = 4 * MB;
/** Whether a request only asks what there is. */
const asks = (range) => /^bytes=0-[03]$/.test(range);
/** The last piece, and what is asked for of it after a MB. */
const last = Math.floor((whole.length - 1) / PIECE) * PIECE;
const LAST = `bytes=${last}-${whole.length - 1}`;
const LAST_AGAIN = `bytes=${last + MB}-${whole.length - 1}`;
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

let site;
let browser;
let files;
let page;

before(async () => {
  files = mkdtempSync(path.join(os.tmpdir(), 'rullama-stored-'));
  writeFileSync(path.join(files, 'model.gguf'), whole);
  site = await startServer({ '/package/': path.join(here, '../packages/rullama/dist'), '/': path.join(here, 'pages') });
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await site?.close();
  rmSync(files, { recursive: true, force: true });
});

beforeEach(async () => {
  ({ page } = await openPage(browser.context, `${site.url}/blank.html`));
});

afterEach(async () => {
  await quota(undefined);
  await page.evaluate(async () => (await import('/package/index.js')).clearStoredModels());
  await page.close();
});

/** What this page's origin may store, in bytes; `undefined` is the browser's own bound. */
async function quota(bytes) {
  const session = await browser.context.newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: site.url, ...(bytes !== undefined && { quotaSize: bytes }) });
}

const serveFiles = (options) => startServer({ '/': files }, { cors: true, ...options });

/** Loads an address: `{ ple, stored, name }` or `{ code, message, remedy, stored }`, with what is stored afterwards. */
const load = (server, options = { store: 'always' }) =>
  page.evaluate(
    async ([url, options]) => {
      const { Rullama, storedModels } = await import('/package/index.js');
      const outcome = await Rullama.load(url, options).then(
        async (ai) => (await ai.close(), { ple: ai.info.ple, name: ai.info.name }),
        ({ code, message, remedy }) => ({ code, message, remedy }),
      );
      return { ...outcome, stored: await storedModels() };
    },
    [`${server.url}/model.gguf`, options],
  );

/** SHA-256 of the only stored file. */
const storedDigest = () =>
  page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
    for await (const [name, entry] of folder.entries()) {
      if (!name.endsWith('.gguf')) continue;
      const hash = await crypto.subtle.digest('SHA-256', await (await entry.getFile()).arrayBuffer());
      return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
    }
  });

test('a copy that does not fit is refused before it starts, and leaves nothing', async (t) => {
  const server = await serveFiles();
  // Too little for the model, and too little for anything.
  for (const room of [8 * MB, MB]) {
    await quota(room);
    const { code, message, remedy, stored } = await load(server);
    t.diagnostic(`${message} ${remedy}`);
    assert.equal(code, 'quota');
    assert.match(message, new RegExp(`${whole.length} more bytes must be stored`));
    assert.match(remedy, /Free disk space/);
    assert.deepEqual(stored, []);
  }
  assert.equal(server.requests.filter((r) => !/bytes=0-3/.test(r.range)).length, 0, 'nothing was downloaded');
  await server.close();
});

test('a disk that fills up in the download is named, and what cannot be continued is removed', async (t) => {
  const server = await serveFiles({ ranges: false, length: false });
  await quota(4 * MB);
  const { code, message, stored } = await load(server);
  t.diagnostic(message);
  assert.equal(code, 'quota');
  assert.match(message, /disk became full/);
  assert.deepEqual(stored, []);
  await quota(undefined);
  assert.ok((await load(server)).ple);
  assert.equal(await storedDigest(), digest(whole));
  await server.close();
});

test('a download that breaks off goes on where it ended, at once or with the next load', async () => {
  let cuts = 1;
  let closed = false;
  const cut = (range) => (!asks(range) && cuts-- > 0 ? 3 * MB : undefined);
  const server = await serveFiles({ cut });
  assert.ok((await load(server)).ple);
  assert.equal(await storedDigest(), digest(whole));
  assert.ok(server.requests.some(({ range }) => range === `bytes=${3 * MB}-${PIECE - 1}`));

  await page.evaluate(async () => (await import('/package/index.js')).clearStoredModels());
  closed = true;
  const breaks = (range) => (range === LAST && closed ? MB : undefined);
  const failing = await serveFiles({ cut: breaks, fail: () => (closed && failing.requests.at(-1).range === LAST_AGAIN ? 403 : 0) });
  const broken = await load(failing);
  assert.equal(broken.code, 'network');
  assert.deepEqual(broken.stored.map(({ bytes, total, complete }) => [bytes, total, complete]), [[last, whole.length, false]]);
  closed = false;
  failing.requests.length = 0;
  // A load that would not store goes on with it all the same.
  assert.ok((await load(failing, { store: 'auto' })).ple);
  assert.deepEqual(failing.requests.map((r) => r.range), ['bytes=0-3', LAST]);
  assert.equal(await storedDigest(), digest(whole));
  await Promise.all([server.close(), failing.close()]);
});

test('a new version is never mixed with what is stored of another', async () => {
  let closed = false;
  const server = await serveFiles({ fail: () => (closed && !asks(server.requests.at(-1).range) ? 403 : 0) });
  assert.ok((await load(server)).ple);
  // As long as the old one: only the tag tells them apart.
  const other = Buffer.from(whole);
  other[other.length - 1] ^= 1;
  const file = path.join(files, 'model.gguf');
  writeFileSync(file, other);
  utimesSync(file, new Date(), new Date(Date.now() + 60_000));
  closed = true;
  assert.equal((await load(server)).code, 'network');
  closed = false;
  assert.ok((await load(server)).ple);
  assert.equal(await storedDigest(), digest(other));
  copyFileSync(file, `${file}.other`);
  writeFileSync(file, whole);
  await server.close();
});

test('a body that is longer than the server said is refused before it fills the disk, and read in pieces before it fills memory', async (t) => {
  await quota(whole.length + 8 * MB);
  const endless = (range) => (asks(range) ? undefined : Number.MAX_SAFE_INTEGER);
  const server = await serveFiles({ length: false, cut: endless, after: flood });
  for (const store of ['always', 'never']) {
    const { code, message, stored } = await load(server, { store });
    t.diagnostic(message);
    assert.equal(code, 'source-changed');
    assert.deepEqual(stored, []);
  }
  await server.close();
});

test('a body that comes to a halt is asked for again', async () => {
  let halts = 1;
  const halt = (range) => (!asks(range) && halts-- > 0 ? 3 * MB : undefined);
  const server = await serveFiles({ cut: halt, after: () => {} });
  assert.ok((await load(server)).ple);
  assert.equal(await storedDigest(), digest(whole));
  assert.ok(server.requests.some(({ range }) => range === `bytes=${3 * MB}-${PIECE - 1}`));
  await server.close();
});

test('while the server is down its copy is used, and none of another address that has the name', async () => {
  const server = await serveFiles();
  assert.ok((await load(server)).ple);
  await server.close();
  assert.ok((await load(server)).ple);
  // Names are short hashes of addresses, for which others can be made.
  await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
    for await (const [name, entry] of folder.entries()) {
      if (!name.endsWith('.json')) continue;
      const record = JSON.parse(await (await entry.getFile()).text());
      const out = await entry.createWritable();
      await out.write(JSON.stringify({ ...record, url: 'https://example.org/other.gguf' }));
      await out.close();
    }
  });
  assert.equal((await load(server)).code, 'network');
});

test('what does not fit the memory budget is stored and streamed; without room that is said', async (t) => {
  const server = await serveFiles();
  const auto = { memoryBudget: MB };
  const { ple, stored } = await load(server, auto);
  assert.deepEqual([ple, stored.length], ['streamed', 1]);
  assert.equal((await load(server, { memoryBudget: 1 << 30 })).ple, 'resident');
  await page.evaluate(async () => (await import('/package/index.js')).clearStoredModels());
  await quota(MB);
  assert.equal((await load(server, auto)).code, 'quota');
  const refused = await load(server, { ...auto, store: 'never' });
  t.diagnostic(`${refused.message} ${refused.remedy}`);
  assert.equal(refused.code, 'out-of-memory');
  assert.equal((await load(server, { ...auto, ple: 'resident' })).ple, 'resident');
  await server.close();
});

test('stored models say where they came from and whether they are whole; one is removed without the others, and none that is in use', async () => {
  const ofB = () => server.requests.at(-1).pathname === '/b.gguf';
  const server = await serveFiles({ fail: () => (ofB() && server.requests.at(-1).range === LAST_AGAIN ? 403 : 0), cut: (range) => (ofB() && range === LAST ? MB : undefined) });
  copyFileSync(path.join(files, 'model.gguf'), path.join(files, 'b.gguf'));
  const told = await page.evaluate(async (site) => {
    const { Rullama, removeStoredModel, storedModels } = await import('/package/index.js');
    await Rullama.load(`${site}/b.gguf`, { store: 'always' }).catch(() => undefined);
    const ai = await Rullama.load(`${site}/model.gguf`, { store: 'always', ple: 'streamed' });
    const before = await storedModels();
    const named = (end) => before.find(({ url }) => url.endsWith(end)).name;
    const busy = await removeStoredModel(named('/model.gguf')).then(() => 'removed', ({ message, remedy }) => `${message} ${remedy}`);
    const whileUsed = await storedModels();
    await removeStoredModel(named('/b.gguf'));
    await removeStoredModel('not-there.gguf');
    const after = await storedModels();
    await ai.close();
    await removeStoredModel(named('/model.gguf'));
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
    const left = [];
    for await (const name of folder.keys()) left.push(name);
    return { before, busy, whileUsed, after, left };
  }, server.url);
  const plain = (list) => list.map(({ url, bytes, total, complete }) => [new URL(url).pathname, bytes, total, complete]).sort();
  assert.deepEqual(plain(told.before), [['/b.gguf', last, whole.length, false], ['/model.gguf', whole.length, whole.length, true]]);
  assert.match(told.busy, /is in use.*Close the tabs/);
  assert.deepEqual(told.whileUsed, told.before);
  assert.deepEqual(plain(told.after), [['/model.gguf', whole.length, whole.length, true]]);
  assert.deepEqual(told.left, []);
  await server.close();
});
