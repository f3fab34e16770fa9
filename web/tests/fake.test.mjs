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
