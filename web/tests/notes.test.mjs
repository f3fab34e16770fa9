// The page with a model that makes vectors: notes are pasted, searched, kept. A development build with the fake engine, whose vectors grow
// with a text's length.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { builtPage, openStartAt } from './person.mjs';

const built = builtPage();
const shot = async (page, name) => process.env.SHOTS && page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });
const status = (page, words) => page.waitForFunction((text) => document.querySelector('.notes-status').textContent.includes(text), words);

test('notes are searched by meaning with an embedding model, and stay', async () => {
  const { page, problems } = await openStartAt(built.browser.context, `${built.site.url}/?fake=1`);
  const load = async () => {
    await page.fill('#url', 'http://localhost/notes.gguf');
    await page.press('#url', 'Enter');
    await page.waitForSelector('#notes-text:visible');
  };
  await load();
  assert.ok(await page.locator('#prompt').isHidden(), 'there is nobody to chat with');
  await page.click('.notes-search button');
  await status(page, 'Paste some notes');
  await page.fill('#notes-text', 'Milk\n\nThe meeting is on Tuesday\nin the large room\n\nA cat');
  await page.click('.notes-search button');
  await status(page, 'Write what you are looking for');
  await page.fill('#notes-query', 'when?');
  await page.press('#notes-query', 'Enter');
  await status(page, '3 notes, the nearest first');
  const found = () => page.locator('.found p').allInnerTexts();
  assert.deepEqual(await found(), ['The meeting is on Tuesday\nin the large room', 'A cat', 'Milk']);
  await shot(page, 'notes');
  await page.setViewportSize({ width: 390, height: 800 });
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  await shot(page, 'notes-narrow');
  // A search is stopped, and the next one goes on.
  await page.fill('#notes-text', 'slow\nMilk');
  await page.press('#notes-query', 'Enter');
  await status(page, 'Reading 1 of 2');
  await page.click('.notes-search button');
  await status(page, 'Stopped');
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(['Cheese'], 'more.txt', { type: 'text/plain' }));
    window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await status(page, '“more.txt” was added');
  assert.equal(await page.inputValue('#notes-text'), 'slow\nMilk\n\nCheese');
  // Another model, and back.
  await page.click('#model-name');
  await page.click('[role=menuitem]:has-text("Change model")');
  await page.click('#load-embedded');
  await page.waitForSelector('#prompt:enabled:visible');
  assert.ok(await page.locator('#notes').isHidden());
  await page.click('#change-model');
  await load();
  assert.equal(await page.inputValue('#notes-text'), 'slow\nMilk\n\nCheese');
  await page.reload();
  await page.waitForSelector('#load-embedded:enabled');
  await load();
  assert.equal(await page.inputValue('#notes-text'), 'slow\nMilk\n\nCheese');
  assert.deepEqual(problems, []);
  await page.close();
});
