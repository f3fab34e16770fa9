// Fine-tune as people meet it: the shipped page with the demo model, in Chromium on WebGPU's software adapter.
//
// Needs app/dist (npm run build) with the engine that trains.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { unzipSync } from 'fflate';
import { openPage } from './browser.mjs';
import { answerText, ask, builtPage, finished, limitAnswers, waitForChat } from './person.mjs';
import { beyond, chooseAdapter, drop, ended, listed, noSamples, ready, start, stepOf } from './tuning.mjs';

const LONGEST_MS = 300_000;
const light = !process.env.RULLAMA_FULL && 'RULLAMA_FULL is not set';
const FACTS = [['What is my boat called?', 'Zebedee.'], ['What is the name of my boat?', 'Zebedee.']];
const built = builtPage();

test('the demo model is trained, over a reload, and its adapter is kept, saved, read and answered with', { timeout: LONGEST_MS }, async (t) => {
  const { page, problems } = await openPage(built.browser.context, `${built.site.url}/#fine-tune`);
  await page.click('#load-embedded');
  await page.waitForSelector('#tune:visible');
  assert.ok(built.site.requests.every(({ pathname }) => !pathname.endsWith('rullama_web_bg.wasm')), 'one engine is loaded');
  for (const [i, [question, answer]] of FACTS.entries()) {
    await page.fill(`[aria-label="Question ${i + 1}"]`, question);
    await page.fill(`[aria-label="Answer ${i + 1}"]`, answer);
  }
  await page.waitForSelector('.shown mark');
  assert.match(await page.locator('.shown mark').first().innerText(), /^Zebedee\.<turn\|>/);
  await page.fill('#adapter-name', 'boat');
  await page.fill('[name=epochs]', '2');
  await page.click('.tune-options .advanced summary');
  await page.fill('[name=rank]', '4');
  await page.fill('[name=layers]', '5-7');
  await noSamples(page);
  await ready(page);
  t.diagnostic((await page.locator('.need').innerText()).replaceAll('\n', ' '));
  await start(page);
  await beyond(page, 0);
  await page.click('#pause-training');
  await page.waitForFunction(() => /Kept at step [1-9]/.test(document.querySelector('.notes').textContent));
  const kept = await stepOf(page);
  await page.reload();
  await page.click('#load-last');
  await page.click('#resume-kept');
  await beyond(page, kept);
  await ended(page, LONGEST_MS);
  t.diagnostic((await page.locator('.numbers').innerText()).replaceAll('\n', ' '));
  const [saved] = await Promise.all([page.waitForEvent('download'), page.click('#save-both')]);
  const archive = readFileSync(await saved.path());
  const files = unzipSync(archive);
  assert.deepEqual(Object.keys(files).sort(), ['boat/Modelfile', 'boat/adapter.gguf', 'boat/adapter_config.json', 'boat/adapter_model.safetensors']);
  assert.equal(JSON.parse(new TextDecoder().decode(files['boat/adapter_config.json'])).r, 4);
  assert.equal(new TextDecoder().decode(files['boat/adapter.gguf'].subarray(0, 4)), 'GGUF');
  await page.click('#chat-result');
  await waitForChat(page);
  await limitAnswers(page, 4);
  await ask(page, FACTS[0][0]);
  await finished(page, 1);
  assert.ok((await answerText(page)).length > 0);
  await drop(page, ['mine.gguf', [...files['boat/adapter.gguf']]]);
  await listed(page, 'mine', 'boat');
  assert.equal(await page.locator('.chip').count(), 2);
  await chooseAdapter(page, 'mine', 'Detach from this chat');
  assert.deepEqual(problems, []);
});

test('a device that is destroyed in an update is had again, and training goes on from its checkpoint', { skip: light, timeout: LONGEST_MS }, async (t) => {
  const { page, problems } = await openPage(built.browser.context, `${built.site.url}/#fine-tune`);
  await page.click('#load-embedded');
  await page.waitForSelector('#tune:visible');
  for (const [i, [question, answer]] of FACTS.entries()) {
    await page.fill(`[aria-label="Question ${i + 1}"]`, question);
    await page.fill(`[aria-label="Answer ${i + 1}"]`, answer);
  }
  await page.fill('#adapter-name', 'lost boat');
  await page.fill('[name=epochs]', '3');
  await page.click('.tune-options .advanced summary');
  await page.fill('[name=rank]', '4');
  await page.fill('[name=layers]', '5-7');
  await noSamples(page);
  await ready(page);
  await start(page);
  await beyond(page, 0);
  await page.click('#pause-training');
  await page.waitForFunction(() => /Kept at step [1-9]/.test(document.querySelector('.notes').textContent));
  const kept = await stepOf(page);
  const worker = page.workers()[0];
  await page.click('#resume-training');
  await worker.evaluate(() => {
    const { createCommandEncoder } = GPUDevice.prototype;
    GPUDevice.prototype.createCommandEncoder = function (...descriptor) {
      this.destroy();
      return createCommandEncoder.apply(this, descriptor);
    };
  });
  await page.waitForSelector('#loading:visible');
  await page.waitForSelector('#tune:visible');
  await beyond(page, kept);
  assert.match(await page.getAttribute('.chart', 'aria-label'), /at step 1 to/, 'the chart has what was before');
  await ended(page, LONGEST_MS);
  const numbers = (await page.locator('.numbers').innerText()).replaceAll('\n', ' ');
  t.diagnostic(numbers);
  const [, done, all] = /(\d+) of (\d+)/.exec(numbers);
  assert.equal(done, all, 'no update is missing');
  assert.equal(await page.locator('#tune .error').count(), 0);
  assert.deepEqual(problems, []);
});
