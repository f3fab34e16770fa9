// The page without a network, and its change to a new version: a development build with the fake engine, whose files lie in a folder
// that the tests change.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { answerText, ask, finished, keptLater, until, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';
import { writeTool } from './toolbox.mjs';

const dist = path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist');
let browser;
let folder;
let site;

before(async () => (browser = await startBrowser({ serviceWorkers: 'allow' })));
after(() => browser?.close());
// An origin of its own for each test: another port.
beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-offline-'));
  cpSync(dist, folder, { recursive: true });
  site = await startServer({ '/': folder });
});
afterEach(async () => {
  await site.close();
  for (const page of browser.context.pages()) await page.close();
  rmSync(folder, { recursive: true, force: true });
});

const hashOf = (name) => createHash('sha256').update(readFileSync(path.join(folder, name))).digest('base64');

/** Changes a file as a new build would; without `listed` the service worker knows nothing of it. */
function deploy(name, text, { listed = true } = {}) {
  const before = hashOf(name);
  appendFileSync(path.join(folder, name), text);
  const worker = path.join(folder, 'service-worker.js');
  const script = readFileSync(worker, 'utf8').replace(/version: "\w+"/, `version: "${createHash('sha256').update(text).digest('hex').slice(0, 16)}"`);
  writeFileSync(worker, listed ? script.replace(before, hashOf(name)) : script);
  assert.ok(!listed || script.includes(before), 'the worker lists the file');
}

/** Opens the page and waits until all of it is kept. */
async function openKept() {
  const opened = await openPage(browser.context, `${site.url}/?fake=1`);
  await opened.page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  return opened;
}

/** Looks for a new version; gives the state that it comes to. */
const update = (page) => page.evaluate(async () => {
  const registration = await navigator.serviceWorker.ready;
  await registration.update();
  const { installing, waiting } = registration;
  const next = installing ?? waiting;
  if (!next) return 'none';
  while (!['installed', 'activated', 'redundant'].includes(next.state)) await new Promise((resolve) => next.addEventListener('statechange', resolve, { once: true }));
  return next.state;
});

const style = (page) => page.evaluate(async () => (await fetch('style.css')).text());

/**
 * The tab, once `reload` gave it the second version. Chromium 156 can leave a tab hanging for ever that navigates while a service worker
 * takes over, under DevTools on a busy machine: where the tab answers nothing at all and the second version did take over meanwhile,
 * another one at its address stands for it.
 */
async function renewed(page, reload) {
  const address = page.url();
  const devTools = await browser.context.newCDPSession(page);
  let active;
  devTools.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
    for (const { status, scriptURL, versionId } of versions) if (status === 'activated' && scriptURL.startsWith(site.url)) active = versionId;
  });
  await devTools.send('ServiceWorker.enable');
  const first = await until(async () => active, (known) => known !== undefined);
  await reload();
  const taken = (tab) => until(() => style(tab), (text) => text.includes('second version'), 30_000);
  try {
    await taken(page);
    return page;
  } catch (error) {
    assert.match(error.message, /no answer/);
    assert.notEqual(active, first, 'the second version took over');
    await page.close();
    const { page: other } = await openPage(browser.context, address);
    await taken(other);
    return other;
  }
}

const cacheNames = (page) => page.evaluate(async () => (await caches.keys()).filter((name) => name.startsWith('rullama-page')));

test('after one visit the page opens without a network, with its chats', async () => {
  const { page, problems } = await openKept();
  await page.click('#load-embedded');
  await waitForChat(page);
  await ask(page, 'hello');
  await finished(page, 1);
  const { pathname, search, hash } = new URL(page.url());
  await site.close();
  await page.reload();
  await page.waitForSelector('.message.model');
  assert.match(await answerText(page), /A short answer/);
  // What is loaded when it is needed is there, too.
  await page.waitForSelector('.message.model .code');
  await page.click('#load-last');
  await waitForChat(page);
  await ask(page, 'recall');
  await finished(page, 2);
  const other = await openPage(browser.context, `${site.url}${pathname}${search}${hash}`);
  await other.page.waitForSelector('.message.model');
  assert.deepEqual(problems.filter((text) => !/ERR_CONNECTION_REFUSED|ERR_FAILED/.test(text)), []);
});

test('a tool of one’s own runs without a network', async () => {
  const { page } = await openKept();
  await page.click('#load-embedded');
  await waitForChat(page);
  await site.close();
  await writeTool(page, { name: 'twice', body: 'return 2 * args.of;' });
  await page.click('dialog.tools .primary');
  await ask(page, 'call twice {"of": 21}');
  await page.click('.consent [data-answer=once]');
  await page.waitForSelector('.message.result');
  assert.equal(await page.locator('.message.result code').first().textContent(), '42');
});

test('a model is kept once it was asked for, and its parts are cut out of it', async () => {
  const { page } = await openKept();
  const { file } = JSON.parse(readFileSync(path.join(folder, 'model/model.json'), 'utf8'));
  const { size } = statSync(path.join(folder, 'model', file));
  const get = (range) => page.evaluate(async ([url, range]) => {
    const response = await fetch(url, { headers: { Range: range } });
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { status: response.status, range: response.headers.get('content-range'), length: bytes.length, first: bytes[0] };
  }, [`model/${file}`, range]);
  const online = await get('bytes=1000-1999');
  await until(() => keptLater(page), (kept) => kept.some((url) => url.includes('.gguf')));
  const bytes = readFileSync(path.join(folder, 'model', file));
  await site.close();
  assert.deepEqual(await get('bytes=1000-1999'), online);
  assert.deepEqual(online, { status: 206, range: `bytes 1000-1999/${size}`, length: 1000, first: bytes[1000] });
  assert.deepEqual(await get(`bytes=${size - 5}-`), { status: 206, range: `bytes ${size - 5}-${size - 1}/${size}`, length: 5, first: bytes[size - 5] });
  assert.deepEqual(await get('bytes=-7'), { status: 206, range: `bytes ${size - 7}-${size - 1}/${size}`, length: 7, first: bytes[size - 7] });
  assert.equal((await get(`bytes=${size}-`)).status, 416);
  assert.deepEqual([(await get('bytes=5-4')).status, (await get('lines=1-2')).length], [200, size]);
});

test('a new version is told, taken at the next reload, and no chat is lost', async () => {
  const { page } = await openKept();
  assert.equal(await page.locator('.update').count(), 0, 'the first version is no news');
  await page.click('#load-embedded');
  await waitForChat(page);
  await ask(page, 'hello');
  await finished(page, 1);
  deploy('style.css', '\n/* the second version */');
  assert.equal(await update(page), 'installed');
  await page.waitForSelector('.update');
  assert.doesNotMatch(await style(page), /second version/, 'nothing changes under the open page');
  const tab = await renewed(page, () => page.click('#renew'));
  await tab.waitForSelector('.message.model');
  assert.match(await answerText(tab), /A short answer/);
  assert.equal(await tab.locator('.update').count(), 0);
  assert.equal((await cacheNames(tab)).length, 1);
});

test('a second tab keeps its version until it is the only one', async () => {
  const { page } = await openKept();
  const { page: other } = await openPage(browser.context, `${site.url}/?fake=1`);
  deploy('style.css', '\n/* the second version */');
  assert.equal(await update(page), 'installed');
  await page.reload();
  await page.waitForSelector('.update');
  for (const tab of [page, other]) assert.doesNotMatch(await style(tab), /second version/);
  await other.close();
  await renewed(page, () => page.reload());
});

test('a version that does not fit together is not taken', async () => {
  const { page } = await openKept();
  // The list is of one build, the file of the next.
  deploy('style.css', '\n/* the second version */');
  deploy('style.css', '\n/* the third */', { listed: false });
  assert.equal(await update(page), 'redundant');
  await page.reload();
  await page.waitForSelector('#load-embedded:enabled');
  assert.doesNotMatch(await style(page), /second version/);
  assert.equal(await page.locator('.update').count(), 0);
});

test('links with a token and what is not of the page are for the server', async () => {
  const { page } = await openKept();
  site.requests.length = 0;
  await page.goto(`${site.url}/?token=1`);
  await page.evaluate(() => fetch('models.json', { cache: 'no-store' }));
  const asked = site.requests.map(({ pathname }) => pathname);
  assert.ok(asked.includes('/') && asked.includes('/models.json'), asked.join(' '));
  assert.ok(!asked.includes('/main.js'), 'the rest is kept');
});

test('it can be installed', async () => {
  const { page } = await openKept();
  const session = await browser.context.newCDPSession(page);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  // Playwright's profiles count as private windows.
  assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== 'in-incognito'), []);
  const { errors, manifest } = await session.send('Page.getAppManifest');
  assert.deepEqual(errors, []);
  assert.equal(manifest?.startUrl ?? `${site.url}/`, `${site.url}/`);
});
