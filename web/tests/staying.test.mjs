// Conversations stay: on a development build with the fake engine, whatever happens to the page.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './browser.mjs';
import { chat, chatsUnderTest, choose, loadAgain, questions, titled, users } from './chats.mjs';
import { answerText, ask, finished, waitForChat } from './person.mjs';

const { address, context, openLoaded } = chatsUnderTest();
const bodyText = (page) => page.evaluate(() => document.querySelector('.message.model .body')?.textContent ?? '');
const wrote = (page, characters) => page.waitForFunction((n) => (document.querySelector('.message.model .body')?.textContent.length ?? 0) > n, characters);

test('a reload in mid-answer loses nothing, asks nothing, and the answer goes on', async () => {
  const { page, problems } = await openLoaded();
  page.on('dialog', (dialog) => assert.fail(`asked: ${dialog.type()}`));
  await ask(page, 'hello');
  await finished(page, 1);
  await ask(page, 'long');
  await page.waitForFunction(() => document.querySelectorAll('.message.model .body')[1]?.textContent.length > 60);
  const seen = await page.evaluate(() => document.querySelectorAll('.message.model .body')[1].textContent);
  await page.reload();
  await page.waitForSelector('.stats.cut');
  await questions(page, 'hello', 'long');
  const kept = (await answerText(page)).trim();
  assert.ok(kept.startsWith(seen.trim()), `${kept.length} characters of ${seen.length}`);
  assert.match(await page.locator('.stats').last().innerText(), /cut off/);
  assert.equal(await page.locator('.continue').count(), 0, 'nothing goes on without a model');
  await loadAgain(page);
  await page.click('.continue');
  await page.waitForFunction((n) => document.querySelectorAll('.message.model .body')[1].textContent.length > n + 30, kept.length);
  await page.click('#stop');
  await page.waitForSelector('.continue');
  const whole = (await answerText(page)).trim().split(' ');
  assert.deepEqual(whole, whole.map((_, i) => `word${i}`), 'one answer, without a gap and without a repetition');
  assert.equal(await page.locator('.message.model').count(), 2);
  assert.equal(await page.locator('.versions').count(), 0);
  assert.deepEqual(problems, []);
});

test('a tab that is killed in mid-answer loses no more than a second', async () => {
  const { page } = await openLoaded();
  await ask(page, 'long');
  await wrote(page, 400);
  const before = (await bodyText(page)).length;
  await page.waitForTimeout(1000);
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  // The command has no answer.
  void session.send('Page.crash').catch(() => undefined);
  await crashed;
  const { page: next } = await openPage(context(), address());
  await next.click('.chat-link');
  await next.waitForSelector('.stats.cut');
  assert.ok((await bodyText(next)).length >= before, 'what was there a second ago is there');
});

test('Back, the logo, another site and closing the tab lose nothing', async () => {
  const { page } = await openLoaded();
  await page.waitForSelector('.empty');
  await chat(page, 'hello one');
  await chat(page, 'hello two');
  assert.match(await page.evaluate(() => location.hash), /^#chat=/);
  await page.click('#new-chat');
  await page.goBack();
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'hello two');
  await page.goBack();
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'hello one');
  await ask(page, 'long');
  await page.waitForFunction(() => document.querySelectorAll('.message.model .body')[1]?.textContent.length > 40);
  await page.goto('about:blank');
  await page.goBack();
  await page.waitForSelector('.message.model');
  await page.waitForFunction(() => document.querySelectorAll('.message.model .body')[1]?.textContent.length > 40);
  await questions(page, 'hello one', 'long');
  await page.click('#home');
  await page.waitForSelector('#load-embedded:visible');
  assert.equal(await page.locator('.message').count(), 0);
  await page.close();
  const { page: next } = await openPage(context(), address());
  await titled(next, 'hello one', 'hello two');
  await next.click('.chat-link');
  await next.waitForSelector('.message.user');
  await questions(next, 'hello one', 'long');
});

test('a draft is kept for each chat', async () => {
  const { page } = await openLoaded();
  page.on('dialog', (dialog) => assert.fail(`asked: ${dialog.type()}`));
  await ask(page, 'hello');
  await finished(page, 1);
  await page.fill('#prompt', 'a draft there');
  await page.click('#new-chat');
  assert.equal(await page.inputValue('#prompt'), '');
  await page.fill('#prompt', 'a new draft');
  await page.reload();
  await page.click('#load-embedded');
  await waitForChat(page);
  await page.waitForFunction(() => document.querySelector('#prompt').value === 'a new draft');
  await page.click('.chat-link');
  await page.waitForFunction(() => document.querySelector('#prompt').value === 'a draft there');
  await page.press('#prompt', 'Enter');
  await finished(page, 2);
  await page.reload();
  await loadAgain(page);
  assert.equal(await page.inputValue('#prompt'), '', 'what was sent is no draft');
  // A message that is being changed is a draft as well.
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.fill('.message-editor textarea', 'hello changed');
  await page.reload();
  await page.waitForSelector('.message');
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.waitForSelector('.message-editor');
  assert.equal(await page.inputValue('.message-editor textarea'), 'hello changed');
  await page.keyboard.press('Escape');
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.waitForSelector('.message-editor');
  assert.equal(await page.inputValue('.message-editor textarea'), 'hello', 'until it is given up');
});

test('a new model goes on with the conversation, and reads what was said', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello one');
  await finished(page, 1);
  await page.click('#change-model');
  await page.waitForSelector('.goes-on:has-text("hello one")');
  await page.fill('#url', 'http://localhost/other.gguf');
  await page.click('#load-url');
  await waitForChat(page);
  await questions(page, 'hello one');
  await ask(page, 'recall');
  await finished(page, 2);
  assert.equal((await answerText(page)).trim(), '[hello one] [recall]');
  await page.click('#change-model');
  await page.click('.goes-on button');
  await page.click('#load-embedded');
  await waitForChat(page);
  assert.equal(await page.locator('.message').count(), 0);
});

test('two tabs see what the other does, while an answer is written and when both write', async () => {
  // What they tell each other can be held back.
  await context().addInitScript(() => {
    const missed = [];
    globalThis.hearAgain = () => {
      globalThis.deaf = false;
      for (const hear of missed.splice(0)) hear();
    };
    globalThis.BroadcastChannel = class extends BroadcastChannel {
      set onmessage(hear) {
        super.onmessage = (event) => (globalThis.deaf ? missed.push(() => hear(event)) : hear(event));
      }
    };
  });
  const { page: one } = await openLoaded();
  await chat(one, 'hello');
  const { page: two } = await openLoaded();
  await two.click('.chat-link');
  await two.waitForSelector('.message.model');
  await ask(one, 'long');
  await two.waitForFunction(() => document.querySelectorAll('.message.model.writing .body')[0]?.textContent.length > 40);
  const seen = await two.evaluate(() => document.querySelectorAll('.message.model .body')[1].textContent.length);
  await two.waitForFunction((n) => document.querySelectorAll('.message.model .body')[1].textContent.length > n, seen);
  await ask(two, 'too early');
  assert.match(await two.locator('#draft-note').innerText(), /Another tab is writing/);
  assert.equal(await two.inputValue('#prompt'), 'too early');
  await two.fill('#prompt', '');
  await one.click('#stop');
  await two.waitForFunction(() => !document.querySelector('.message.writing'));
  assert.match(await two.locator('.stats').last().innerText(), /stopped/);
  // Both go on from the same answer: two branches, and nothing is lost.
  for (const page of [one, two]) await page.evaluate(() => (globalThis.deaf = true));
  await Promise.all([ask(one, 'say\nfrom one'), ask(two, 'say\nfrom two')]);
  await Promise.all([finished(one, 3), finished(two, 3)]);
  for (const page of [one, two]) await page.evaluate(() => globalThis.hearAgain());
  for (const page of [one, two]) await page.waitForFunction(() => document.querySelector('.message.user .versions'));
  assert.deepEqual((await users(two)).at(-1), 'say\nfrom two');
  assert.equal(await one.locator('.message.user .versions').getAttribute('aria-label').then((label) => label.replace(/\d of/, 'n of')), 'Version n of 2');
  assert.deepEqual((await users(one)).at(-1), 'say\nfrom one', 'nobody is torn away from what they read');
  await choose(two, 'hello', 'Rename');
  await two.fill('.rename', 'Named in two');
  await two.press('.rename', 'Enter');
  await titled(one, 'Named in two');
  await ask(one, 'more');
  await finished(one, 4);
  await titled(two, 'Named in two');
  // Deleted in one tab while the other shows it.
  await choose(one, 'Named in two', 'Delete');
  await two.waitForSelector('.note:has-text("deleted in another tab")');
  await one.click('.toast button:has-text("Undo")');
  await titled(two, 'Named in two');
});

test('an answer whose tab dies while another shows it is marked as cut there', async () => {
  const { page: one } = await openLoaded();
  await ask(one, 'long');
  await wrote(one, 60);
  const { page: two } = await openLoaded();
  await two.click('.chat-link');
  await two.waitForSelector('.message.writing');
  await one.close();
  await two.waitForSelector('.stats.cut');
  await two.click('.continue');
  await two.waitForSelector('.message.writing');
  await two.click('#stop');
  await two.waitForSelector('.continue');
});

