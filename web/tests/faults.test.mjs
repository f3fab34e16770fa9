// What breaks while people use the page, on a development build with the fake engine: the graphics card, its memory, a hidden tab.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { answerText, ask, expectError, finished, openStartAt, openLoadedAt, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';

const dist = path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist');
let site;
let browser;

before(async () => {
  site = await startServer({ '/': dist });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.close();
});

const openLoaded = () => openLoadedAt(browser.context, `${site.url}/?fake=1`);
const WHOLE = /^A short answer with bold, emphasis and code\.[^]*hello/;

test('a device lost in mid-answer: the model comes back and the sentence goes on', async () => {
  const { page, problems } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await ask(page, 'vanish');
  await page.waitForSelector('#loading:visible');
  await waitForChat(page);
  await finished(page, 2);
  // One answer, whole: what came before the loss and what came after it.
  assert.equal(await page.locator('.message.model').count(), 2);
  assert.match(await answerText(page), WHOLE);
  assert.equal((await answerText(page)).match(/A short answer/g).length, 1);
  assert.equal(await page.locator('.error').count(), 0);
  // After an answer the next loss is another one.
  await ask(page, 'vanish again');
  await page.waitForSelector('#loading:visible');
  await waitForChat(page);
  await finished(page, 3);
  assert.match(await answerText(page), WHOLE);
  assert.deepEqual(problems, []);
  await page.close();
});

test('a device that is lost again and again stops being tried', async () => {
  const { page } = await openLoaded();
  await ask(page, 'lose');
  await page.waitForSelector('#loading:visible');
  await expectError(page, /^device-lost$/);
  assert.equal(await page.locator('.message.user').count(), 1);
  assert.ok(await page.locator('.error button:has-text("Reload model")').isVisible());
  await page.close();
});

test('a model without room offers to be loaded with less', async () => {
  const { page } = await openStartAt(browser.context, `${site.url}/?fake=1`);
  await page.setInputFiles('#file', { name: 'huge.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await expectError(page, /^out-of-memory$/);
  assert.deepEqual(await page.locator('.error button').allInnerTexts(), ['Stream per-layer embeddings (E2B, E4B)', 'Keep the context in 8 bits', 'Load with a context of 4,096', 'Try again']);
  const room = () => page.evaluate(() => JSON.parse(localStorage.getItem('rullama.gpu-room')));
  assert.ok((await room()).refused > 0, 'what had no room is remembered');
  await page.click('.error button:has-text("context of 4,096")');
  await expectError(page, /^out-of-memory$/);
  assert.ok(await page.locator('.error button:has-text("context of 2,048")').isVisible(), 'less than before');
  await page.click('.error button:has-text("Stream")');
  await waitForChat(page);
  assert.ok((await room()).held > 0, 'so is what was loaded');
  await page.close();
});

test('an answer without room offers a smaller context, and is given with it', async () => {
  const { page } = await openLoaded();
  await ask(page, 'greedy');
  await expectError(page, /^out-of-memory$/);
  await page.click('.error button:has-text("context of 2,048")');
  await waitForChat(page);
  assert.equal(await page.inputValue('#prompt'), 'greedy', 'the question is not lost');
  await page.press('#prompt', 'Enter');
  await expectError(page, /^out-of-memory$/);
  await page.click('.error button:has-text("context of 1,024")');
  await waitForChat(page);
  await page.press('#prompt', 'Enter');
  await finished(page, 1);
  assert.match(await answerText(page), WHOLE);
  await page.close();
});

test('a tab that is frozen goes on when it is back, and one that was thrown away has its text', async () => {
  const { page } = await openLoaded();
  const session = await browser.context.newCDPSession(page);
  await ask(page, 'long');
  await page.waitForFunction(() => document.querySelector('.message.model .body')?.textContent.includes('word5'));
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await session.send('Page.setWebLifecycleState', { state: 'active' });
  const length = (await answerText(page)).length;
  await page.waitForFunction((n) => document.querySelector('.message.model .body').textContent.length > n, length);
  // The system takes the tab's process.
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  const crashed = page.waitForEvent('crash');
  void session.send('Page.crash').catch(() => undefined);
  await crashed;
  const { page: back } = await openPage(browser.context, page.url());
  await back.waitForSelector('.message.model .stats.cut');
  assert.match(await answerText(back), /word5 /);
  await back.click('#load-last');
  await waitForChat(back);
  assert.ok(await back.locator('.continue').isVisible());
  await back.close();
});

/** Opens the page as another browser would see it. */
async function openAs(init, options) {
  const page = await browser.context.newPage();
  await page.addInitScript(init);
  await page.goto(`${site.url}/`);
  await page.waitForSelector(options.wait);
  return page;
}

test('without WebGPU, or without an adapter, the page says what to do in this browser', async () => {
  const firefox = await openAs(() => {
    Object.defineProperty(navigator, 'gpu', { value: undefined });
    Object.defineProperty(navigator, 'userAgent', { value: 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0' });
  }, { wait: '.error' });
  assert.match(await firefox.locator('.error .remedy').innerText(), /Use Chrome or Edge/);
  assert.ok(await firefox.locator('#load-embedded').isDisabled());
  await firefox.close();
  const blocked = await openAs(() => (navigator.gpu.requestAdapter = async () => null), { wait: '.error' });
  assert.match(await blocked.locator('.error .remedy').innerText(), /graphics acceleration/);
  await blocked.close();
});

test('a processor in place of a graphics card is named', async () => {
  // The tests' own adapter is one.
  const { page } = await openPage(browser.context, `${site.url}/`);
  await page.waitForSelector('.gpu-caution');
  assert.match(await page.locator('.gpu-caution').innerText(), /No graphics card is at work here: .*swiftshader/i);
  assert.ok(await page.locator('#load-embedded').isEnabled(), 'it may be used all the same');
  await page.close();
  const real = await openAs(() => {
    const ask = navigator.gpu.requestAdapter.bind(navigator.gpu);
    navigator.gpu.requestAdapter = async (options) => {
      const adapter = await ask(options);
      Object.defineProperty(adapter, 'info', { value: { vendor: 'nvidia', architecture: 'ada-lovelace', description: '' } });
      return adapter;
    };
  }, { wait: '#load-embedded:enabled' });
  assert.equal(await real.locator('.gpu-caution').count(), 0);
  await real.close();
});

test('with Fine-tune asked for and no model, the focus is on the first card, though that is described later', async () => {
  const page = await browser.context.newPage();
  await page.route('**/model/model.json', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    await route.continue();
  });
  await page.goto(`${site.url}/?fake=1#fine-tune`);
  await page.waitForSelector('#load-embedded:enabled');
  await page.waitForFunction(() => document.activeElement.id === 'load-embedded');
  await page.close();
});
