// The page in other languages: right to left, and with no English left. A development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from './browser.mjs';
import { clean } from './clean.mjs';
import { ask, finished, openStartAt } from './person.mjs';
import { startServer } from './server.mjs';

let site;
let browser;

before(async () => {
  site = await startServer({ '/': path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist') });
  browser = await startBrowser({ bypassCSP: true, locale: 'ar' });
});
after(async () => {
  await browser?.close();
  await site?.close();
});

const address = () => `${site.url}/?fake=1`;
const middle = async (page, selector) => {
  const { x, width } = await page.locator(selector).first().boundingBox();
  return x + width / 2;
};
const widthOf = (page) => page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);

test('by the browser’s languages the page is in Arabic, and runs from right to left; another one is chosen, and kept', async () => {
  const { page, problems } = await openStartAt(browser.context, address());
  assert.deepEqual(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]), ['ar', 'rtl']);
  assert.match(await page.locator('#start h1').innerText(), /^تحدّث مع Gemma/);
  await page.click('#load-embedded');
  await page.waitForSelector('#prompt:enabled');
  await ask(page, 'hello');
  await finished(page, 1);
  // Who reads begins at the right, where the list of conversations is; a question stands at the end, which is the left.
  assert.ok((await middle(page, '#side')) > 900 && (await middle(page, '.message.user p')) < 550 && (await middle(page, '#send')) < 550);
  const directions = await page.evaluate(() => ['.message.model .body p', '.code pre', '#prompt', '.stats'].map((one) => getComputedStyle(document.querySelector(one)).direction));
  assert.deepEqual(directions, ['ltr', 'ltr', 'rtl', 'rtl']);
  await clean(page, 'a chat from right to left');
  await page.click('[data-tool=compare]');
  await page.waitForSelector('dialog.ask-again[open]');
  await clean(page, 'how to ask again');
  await page.click('.ask-again .primary');
  await page.waitForSelector('.comparison .columns > article:nth-of-type(2) [data-tool=choose]');
  await clean(page, 'a comparison');
  await page.keyboard.press('Escape');
  await page.setViewportSize({ width: 390, height: 800 });
  const [all, shown] = await widthOf(page);
  assert.ok(all <= shown, `${all} of ${shown}`);
  await page.click('#open-chats');
  assert.ok((await page.locator('#side').boundingBox()).x > 60, 'the drawer opens from the right');
  await page.keyboard.press('Escape');
  await page.click('#open-settings');
  await page.waitForSelector('dialog.settings[open] #system');
  await clean(page, 'settings from right to left');
  await page.selectOption('dialog .language', 'en');
  await page.click('.language-warning button');
  await page.waitForSelector('html[lang=en][dir=ltr]');
  await page.reload();
  assert.equal(await page.locator('#open-chats').textContent(), 'Chats');
  await page.evaluate(() => localStorage.removeItem('rullama.language'));
  assert.deepEqual(problems, []);
  await page.close();
});

test('without its texts the page is in English as a whole', async () => {
  const page = await browser.context.newPage();
  await page.route('**/texts/ar.json', (route) => route.fulfill({ status: 503 }));
  await page.goto(address());
  await page.waitForSelector('#load-embedded:enabled');
  assert.match(await page.locator('#start h1').innerText(), /^Chat with Gemma/);
  assert.equal(await page.evaluate(() => document.documentElement.dir), '');
  await page.close();
});

/** What is not the page's to say: models' and persons' words, errors of the engine, names, code. */
const FOREIGN = '.message .body, .message.user p, .question, .thinking p, .what, .remedy, .brand, #model-name, select.language, .chat-title, .call, code, pre, b, textarea, .example, .curated-model h3, .status > #status, .result, script, style';

/** English that is left where every text of the page has marks around it. */
const unmarked = (page, foreign) => page.evaluate((foreign) => {
  const left = (text) => {
    let rest = text;
    for (let before = ''; before !== rest; ) [before, rest] = [rest, rest.replace(/⟦[^⟦⟧]*⟧/g, '')];
    return /[A-Za-z]{3,}/.test(rest.replace(/rullama|demo|word_count|https?:\/\/\S+/g, '')) ? rest.trim() : '';
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { parentElement, data } = walk.currentNode;
    if (parentElement.closest(foreign) || !parentElement.checkVisibility()) continue;
    // A text with elements in it goes over several nodes.
    if (left(data) && left(parentElement.textContent)) found.push(left(data));
  }
  for (const element of document.querySelectorAll('[aria-label], [placeholder], [title], [alt]')) {
    if (!element.checkVisibility() || element.matches('.chat-link, .schema')) continue;
    for (const name of ['aria-label', 'placeholder', 'title', 'alt']) if (left(element.getAttribute(name) ?? '')) found.push(`${name}: ${element.getAttribute(name)}`);
  }
  return [...new Set(found)];
}, foreign);

test('under another language nothing of the page is in English', async () => {
  const page = await browser.context.newPage();
  await page.addInitScript(() => localStorage.setItem('rullama.language', 'de'));
  await page.route('**/texts/de.json', async (route) => {
    const texts = await (await route.fetch()).json();
    await route.fulfill({ json: Object.fromEntries(Object.keys(texts).map((text) => [text, `⟦${text}⟧`])) });
  });
  await page.goto(address());
  await page.waitForSelector('#load-embedded:enabled');
  const looked = [];
  const look = async (what) => {
    looked.push(what);
    assert.deepEqual(await unmarked(page, FOREIGN), [], what);
  };
  await page.click('.advanced summary');
  await page.click('.curated summary');
  await page.waitForSelector('.curated-model');
  await look('start');
  await page.setInputFiles('#file', { name: 'corrupt.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await page.waitForSelector('.error');
  await look('an error');
  await page.click('#load-embedded');
  await page.waitForSelector('#prompt:enabled');
  await look('an empty chat');
  await page.locator('.example').nth(4).click();
  await finished(page, 1);
  await page.click('.thinking summary');
  await ask(page, 'garble');
  await finished(page, 2);
  await look('a chat');
  await page.click('#open-settings');
  await page.waitForSelector('dialog.settings[open] #system');
  await look('settings');
  await page.keyboard.press('Escape');
  await page.locator('[data-tool=compare]').last().click();
  await page.waitForSelector('.ask-again');
  await look('how to ask again');
  await page.click('.ask-again .primary');
  await page.waitForSelector('.comparison .columns > article:nth-of-type(2) [data-tool=choose]');
  await look('a comparison');
  await page.keyboard.press('Escape');
  await page.click('#attach');
  await look('a menu');
  await page.locator('[role=menuitem]').nth(3).click();
  await page.waitForSelector('.prompts');
  await look('prompts');
  await page.keyboard.press('Escape');
  await page.click('#attach');
  await page.locator('[role=menuitem]').last().click();
  await page.waitForSelector('dialog.tools');
  await look('tools');
  await page.click('#new-tool');
  await look('a tool');
  await page.click('dialog.tools footer .quiet');
  await page.click('#add-server');
  await look('a server');
  await page.keyboard.press('Escape');
  await page.click('.chat-list .more');
  await look('a conversation’s menu');
  await page.keyboard.press('Escape');
  await page.goto(`${address()}#fine-tune`);
  await page.waitForSelector('#tune-title');
  await page.click('.tune .advanced summary');
  await page.locator('.tune .seen, .examples-input button').nth(1).click();
  await look('fine-tuning');
  assert.equal(looked.length, 14);
  await page.close();
});
