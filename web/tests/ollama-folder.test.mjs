// Models out of Ollama's own folder: picked once, read in place, remembered. The browser's dialog cannot be driven, so that a folder
// of the private file system, which is the same interface, answers in its place; the fallback is the real input.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { chatsUnderTest } from './chats.mjs';
import { answerText, ask, finished, openStartAt, waitForChat } from './person.mjs';

const { address, context } = chatsUnderTest();
const KIND = 'application/vnd.ollama.image.';

/** A store as Ollama writes one: paths and contents. */
function store() {
  const files = {};
  const blob = (kind, content) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    const digest = createHash('sha256').update(text).digest('hex');
    files[`blobs/sha256-${digest}`] = text;
    return { mediaType: KIND + kind, digest: `sha256:${digest}`, size: text.length };
  };
  const model = (name, layers, config = { model_type: '5.1B', file_type: 'Q4_K_M' }) => {
    files[`manifests/${name}`] = JSON.stringify({ schemaVersion: 2, config: blob('config', config), layers });
  };
  const weights = blob('model', 'GGUF weights');
  const params = blob('params', { temperature: 0.25, top_k: 12, num_predict: 33, stop: ['END'], top_p: 'wide' });
  model('registry.ollama.ai/library/gemma4/e2b', [weights, params, blob('system', 'Speak like a pilot.')]);
  model('hf.co/someone/Gemma-GGUF/Q8_0', [weights]);
  model('registry.ollama.ai/library/half/latest', [{ ...weights, size: weights.size + 5_000_000 }]);
  model('registry.ollama.ai/library/gone/latest', [{ ...weights, digest: `sha256:${'0'.repeat(64)}` }]);
  model('registry.ollama.ai/library/escape/latest', [{ ...weights, digest: '../../etc/passwd' }]);
  model('registry.ollama.ai/library/tensors/latest', [params]);
  const part = (number) => blob('model', `GGUF ${number} split.no split.count`);
  model('registry.ollama.ai/me/parts/latest', [blob('model', 'GGUF vocabulary'), part(1), part(2)]);
  model('registry.ollama.ai/me/lacks/latest', [blob('model', 'GGUF vocabulary'), part(1), { ...part(2), digest: `sha256:${'1'.repeat(64)}` }]);
  // A second file that is no part is not Ollama's model.
  model('registry.ollama.ai/me/second/latest', [weights, blob('model', 'GGUF another')]);
  files['manifests/registry.ollama.ai/library/damaged/latest'] = '{"layers": [';
  files['manifests/registry.ollama.ai/library/vast/latest'] = ' '.repeat((1 << 20) + 1);
  files['manifests/registry.ollama.ai/library/null/latest'] = '{"layers": [null, 7], "config": 3}';
  return files;
}

/** What each model of the store that does not load says. */
const PROBLEMS = {
  'half:latest': /12 B of 5\.0 MB: pull it again/,
  'gone:latest': /sha256-000000000000… is missing: pull it again/,
  'escape:latest': /no SHA-256: pull it again/,
  'tensors:latest': /no GGUF file/,
  'me/lacks:latest': /sha256-111111111111… is missing: pull it again/,
  'damaged:latest': /its manifest is damaged/,
  'vast:latest': /its manifest has 1\.0 MB/,
  'null:latest': /no GGUF file/,
};

/** Puts files into the private file system and lets the dialog answer with a folder there. */
async function answerWith(page, files, folder) {
  await page.evaluate(async ([files, folder]) => {
    const root = await navigator.storage.getDirectory();
    for (const [path, text] of Object.entries(files)) {
      const parts = path.split('/');
      const name = parts.pop();
      let into = root;
      for (const part of parts) into = await into.getDirectoryHandle(part, { create: true });
      const out = await (await into.getFileHandle(name, { create: true })).createWritable();
      await out.write(text);
      await out.close();
    }
    let picked = root;
    for (const part of folder.split('/')) picked = await picked.getDirectoryHandle(part, { create: true });
    window.showDirectoryPicker = async () => picked;
  }, [files, folder]);
}

const under = (prefix, files) => Object.fromEntries(Object.entries(files).map(([name, text]) => [`${prefix}/${name}`, text]));
const open = () => openStartAt(context(), address());
const button = (page, name) => page.getByRole('button', { name: `Load ${name}`, exact: true });

async function expectStore(page) {
  await button(page, 'gemma4:e2b').waitFor();
  assert.match(await page.locator('.served-model:has-text("gemma4:e2b")').innerText(), /5\.1B · Q4_K_M · 12 B/);
  for (const name of ['gemma4:e2b', 'hf.co/someone/Gemma-GGUF:Q8_0', 'me/parts:latest', 'me/second:latest']) assert.ok(await button(page, name).isEnabled());
  for (const [name, problem] of Object.entries(PROBLEMS)) {
    assert.match(await page.locator(`.served-model:has(h3:text-is("${name}")) .problem`).innerText(), problem);
    assert.ok(await button(page, name).isDisabled());
  }
  assert.equal(await page.locator('#ollama-models .served-model').count(), 4 + Object.keys(PROBLEMS).length);
}

test('the folder is picked once: its models are cards, load in place with what the store says of them, and are there after a reload', async () => {
  const { page, problems } = await open();
  await answerWith(page, under('home/.ollama/models', store()), 'home/.ollama');
  await page.click('#pick-ollama');
  await expectStore(page);
  if (process.env.SHOTS) await shots(page, process.env.SHOTS);
  await page.reload();
  await expectStore(page);
  await button(page, 'gemma4:e2b').click();
  await waitForChat(page);
  assert.equal(await page.locator('#model-name').innerText(), 'gemma4:e2b');
  await page.click('#open-settings');
  await page.waitForSelector('dialog.settings[open] #system');
  const values = await page.evaluate(() => Object.fromEntries(['temperature', 'topK', 'maxTokens', 'topP'].map((name) => {
    const input = document.querySelector(`dialog [name=${name}]`);
    return [name, input.value || input.placeholder];
  })));
  assert.match(values.temperature, /0\.25/);
  assert.match(values.topK, /12/);
  assert.match(values.maxTokens, /33/);
  assert.doesNotMatch(values.topP, /wide/);
  const system = page.locator('dialog textarea').first();
  assert.match((await system.inputValue()) + (await system.getAttribute('placeholder')), /Speak like a pilot/);
  assert.deepEqual(problems, []);
});

test('a model in several files is read from all of them', async () => {
  const { page } = await open();
  await answerWith(page, under('split', store()), 'split');
  await page.click('#pick-ollama');
  // The fake engine is called by the files that it was given.
  const filesOf = async (name) => {
    await button(page, name).click();
    await waitForChat(page);
    await ask(page, 'recall what was loaded');
    await finished(page, 1);
    const paces = await page.evaluate(() => Object.keys(JSON.parse(localStorage.getItem('rullama.paces'))));
    await page.click('#change-model');
    return paces.at(-1).match(/sha256-[0-9a-f]{64}/g).map((file) => file.slice(7));
  };
  const hash = (text) => createHash('sha256').update(text).digest('hex');
  assert.deepEqual(await filesOf('me/parts:latest'), ['GGUF vocabulary', 'GGUF 1 split.no split.count', 'GGUF 2 split.no split.count'].map(hash));
});

test('a conversation goes on with its model of the folder by one click, and says what is in the way', async () => {
  const { page } = await open();
  await answerWith(page, under('again', store()), 'again');
  await page.click('#pick-ollama');
  await button(page, 'gemma4:e2b').click();
  await waitForChat(page);
  await ask(page, 'recall one');
  await finished(page, 1);
  await page.addInitScript(() => {
    FileSystemHandle.prototype.queryPermission = async () => 'prompt';
    FileSystemHandle.prototype.requestPermission = async () => 'denied';
  });
  await page.reload();
  await page.waitForSelector('#load-last:has-text("Load gemma4:e2b")');
  await page.click('#load-last');
  await page.waitForSelector('.error:has-text("was not allowed to read")');
  await page.reload();
  await page.evaluate(() => (FileSystemHandle.prototype.requestPermission = async () => 'granted'));
  await page.click('#load-last');
  await waitForChat(page);
  await ask(page, 'recall two');
  await finished(page, 2);
  assert.equal(await page.locator('#model-name').innerText(), 'gemma4:e2b');
  assert.match(await answerText(page), /one[^]*two/);
});

test('where the browser wants to be asked again, one click asks; a refusal is said, and a folder can be forgotten', async () => {
  const { page } = await open();
  await answerWith(page, under('models', store()), 'models');
  await page.click('#pick-ollama');
  await expectStore(page);
  await page.addInitScript(() => {
    const answers = ['denied', 'granted'];
    FileSystemHandle.prototype.queryPermission = async () => 'prompt';
    FileSystemHandle.prototype.requestPermission = async () => answers.shift();
  });
  await page.reload();
  await page.click('#ollama-again');
  await page.waitForSelector('#ollama-models:has-text("was not allowed to read")');
  await page.reload();
  await page.evaluate(() => { FileSystemHandle.prototype.requestPermission = async () => 'granted'; });
  await page.click('#ollama-again');
  await expectStore(page);
  await page.click('#ollama-models >> text=Forget this folder');
  await page.waitForTimeout(300);
  await page.reload();
  await page.waitForSelector('#load-embedded:enabled');
  await page.waitForTimeout(300);
  assert.ok(await page.locator('#ollama-models').isHidden());
});

test('another folder is refused by name and not remembered; a store without models says how to get one', async () => {
  const { page } = await open();
  await answerWith(page, { 'photos/cat.jpg': 'x' }, 'photos');
  await page.click('#pick-ollama');
  await page.waitForSelector('#ollama-models:has-text("“photos” is not Ollama’s folder")');
  await page.reload();
  await page.waitForSelector('#load-embedded:enabled');
  assert.ok(await page.locator('#ollama-models').isHidden());
  await answerWith(page, { 'new/manifests/.keep': '', 'new/blobs/.keep': '' }, 'new');
  await page.click('#pick-ollama');
  await page.waitForSelector('#ollama-models:has-text("ollama pull")');
});

test('without the File System Access API a folder is chosen by an input', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-store-'));
  for (const [name, text] of Object.entries(under('models', store()))) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
  }
  const { page, problems } = await open();
  await page.evaluate(() => { window.showDirectoryPicker = undefined; });
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#pick-ollama')]);
  await chooser.setFiles(path.join(folder, 'models'));
  await expectStore(page);
  await button(page, 'gemma4:e2b').click();
  await waitForChat(page);
  assert.deepEqual(problems, []);
  rmSync(folder, { recursive: true });
});

/** Pictures to look at. */
async function shots(page, folder) {
  for (const [name, width, colorScheme] of [['wide', 1100, 'light'], ['narrow', 390, 'light'], ['dark', 1100, 'dark']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
  }
}
