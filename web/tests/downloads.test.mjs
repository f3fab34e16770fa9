// Downloads on the page, in Chromium's own storage: pausing, a tab that is killed, two tabs, what goes wrong.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { modelBytes, tableModel } from '../packages/rullama/test/fake-storage.mjs';
import { ask, builtPage, expectError, finished as answered, openStartAt, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';

const MB = 1 << 20;
const PIECE = 4 * MB;
const whole = modelBytes(26 * MB + 3);
/** A model with a per-layer table, and a server that holds back the table's pieces until `free()`. */
const tabled = tableModel({ before: 3 * MB, table: 15 * MB, behind: 3 * MB });
const holding = async (options) => {
  let held = true;
  const pieceOfTable = (range) => {
    const [, first, last] = /=(\d+)-(\d+)/.exec(range).map(Number);
    return first >= PIECE && first < Math.floor(tabled.end / PIECE) * PIECE && last - first > MB;
  };
  const server = await serveFiles({ cut: (range) => (held && pieceOfTable(range) ? MB : undefined), after: () => {}, ...options });
  return Object.assign(server, { free: () => (held = false) });
};
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
const built = builtPage();
let files;
const servers = [];

before(() => {
  files = mkdtempSync(path.join(os.tmpdir(), 'rullama-downloads-'));
  writeFileSync(path.join(files, 'model.gguf'), whole);
  writeFileSync(path.join(files, 'tabled.gguf'), tabled.bytes);
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  const context = built.browser.context;
  const { page } = await openStart();
  for (const other of context.pages()) if (other !== page) await other.close();
  await page.evaluate(async () => (await navigator.storage.getDirectory()).removeEntry('rullama-models', { recursive: true }).catch(() => undefined));
  await page.close();
});
after(() => rmSync(files, { recursive: true, force: true }));

const shot = async (page, name) => process.env.SHOTS && page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`), fullPage: true });
const openStart = (options) => openStartAt(built.browser.context, `${built.site.url}/?fake=1`, options);

async function serveFiles(options) {
  const server = await startServer({ '/': files }, { cors: true, ...options });
  servers.push(server);
  return server;
}

/** A server whose bodies stop after so many bytes and say nothing more, until `free()`. */
async function halting(bytes) {
  let held = true;
  const longer = (range) => {
    const [, first, last] = /=(\d+)-(\d+)/.exec(range);
    return last - first >= bytes;
  };
  const server = await serveFiles({ cut: (range) => (held && longer(range) ? bytes : undefined), after: () => {} });
  return Object.assign(server, { free: () => (held = false) });
}

const card = (page) => page.locator('.kept').first();
const button = (page, name) => page.getByRole('button', { name });
/** Waits until the journal has so many pieces, as another tab would find it. */
async function pieces(page, least) {
  const count = () => page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models').catch(() => undefined);
    if (!folder) return 0;
    for await (const [name, entry] of folder.entries()) if (name.endsWith('.journal')) return (await (await entry.getFile()).text().catch(() => '')).split('\n').length - 2;
    return 0;
  });
  const end = Date.now() + 30_000;
  while ((await count()) < least) {
    assert.ok(Date.now() < end, 'the journal has its pieces');
    await page.waitForTimeout(50);
  }
}

async function download(page, server, name = 'model.gguf') {
  await page.fill('#url', `${server.url}/${name}`);
  await page.click('#download-url');
  await card(page).waitFor();
}

const finished = (page) => page.waitForSelector('.kept .kept-actions button:has-text("Load")');
const storedDigest = (page) => page.evaluate(async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
  for await (const [name, entry] of folder.entries()) {
    if (!name.endsWith('.gguf')) continue;
    const hash = await crypto.subtle.digest('SHA-256', await (await entry.getFile()).arrayBuffer());
    return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
  }
});
const storedNames = (page) => page.evaluate(async () => Array.fromAsync((await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models')).keys()));
const starts = (server) => server.requests.map(({ range }) => range).filter((range) => range !== 'bytes=0-3').map((range) => Number(/=(\d+)/.exec(range)[1]));

test('Google’s models are offered with what fits, and kept when they are loaded', async () => {
  const { page, problems } = await openStart();
  const asked = [];
  await built.browser.context.route('https://huggingface.co/**', (route) => (asked.push(new URL(route.request().url()).pathname), route.abort()));
  await page.evaluate(() => localStorage.setItem('rullama.gpu-room', JSON.stringify({ held: 4e9, refused: 6e9 })));
  await page.click('.curated summary');
  await page.waitForSelector('.curated-model');
  const shown = await page.locator('.curated-model').evaluateAll((all) => all.map((item) => [item.querySelector('h3').textContent, item.dataset.fits]));
  // SwiftShader computes on the processor.
  assert.deepEqual(shown, [['Gemma 4 E2B 3.3 GB', 'no'], ['Gemma 4 E4B 5.2 GB', 'no'], ['Gemma 4 12B 7.0 GB', 'no'], ['Gemma 4 26B-A4B 14 GB', 'no'], ['Gemma 4 31B 18 GB', 'no']]);
  await shot(page, 'curated');
  await page.setViewportSize({ width: 390, height: 800 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  await shot(page, 'curated-narrow');
  await button(page, /Load Gemma 4 E2B/).click();
  await page.waitForSelector('.error');
  assert.match(await page.locator('.error').innerText(), /gemma-4-E2B_q4_0-it.gguf: no answer/);
  assert.ok(asked.includes('/google/gemma-4-E2B-it-qat-q4_0-gguf/resolve/main/gemma-4-E2B_q4_0-it.gguf'), asked.join(' '));
  await built.browser.context.unroute('https://huggingface.co/**');
  assert.deepEqual(problems.filter((problem) => !/ERR_FAILED|huggingface/.test(problem)), []);
  await page.close();
});

test('a download shows how far it is, pauses, goes on, and its model is loaded', async () => {
  const server = await halting(5 * MB);
  const { page, problems } = await openStart();
  await download(page, server);
  await pieces(page, 4);
  await page.waitForSelector('.kept:has-text("18 MB of 27 MB")');
  assert.ok((await card(page).locator('progress').evaluate(({ value }) => value)) > 0.5);
  await button(page, 'Pause model.gguf').click();
  await button(page, 'Resume model.gguf').waitFor();
  assert.match(await card(page).innerText(), /15 MB of 27 MB, not finished/);
  assert.match(await page.locator('#kept-models').innerText(), /may delete them/);
  server.free();
  server.requests.length = 0;
  await button(page, 'Resume model.gguf').click();
  await finished(page);
  assert.ok(starts(server).every((start) => start % (2 * PIECE) === PIECE), `${starts(server)}`);
  assert.equal(await storedDigest(page), digest(whole));
  assert.equal((await storedNames(page)).length, 2, 'its journal is gone');
  await button(page, 'Load model.gguf').click();
  await waitForChat(page);
  assert.deepEqual(problems, []);
  await page.close();
});

test('a tab that is killed loses no piece: the next one lists the download, and goes on or deletes it', async () => {
  const server = await halting(5 * MB);
  const first = await openStart();
  await download(first.page, server);
  await pieces(first.page, 4);
  await first.page.close({ runBeforeUnload: false });
  const { page } = await openStart();
  await button(page, 'Resume model.gguf').waitFor();
  assert.match(await card(page).innerText(), /15 MB of 27 MB, not finished/);
  server.free();
  server.requests.length = 0;
  // A load goes on with it, too.
  await page.fill('#url', `${server.url}/model.gguf`);
  await page.click('#load-url');
  await waitForChat(page);
  assert.ok(starts(server).every((start) => start % (2 * PIECE) === PIECE), `${starts(server)}`);
  assert.equal(await storedDigest(page), digest(whole));
  await page.click('#change-model');
  await button(page, 'Delete model.gguf').click();
  await page.waitForSelector('#kept-models:has-text("is deleted")');
  assert.deepEqual(await storedNames(page), []);
  await page.close();
});

test('two tabs: the second says that the first is at it, follows it when it is asked to, and goes on when it is closed', async () => {
  const server = await halting(5 * MB);
  const first = await openStart();
  await download(first.page, server);
  await pieces(first.page, 4);
  const { page } = await openStart();
  await page.waitForSelector('.kept:has-text("Another tab downloads it")');
  assert.equal(await card(page).locator('button').count(), 0);
  await download(page, server);
  await page.waitForSelector('.kept:has-text("Do not wait for")');
  const before = server.requests.length;
  assert.equal(await page.locator('.kept').count(), 1);
  server.free();
  await first.page.close();
  await finished(page);
  assert.ok(server.requests.length > before);
  assert.equal(await storedDigest(page), digest(whole));
  await page.close();
});

test('a wrong checksum names both, and starts again', async () => {
  const wrong = Buffer.from(whole);
  wrong[9 * MB] ^= 1;
  const name = `sha256-${digest(whole)}`;
  writeFileSync(path.join(files, name), wrong);
  const server = await serveFiles();
  const { page } = await openStart();
  await download(page, server, name);
  const problem = page.locator('.kept .problem:has-text("SHA-256")');
  await problem.waitFor();
  const said = await problem.innerText();
  assert.ok(said.includes(digest(wrong)) && said.includes(digest(whole)), said);
  await page.reload();
  await page.waitForSelector(`.kept .problem:has-text("checksum is wrong"):has-text("${digest(wrong)}"):has-text("${digest(whole)}")`);
  writeFileSync(path.join(files, name), whole);
  await button(page, /^Start again/).click();
  await finished(page);
  assert.match(await card(page).innerText(), /checksum verified/);
  await page.close();
});

test('without a network it waits, and goes on by itself', async () => {
  const cut = new Set();
  let held = true;
  const server = await serveFiles({ cut: (range) => (held && range !== 'bytes=0-3' && !range.endsWith(`-${whole.length - 1}`) ? 5 * MB : undefined), after: (response) => cut.add(response) });
  const { page } = await openStart();
  await download(page, server);
  await pieces(page, 4);
  held = false;
  await page.context().setOffline(true);
  for (const response of cut) response.destroy();
  await page.waitForSelector('.kept:has-text("No network")');
  await page.context().setOffline(false);
  await finished(page);
  assert.equal(await storedDigest(page), digest(whole));
  await page.close();
});

test('a file that changed starts again and says so; a lost server is named, and cancelling leaves nothing', async () => {
  const server = await halting(5 * MB);
  const { page } = await openStart();
  await download(page, server);
  await pieces(page, 4);
  await button(page, 'Pause model.gguf').click();
  await button(page, 'Resume model.gguf').waitFor();
  const file = path.join(files, 'model.gguf');
  utimesSync(file, new Date(), new Date(Date.now() + 60_000));
  await button(page, 'Resume model.gguf').click();
  await page.waitForSelector('.kept:has-text("another one now: it starts again")');
  await button(page, 'Cancel model.gguf').click();
  await page.waitForSelector('#kept-models:has-text("is deleted")');
  assert.deepEqual(await storedNames(page), []);
  await download(page, server, 'nothing.gguf');
  await page.waitForSelector('.kept .problem:has-text("no such file (status 404)")');
  await button(page, 'Close nothing.gguf').click();
  await page.waitForFunction(() => document.querySelectorAll('.kept').length === 0);
  await page.close();
});

/** Loads a model that is kept, by its address. */
async function loadKept(page, server, name = 'tabled.gguf') {
  if (!(await page.locator('[name=store]').isVisible())) await page.click('.advanced summary');
  await page.selectOption('[name=store]', 'always');
  await page.fill('#url', `${server.url}/${name}`);
  await page.click('#load-url');
}

test('a chat begins before the table has arrived; the rest is shown, paused, and gone on with', async () => {
  const server = await holding();
  const { page, problems } = await openStart();
  await loadKept(page, server);
  await waitForChat(page);
  await ask(page, 'say\nhello');
  await answered(page, 1);
  assert.match(await page.locator('.rest').innerText(), /The rest of the model arrives: [\d.]+ MB of 22 MB/);
  await shot(page, 'rest');
  await page.setViewportSize({ width: 390, height: 800 });
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  await shot(page, 'rest-narrow');
  await page.click('#rest-pause');
  await page.waitForSelector('.rest:has-text("Paused")');
  server.free();
  await page.click('#rest-pause');
  await page.waitForSelector('.toast:has-text("All of the model is stored")');
  assert.equal(await page.locator('.rest').count(), 0);
  assert.equal(await storedDigest(page), digest(tabled.bytes));
  assert.deepEqual(problems, []);
  await page.close();
});

test('a tab that is killed while the rest arrives loses none of it', async () => {
  const server = await holding();
  const first = await openStart();
  await loadKept(first.page, server);
  await waitForChat(first.page);
  await first.page.close({ runBeforeUnload: false });
  const { page } = await openStart();
  await button(page, 'Resume tabled.gguf').waitFor();
  server.requests.length = 0;
  await loadKept(page, server);
  await waitForChat(page);
  assert.ok(starts(server).every((start) => start >= PIECE && start < Math.floor(tabled.end / PIECE) * PIECE), `${starts(server)}`);
  server.free();
  // What the page had asked for before stays silent.
  await page.click('#rest-pause');
  await page.waitForSelector('.rest:has-text("Paused")');
  await page.click('#rest-pause');
  await page.waitForSelector('.toast:has-text("All of the model is stored")');
  assert.equal(await storedDigest(page), digest(tabled.bytes));
  await page.close();
});

test('a download is chatted with before it ends', async () => {
  const server = await holding();
  const { page } = await openStart();
  await download(page, server, 'tabled.gguf');
  await button(page, 'Chat now tabled.gguf').click();
  await waitForChat(page);
  await page.waitForSelector('.rest');
  await page.close();
});

test('a wrong checksum of the rest ends the chat by name, and loading again mends it', async () => {
  const name = `sha256-${digest(tabled.bytes)}`;
  const wrong = Buffer.from(tabled.bytes);
  wrong[9 * MB] ^= 1;
  writeFileSync(path.join(files, name), wrong);
  const server = await holding();
  const { page } = await openStart();
  await loadKept(page, server, name);
  await waitForChat(page);
  server.free();
  await page.click('#rest-pause');
  await page.waitForSelector('.rest:has-text("Paused")');
  await page.click('#rest-pause');
  const said = await expectError(page, /^source-changed$/);
  assert.ok(said.includes(digest(wrong)) && said.includes(digest(tabled.bytes)) && /may be wrong/.test(said), said);
  assert.ok(await page.locator('#send').isDisabled());
  assert.equal(await page.locator('.rest').count(), 0);
  await shot(page, 'rest-wrong');
  writeFileSync(path.join(files, name), tabled.bytes);
  await button(page, 'Reload model').click();
  await page.waitForSelector('.toast:has-text("with the right checksum")');
  assert.equal(await storedDigest(page), digest(tabled.bytes));
  await page.close();
});
