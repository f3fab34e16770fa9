// Prompts that are kept: chosen, kept and deleted; offered where a model brings no examples. A development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatsUnderTest } from './chats.mjs';
import { clean } from './clean.mjs';
import { openStartAt, waitForChat } from './person.mjs';

const { address, context, openLoaded } = chatsUnderTest({ bypassCSP: true });
const open = async (page) => {
  await page.click('#attach');
  await page.click('[role=menuitem]:has-text("Prompts")');
  await page.waitForSelector('.prompts');
};
const names = (page) => page.locator('.prompts .example').evaluateAll((all) => all.map((one) => one.firstChild.textContent));

test('a prompt is kept, goes before what is written, and comes back when its deletion is undone', async () => {
  const { page, problems } = await openLoaded();
  await open(page);
  assert.equal(await page.locator('.keep-prompt').count(), 0, 'nothing is written');
  assert.equal((await names(page)).length, 4);
  await page.click('.prompts .example:has-text("spelling")');
  assert.equal(await page.inputValue('#prompt'), 'Correct spelling and grammar, and say what was changed:\n\n');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
  await page.fill('#prompt', 'Answer as a pirate.');
  await open(page);
  await page.fill('#prompt-name', 'Pirate');
  await page.press('#prompt-name', 'Enter');
  assert.equal((await names(page))[0], 'Pirate');
  await clean(page, 'prompts');
  await page.keyboard.press('Escape');
  await page.fill('#prompt', 'Where is the ship?');
  await open(page);
  await page.click('.prompts .example:has-text("Pirate")');
  assert.equal(await page.inputValue('#prompt'), 'Answer as a pirate.\n\nWhere is the ship?');
  await page.reload();
  await page.click('#load-last, #load-embedded');
  await waitForChat(page);
  await open(page);
  await page.click('[aria-label="Delete the prompt Pirate"]');
  assert.equal((await names(page)).length, 4);
  await page.keyboard.press('Escape');
  await page.click('.toast button:has-text("Undo")');
  await open(page);
  assert.equal((await names(page))[0], 'Pirate');
  assert.deepEqual(problems, []);
  await page.close();
});

test('a model without examples offers prompts, which are not sent by themselves', async () => {
  const { page } = await openStartAt(context(), address());
  await page.evaluate(() => localStorage.setItem('rullama.prompts', JSON.stringify([{ name: 'Mine', text: 'Say it in verse:' }, { name: 1 }, 'x'])));
  await page.setInputFiles('#file', { name: 'model.gguf', mimeType: '', buffer: Buffer.from('GGUF') });
  await waitForChat(page);
  assert.deepEqual((await page.locator('.empty .example').allInnerTexts()).slice(0, 2), ['Mine', 'Summarise the attached text in five sentences.']);
  await page.click('.empty .example:has-text("Mine")');
  assert.equal(await page.inputValue('#prompt'), 'Say it in verse:\n\n');
  assert.equal(await page.locator('.message').count(), 0);
  await page.close();
});
