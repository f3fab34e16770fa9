// Keys for what people do often, on a development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatsUnderTest, titled, users } from './chats.mjs';
import { ask, finished } from './person.mjs';

const { openLoaded } = chatsUnderTest();
const focused = (page) => page.evaluate(() => document.activeElement.id);

test('chats are begun, found, changed and deleted by keys', async () => {
  const { page, problems } = await openLoaded();
  await ask(page, 'first');
  await finished(page, 1);
  await page.keyboard.press('Control+Shift+KeyO');
  await page.waitForSelector('.empty');
  await ask(page, 'second');
  await finished(page, 1);
  await page.keyboard.press('Control+KeyK');
  assert.equal(await focused(page), 'search');
  await page.keyboard.type('first');
  await titled(page, 'first');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'first');
  await page.fill('#search', '');
  await page.focus('#prompt');
  await page.keyboard.press('ArrowUp');
  await page.waitForSelector('.message-editor textarea:focus');
  await page.keyboard.type(' again');
  await page.keyboard.press('Control+Enter');
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'first again');
  await finished(page, 1);
  await page.fill('#prompt', 'a draft');
  await page.keyboard.press('ArrowUp');
  assert.deepEqual([await users(page), await focused(page)], [['first again'], 'prompt'], 'what is written stays');
  await page.fill('#prompt', '');
  await page.keyboard.press('Control+Shift+Backspace');
  await titled(page, 'second');
  await page.click('.toast button');
  await titled(page, 'first', 'second');
  assert.deepEqual(problems, []);
  await page.close();
});

test('the list of keys, and none of them under a dialog; letters by their place on keyboards of other scripts', async () => {
  const { page } = await openLoaded({ viewport: { width: 390, height: 800 } });
  await ask(page, 'hello');
  await finished(page, 1);
  await page.keyboard.press('Control+/');
  await page.waitForSelector('dialog .key-list');
  await page.keyboard.press('Control+Shift+Backspace');
  await page.keyboard.press('Control+KeyK');
  assert.ok(!(await page.locator('#side').evaluate((side) => side.classList.contains('open'))));
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  assert.equal(await page.locator('.message').count(), 2);
  await page.click('#open-settings');
  await page.click('#show-keys');
  await page.waitForSelector('.key-list');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog[open]', { state: 'detached' });
  // Of an Arabic keyboard; the list is a drawer here.
  await page.evaluate(() => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ن', code: 'KeyK', ctrlKey: true, bubbles: true, cancelable: true })));
  await page.waitForFunction(() => document.activeElement.id === 'search');
  assert.ok(await page.locator('#side').evaluate((side) => side.classList.contains('open')));
  await page.close();
});
