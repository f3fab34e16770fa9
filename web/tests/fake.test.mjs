// The page of a development build against the fake engine: what no real model can be made to say or do.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerText, ask, expectError, finished, pageUnderTest, waitForChat } from './person.mjs';

const openLoaded = pageUnderTest('?fake=1');

test('text from the model never becomes markup', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /two with <b>no markup<\/b>/);
  assert.equal(await page.locator('.message.model b').count(), 0);
  assert.equal(await page.locator('.message.model .code code').innerText(), 'fn main() { println!("hello"); }');
  await page.close();
});

test('a lost device offers the way back', async () => {
  const { page } = await openLoaded();
  await ask(page, 'lose');
  await expectError(page, /^device-lost$/);
  assert.equal(await page.locator('.error').count(), 1);
  await page.click('.error button');
  await waitForChat(page);
  await ask(page, 'hello');
  await finished(page, 1);
  await page.close();
});

test('an example with a tool shows the call, what the page computed, and the answer from it', async () => {
  const { page } = await openLoaded();
  await page.click('.example:has-text("calls multiply")');
  await finished(page, 2);
  assert.match(await page.locator('.message.model .call summary').first().innerText(), /Calls multiply a: 412, b: 37/);
  assert.equal(await page.locator('.message.result code').textContent(), String(412 * 37));
  assert.match(await answerText(page), /A short answer/);
  // The tool belongs to the example's conversation: a new one has none.
  await page.click('#new-chat');
  await ask(page, '3 times 4');
  await finished(page, 1);
  assert.equal(await page.locator('.message.result').count(), 0);
  await page.close();
});

test('an example with thinking shows the thought before the answer', async () => {
  const { page } = await openLoaded();
  await page.click('.example:has-text("thinks first")');
  await finished(page, 1);
  await page.click('.message.model .thinking summary');
  assert.match(await page.locator('.message.model .thinking p').innerText(), /The question is short/);
  await page.click('#new-chat');
  await ask(page, 'hello');
  await finished(page, 1);
  assert.equal(await page.locator('.message.model .thinking:visible').count(), 0);
  await page.close();
});
