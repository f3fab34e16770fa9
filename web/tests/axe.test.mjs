// The page's views under axe-core: no finding of WCAG 2.2 A and AA, nor of its best practices. A development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { clean } from './clean.mjs';
import { ask, expectError, finished, openLoadedAt, openStartAt } from './person.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
let site;
let browser;

before(async () => {
  site = await startServer({ '/': path.join(here, '../app/dist') });
  // The page's policy keeps out scripts that are not its own.
  browser = await startBrowser({ bypassCSP: true });
});
after(async () => {
  await browser?.close();
  await site?.close();
});

const start = (options) => openStartAt(browser.context, `${site.url}/?fake=1`, options);
const loaded = (options) => openLoadedAt(browser.context, `${site.url}/?fake=1`, options);

test('notes', async () => {
  const { page } = await start();
  await page.fill('#url', 'http://localhost/notes.gguf');
  await page.press('#url', 'Enter');
  await page.fill('#notes-text', 'Milk\n\nA cat');
  await page.fill('#notes-query', 'a pet');
  await page.press('#notes-query', 'Enter');
  await page.waitForSelector('.found li');
  await clean(page, 'notes');
  await page.close();
});

test('choosing a model, with an error on top', async () => {
  const { page } = await start();
  await page.click('.advanced summary');
  await page.click('.curated summary');
  await page.waitForSelector('.curated-model');
  await clean(page, 'start');
  await page.setInputFiles('#file', { name: 'corrupt.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await expectError(page, /^model-truncated$/);
  await clean(page, 'start with an error');
  await page.close();
});

test('downloads: one that goes on, one that is kept, one that failed', async () => {
  const { page } = await start();
  const download = async (address) => {
    await page.fill('#url', address);
    await page.click('#download-url');
  };
  await download(new URL('/model/rullama-demo.gguf', page.url()).href);
  await page.waitForSelector('.kept button:has-text("Load")');
  await download(new URL('/nothing.gguf', page.url()).href);
  await page.waitForSelector('.kept .problem:has-text("404")');
  await page.route('**/slow.gguf', () => undefined);
  await download(new URL('/slow.gguf', page.url()).href);
  await page.waitForSelector('.kept button:has-text("Pause")');
  await clean(page, 'downloads');
  await page.close();
});

test('loading', async () => {
  const { page } = await start();
  await page.setInputFiles('#file', { name: 'slow.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await page.waitForSelector('#loading:visible');
  await clean(page, 'loading');
  await page.close();
});

test('a chat: empty, with answers, with thinking, tools and a card; its settings and its list', async () => {
  const { page } = await loaded();
  await clean(page, 'an empty chat');
  await page.click('.example:has-text("thinks first")');
  await finished(page, 1);
  await page.click('.thinking summary');
  await ask(page, 'garble');
  await finished(page, 2);
  await ask(page, 'fail');
  await expectError(page, /^nan$/);
  await clean(page, 'a chat');
  await page.click('#open-settings');
  await page.waitForSelector('dialog.settings[open] #system');
  await clean(page, 'settings');
  await page.click('#show-keys');
  await page.waitForSelector('.key-list');
  await clean(page, 'the list of keys');
  await page.keyboard.press('Escape');
  await page.click('dialog [aria-label="Close settings"]');
  await page.click('[aria-label^="More for"]');
  await page.click('[role=menuitem]:has-text("Share by a link")');
  await page.waitForSelector('.share');
  await clean(page, 'a link');
  await page.keyboard.press('Escape');
  await page.locator('.regenerate').last().click();
  await page.waitForSelector('.versions');
  await page.locator('[data-tool=edit]').first().click();
  await page.waitForSelector('.message textarea');
  await clean(page, 'versions and an editor');
  await page.close();
});

test('tools: their dialog and its forms, a call that asks, what was given, and a text that is attached', async () => {
  const { page } = await loaded();
  await page.click('#attach');
  await page.click('[role=menuitem]:has-text("Tools")');
  await page.waitForSelector('dialog.tools[open]');
  await page.check('dialog.tools [name=calculator]');
  await clean(page, 'tools');
  await page.click('#add-server');
  await clean(page, 'a server');
  await page.click('dialog.tools footer .quiet');
  await page.click('#new-tool');
  await page.click('dialog.tools .primary');
  await clean(page, 'a tool with a problem');
  await page.click('dialog.tools footer .quiet');
  await page.click('dialog.tools .primary');
  await page.setInputFiles('#attach-file', { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from('Wind.') });
  await page.waitForSelector('.attachment:has-text("tokens")');
  await ask(page, 'call calculator {"expression": "1 + 2"}');
  await page.waitForSelector('.consent');
  await clean(page, 'a call that asks');
  await page.click('[data-answer=once]');
  await finished(page, 2);
  await page.locator('.result summary').click();
  await clean(page, 'a result');
  await page.close();
});

test('a phone: the list over the chat, and a menu', async () => {
  const { page } = await loaded({ viewport: { width: 390, height: 800 } });
  await ask(page, 'hello');
  await finished(page, 1);
  await clean(page, 'a chat on a phone');
  await page.click('#open-chats');
  await page.waitForSelector('#side li');
  await clean(page, 'the list on a phone');
  await page.close();
});

test('Fine-tune', async () => {
  const { page } = await loaded();
  await page.click('#model-name');
  await clean(page, 'a menu');
  await page.click('[role=menuitem]:has-text("Fine-tune")');
  await page.waitForSelector('#tune:visible h1');
  await clean(page, 'Fine-tune');
  await page.close();
});

test('conversations cannot be kept', async () => {
  const page = await browser.context.newPage();
  await page.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }));
  await page.goto(`${site.url}/?fake=1`);
  await page.waitForSelector('#trouble:visible');
  await clean(page, 'trouble');
  await page.close();
  const { page: plain } = await openPage(browser.context, `${site.url}/`);
  await plain.waitForSelector('.gpu-caution');
  await clean(plain, 'a processor in place of a graphics card');
  await plain.close();
});
