// What a person does with the page, in headless Chromium on WebGPU's software adapter.
//
// Needs app/dist (npm run build) with a model in it. Screenshots go to tests/screenshots.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { answerText, ask, expectError, finished, keptAre, limitAnswers, openLoadedAt, openStartAt, statsOf, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';
import { splitGguf } from './split.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = path.join(here, '../app/dist');
const shots = path.join(here, 'screenshots');
/** A development build is larger and slower: it is not what people wait for. */
const shipped = !existsSync(path.join(dist, 'fake-worker.js'));
const FIRST_WORDS_MS = 20_000; // the floor is 10 s on a quiet machine; a busy one takes longer

const description = JSON.parse(readFileSync(path.join(dist, 'model/model.json'), 'utf8'));
const modelFile = path.join(dist, 'model', description.file);
let site;
let browser;
let files;

before(async () => {
  mkdirSync(shots, { recursive: true });
  files = mkdtempSync(path.join(os.tmpdir(), 'rullama-files-'));
  const whole = readFileSync(modelFile);
  copyFileSync(modelFile, path.join(files, 'whole.gguf'));
  writeFileSync(path.join(files, 'corrupt-truncated.gguf'), whole.subarray(0, Math.floor(whole.length * 0.6)));
  writeFileSync(path.join(files, 'corrupt-text.gguf'), 'This is a text file.\n'.repeat(100));
  site = await startServer({ '/': dist });
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await site?.close();
  rmSync(files, { recursive: true, force: true });
});

const openStart = (options) => openStartAt(browser.context, site.url, options);
const openLoaded = (options) => openLoadedAt(browser.context, site.url, options);

test('the embedded model loads and answers in a stream', async (t) => {
  const started = performance.now();
  const { page, problems } = await openStart();
  await page.screenshot({ path: path.join(shots, 'start.png') });
  await page.click('#load-embedded');
  await page.waitForSelector('#loading:visible');
  await waitForChat(page);
  assert.equal(await page.locator('.empty h2').innerText(), description.name);
  await limitAnswers(page, 32);
  // Lengths of the answer as the page shows them, to see that it grows.
  await page.evaluate(() => {
    globalThis.lengths = new Set();
    const look = () => {
      const body = document.querySelector('.message.model .body');
      if (body?.textContent) globalThis.lengths.add(body.textContent.length);
      requestAnimationFrame(look);
    };
    look();
  });
  await ask(page, 'Why is the sky blue?');
  await page.waitForFunction(() => document.querySelector('.message.model .body')?.textContent);
  const firstWords = performance.now() - started;
  t.diagnostic(`first words ${(firstWords / 1000).toFixed(1)} s after opening the page`);
  if (shipped) assert.ok(firstWords <= FIRST_WORDS_MS, `first words after ${firstWords} ms`);
  await finished(page, 1);
  assert.ok((await page.evaluate(() => globalThis.lengths.size)) >= 3, 'the answer came in one piece');
  const stats = await statsOf(page);
  assert.match(stats, /tok\/s · \d+ tokens? · first after .* · prompt \d+ tokens/);
  assert.match(await page.locator('#status').innerText(), /^GPU [\d.]+ [kMG]B · wasm [\d.]+ MB/);
  t.diagnostic(`${stats} · ${await page.locator('#status').innerText()}`);
  await page.screenshot({ path: path.join(shots, 'chat.png') });
  assert.deepEqual(problems, []);
  await page.close();
});

test('an answer can be stopped, regenerated and followed by another', async () => {
  const { page } = await openLoaded();
  await ask(page, 'Tell a long story, as long as you can.');
  await page.waitForFunction(() => document.querySelector('.message.model .body')?.textContent);
  await page.click('#stop');
  await finished(page, 1);
  assert.match(await statsOf(page), /stopped$/);
  await limitAnswers(page, 8);
  await page.click('.regenerate');
  await finished(page, 1);
  assert.equal(await page.locator('.message.user').count(), 1);
  await ask(page, 'And now a long one again.');
  await finished(page, 2);
  await limitAnswers(page, 4000);
  await ask(page, 'Another long story.');
  await page.waitForFunction(() => document.querySelectorAll('.message.model').length === 3);
  await page.keyboard.press('Escape');
  await finished(page, 3);
  assert.match(await statsOf(page), /stopped$/);
  await page.close();
});

test('a reload in mid-answer keeps what was written, and the model goes on with it', async () => {
  const { page, problems } = await openLoaded();
  await ask(page, 'Tell a long story, as long as you can.');
  await page.waitForFunction(() => (document.querySelector('.message.model .body')?.textContent.length ?? 0) > 12);
  await page.reload();
  await page.waitForSelector('.stats.cut');
  const before = await answerText(page);
  await page.click('#load-last');
  await waitForChat(page);
  await limitAnswers(page, 8);
  await page.click('.continue');
  await page.waitForSelector('.stats:not(.cut)');
  const after = await answerText(page);
  assert.ok(after.startsWith(before.trimEnd()) && after.length > before.length, `${before} / ${after}`);
  assert.equal(await page.locator('.message.model').count(), 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test('after a reload the second question goes on with what the model has read for the first', async (t) => {
  const { page, problems } = await openLoaded();
  // Restores of tests before may have been slow on a busy machine: nothing would be kept.
  await page.evaluate(() => localStorage.removeItem('rullama.paces'));
  await limitAnswers(page, 8);
  await ask(page, 'Three birds sit on a roof, two of them black. Then five more come, and one flies away. How many are there now?');
  await finished(page, 1);
  const tokens = async () => /prompt (\d+) tokens(?:, (\d+) known)?/.exec(await statsOf(page)).slice(1).map((digits) => Number(digits ?? 0));
  const [first, none] = await tokens();
  assert.equal(none, 0);
  const [{ size }] = await keptAre(page, 1);
  await page.reload();
  await page.click('#load-last');
  await waitForChat(page);
  await limitAnswers(page, 8);
  await ask(page, 'And then?');
  await finished(page, 2);
  const [second, known] = await tokens();
  t.diagnostic(`${known} of ${second} tokens from ${size} bytes; ${await statsOf(page)}; ${await page.evaluate(() => localStorage.getItem('rullama.paces'))}`);
  assert.ok(known >= first && known < second, `${known} of ${second} after ${first}`);
  assert.deepEqual(problems, []);
  await page.close();
});

test('an answer can be stopped before its first word, and asked for again', async () => {
  const { page, problems } = await openLoaded();
  await limitAnswers(page, 4);
  // In one task: the stop comes while the conversation is being opened.
  await page.evaluate(() => {
    document.querySelector('#prompt').value = 'Why is the sky blue?';
    document.querySelector('#send').click();
    document.querySelector('#stop').click();
  });
  await finished(page, 1);
  assert.match(await statsOf(page), /stopped$/);
  await page.click('.regenerate');
  await finished(page, 1);
  assert.match(await statsOf(page), /(tokens?|limit)$/);
  assert.equal(await page.locator('.message.user').count(), 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test('a load can be cancelled', async () => {
  const slow = await startServer({ '/': files }, { cors: true, delay: 400 });
  const { page } = await openStart();
  await page.fill('#url', `${slow.url}/whole.gguf?slow`);
  await page.click('#load-url');
  await page.click('#cancel-load');
  await page.waitForSelector('#load-embedded:visible');
  assert.equal(await page.locator('.error').count(), 0);
  await page.close();
  await slow.close();
});

test('a picked file loads', async () => {
  const { page, problems } = await openStart();
  await page.setInputFiles('#file', path.join(files, 'whole.gguf'));
  await waitForChat(page);
  assert.equal(await page.locator('#model-name').innerText(), 'whole.gguf');
  await limitAnswers(page, 4);
  await ask(page, 'Hi');
  await finished(page, 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test('the parts of a split model load when they are picked together, in any order; what is missing is named', async () => {
  const parts = splitGguf(readFileSync(modelFile), 3);
  const picked = (number) => {
    const name = path.join(files, `demo-0000${number}-of-00003.gguf`);
    writeFileSync(name, parts[number - 1]);
    return name;
  };
  const { page, problems } = await openStart();
  await page.setInputFiles('#file', [picked(3), picked(1)]);
  await page.waitForSelector('.error');
  const card = await page.locator('.error').innerText();
  assert.match(card, /part [13] of 3 of a split model.*part 2 is missing/s);
  assert.match(card, /Choose all parts of the model together/);
  await page.setInputFiles('#file', [picked(3), picked(1), picked(2)]);
  await waitForChat(page);
  assert.equal(await page.locator('#model-name').innerText(), 'demo.gguf');
  await limitAnswers(page, 4);
  await ask(page, 'Hi');
  await finished(page, 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test('an address of another origin loads by ranges, through passing failures', async () => {
  const failures = new Set([2, 4]);
  const other = await startServer({ '/': files }, { cors: true, fail: (_, count) => (failures.has(count) ? 503 : 0) });
  const { page } = await openStart();
  await page.fill('#url', `${other.url}/whole.gguf`);
  await page.click('#load-url');
  await waitForChat(page);
  const loading = other.requests.filter((r) => r.method === 'GET');
  assert.ok(loading.length > 2 && loading.every((r) => r.range), 'every request names a range');
  await limitAnswers(page, 6);
  await ask(page, 'Hi');
  await finished(page, 1);
  assert.equal(other.requests.filter((r) => r.method === 'GET').length, loading.length, 'no request per token');
  await page.close();
  await other.close();
});

test('a small file is asked for in few pieces, several at a time', async () => {
  const other = await startServer({ '/': files }, { cors: true, delay: 100 });
  const { page } = await openStart();
  await page.fill('#url', `${other.url}/whole.gguf`);
  await page.click('#load-url');
  await waitForChat(page);
  const { size } = statSync(path.join(files, 'whole.gguf'));
  assert.ok(other.requests.length <= 2 + Math.ceil(size / (4 << 20)), `${other.requests.length} requests`);
  await page.close();
  await other.close();
});

test('a server that forbids reading and one that is not there are told apart', async () => {
  const strict = await startServer({ '/': files });
  const { page } = await openStart();
  await page.fill('#url', `${strict.url}/whole.gguf`);
  await page.click('#load-url');
  assert.match(await expectError(page, /^network$/), /CORS/);
  await page.fill('#url', 'http://localhost:9/whole.gguf');
  await page.click('#load-url');
  await page.waitForFunction(() => /no answer/.test(document.querySelector('.error .what')?.textContent));
  assert.doesNotMatch(await page.locator('.error').innerText(), /CORS/);
  await page.close();
  await strict.close();
});

test('without an adapter the page says so when it is opened', async () => {
  const { page } = await openPage(browser.context, 'about:blank');
  await page.addInitScript(() => (GPU.prototype.requestAdapter = async () => null));
  await page.goto(site.url);
  assert.match(await expectError(page, /^no-webgpu$/), /no graphics adapter/);
  assert.ok(await page.locator('#load-embedded').isDisabled());
  await page.close();
});

test('an address without ranges is stored once', async () => {
  const plain = await startServer({ '/': files }, { cors: true, ranges: false });
  const { page } = await openStart();
  const load = async () => {
    await page.fill('#url', `${plain.url}/whole.gguf`);
    await page.click('#load-url');
    await waitForChat(page);
  };
  await load();
  const bytes = () => plain.requests.filter((r) => r.method === 'GET').length;
  const first = bytes();
  await page.click('#change-model');
  await load();
  assert.equal(bytes(), first + 1, 'the second load only asks for the version');
  await page.click('#change-model');
  await page.getByRole('button', { name: /^Load whole/ }).click();
  await waitForChat(page);
  await page.click('#change-model');
  await page.getByRole('button', { name: /^Delete whole/ }).click();
  await page.waitForSelector('#kept-models:has-text("is deleted")');
  assert.equal(await page.locator('#kept-models .served-model').count(), 0);
  await page.close();
  await plain.close();
});

test('per-layer embeddings stream from a stored copy of an address', async () => {
  const other = await startServer({ '/': files }, { cors: true });
  const { page } = await openStart();
  await page.click('.advanced summary');
  await page.selectOption('#ple', 'streamed');
  await page.fill('#url', `${other.url}/whole.gguf`);
  await page.click('#load-url');
  await waitForChat(page);
  assert.match(await page.locator('#status').innerText(), /per-layer embeddings streamed/);
  await limitAnswers(page, 4);
  const before = other.requests.length;
  await ask(page, 'Hi');
  await finished(page, 1);
  assert.equal(other.requests.length, before);
  await page.close();
  await other.close();
});

test('broken files are named, with a remedy, and the page goes on', async () => {
  const { page } = await openStart();
  await page.setInputFiles('#file', path.join(files, 'corrupt-truncated.gguf'));
  await expectError(page, /^model-truncated$/);
  await page.screenshot({ path: path.join(shots, 'error.png') });
  await page.setInputFiles('#file', path.join(files, 'corrupt-text.gguf'));
  await expectError(page, /^model-format$/);
  await page.click('#load-embedded');
  await waitForChat(page);
  await page.close();
});

test('an address that is not there is named', async () => {
  const { page } = await openStart();
  await page.fill('#url', `${site.url}/nothing.gguf`);
  await page.click('#load-url');
  assert.match(await expectError(page, /^network$/), /404/);
  await page.close();
});

test('a narrow, dark window shows everything', async () => {
  const viewport = { width: 360, height: 740 };
  const { page } = await openStart({ viewport, colorScheme: 'dark' });
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(await overflow(), 0);
  await page.screenshot({ path: path.join(shots, 'narrow-start.png'), fullPage: true });
  await page.click('#load-embedded');
  await waitForChat(page);
  await limitAnswers(page, 16);
  await ask(page, 'Write a line of code, then averyveryverylongwordthatdoesnotfitintothewindowatall.');
  await finished(page, 1);
  assert.equal(await overflow(), 0);
  await page.screenshot({ path: path.join(shots, 'narrow-chat.png') });
  await page.close();
});

test('without WebGPU the page explains itself', async () => {
  const { page } = await openPage(browser.context, 'about:blank');
  await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined }));
  await page.goto(site.url);
  await expectError(page, /^no-webgpu$/);
  assert.ok(await page.locator('#load-embedded').isDisabled());
  await page.close();
});
