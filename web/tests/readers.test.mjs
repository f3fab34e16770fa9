// Threads that read beside the engine's: the same model with them and without, from the private storage and from a picked file.
//
// Needs the package (npm run build) and a model in app/dist.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const models = path.join(here, '../app/dist/model');
const { file } = JSON.parse(readFileSync(path.join(models, 'model.json'), 'utf8'));
const IDS = [2, 105, 2364, 107, 900, 31, 3711, 106];

let site;
let browser;
let page;
let problems;
/** How often the worker's script was asked for, and from which time on it is refused. */
let scripts = 0;
let refuse = Infinity;

before(async () => {
  const mounts = { '/package/': path.join(here, '../packages/rullama/dist'), '/model/': models, '/': path.join(here, 'pages') };
  const fail = (name) => (name.endsWith('/worker.js') && ++scripts > refuse ? 500 : undefined);
  site = await startServer(mounts, { fail });
  browser = await startBrowser();
  ({ page, problems } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** In the page: logits after some ids of a model that was loaded so, and what was told on the way. */
async function load([name, readers, ids, from]) {
  const { Rullama } = await import('/package/index.js');
  const folder = async () => (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-models');
  let source = name;
  if (from === 'picked') for await (const [entry, handle] of (await folder()).entries()) if (entry.endsWith('.gguf')) source = await handle.getFile();
  if (from === 'parts') source = [new File([await (await fetch(name)).arrayBuffer()], 'model.gguf')];
  const told = [];
  const onProgress = ({ phase, done, total }) => phase === 'weights' && told.push([done, total]);
  const ai = await Rullama.load(source, { store: 'always', ple: 'resident', readers, onProgress });
  const { logits } = await ai.evaluate(ids);
  await ai.close();
  return { logits: Array.from(logits), told };
}

async function loaded(readers, from) {
  scripts = 0;
  const found = await page.evaluate(load, [`${site.url}/model/${file}`, readers, IDS, from]);
  const [done, total] = found.told.at(-1);
  assert.equal(done, total, 'all was told');
  assert.ok(found.told.every(([now], i) => i === 0 || now > found.told[i - 1][0]), 'and in order');
  return { ...found, scripts };
}

test('a stored model is the same with readers and without', async () => {
  const alone = await loaded(0, 'stored');
  assert.equal(alone.scripts, 1);
  assert.ok(alone.logits.some((value) => value !== 0) && alone.logits.every(Number.isFinite));
  const beside = await loaded(3, 'stored');
  assert.equal(beside.scripts, 4, 'the engine and its readers');
  assert.deepEqual(beside.logits, alone.logits);
  assert.deepEqual(beside.told, alone.told);
});

test('so is a picked one, and one of a list', async () => {
  const alone = await loaded(0, 'picked');
  assert.deepEqual((await loaded(2, 'picked')).logits, alone.logits);
  assert.deepEqual((await loaded(2, 'parts')).logits, alone.logits);
});

test('readers that do not come are not needed', async () => {
  const alone = await loaded(0, 'stored');
  refuse = 2;
  const beside = await loaded(3, 'stored');
  refuse = Infinity;
  assert.ok(beside.scripts > 2);
  assert.deepEqual(beside.logits, alone.logits);
});

test('stopping a load ends its readers with it', async () => {
  const stopped = await page.evaluate(async (name) => {
    const { Rullama } = await import('/package/index.js');
    const stop = new AbortController();
    const options = { store: 'always', ple: 'resident', readers: 3, signal: stop.signal, onProgress: ({ phase }) => phase === 'weights' && stop.abort() };
    return Rullama.load(name, options).catch(({ code }) => code);
  }, `${site.url}/model/${file}`);
  assert.equal(stopped, 'cancelled');
  // A reader that were still there would keep the file open.
  const left = await page.evaluate(async () => {
    const { clearStoredModels, storedModels } = await import('/package/index.js');
    for (let tries = 0; tries < 50; tries++) {
      if (await clearStoredModels().then(() => true, () => false)) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return storedModels();
  });
  assert.deepEqual(left, []);
  assert.deepEqual(problems.filter((text) => !text.includes('500')), []);
});
