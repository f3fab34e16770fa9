// Adapters beside conversations, on a development build with the fake engine: files in and out, attached and refused, kept and deleted.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { unzipSync } from 'fflate';
import { openPage } from './browser.mjs';
import { chatsUnderTest } from './chats.mjs';
import { answerText, ask, finished, waitForChat } from './person.mjs';
import { adapters, chooseAdapter, drop, dropPath, GGUF, listed, PEFT, toastText } from './tuning.mjs';

const { address, context, openLoaded } = chatsUnderTest();

/** Downloads by an entry of an adapter's menu; gives the archive's name and its files. */
async function download(page, name, entry) {
  const [saved] = await Promise.all([page.waitForEvent('download'), chooseAdapter(page, name, entry)]);
  const bytes = readFileSync(await saved.path());
  const files = unzipSync(bytes);
  return { file: saved.suggestedFilename(), bytes: [...bytes], names: Object.keys(files), text: new TextDecoder().decode(Object.values(files)[0]) };
}

const said = (page, words) => page.waitForFunction((source) => new RegExp(source).test(document.querySelector('.toast:not([hidden]) > span')?.textContent), words.source);

test('files of an adapter that are dropped on a chat are read, attached and kept', async () => {
  const { page, problems } = await openLoaded();
  const requested = [];
  page.on('request', (request) => requested.push(new URL(request.url()).pathname));
  assert.ok(await page.isHidden('.adapters'));
  await drop(page, ...PEFT());
  await listed(page, 'adapter');
  assert.match(await toastText(page), /is read, \d+ B, and kept in this browser/);
  assert.match(await page.locator('.adapters small').innerText(), /^\d+ B · rullama demo$/);
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[adapted 1\]/);
  await drop(page, ['style.gguf', GGUF]);
  await listed(page, 'style', 'adapter');
  assert.equal(await page.locator('.chip').count(), 2);
  await ask(page, 'hello');
  await finished(page, 2);
  assert.match(await answerText(page), /^\[adapted 2\]/);
  await page.click('#new-chat');
  assert.equal(await page.locator('.chip').count(), 0, 'a new chat has none');
  await chooseAdapter(page, 'style', 'Attach to this chat');
  assert.equal(await page.locator('.chip').count(), 1);
  await chooseAdapter(page, 'style', 'Detach from this chat');
  assert.equal(await page.locator('.chip').count(), 0);
  assert.ok(!requested.some((name) => /fine-tune|chart|zip/.test(name)), 'nothing of Fine-tune is loaded for it');
  assert.deepEqual(problems, []);
});

test('a folder of PEFT is dropped as it is, whatever else is in it, and gives the adapter its name', async () => {
  const { page, problems } = await openLoaded();
  const place = mkdtempSync(path.join(os.tmpdir(), 'rullama-drop-'));
  try {
    const folder = path.join(place, 'my style');
    mkdirSync(path.join(folder, 'checkpoints'), { recursive: true });
    for (const [name, text] of [...PEFT(), ['adapter.gguf', 'GGUF'], ['Modelfile', ''], ['README.md', '# A']]) writeFileSync(path.join(folder, name), text);
    // More than a browser gives at once, before those that are wanted and behind them.
    for (let i = 0; i < 150; i++) writeFileSync(path.join(folder, `${i % 2 ? 'a' : 'z'}${i}.txt`), '');
    await dropPath(page, folder);
    await listed(page, 'my style');
    assert.match(await toastText(page), /is read, \d+ B, and kept in this browser/);
    await ask(page, 'hello');
    await finished(page, 1);
    assert.match(await answerText(page), /^\[adapted 1\]/);
    assert.deepEqual((await download(page, 'my style', 'Download PEFT')).names.sort(), ['my-style/adapter_config.json', 'my-style/adapter_model.safetensors']);
    assert.deepEqual(problems, []);
  } finally {
    rmSync(place, { recursive: true });
  }
});

test('an adapter goes out in both forms, and an archive of it comes in again', async () => {
  const { page } = await openLoaded();
  await drop(page, ...PEFT('mine'));
  await listed(page, 'adapter');
  await chooseAdapter(page, 'adapter', 'Rename');
  await page.keyboard.type('Größe, one');
  await page.keyboard.press('Enter');
  await listed(page, 'Größe, one');
  const peft = await download(page, 'Größe, one', 'Download PEFT');
  assert.deepEqual([peft.file, peft.names], ['Größe-one-peft.zip', ['Größe-one/adapter_config.json', 'Größe-one/adapter_model.safetensors']]);
  const gguf = await download(page, 'Größe, one', 'Download GGUF');
  assert.deepEqual([gguf.file, gguf.names, gguf.text], ['Größe-one-gguf.zip', ['Größe-one/adapter.gguf', 'Größe-one/Modelfile'], '{} as Größe, one']);
  const both = await download(page, 'Größe, one', 'Download both');
  assert.equal(both.names.length, 4);
  await drop(page, [both.file, both.bytes]);
  await listed(page, 'Größe-one', 'Größe, one');
  await drop(page, ['gguf.zip', gguf.bytes]);
  await page.waitForFunction(() => document.querySelectorAll('.adapter-name').length === 3);
  await page.close();
});

test('what is no adapter of this model is refused by name, and nothing is kept of it', async () => {
  const { page } = await openLoaded();
  await drop(page, ...PEFT('of another model'));
  await said(page, /adapter_config\.json: layer 9 is not in this model|trained on another model/);
  await drop(page, ...PEFT('damaged'));
  await said(page, /header is not right/);
  await drop(page, ['broken.zip', [0x50, 0x4b, 3, 4, 1, 2, 3]]);
  await said(page, /broken|zip|invalid/i);
  await page.setInputFiles('#adapter-file', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('some text') });
  await said(page, /“notes\.txt” is no adapter/);
  assert.deepEqual(await adapters(page), []);
  // One that is kept, and belongs to a model of another shape.
  await drop(page, ...PEFT());
  await listed(page, 'adapter');
  await ask(page, 'hello');
  await finished(page, 1);
  await page.evaluate(() => new Promise((resolve) => {
    indexedDB.open('rullama.adapters').onsuccess = ({ target: { result: db } }) => {
      const store = db.transaction('adapters', 'readwrite').objectStore('adapters');
      store.getAll().onsuccess = ({ target: { result: [record] } }) => {
        store.put({ ...record, model: { name: 'Gemma 4 E2B', shape: '30-1536-8-262144-256' } }).onsuccess = () => (db.close(), resolve());
      };
    };
  }));
  await page.reload();
  await listed(page, 'adapter');
  await page.click('#load-last');
  await waitForChat(page);
  assert.match(await page.locator('.chip.off').innerText(), /“adapter” belongs to Gemma 4 E2B, and cannot be used with rullama demo/);
  await ask(page, 'hello');
  await finished(page, 2);
  assert.match(await answerText(page), /^A short answer/, 'the model answers without it, and the chat says so');
  await page.click('#new-chat');
  await chooseAdapter(page, 'adapter', 'Attach to this chat');
  assert.match(await toastText(page), /belongs to Gemma 4 E2B/);
  assert.equal(await page.locator('.chip').count(), 0);
  await page.close();
});

test('an adapter is deleted with undo, in all tabs, and without a model it is only listed', async () => {
  const { page } = await openLoaded();
  await drop(page, ...PEFT());
  await listed(page, 'adapter');
  const { page: other } = await openPage(context(), address());
  await listed(other, 'adapter');
  await chooseAdapter(other, 'adapter', 'Attach to this chat');
  assert.match(await toastText(other), /Load rullama demo to attach “adapter”/);
  await drop(other, ...PEFT());
  await said(other, /load the model that it belongs to/);
  await chooseAdapter(page, 'adapter', 'Delete');
  await listed(page);
  await listed(other);
  assert.match(await page.locator('.chip').innerText(), /deleted/);
  await page.click('.toast button:has-text("Undo")');
  await listed(page, 'adapter');
  await listed(other, 'adapter');
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[adapted 1\]/);
  await chooseAdapter(page, 'adapter', 'Delete');
  await page.click('.toast [aria-label="Close the remark"]');
  await page.reload();
  await page.waitForSelector('.chat-link');
  await page.waitForTimeout(200);
  assert.deepEqual(await adapters(page), []);
  await page.close();
});
