// What a person would miss: on a development build with the fake engine, what stops, fails, is too long or fills the context.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { questions } from './chats.mjs';
import { answerText, ask, expectError, finished, pageUnderTest, waitForChat } from './person.mjs';

const openLoaded = pageUnderTest('?fake=1');

test('a message that is sent while the answer before it is being stopped is not swallowed', async () => {
  const { page } = await openLoaded();
  await ask(page, 'slow');
  await page.click('#new-chat');
  await ask(page, 'hello');
  await page.waitForSelector('.message.user:has-text("hello")');
  await questions(page, 'hello');
  assert.equal(await page.inputValue('#prompt'), '');
  await finished(page, 1);
  assert.match(await answerText(page), /A short answer/);
  // In the same chat it waits for the end of the stop.
  await ask(page, 'slow again');
  await page.click('#stop');
  await ask(page, 'hello again');
  await finished(page, 3);
  await questions(page, 'hello', 'slow again', 'hello again');
  assert.equal(await page.inputValue('#prompt'), '');
  assert.match(await page.locator('.stats').nth(1).innerText(), /stopped$/);
  await page.close();
});

test('after a lost device the conversation goes on', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await ask(page, 'lose');
  await expectError(page, /^device-lost$/);
  await page.click('.error button');
  await page.waitForSelector('#prompt:enabled:visible');
  await questions(page, 'hello', 'lose');
  assert.equal(await page.locator('.error').count(), 0);
  // The question that had no answer can have one.
  assert.equal(await page.locator('.resume button').count(), 1);
  await ask(page, 'recall');
  await finished(page, 2);
  assert.equal((await answerText(page)).trim(), '[hello] [lose] [recall]');
  await page.close();
});

test('what the model did not get comes back to the field', async () => {
  const { page } = await openLoaded();
  await ask(page, 'fail');
  await expectError(page, /^nan$/);
  assert.equal(await page.inputValue('#prompt'), 'fail');
  assert.equal(await page.locator('.message').count(), 0);
  await page.click('.error button:has-text("Try again")');
  await expectError(page, /^nan$/);
  await page.fill('#prompt', 'recall');
  await page.press('#prompt', 'Enter');
  await finished(page, 1);
  assert.equal((await answerText(page)).trim(), '[recall]');
  await page.close();
});

test('an answer stays when the one to replace it fails', async () => {
  const { page } = await openLoaded();
  await ask(page, 'flaky');
  await finished(page, 1);
  await page.click('.regenerate');
  await expectError(page, /^nan$/);
  assert.match(await answerText(page), /A short answer/);
  assert.ok(await page.locator('.message.model').isVisible());
  await page.click('.error button:has-text("Try again")');
  await page.waitForSelector('.regenerate');
  assert.equal(await page.locator('.message.model').count(), 1);
  await page.close();
});

test('a message that is too long is refused by so many tokens, and stays in the field', async () => {
  const { page } = await openLoaded();
  const text = `${'x'.repeat(9000)} end`;
  await ask(page, text);
  await page.waitForFunction(() => document.querySelector('#draft-note').textContent !== '');
  assert.match(await page.locator('#draft-note').innerText(), /too long by 4,9\d\d tokens.*4,096 tokens/);
  assert.equal(await page.inputValue('#prompt'), text);
  assert.equal(await page.locator('.message').count(), 0);
  assert.equal(await page.locator('.error').count(), 0);
  // It is said before sending, too, and goes with the cause.
  await page.fill('#prompt', '');
  await page.waitForFunction(() => document.querySelector('#draft-note').textContent === '');
  await page.fill('#prompt', text);
  await page.waitForFunction(() => document.querySelector('#draft-note').textContent !== '');
  await ask(page, 'hello');
  await finished(page, 1);
  await page.close();
});

test('a full chat warns, leaves out its oldest turns and says so', async () => {
  const { page } = await openLoaded('?fake=1', { context: 512 });
  for (let i = 1; i <= 8; i++) {
    await ask(page, `recall ${i}`);
    await finished(page, i);
    if (i === 1) assert.match(await page.locator('#context').innerText(), /^Context \d+ of 512 tokens$/);
  }
  assert.equal(await page.locator('.error').count(), 0);
  assert.equal(await page.locator('.message.user').count(), 8, 'all of it can still be read');
  assert.equal(await page.locator('.dropped').count(), 1);
  assert.match(await page.locator('.dropped').innerText(), /512 tokens is full.*below this line/);
  // The mark stands where the model begins to read.
  const below = await page.evaluate(() => {
    const mark = document.querySelector('.dropped');
    return [...document.querySelectorAll('.message.user')].filter((element) => mark.compareDocumentPosition(element) & 4).map((element) => element.querySelector('p').innerText);
  });
  const read = (await answerText(page)).match(/recall \d/g);
  assert.deepEqual(read, below);
  assert.ok(read.length > 0 && read.length < 8);
  // A larger context has room for all of it again.
  await page.click('.dropped button');
  await page.waitForSelector('#prompt:enabled:visible');
  assert.equal(await page.locator('.message.user').count(), 8);
  await ask(page, 'recall 9');
  await finished(page, 9);
  assert.equal((await answerText(page)).match(/recall \d/g).length, 9);
  await page.close();
});

test('a nearly full context is warned of', async () => {
  const { page } = await openLoaded('?fake=1', { context: 512 });
  await ask(page, 'hello'.padEnd(370, ' x'));
  await finished(page, 1);
  assert.match(await page.locator('#context').innerText(), /oldest messages will be left out/);
  await page.close();
});
